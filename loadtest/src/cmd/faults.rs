//! `loadtest faults`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};

use super::arguments;
use super::audit::VIOLATED;
use crate::contestants::{stop_services_on_interrupt, wait_if_interrupted};
use crate::faults::{FAULTS, Fault, Options, Report, Terms, Without, find, report, run as play};
use crate::load::LoadSpec;
use crate::terminal;

/// How a person would play all rows with this build.
const COMMAND: &str = if cfg!(debug_assertions) {
    "cargo run --package loadtest --features failpoints -- faults"
} else {
    "make faults"
};

/// Its command line. Exits with 0 when every row was played and held, 2 when one was broken, 1 when one was not played. With
/// --without, 0 means that leaving the mechanism out was found.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only these rows, by their numbers; all of them by default
    #[arg(long, value_name = "NUMBER,…", value_delimiter = ',')]
    only: Vec<String>,
    /// List the rows, and play none
    #[arg(long)]
    list: bool,
    /// Leave a mechanism out, and play the rows that must then fail: confirms, epoch, reconciler, pending, conflicts,
    /// acks, repeats
    #[arg(long, value_name = "MECHANISM")]
    without: Option<Without>,
    /// Requests a second to each of the two services
    #[arg(long, value_name = "PER_SECOND", default_value_t = 1_000.0, allow_negative_numbers = true)]
    rate: f64,
    /// Break hash-svc and range-svc themselves, even where those with fail points are built beside them; rows that need fail
    /// points are then not played
    #[arg(long)]
    plain: bool,
    /// What all random choices follow from
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The folder for faults.json, and for the logs of the services
    #[arg(long, value_name = "DIR", default_value = "reports/faults")]
    out: PathBuf,
    /// A Markdown document whose table of rows is replaced by this run's
    #[arg(long, value_name = "FILE", conflicts_with_all = ["without", "only"])]
    document: Option<PathBuf>,
}

/// Runs it.
///
/// # Errors
/// When the arguments make no sense, the servers do not start, or the report cannot be written.
pub fn run(args: &Args) -> Result<ExitCode> {
    if args.list {
        FAULTS.iter().for_each(|fault| {
            terminal::say(format!("{:>3}  {}: {}", fault.casting.id, fault.name, fault.promised));
        });
        return Ok(ExitCode::SUCCESS);
    }
    let options = options(args)?;
    arguments::folder("--out", &args.out)?;
    std::fs::create_dir_all(&options.terms.logs)
        .with_context(|| format!("--out: {}", options.terms.logs.display()))?;
    stop_services_on_interrupt()?;
    let report = play(&options);
    wait_if_interrupted();
    let report = report?;
    terminal::say(report.table().trim_end());
    let path = args.out.join("faults.json");
    std::fs::write(&path, serde_json::to_string_pretty(&report)? + "\n")
        .with_context(|| format!("cannot write {}", path.display()))?;
    terminal::note(format!("{} and logs are in {}", path.display(), args.out.display()));
    if let Some(document) = &args.document {
        update(document, &report)?;
    }
    Ok(ending(&report, args.without))
}

fn options(args: &Args) -> Result<Options> {
    ensure!(
        LoadSpec::RATES.contains(&args.rate),
        "--rate must be {:?} requests a second, not {}",
        LoadSpec::RATES,
        args.rate
    );
    let fault =
        |id: &str| find(id).with_context(|| format!("--only {id}: there is no such row; --list shows them"));
    let faults: Vec<&'static Fault> = match (args.without, args.only.is_empty()) {
        (Some(without), true) => without.rows().iter().map(|id| fault(id)).collect::<Result<_>>()?,
        (None, true) => FAULTS.iter().collect(),
        (_, false) => args.only.iter().map(|id| fault(id)).collect::<Result<_>>()?,
    };
    let Args { rate, seed, without, plain, .. } = *args;
    Ok(Options { faults, plain, terms: Terms { rate, seed, without, logs: args.out.join("logs") } })
}

fn update(document: &Path, report: &Report) -> Result<()> {
    let name = || format!("--document {}", document.display());
    let text = std::fs::read_to_string(document).with_context(name)?;
    let text = report::put_into(&text, &report.markdown(COMMAND)).with_context(name)?;
    std::fs::write(document, text).with_context(name)
}

fn ending(report: &Report, without: Option<Without>) -> ExitCode {
    if let Some(without) = without {
        let found = report.found(without);
        let said = if found { "was found, as it must be" } else { "was NOT found in the manner expected" };
        terminal::say(format!("leaving out {without} {said}"));
        return if found { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    let broken = report.rows.iter().any(|row| matches!(row.verdict, report::Verdict::Broken(_)));
    match (report.held(), broken) {
        (true, _) => ExitCode::SUCCESS,
        (false, true) => ExitCode::from(VIOLATED),
        (false, false) => ExitCode::FAILURE,
    }
}
