//! The service whose shards an engine has.

use std::process::ExitCode;

fn main() -> ExitCode {
    engine_svc::PROGRAM.main()
}
