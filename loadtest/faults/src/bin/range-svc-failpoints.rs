//! `range-svc`, which `loadtest faults` can break on purpose from within.

use std::process::ExitCode;

fn main() -> ExitCode {
    range_svc::PROGRAM.main()
}
