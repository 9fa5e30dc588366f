//! Subcommands that are programs of their own: `loadtest bench`, `loadtest faults`.

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};
use coupon_lab::program;

/// The other program's arguments: its own `--help` says what they can be.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Arguments of the program; --help lists them
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENTS")]
    arguments: Vec<OsString>,
}

/// Becomes the program of that name, which stands beside this one.
///
/// # Errors
/// When it is not there, or does not start.
pub fn run(name: &str, args: &Args) -> Result<ExitCode> {
    let path = program(name)?;
    let error = Command::new(&path).args(&args.arguments).exec();
    Err(error).with_context(|| format!("cannot start {}", path.display()))
}
