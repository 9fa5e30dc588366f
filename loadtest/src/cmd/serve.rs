//! `loadtest serve`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use coupon_cli::output;

use super::arguments;
use crate::compare::GrowthArgs;
use crate::serve::{PageOptions, serve};

/// Its command line.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The port on 127.0.0.1; 0 takes any that is free. The page is for this machine alone
    #[arg(long, default_value_t = 8089)]
    port: u16,
    /// Backend of the contestants: files, or MySQL, Redis and RabbitMQ, which each run starts for itself
    #[arg(long, value_enum, default_value_t = arguments::Backend::Embedded)]
    backend: arguments::Backend,
    // What the page's form opens with.
    #[command(flatten)]
    growth: GrowthArgs,
    /// Keep the reports in this folder; without it they are gone when the page is
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// Runs it, until it is interrupted.
///
/// # Errors
/// When the port is taken, or the folder cannot be written.
pub fn run(args: Args) -> Result<ExitCode> {
    let Args { port, backend, growth, out } = args;
    let _out = out.as_deref().map(|out| output::folder("--out", out)).transpose()?;
    serve(PageOptions { port, growth, on_servers: backend == arguments::Backend::Servers, out })?;
    Ok(ExitCode::SUCCESS)
}
