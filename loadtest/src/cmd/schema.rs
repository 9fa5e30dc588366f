//! `loadtest schema`.

use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::ValueEnum;
use coupon_cli::terminal;
use coupon_report::schema;

/// Its command line.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The form of the description
    #[arg(long, value_enum, default_value = "json")]
    format: Format,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    /// JSON Schema, for programs.
    Json,
    /// A page for people: docs/REPORT_SCHEMA.md.
    Markdown,
}

/// Prints it.
///
/// # Errors
/// None that is known: the schema is made from types.
pub fn run(args: &Args) -> Result<ExitCode> {
    let text = match args.format {
        Format::Json => serde_json::to_string_pretty(&schema::json()).context("the schema is no JSON")?,
        Format::Markdown => schema::markdown(),
    };
    terminal::say(text.trim_end());
    Ok(ExitCode::SUCCESS)
}
