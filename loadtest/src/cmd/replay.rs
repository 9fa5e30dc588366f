//! `loadtest replay`.

use std::num::NonZeroU16;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use coupon_cli::numbers::nonzero;
use coupon_cli::terminal;
use coupon_core::TimeRange;
use coupon_measure::format::{count, counted, number};
use coupon_report::require::LimitSubject;
use coupon_strategies::Spec;

use super::arguments;
use super::compare::exit_code;
use super::recorded::{SendArgs, mix, paced, spec};
use super::trace::TraceArgs;
use crate::compare::{CompareOptions, compare};
use crate::replay::{QueryMix, Recording, split};

const EXIT_CODES: &str = "Exits with 0 when every promise and every --require was kept, 2 when a promise was broken, 3 when \
a --require was not kept, 4 when only the load generator or its connections were the limit (or the service was too slow for so many \
connections), so that rates and times say nothing of any contestant, 1 on other failures.";

/// Its command line.
#[derive(Debug, clap::Args)]
#[command(after_help = EXIT_CODES)]
pub struct Args {
    #[command(flatten)]
    trace: TraceArgs,
    /// Strategies to replay it against, as in loadtest compare; +split gives rooms that are hot in the trace ranges of
    /// their own
    #[arg(long, value_name = "NAME,…", value_delimiter = ',', default_value = arguments::SHARDED.as_str())]
    contestants: Vec<String>,
    /// Shards of each contestant, but for single
    #[arg(long, default_value = "4", value_parser = nonzero::<NonZeroU16>)]
    shards: NonZeroU16,
    /// The workload whose queries come with each grab: a file, flash-sale (the built-in one), or grabs for none
    #[arg(long, value_name = "FILE", default_value = "grabs")]
    mix: String,
    /// A limit that a figure must keep, or the run exits with 3; may be given several times; as in loadtest compare
    #[arg(long, value_name = "LIMIT")]
    require: Vec<String>,
    /// Say what would be sent, how fast and for how long, and send nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    send: SendArgs,
}

/// Runs it.
///
/// # Errors
/// When the arguments make no sense, the trace has no line that does, a contestant cannot be started or fails, or the
/// report cannot be written.
#[expect(clippy::needless_pass_by_value, reason = "as every subcommand takes them")]
pub fn run(args: Args) -> Result<ExitCode> {
    let _out = if args.dry_run { None } else { Some(args.send.check()?) };
    let mix = mix(&args.mix)?;
    let names: Vec<&str> = args.contestants.iter().map(String::as_str).collect();
    let limits = arguments::limits(&args.require, &LimitSubject::Contestants(&names))?;
    let recording = args.trace.recording(&[])?;
    let ranges = split(&recording, args.shards);
    let contestants: Vec<Spec> = args
        .contestants
        .iter()
        .map(|name| spec(name, args.shards, &recording, &ranges))
        .collect::<Result<_>>()?;
    recording.described().iter().for_each(terminal::note);
    let (speed, length) = args.send.pace(&recording)?;
    if args.dry_run {
        terminal::tell(plan(&recording, &mix, &paced(&recording, speed, length), length).join("\n"));
        return Ok(ExitCode::SUCCESS);
    }
    args.send.write_rooms(&recording)?;
    let options = args.send.options(&recording, &mix, contestants, args.trace.seed)?;
    let options = CompareOptions { limits, ..options };
    terminal::note(format!(
        "{}; in {}; the services' own clocks stamp the grabs, with today",
        paced(&recording, speed, length),
        counted(u64::from(options.rounds), "part")
    ));
    Ok(exit_code(compare(&options)?))
}

/// The plan of a replay, a line each for what it would do.
fn plan(recording: &Recording, mix: &QueryMix, paced: &str, length: Duration) -> Vec<String> {
    let window = recording.window();
    let grabs = recording.rows().len() as f64;
    let requests = grabs * mix.requests_per_grab() + recording.asked().len() as f64;
    let order = match recording.out_of_order {
        0 => "in the order of time".to_owned(),
        back => format!("{} before the line above it: sorted", counted(back, "line")),
    };
    let gap = recording.widest_gap().map_or_else(
        || "none".to_owned(),
        |gap| format!("{}, from {} to {}", lasting(&gap), gap.start, gap.end),
    );
    vec![
        format!("span: {}, from {} to {}", lasting(&window), window.start, window.end.plus_millis(-1)),
        format!("order: {order}"),
        format!("longest gap: {gap}"),
        format!("requests: {}, {} of them grabs", count(requests.round() as u64), count(grabs as u64)),
        format!("mean rate: {} requests/s", number(requests / length.as_secs_f64().max(1e-3))),
        format!("each contestant: {paced}; nothing was sent"),
    ]
}

fn lasting(range: &TimeRange) -> String {
    let seconds = (range.end.millis() - range.start.millis()) as f64 / 1e3;
    match seconds {
        _ if seconds >= 2.0 * 86_400.0 => format!("{} days", number(seconds / 86_400.0)),
        _ if seconds >= 2.0 * 3_600.0 => format!("{} hours", number(seconds / 3_600.0)),
        _ if seconds >= 120.0 => format!("{} minutes", number(seconds / 60.0)),
        _ => format!("{} s", number(seconds)),
    }
}
