//! `loadtest figures`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use coupon_cli::terminal;
use coupon_measure::format::put_into;
use coupon_report::model::Contestant;
use coupon_report::{Report, markdown, read};

/// Its command line.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The report.json
    report: PathBuf,
    /// Only these contestants, in this order; all of them without
    #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
    contestants: Vec<String>,
    /// A Markdown document whose table is replaced by this one; may be given several times
    #[arg(long, value_name = "FILE")]
    document: Vec<PathBuf>,
}

/// Prints the table, or puts it into documents.
///
/// # Errors
/// When the report cannot be read, or a document has no place for the table.
pub fn run(args: &Args) -> Result<ExitCode> {
    let mut report = read(&args.report)?;
    if !args.contestants.is_empty() {
        report.contestants = chosen(&report, &args.contestants)?;
    }
    let table = markdown::table(&report);
    for document in &args.document {
        update(document, &table).with_context(|| format!("--document {}", document.display()))?;
        terminal::say(format!("written to {}", document.display()));
    }
    if args.document.is_empty() {
        terminal::say(table.trim_end());
    }
    Ok(ExitCode::SUCCESS)
}

fn chosen(report: &Report, names: &[String]) -> Result<Vec<Contestant>> {
    let find = |name: &String| {
        let found = report.contestant(name).cloned();
        found.with_context(|| format!("--contestants: the report has no {name}"))
    };
    names.iter().map(find).collect()
}

fn update(document: &Path, table: &str) -> Result<()> {
    let text = std::fs::read_to_string(document)?;
    std::fs::write(document, put_into(&text, markdown::PLACE, table)?)?;
    Ok(())
}
