//! The command line: `loadtest-faults`, which `loadtest faults` becomes.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail, ensure};
use clap::Command;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use coupon_cli::output;
use coupon_cli::terminal;
use coupon_lab::{stop_services_on_interrupt, wait_if_interrupted};
use coupon_loadgen::load::LoadSpec;
use coupon_measure::format::put_into;

use crate::{
    ABLATIONS, Ablation, CASES, CaseVerdict, MatrixOptions, MatrixReport, SelectedCase, StackKind,
    find_ablation, find_case, run as run_cases,
};

/// The commands by which a person would run all rows with this build, and leave out all mechanisms.
const COMMANDS: [&str; 2] = if cfg!(debug_assertions) {
    [
        "cargo run --package loadtest-faults --features failpoints --",
        "cargo run --package loadtest-faults --features failpoints -- --without all",
    ]
} else {
    ["make faults", "make faults-without"]
};
/// Shown at the end of the help.
const EXAMPLES: &str = "\
Examples:
  loadtest-faults --list
  loadtest-faults --only 1,15,23a --plain --rate 100
  loadtest-faults --stack ha --only h1,h7,h11
  loadtest-faults --without epoch --out reports/without-epoch";
/// The exit code of a broken promise.
const BROKEN: u8 = 2;
/// The word for every mechanism.
const ALL: &str = "all";

