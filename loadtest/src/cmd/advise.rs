//! `loadtest advise`.

use std::num::{NonZeroU16, NonZeroU64};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Arg;
use coupon_cli::numbers;
use coupon_cli::terminal;
use coupon_core::Timestamp;
use coupon_report::html::render_advice;
use coupon_strategies::Spec;

use super::compare::exit_code;
use super::own_data::{Kept, OwnArgs, Wanted};
use super::recorded::{BUILT_IN, NONE, ROOM_WIDTH, SendArgs, mix};
use super::trace::TraceArgs;
use crate::advise::keys::{self, KeyFindings, SHARD_WRITES};
use crate::advise::{
    AdviceReport, Agreement, RatedAlternative, agreement, alternatives, best_two, page, predict, text,
};
use crate::compare::{Ending, compare_and_keep};
use crate::replay::{KeyColumns, QueryMix, Recording};

const EXIT_CODES: &str = "Exits with 0 when the proof agrees with the prediction, cannot be complete, or is not wanted \
(--no-proof), 2 when a promise was broken, 3 when the proof differs from the prediction, 1 on other failures.";

/// Flags that ask for keys to be judged without a trace: nothing is replayed then.
const OWN: [&str; 2] = ["queries", "from"];
/// Flags that mean something beside one of those.
const BESIDE: [&str; 12] = [
    "queries",
    "table",
    "from",
    "time_column",
    "rows",
    "rows_a_second",
    "yes",
    "key",
    "shards",
    "shard_writes",
    "json",
    "html",
];

/// Refuses a flag beside those that would not look at it.
fn heeded(flag: Arg) -> Arg {
    if BESIDE.contains(&flag.get_id().as_str()) { flag } else { flag.conflicts_with_all(OWN) }
}

/// Its command line.
#[derive(Debug, clap::Args)]
#[command(
    after_help = EXIT_CODES,
    mut_arg("trace", |trace| trace.required(false)),
    mut_args(heeded)
)]
pub struct Args {
    #[command(flatten)]
    trace: Option<TraceArgs>,
    #[command(flatten)]
    own: OwnArgs,
    /// Judge this column, or these together, as a key: of a trace user, room, coupon, time, or any column of the file, such as
    /// room,user; of --queries and --from, their columns. May be given several times
    #[arg(long, value_name = "COLUMN,…")]
    key: Vec<KeyColumns>,
    /// Writes a second that a shard takes: how many shards the busiest second needs. The default is what four MySQL shards
    /// on 2 cores stored from full queues, divided by four
    #[arg(long, value_name = "N", conflicts_with = "queries", default_value_t = SHARD_WRITES, value_parser = numbers::some::<u64>)]
    shard_writes: u64,
    /// Number of shards
    #[arg(long, conflicts_with = "queries", default_value = "4", value_parser = numbers::nonzero::<NonZeroU16>)]
    shards: NonZeroU16,
    /// Rooms a range, for range-room as it is configured
    #[arg(long, value_name = "ROOMS", default_value_t = ROOM_WIDTH, value_parser = numbers::nonzero::<NonZeroU64>)]
    room_width: NonZeroU64,
    /// The workload whose queries come with each grab: a file, flash-sale (the built-in one), or grabs for none
    /// [default: flash-sale, or grabs with --query]
    #[arg(long, value_name = "FILE")]
    mix: Option<String>,
    /// Say what is to be expected, without the replay that proves it
    #[arg(long)]
    no_proof: bool,
    /// Write what was found here as JSON: what is to be expected of each, the settings of the best, and their proof
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write it as a page as well, with a map of the rows by each --key and time, such as advice.html. Of a trace
    /// without --key, by room and by user
    #[arg(long, value_name = "FILE", conflicts_with = "queries")]
    html: Option<PathBuf>,
    #[command(flatten)]
    send: SendArgs,
}

impl Args {
    /// The candidate keys of a trace.
    fn keys(&self) -> Result<Vec<KeyColumns>> {
        match self.html {
            Some(_) if self.key.is_empty() => ["room", "user"].into_iter().map(str::parse).collect(),
            _ => Ok(self.key.clone()),
        }
    }
}

