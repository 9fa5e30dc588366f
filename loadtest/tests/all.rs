//! The load tester: its command line, and the whole system under it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod command_line;
mod receipts;
mod system;

/// True when a load came to its end: a machine that is busy with other tests may be the limit of it.
fn went_well(status: std::process::ExitStatus) -> bool {
    matches!(status.code(), Some(0 | 4))
}
