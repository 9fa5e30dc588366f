//! The command line: one subcommand a module of [`crate::cmd`].

mod examples;

use std::process::ExitCode;

use anyhow::Context as _;
use clap::{CommandFactory as _, Parser, Subcommand};
use coupon_cli::Pages;
use coupon_cli::terminal;

use crate::cmd::{
    advise, audit, compare, diff, explain, figures, history, replay, run, schema, serve, simulate, size,
    subprograms, vertical,
};

/// Load-tests the coupon services and compares their sharding strategies.
#[derive(Debug, Parser)]
#[command(
    name = "loadtest",
    version,
    subcommand_required = true,
    arg_required_else_help = true,
    after_help = examples::ALL
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Put one running service under load and print what came of it.
    #[command(after_help = examples::RUN)]
    Run(Box<run::Args>),
    /// Put several strategies under the same load, on data of their own, and report the differences.
    #[command(after_help = examples::COMPARE)]
    Compare(compare::Args),
    /// Send a recorded trace to several strategies, on a catalogue made for it, and report the differences.
    Replay(Box<replay::Args>),
    /// Say which strategy and which boundaries a recorded trace calls for, and prove it by a replay.
    Advise(Box<advise::Args>),
    /// Hold a report of compare against an earlier one, and say what became better or worse.
    Diff(diff::Args),
    /// Show every figure of a series of reports over time, and say where it changed for good.
    History(history::Args),
    /// Print the main figures of a report as a Markdown table, or put it into documents.
    Figures(figures::Args),
    /// Print the description of report.json: JSON Schema, or the page in docs/REPORT_SCHEMA.md.
    Schema(schema::Args),
    /// Serve a page on this machine that shows strategies side by side while they are under load.
    Serve(serve::Args),
    /// Hold the answers that clients got against what is stored.
    #[command(after_help = examples::AUDIT)]
    Audit(audit::Args),
    /// Route millions of keys through the strategies, without any service.
    #[command(after_help = examples::SIMULATE)]
    Simulate(simulate::Args),
    /// Say which parts and machines a sale takes that is larger than one machine, on paper.
    #[command(after_help = examples::SIZE)]
    Size(Box<size::Args>),
    /// Measure what splitting wide columns off the coupons brings.
    Vertical(vertical::Args),
    /// Show where a row lives and which places a query visits.
    #[command(after_help = examples::EXPLAIN)]
    Explain(explain::Args),
    /// Break servers and services under load, one fault after the other, and audit what is left.
    #[command(disable_help_flag = true)]
    Faults(subprograms::Args),
    /// Measure how fast everything is, each figure beside what this machine allows.
    #[command(disable_help_flag = true)]
    Bench(subprograms::Args),
    #[command(flatten)]
    Pages(Pages),
}

/// Runs the command line of this process. An error is one line on stderr and exit code 1.
#[must_use]
pub fn main() -> ExitCode {
    terminal::run(|cli: Cli| match cli.command {
        Command::Run(args) => run::run(*args),
        Command::Compare(args) => compare::run(args),
        Command::Replay(args) => replay::run(*args),
        Command::Advise(args) => advise::run(*args),
        Command::Diff(args) => diff::run(&args),
        Command::History(args) => history::run(&args),
        Command::Figures(args) => figures::run(&args),
        Command::Schema(args) => schema::run(&args),
        Command::Serve(args) => serve::run(args),
        Command::Audit(args) => audit::run(&args),
        Command::Simulate(args) => simulate::run(args),
        Command::Size(args) => size::run(*args),
        Command::Vertical(args) => vertical::run(args),
        Command::Explain(args) => explain::run(args),
        Command::Faults(args) => subprograms::run("loadtest-faults", &args),
        Command::Bench(args) => subprograms::run("loadtest-bench", &args),
        Command::Pages(pages) => {
            pages.show(Cli::command()).map(|()| ExitCode::SUCCESS).context("cannot write the page")
        }
    })
}