/// Runs it.
///
/// # Errors
/// When the arguments make no sense, the trace has no line that does, or its replay fails.
#[expect(clippy::needless_pass_by_value, reason = "as every subcommand takes them")]
pub fn run(args: Args) -> Result<ExitCode> {
    if args.own.is_asked() {
        return by_keys(&args);
    }
    let trace = args.trace.as_ref().context("give a trace, or --key with --queries or --from")?;
    let locked = (!args.no_proof).then(|| args.send.check()).transpose()?;
    let usual = if trace.has_queries() { NONE } else { BUILT_IN };
    let mix = mix(args.mix.as_deref().unwrap_or(usual))?;
    let kept = Kept::open(args.json.as_deref(), args.html.as_deref())?;
    let recording = trace.recording(&args.keys()?)?;
    recording.described().iter().for_each(terminal::note);
    let keys = KeyFindings::of_trace(&recording, &mix, args.shards, args.shard_writes as f64);
    if !keys.keys.is_empty() {
        terminal::tell_with_commands(keys::text(&keys));
    }
    let findings = findings(&args, trace.seed, &recording, &mix)?;
    terminal::tell_with_commands(text(&recording, &mix, &findings, args.shards).trim_end());
    let mut advice =
        AdviceReport { keys: &keys.keys, ..AdviceReport::of(&findings, &recording, args.shards) };
    let is_proved = !args.no_proof && !advice.recommended.is_empty();
    // Without a proof there is no report for it to lie beside, and it is needed only where the ids are not the rooms' own.
    let is_mapped = is_proved || recording.rooms.are_numbered;
    let _locked = match locked {
        None if is_mapped => Some(args.send.check()?),
        locked => locked,
    };
    if is_mapped {
        let rooms = args.send.write_rooms(&recording)?;
        terminal::note(format!("which id is which room: {}", rooms.display()));
    }
    let ending =
        if is_proved { prove(&args, trace.seed, &recording, &mix, &mut advice) } else { Ok(Ending::Kept) };
    // What was found is worth keeping even if its proof failed.
    let kept = kept.write(&advice, || render_advice(&page(&recording, &advice, &keys, args.shards)));
    let ending = proved(ending?, advice.proof);
    kept?;
    Ok(exit_code(ending))
}

/// Judges candidate keys by rows or queries of any kind; nothing is replayed.
fn by_keys(args: &Args) -> Result<ExitCode> {
    let kept = Kept::open(args.json.as_deref(), args.html.as_deref())?;
    let Args { key: keys, shards, shard_writes, .. } = args;
    let wanted = Wanted { keys, shards: *shards, shard_writes: *shard_writes, seed: 1 };
    args.own.run(wanted, kept)?;
    Ok(ExitCode::SUCCESS)
}

/// A prediction is a limit that what is measured must keep.
fn proved(ending: Ending, proof: Option<Agreement>) -> Ending {
    match (ending, proof) {
        // What is predicted is counted, and no load limits that.
        (Ending::Kept | Ending::LoadLimited, Some(Agreement::Differs)) => Ending::BeyondLimit,
        (Ending::LoadLimited, _) => Ending::Kept,
        _ => ending,
    }
}

fn findings(args: &Args, seed: u64, recording: &Recording, mix: &QueryMix) -> Result<Vec<RatedAlternative>> {
    let all = alternatives(recording, args.shards, args.room_width)?;
    let found = all.into_iter().map(|alternative| {
        terminal::progress(format!("routing by {}", alternative.name));
        let prediction = predict(&*alternative.spec.strategy()?, recording, mix, now(), seed)?;
        Ok(RatedAlternative { alternative, prediction })
    });
    let found = found.collect();
    terminal::clear_progress();
    found
}

/// Replays the trace to the best two kinds, and holds what was measured against what was predicted.
fn prove(
    args: &Args,
    seed: u64,
    recording: &Recording,
    mix: &QueryMix,
    advice: &mut AdviceReport<'_>,
) -> Result<Ending> {
    let best = best_two(advice.alternatives);
    let specs: Vec<Spec> = best.iter().map(|finding| finding.alternative.spec.clone()).collect();
    let options = args.send.options(recording, mix, specs, seed)?;
    terminal::note(
        "\nThe proof: the best two get the trace itself. All of it falls on today, as the services' clocks say.",
    );
    let (ending, report) = compare_and_keep(&options)?;
    for finding in best {
        let name = &finding.alternative.name;
        let measured = report.contestant(name).with_context(|| format!("the report lacks {name}"))?;
        let compared = agreement(&finding.prediction, measured, recording.moment().is_some());
        compared.iter().for_each(|figure| terminal::tell(format!("{name}: {figure}")));
        advice.prove(name, compared);
    }
    terminal::tell(match advice.proof.unwrap_or(Agreement::Unknown) {
        Agreement::Agrees => "The proof agrees with the prediction.",
        Agreement::Unknown => "The proof is not complete: see above what could not be compared.",
        Agreement::Differs => "The proof does not agree with all of the prediction: see above what differs.",
    });
    Ok(ending)
}

fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_that_differs_is_no_success_and_hides_no_broken_promise() {
        let differs = Some(Agreement::Differs);
        assert_eq!(proved(Ending::Kept, differs), Ending::BeyondLimit);
        assert_eq!(proved(Ending::LoadLimited, differs), Ending::BeyondLimit);
        assert_eq!(proved(Ending::LoadLimited, None), Ending::Kept);
        assert_eq!(proved(Ending::Violated, differs), Ending::Violated);
        for fine in [None, Some(Agreement::Unknown), Some(Agreement::Agrees)] {
            assert_eq!(proved(Ending::Kept, fine), Ending::Kept);
        }
    }
}
