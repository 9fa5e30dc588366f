//! `hash-svc`, which `loadtest faults` can break on purpose from within.

use std::process::ExitCode;

fn main() -> ExitCode {
    hash_svc::PROGRAM.main()
}