/// The mechanisms that are left out, each in a separate row.
#[derive(Debug, Clone, Copy)]
enum AblationChoice {
    All,
    One(&'static Ablation),
}

fn left_out() -> impl TypedValueParser<Value = AblationChoice> {
    let names = ABLATIONS.iter().map(Ablation::name).chain([ALL]);
    PossibleValuesParser::new(names)
        .map(|name| find_ablation(&name).map_or(AblationChoice::All, AblationChoice::One))
}

/// Runs the command line of this process.
#[must_use]
pub fn main() -> ExitCode {
    let about = Command::new("loadtest-faults")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Break servers and services under load, one fault after the other, and audit what is left")
        .after_help(EXAMPLES);
    terminal::run_one(about, run)
}

/// Its command line. Exits with 0 when every row was run and held, 2 when one was broken, 1 when one was not run. With
/// --without, 0 means that leaving each of the mechanisms out was found.
#[derive(Debug, clap::Args)]
struct Args {
    /// Only these rows, by their numbers; all of them by default for which there are servers
    #[arg(long, value_name = "NUMBER,…", value_delimiter = ',')]
    only: Vec<String>,
    /// List the rows, and run none
    #[arg(long)]
    list: bool,
    /// Leave a mechanism out, and run the row that must then fail; or all of them, one after the other
    #[arg(long, value_name = "MECHANISM", value_parser = left_out())]
    without: Option<AblationChoice>,
    /// The servers: one of each; or each MySQL with a replica, a Redis with Sentinels and a RabbitMQ of three nodes; or two
    /// Redis, each a gate of its own
    #[arg(long, value_enum, default_value_t)]
    stack: StackKind,
    /// Requests a second to each service
    #[arg(long, value_name = "PER_SECOND", default_value_t = 1_000.0, allow_negative_numbers = true)]
    rate: f64,
    /// Break the services themselves, even where the one with fail points is built beside them; rows that need fail
    /// points are then not run
    #[arg(long)]
    plain: bool,
    /// The seed that all random choices follow from
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The folder for faults.json, and for the logs of the services
    #[arg(long, value_name = "DIR", default_value = "reports/faults")]
    out: PathBuf,
    /// A Markdown document whose table of rows is replaced by this run's; with --without all, that of mechanisms
    #[arg(long, value_name = "FILE", conflicts_with = "only")]
    document: Option<PathBuf>,
}

fn run(args: &Args) -> Result<ExitCode> {
    if args.list {
        CASES.iter().for_each(|case| {
            terminal::say(format!("{:>3}  {}: {}", case.id, case.name, case.promised));
        });
        return Ok(ExitCode::SUCCESS);
    }
    let options = options(args)?;
    output::folder("--out", &args.out)?;
    std::fs::create_dir_all(&options.logs).with_context(|| format!("--out: {}", options.logs.display()))?;
    stop_services_on_interrupt()?;
    let report = run_cases(&options);
    wait_if_interrupted();
    let report = report?;
    let table = if args.without.is_some() { report.table_of_ablations() } else { report.table() };
    terminal::say(table.trim_end());
    let path = args.out.join("faults.json");
    std::fs::write(&path, serde_json::to_string_pretty(&report)? + "\n")
        .with_context(|| format!("cannot write {}", path.display()))?;
    terminal::note(format!("{} and logs are in {}", path.display(), args.out.display()));
    if let Some(document) = &args.document {
        update(document, &report, args.without.is_some())?;
    }
    Ok(ending(&report, args.without.is_some()))
}

fn options(args: &Args) -> Result<MatrixOptions> {
    ensure!(
        LoadSpec::RATES.contains(&args.rate),
        "--rate must be {:?} requests a second, not {}",
        LoadSpec::RATES,
        args.rate
    );
    ensure!(
        args.document.is_none() || !matches!(args.without, Some(AblationChoice::One(_))),
        "--document takes the table of all mechanisms: --without {ALL}"
    );
    ensure!(
        args.document.is_none() || args.stack == StackKind::Plain,
        "--document takes the table of servers of which there is one each: --stack plain"
    );
    let select = |id: &str, ablation| {
        let case =
            find_case(id).with_context(|| format!("--only {id}: there is no such row; --list shows them"))?;
        anyhow::Ok(SelectedCase { case, ablation })
    };
    let only = args.only.iter();
    let cases: Vec<SelectedCase> = match (args.without, args.only.is_empty()) {
        (None, true) => {
            let suited = CASES.iter().filter(|case| args.stack.suits(case).is_ok());
            suited.map(|case| SelectedCase { case, ablation: None }).collect()
        }
        (None, false) => only.map(|id| select(id, None)).collect::<Result<_>>()?,
        (Some(AblationChoice::One(ablation)), true) => vec![select(ablation.case, Some(ablation))?],
        (Some(AblationChoice::One(ablation)), false) => {
            only.map(|id| select(id, Some(ablation))).collect::<Result<_>>()?
        }
        (Some(AblationChoice::All), true) => {
            ABLATIONS.iter().map(|ablation| select(ablation.case, Some(ablation))).collect::<Result<_>>()?
        }
        (Some(AblationChoice::All), false) => {
            bail!("--only takes one mechanism beside it, not --without {ALL}")
        }
    };
    let Args { rate, seed, stack, plain, .. } = *args;
    Ok(MatrixOptions { cases, rate, seed, logs: args.out.join("logs"), stack, plain })
}

fn update(document: &Path, report: &MatrixReport, without: bool) -> Result<()> {
    let name = || format!("--document {}", document.display());
    let text = std::fs::read_to_string(document).with_context(name)?;
    let [of_rows, of_ablations] = COMMANDS;
    let text = if without {
        put_into(&text, "without", &report.markdown_of_ablations(of_ablations))
    } else {
        put_into(&text, "faults", &report.markdown(of_rows))
    };
    std::fs::write(document, text.with_context(name)?).with_context(name)
}

fn ending(report: &MatrixReport, without: bool) -> ExitCode {
    if without {
        let found = report.found();
        let said = if found { "was found, as it must be" } else { "was NOT found in the manner expected" };
        terminal::say(format!("what was left out {said}"));
        return if found { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    let broken = report.rows.iter().any(|row| matches!(row.verdict, CaseVerdict::Broken(_)));
    match (report.held(), broken) {
        (true, _) => ExitCode::SUCCESS,
        (false, true) => ExitCode::from(BROKEN),
        (false, false) => ExitCode::FAILURE,
    }
}
