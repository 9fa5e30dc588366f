//! See `loadtest-bench --help`.

use std::process::ExitCode;

fn main() -> ExitCode {
    loadtest_bench::cli::main()
}
