//! The service that shards by hash of the user.

use std::process::ExitCode;

fn main() -> ExitCode {
    hash_svc::PROGRAM.main()
}
