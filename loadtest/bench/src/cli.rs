//! The command line: `loadtest-bench`, which `loadtest bench` becomes.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use clap::Command;
use coupon_cli::output::{Output, folder};
use coupon_cli::terminal;

use crate::doc::{self, Notes};
use crate::record::Bench;
use crate::{bench, chosen, table};

/// Shown at the end of the help.
const EXAMPLES: &str = "\
Examples:
  loadtest-bench --quick --only grab,known-answers
  loadtest-bench --quick --out quick.json --doc quick/BENCHMARKS.md
  loadtest-bench --from bench.json";
/// The exit code of figures that are not valid.
const NOT_VALID: u8 = 2;

/// Runs the command line of this process.
#[must_use]
pub fn main() -> ExitCode {
    let about = Command::new("loadtest-bench")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Measure how fast everything is, each figure beside what this machine allows")
        .after_help(EXAMPLES);
    terminal::run_one(about, run)
}

/// Its command line. Exits with 0 when every figure is valid, whether or not it reaches its target; with 2 when one
/// is not.
#[derive(Debug, clap::Args)]
struct Args {
    /// Take a fraction of the hour that all of it takes: fewer and shorter rounds
    #[arg(long)]
    quick: bool,
    /// Run these sections alone, and leave the document as it is
    #[arg(long, value_name = "SECTION,…", value_delimiter = ',')]
    only: Vec<String>,
    /// Seed of all random choices
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Write the figures here as JSON
    #[arg(long, value_name = "FILE", default_value = "bench.json")]
    out: PathBuf,
    /// Write the document here. Notes on rows and curves are read from benchmarks/NOTES.md beside it
    #[arg(long, value_name = "FILE", default_value = "docs/BENCHMARKS.md")]
    doc: PathBuf,
    /// Measure nothing: write the document anew from the figures of an earlier run
    #[arg(long, value_name = "FILE", conflicts_with_all = ["quick", "only", "seed", "out"])]
    from: Option<PathBuf>,
}

fn run(args: &Args) -> Result<ExitCode> {
    if let Some(from) = &args.from {
        return write_doc(&read(from)?, &args.doc).map(|()| ExitCode::SUCCESS);
    }
    let sections = chosen(&args.only).context("--only")?;
    let out = Output::create("--out", &args.out)?;
    let complete = args.only.is_empty();
    if complete {
        folder("--doc", folder_of(&args.doc))?;
        notes(&args.doc)?;
    }
    let bench = bench(&sections, args.quick, args.seed)?;
    terminal::say(table::text(&bench));
    out.write_json(&bench)?;
    terminal::say(format!("written to {}", args.out.display()));
    if complete {
        write_doc(&bench, &args.doc)?;
    }
    let problems = bench.problems();
    for problem in &problems {
        terminal::note(format!("error: not valid: {problem}"));
    }
    Ok(if problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(NOT_VALID) })
}

fn read(path: &Path) -> Result<Bench> {
    let text =
        std::fs::read_to_string(path).with_context(|| format!("--from: cannot read {}", path.display()))?;
    let bench: Bench = serde_json::from_str(&text)
        .with_context(|| format!("--from: {} holds no figures of loadtest bench", path.display()))?;
    ensure!(bench.is_known(), "--from: {} is of another version of this program", path.display());
    Ok(bench)
}

fn write_doc(bench: &Bench, path: &Path) -> Result<()> {
    let text = doc::text(bench, &notes(path)?);
    std::fs::write(path, text).with_context(|| format!("--doc: cannot write {}", path.display()))?;
    terminal::say(format!("written to {}", path.display()));
    Ok(())
}

fn notes(doc: &Path) -> Result<Notes> {
    Notes::read(&folder_of(doc).join("benchmarks/NOTES.md"))
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
