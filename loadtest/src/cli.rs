//! The command line: one subcommand a module of [`crate::cmd`].

use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Parser, Subcommand};

use crate::cmd::{audit, bench, compare, explain, faults, run, serve, simulate, vertical};
use crate::terminal;

/// Load-tests the coupon services and compares their sharding strategies.
#[derive(Debug, Parser)]
#[command(name = "loadtest", version, subcommand_required = true, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Put one running service under load and print what came of it.
    Run(Box<run::Args>),
    /// Put several strategies under the same load, on data of their own, and report the differences.
    Compare(compare::Args),
    /// Serve a page on this machine that shows strategies side by side while they are under load.
    Serve(serve::Args),
    /// Hold what clients were told against what is stored.
    Audit(audit::Args),
    /// Route millions of keys through the strategies, without any service.
    Simulate(simulate::Args),
    /// Measure what splitting wide columns off the coupons brings.
    Vertical(vertical::Args),
    /// Show where a row lives and which places a query visits.
    Explain(explain::Args),
    /// Break servers and services under load, one fault after the other, and audit what is left.
    Faults(faults::Args),
    /// Measure how fast everything is, each figure beside what this machine allows.
    Bench(bench::Args),
}

/// Runs the command line of this process. An error is one line on stderr and exit code 1.
#[must_use]
pub fn main() -> ExitCode {
    let command = match Cli::try_parse() {
        Ok(cli) => cli.command,
        Err(error) => return refuse(&error),
    };
    let result = match command {
        Command::Run(args) => run::run(*args),
        Command::Compare(args) => compare::run(args),
        Command::Serve(args) => serve::run(args),
        Command::Audit(args) => audit::run(&args),
        Command::Simulate(args) => simulate::run(args),
        Command::Vertical(args) => vertical::run(args),
        Command::Explain(args) => explain::run(args),
        Command::Faults(args) => faults::run(&args),
        Command::Bench(args) => bench::run(&args),
    };
    result.unwrap_or_else(|error| {
        terminal::clear_progress();
        terminal::note(format!("error: {error:#}"));
        ExitCode::FAILURE
    })
}

/// A value that makes no sense is one line, like every other error; the rest is shown as clap knows best.
fn refuse(error: &clap::Error) -> ExitCode {
    if matches!(error.kind(), ErrorKind::ValueValidation | ErrorKind::InvalidValue) {
        let text = error.to_string();
        let message = text.split("\n\n").next().unwrap_or_default();
        terminal::note(message.split_whitespace().collect::<Vec<_>>().join(" "));
        return ExitCode::FAILURE;
    }
    let _ = error.print();
    ExitCode::from(u8::from(error.use_stderr()))
}
