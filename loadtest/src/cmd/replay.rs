//! `loadtest replay`.

use std::num::NonZeroU16;
use std::process::ExitCode;

use anyhow::Result;
use coupon_cli::terminal;
use coupon_measure::format::counted;
use coupon_report::require::Scope;
use coupon_strategies::Spec;

use super::arguments;
use super::compare::exit_code;
use super::recorded::{SendArgs, TraceArgs, mix, paced, spec};
use crate::compare::{CompareOptions, compare};
use crate::replay::split;

const EXIT_CODES: &str = "Exits with 0 when every promise and every --require was kept, 2 when a promise was broken, 3 when \
only a --require was not kept, 1 on other failures.";

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
    #[arg(long, default_value = "4")]
    shards: NonZeroU16,
    /// The workload whose queries come with each grab: a file, flash-sale (the built-in one), or grabs for none
    #[arg(long, value_name = "FILE", default_value = "grabs")]
    mix: String,
    /// A limit that a figure must keep, or the run exits with 3; may be given several times; as in loadtest compare
    #[arg(long, value_name = "LIMIT")]
    require: Vec<String>,
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
    let _out = args.send.check()?;
    let mix = mix(&args.mix)?;
    let names: Vec<&str> = args.contestants.iter().map(String::as_str).collect();
    let limits = arguments::limits(&args.require, &Scope::Contestants(&names))?;
    let recording = args.trace.recording()?;
    let ranges = split(&recording, args.shards);
    let rooms = recording.rooms.labels.len() as u64;
    let specs: Vec<Spec> =
        args.contestants.iter().map(|name| spec(name, args.shards, rooms, &ranges)).collect::<Result<_>>()?;
    let options = CompareOptions { limits, ..args.send.options(&recording, &mix, specs, args.trace.seed)? };
    recording.described().iter().for_each(terminal::note);
    let (speed, length) = args.send.pace(&recording)?;
    terminal::note(format!(
        "{}; in {}; the services' own clocks stamp the grabs, with today",
        paced(&recording, speed, length),
        counted(u64::from(options.rounds), "part")
    ));
    Ok(exit_code(compare(&options)?))
}
