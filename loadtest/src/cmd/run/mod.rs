//! `loadtest run`.

mod catalogue;
mod report;
mod start;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, ensure};
use coupon_audit::write_acks;
use coupon_cli::duration::parse_duration;
use coupon_cli::numbers::count;
use coupon_cli::output::Output;
use coupon_cli::terminal;
use coupon_lab::{INTERRUPTED_CODE, acks, conditions, end_load_on_interrupt};
use coupon_loadgen::load::{Arrivals, LoadProgress, LoadSpec, Outcome, run_load_with};
use coupon_loadgen::workload::{BUILT_IN, Workload};
use coupon_report::Report;
use coupon_report::model::Requirement;
use coupon_report::require::LimitSubject;

use super::arguments::{self, BEYOND_LIMIT, LOAD_LIMITED};
use super::servers::ServersArgs;

/// The default length of a run.
const DURATION: Duration = Duration::from_secs(10);

/// Its command line.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The running service, as it prints it when it is ready
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8001")]
    target: String,
    /// Open arrivals: so many requests a second, at moments that do not depend on the answers [default: 1000]
    #[arg(long, value_name = "PER_SECOND", conflicts_with = "closed", allow_negative_numbers = true)]
    rate: Option<f64>,
    /// Closed loop: so many connections, each sending its next request when the last is answered
    #[arg(long, value_name = "CONNECTIONS", conflicts_with = "connections", value_parser = count::<usize>)]
    closed: Option<usize>,
    /// For how long [default: 10s, or as long as the workload's [arrivals] take]
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    duration: Option<Duration>,
    /// Open arrivals: how many connections at most [default: 64]
    #[arg(long, value_name = "N", value_parser = count::<usize>)]
    connections: Option<usize>,
    /// Time limit for an answer; after it the request is given up, its outcome unknown
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = parse_duration)]
    timeout: Duration,
    /// Workload to send: a TOML file. Without one, the built-in flash sale
    #[arg(long, value_name = "FILE")]
    workload: Option<PathBuf>,
    /// Send the workload's whole mix, or its catalogue's grabs alone (pairs that do not repeat), or those to the echo
    #[arg(long, value_name = "WHICH", value_enum, default_value = "mix")]
    requests: Which,
    /// With `--requests grabs`: leave out this many of the pairs, because earlier runs used them
    #[arg(long, value_name = "PAIRS", default_value_t = 0, value_parser = count::<u64>)]
    skip: u64,
    /// Decides the requests and their moments
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// The service's admin token, when it asks for one
    #[arg(long, value_name = "TOKEN", env = "COUPON__ADMIN__TOKEN", hide_env_values = true)]
    admin_token: Option<String>,
    /// A limit that a figure must keep, or the run exits with 3; may be given several times. ENDPOINT.METRIC with
    /// p50, p90, p99, p99.9, max, rate, errors, shards or tables, such as grab.p99<20ms (of grabs granted, and of failed
    /// ones, which count as the time-out; grab.granted, grab.refused and grab.failed name one outcome alone); or rate,
    /// errors, mean or late. Compare with <, <=, > or >=; units are us, ms, s, /s and %. A rate or a time where the load
    /// was the limit keeps no limit and breaks none
    #[arg(long, value_name = "LIMIT")]
    require: Vec<String>,
    /// Write the figures here as a report.json of one contestant and one round
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write the answer to each grab here as CSV, for `loadtest audit`; and the state of the data before, to
    /// FILE.start, if it can be read here: a folder on this machine, or servers that --config or --set name
    #[arg(long, value_name = "FILE")]
    acks: Option<PathBuf>,
    #[command(flatten)]
    servers: ServersArgs,
    /// Print the built-in workload as a file to start from, and do nothing else
    #[arg(long)]
    print_workload: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Which {
    Mix,
    Grabs,
    Echo,
}

