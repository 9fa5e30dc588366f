//! See `coupon-stack --help`.

use std::process::ExitCode;

fn main() -> ExitCode {
    coupon_stack::cli::main()
}
