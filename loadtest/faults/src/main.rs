//! See `loadtest-faults --help`.

use std::process::ExitCode;

fn main() -> ExitCode {
    loadtest_faults::cli::main()
}
