//! `loadtest replay`.

use std::num::NonZeroU16;
use std::process::ExitCode;

use anyhow::Result;

use super::compare::exit_code;
use super::recorded::{SendArgs, TraceArgs, mix, spec};
use crate::compare::compare;
use crate::contestants::Spec;
use crate::format::counted;
use crate::replay::split;
use crate::terminal;

/// Its command line. Exits with 0 when every promise was kept, 2 when one was broken, 1 on other failures.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    trace: TraceArgs,
    /// Strategies to replay it against, as in loadtest compare; +split gives rooms that are hot in the trace ranges of
    /// their own
    #[arg(long, value_name = "NAME,…", value_delimiter = ',', default_value = "hash,range-time,range-room")]
    contestants: Vec<String>,
    /// Shards of each contestant, but for single
    #[arg(long, default_value = "4")]
    shards: NonZeroU16,
    /// The workload whose queries come with each grab: a file, flash-sale (the built-in one), or grabs for none
    #[arg(long, value_name = "FILE", default_value = "grabs")]
    mix: String,
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
    args.send.check()?;
    let mix = mix(&args.mix)?;
    let recording = args.trace.recording()?;
    let ranges = split(&recording, args.shards);
    let rooms = recording.rooms.labels.len() as u64;
    let names = args.contestants.iter();
    let specs: Vec<Spec> =
        names.map(|name| spec(name, args.shards, rooms, &ranges)).collect::<Result<_>>()?;
    let options = args.send.options(&recording, &mix, specs, args.trace.seed)?;
    recording.told().iter().for_each(terminal::note);
    let (speed, length) = args.send.pace(&recording)?;
    terminal::note(format!(
        "sent at {speed:.1} times its speed, in {:.1} s, in {}; the services' own clocks stamp the grabs, with today",
        length.as_secs_f64(),
        counted(u64::from(options.rounds), "part")
    ));
    Ok(exit_code(compare(&options)?))
}
