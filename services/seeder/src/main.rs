//! `seeder`: see `seeder --help`.

use std::process::ExitCode;

fn main() -> ExitCode {
    seeder::main()
}
