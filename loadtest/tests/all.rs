//! The load tester: its command line, and the whole system under it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod command_line;
mod receipts;
mod system;
