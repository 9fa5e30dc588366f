//! `loadtest history`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail, ensure};
use coupon_cli::output::Output;
use coupon_cli::plain;
use coupon_report::diff::LEAST;
use coupon_report::history::{self, Given, History, HistoryOptions};
use coupon_report::html;
use coupon_report::read;
use coupon_report::terminal::Screen;

use super::arguments::{self, BEYOND_LIMIT, CANNOT_SAY};

const REPORT: &str = "report.json";

const EXIT_CODES: &str = "Exits with 0 when every series could be judged and no figure is worse, 3 when the last change of a figure was \
for the worse or an audit fails that passed before, 4 when nothing is known to be worse and fewer than eight runs of a series have a figure, 1 when \
something else failed. Reports are of one series if `loadtest diff` would compare them and they were made on the same machine. A change \
is told where it lasted three runs: if nothing changed, any figure of a series is said to change in 5 % of cases at most, all its \
figures together.";

/// Its command line.
#[derive(Debug, clap::Args)]
#[command(after_help = EXIT_CODES)]
pub struct Args {
    /// The report.json of each run, in any order, or its folder, or a folder of such folders
    #[arg(required = true, value_name = "REPORT")]
    reports: Vec<PathBuf>,
    /// The least change that is called one
    #[arg(long, value_name = "PERCENT", default_value_t = 100.0 * LEAST, allow_negative_numbers = true)]
    least: f64,
    /// Look at these metrics only, as report.json names them, such as latency.p99.grab; may be given several times.
    /// The fewer there are, the smaller a change is found
    #[arg(long, value_name = "METRIC")]
    only: Vec<String>,
    /// Write a page with a chart of each figure to this file as well, such as history.html
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Write everything to this file as well
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Runs it.
///
/// # Errors
/// When a report cannot be read, or something cannot be written.
pub fn run(args: &Args) -> Result<ExitCode> {
    let (least, only) = (arguments::least(args.least)?, arguments::only(&args.only)?);
    let given = given(&args.reports)?;
    let output = |flag: &str, path: &Option<PathBuf>| {
        path.as_deref().map(|path| Output::create(flag, path)).transpose()
    };
    let (page, json) = (output("--html", &args.html)?, output("--json", &args.json)?);
    let found = History::of(given, &HistoryOptions { least, only: &only })?;
    for metric in &only {
        let name = metric.to_string();
        let known = found.series.iter().flat_map(|series| &series.figures).any(|of| of.metric == name);
        ensure!(known, "--only {name}: no contestant of any report has this figure");
    }
    show(&found)?;
    page.map_or(Ok(()), |file| file.write_text(&html::render_history(&found)))?;
    json.map_or(Ok(()), |file| file.write_json(&found))?;
    Ok(match (found.is_worse(), found.is_judged()) {
        (true, _) => ExitCode::from(BEYOND_LIMIT),
        (false, true) => ExitCode::SUCCESS,
        (false, false) => ExitCode::from(CANNOT_SAY),
    })
}

/// The reports at these paths. All that cannot be read are counted in the error, so that they can be taken away at once.
fn given(paths: &[PathBuf]) -> Result<Vec<Given>> {
    let mut files = Vec::new();
    for path in paths {
        files.extend(files_of(path)?);
    }
    let read = files.iter().map(|path| {
        let name = plain::line(&path.to_string_lossy()).into_owned();
        read(path).map(|report| Given { name, report })
    });
    let (given, refused): (Vec<_>, Vec<_>) = read.partition(Result::is_ok);
    let others = refused.len().saturating_sub(1);
    match refused.into_iter().find_map(Result::err) {
        Some(first) if others > 0 => {
            Err(first.context(format!("{} reports cannot be read; the first", others + 1)))
        }
        Some(first) => Err(first),
        None => Ok(given.into_iter().flatten().collect()),
    }
}

/// The reports that a path stands for.
fn files_of(path: &Path) -> Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let own = path.join(REPORT);
    if own.is_file() {
        return Ok(vec![own]);
    }
    let unread = || format!("cannot read the folder {}", path.display());
    let mut found = Vec::new();
    for entry in std::fs::read_dir(path).with_context(unread)? {
        let report = entry.with_context(unread)?.path().join(REPORT);
        if report.is_file() {
            found.push(report);
        }
    }
    if found.is_empty() {
        bail!("{} holds no {REPORT}, and none of its folders does", path.display());
    }
    found.sort();
    Ok(found)
}

fn show(found: &History) -> Result<()> {
    let mut out = std::io::stdout().lock();
    let screen = Screen::of(&out);
    coupon_cli::heard(history::print(found, &mut out, screen)).context("cannot print the history")
}
