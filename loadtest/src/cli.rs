//! The command line: one subcommand a module of [`crate::cmd`].

use std::process::ExitCode;

use anyhow::Context as _;
use clap::error::ErrorKind;
use clap::{CommandFactory as _, Parser, Subcommand};
use coupon_cli::Pages;

use crate::cmd::{audit, bench, compare, explain, faults, run, simulate, vertical};
use crate::terminal;

const EXAMPLES: &str = "\
Examples:
  loadtest compare --history 100000 --rate 1500     which strategy for which need, in two minutes
  loadtest simulate --shards 4,64,1024              how evenly each would spread, without any service
  loadtest explain --user 123 --room 92             where that grab goes, and why
  loadtest run --acks acks.csv                      load on a service that runs, and what each grab was told
  loadtest audit --target http://127.0.0.1:8001 --acks acks.csv
                                                    is all of that stored, once, and nothing else?

An error is one line and exit code 1; an audit that finds a violation ends with 2.";

/// Load-tests the coupon services and compares their sharding strategies.
#[derive(Debug, Parser)]
#[command(
    name = "loadtest",
    version,
    subcommand_required = true,
    arg_required_else_help = true,
    after_help = EXAMPLES
)]
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
    #[command(flatten)]
    Pages(Pages),
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
        Command::Audit(args) => audit::run(&args),
        Command::Simulate(args) => simulate::run(args),
        Command::Vertical(args) => vertical::run(args),
        Command::Explain(args) => explain::run(args),
        Command::Faults(args) => faults::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Pages(pages) => {
            pages.show(Cli::command()).map(|()| ExitCode::SUCCESS).context("cannot write the page")
        }
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
