//! The service that shards by ranges of time or of rooms.

use std::process::ExitCode;

fn main() -> ExitCode {
    range_svc::PROGRAM.main()
}