/// Runs it.
///
/// # Errors
/// When an argument makes no sense, the target is not there, or a file cannot be written.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    if args.print_workload {
        terminal::say(BUILT_IN.trim_end());
        return Ok(ExitCode::SUCCESS);
    }
    let mut spec = spec(&args)?;
    let limits = arguments::limits(&args.require, &LimitSubject::OneLoad)?;
    let mut target = arguments::target(&args.target)?;
    target.admin_token = args.admin_token;
    let json = args.json.as_deref().map(|path| Output::create("--json", path)).transpose()?;
    let acks = args.acks.as_deref().map(|path| Output::create("--acks", path)).transpose()?;
    match &args.acks {
        Some(path) => start::record(&target, &args.servers, path)?,
        None => args.servers.refuse("says where the data is, for --acks")?,
    }

    if args.requests != Which::Echo
        && let Some(hint) = catalogue::hint(&target, spec.workload.catalogue)
    {
        terminal::note(hint);
    }
    let date = conditions::now();
    spec.stop = Some(end_load_on_interrupt()?);
    let outcome = run_load_with(&target, &spec, &mut |state| terminal::progress(line(state, &spec)));
    terminal::clear_progress();
    let outcome = outcome.context("--target")?;
    if let Some(hint) = catalogue::unnamed(&outcome, &spec.workload.requests) {
        terminal::note(hint);
    }
    let report = report::of(&target, &spec, date, &outcome, &limits);
    let printed = coupon_report::terminal::show(&report);
    let json = json.map(|file| file.write_json(&report));
    let acks = acks.map(|file| file.write(|file| write_acks(file, acks::of(&outcome))));
    // A file that cannot be written is reported once the other is.
    json.into_iter().chain(acks).chain([printed]).collect::<anyhow::Result<()>>()?;
    let ending = exit_code(&outcome, &report);
    Ok(if spec.is_stopped() { ExitCode::from(INTERRUPTED_CODE) } else { ending })
}

/// A run without a single good answer measured nothing; one that measured something may yet be beyond a limit.
fn exit_code(outcome: &Outcome, report: &Report) -> ExitCode {
    if outcome.ok() == 0 && outcome.errors() > 0 {
        terminal::note("error: not one request was answered as it should be");
        return ExitCode::FAILURE;
    }
    if report.requirements.iter().any(Requirement::is_broken) {
        return ExitCode::from(BEYOND_LIMIT);
    }
    if report.was_the_load_the_limit() { ExitCode::from(LOAD_LIMITED) } else { ExitCode::SUCCESS }
}

fn spec(args: &Args) -> anyhow::Result<LoadSpec> {
    let workload = arguments::workload(args.workload.as_deref())?;
    ensure!(
        args.skip == 0 || args.requests == Which::Grabs,
        "--skip has no effect without --requests grabs: leave it out"
    );
    let workload = match args.requests {
        Which::Mix => workload,
        Which::Grabs => Workload::distinct_grabs(workload.catalogue, args.skip),
        Which::Echo => Workload::echo(workload.catalogue),
    };
    let ((arrivals, duration), flag, connections) = match args.closed {
        Some(connections) => {
            ensure!(
                workload.arrivals.is_none(),
                "--closed: the workload's [arrivals] come whether or not answers do; leave out one of the two"
            );
            ((Arrivals::Closed, args.duration.unwrap_or(DURATION)), "--closed", connections)
        }
        None => {
            let connections = args.connections.unwrap_or(LoadSpec::CONNECTIONS);
            let load = arguments::open_load(&workload, args.rate, args.duration, DURATION)?;
            (load, "--connections", connections)
        }
    };
    for (flag, time) in [("--duration", duration), ("--timeout", args.timeout)] {
        ensure!(time <= LoadSpec::LONGEST, "{flag} must be a week at most");
    }
    Ok(LoadSpec {
        workload,
        arrivals,
        connections: arguments::connections(flag, connections)?,
        duration,
        seed: args.seed,
        timeout: args.timeout,
        watch: None,
        keep_each: false,
        stop: None,
    })
}

fn line(state: &LoadProgress<'_>, spec: &LoadSpec) -> String {
    let LoadProgress { elapsed, finished, finished_last_second, granted, errors, queued, .. } = state;
    let (elapsed, duration) = (elapsed.as_secs(), spec.duration.as_secs_f64());
    format!(
        "{elapsed} of {duration} s: {finished} answered ({finished_last_second}/s), {granted} granted, \
         {errors} errors, {queued} waiting"
    )
}
