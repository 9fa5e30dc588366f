//! `loadtest diff`.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail, ensure};
use coupon_cli::output::Output;
use coupon_cli::terminal::note;
use coupon_report::diff::{self, ChangeVerdict, Diff, DiffOptions, LEAST};
use coupon_report::model::Report;
use coupon_report::read;
use coupon_report::terminal::Screen;

use super::arguments::{self, BEYOND_LIMIT, CANNOT_SAY};

const EXIT_CODES: &str = "Exits with 0 when nothing became worse (undecided figures included), 3 when something did, 4 when \
nothing is known to be worse and runs were left out without which rates and times cannot be judged, since the load was the limit \
there or the service was too slow for so many connections, 1 when the two could not be compared. If runs are alike but for \
chance, any rate or time is called worse in 5 % of comparisons at most, over all of them together; take runs before and after in \
turn, since a machine that warms up is called a change. They take five runs in all for that (--also-before, --also-after), since \
what a machine does between two runs is in no interval: of two single runs they look worse at most, and only what is counted is \
judged. Rates and times of a run in which the load was the limit are left out. Worse is also an audit that passed before and \
fails after, and 0.1 % more requests that fail, whatever --least says, where chance alone would seldom make as many more (three \
standard deviations of requests that fail independently: for each contestant in 3 of 1,000 comparisons). The 5 % do not cover \
that, nor failures that come in a burst, as when the machine stood still in one of two runs: those are called worse. Of several \
runs after, one that visits more or spreads less is enough, and failures are those of all. A contestant that is in one report \
alone is told and not judged.";

/// Its command line.
#[derive(Debug, clap::Args)]
#[command(after_help = EXIT_CODES)]
pub struct Args {
    /// The earlier report.json, or its folder
    before: PathBuf,
    /// The later one
    after: PathBuf,
    /// A report of another run of the same as BEFORE; may be given several times
    #[arg(long, value_name = "REPORT")]
    also_before: Vec<PathBuf>,
    /// A report of another run of the same as AFTER; may be given several times
    #[arg(long, value_name = "REPORT")]
    also_after: Vec<PathBuf>,
    /// Judge rates and times by the rounds of two runs alone, as if the machine had done nothing else in between
    #[arg(long, conflicts_with_all = ["also_before", "also_after"])]
    rounds_alone: bool,
    /// The least change that is called one
    #[arg(long, value_name = "PERCENT", default_value_t = 100.0 * LEAST, allow_negative_numbers = true)]
    least: f64,
    /// Compare by these metrics only, as report.json names them, such as latency.p99.grab; may be given several
    /// times. The fewer there are, the smaller a change is found
    #[arg(long, value_name = "METRIC")]
    only: Vec<String>,
    /// Compare even if the two did not measure the same thing, and say what differs
    #[arg(long)]
    anyway: bool,
    /// Write the comparison to this file as well
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Runs it.
///
/// # Errors
/// When a report cannot be read, or the two cannot be compared.
pub fn run(args: &Args) -> Result<ExitCode> {
    let (least, only) = (arguments::least(args.least)?, arguments::only(&args.only)?);
    let runs = |first: &Path, also: &[PathBuf]| -> Result<Vec<Report>> {
        std::iter::once(first).chain(also.iter().map(PathBuf::as_path)).map(report).collect()
    };
    let (before, after) = (runs(&args.before, &args.also_before)?, runs(&args.after, &args.also_after)?);
    let obstacles = obstacles(&before, &after);
    if !obstacles.is_empty() && !args.anyway {
        bail!("{} --anyway compares them all the same.", obstacles.join(" "));
    }
    let json = args.json.as_deref().map(|path| Output::create("--json", path)).transpose()?;
    let how = DiffOptions { least, only: &only, rounds_alone: args.rounds_alone };
    let mut found =
        Diff::of_runs(&before.iter().collect::<Vec<_>>(), &after.iter().collect::<Vec<_>>(), &how);
    for metric in &only {
        let name = metric.to_string();
        ensure!(
            found.rows.iter().any(|row| row.metric == name),
            "--only {name}: no contestant that is in both reports has this figure"
        );
    }
    ensure!(!found.rows.is_empty(), "there is nothing to compare: no contestant is in both reports");
    found.notes.splice(0..0, obstacles);
    show(&found, least)?;
    json.map_or(Ok(()), |file| file.write_json(&found))?;
    // A contestant that kept every promise before and breaks one now is worse, whatever its figures say.
    let passed = |reports: &[Report]| reports.iter().all(|report| report.audit.sums.passed());
    let broken = passed(&before) && !passed(&after);
    if broken {
        note("WORSE: the audit passed before and fails after");
    }
    let worse = broken || found.count(ChangeVerdict::Worse) > 0;
    Ok(match (worse, found.load_limited) {
        (true, _) => ExitCode::from(BEYOND_LIMIT),
        (false, true) => ExitCode::from(CANNOT_SAY),
        (false, false) => ExitCode::SUCCESS,
    })
}

/// The obstacles between the first run and any other.
fn obstacles(before: &[Report], after: &[Report]) -> Vec<String> {
    let Some((first, others)) = before.split_first() else { return Vec::new() };
    let mut found: Vec<String> = Vec::new();
    for obstacle in others.iter().chain(after).flat_map(|other| diff::obstacles(first, other)) {
        if !found.contains(&obstacle) {
            found.push(obstacle);
        }
    }
    found
}

fn report(path: &Path) -> Result<Report> {
    read(&if path.is_dir() { path.join("report.json") } else { path.to_owned() })
}

fn show(found: &Diff, least: f64) -> Result<()> {
    let mut out = std::io::stdout().lock();
    let screen = Screen::of(&out);
    match diff::print(found, least, &mut out, screen) {
        // A reader that went away (`| head`) is no error.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        printed => printed.context("cannot print the comparison"),
    }
}
