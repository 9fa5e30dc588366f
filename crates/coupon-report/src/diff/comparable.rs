//! Comparability of two reports: obstacles that forbid a comparison, and notes on one that is possible.

use coupon_measure::format::{counted, number};
use coupon_measure::stats::estimate;

use super::model::{MIN_RUNS, Unit};
use crate::model::{Contestant, Doubt, Meta, Report};

/// The obstacles to a comparison: each a sentence that names a difference. None when the two measured the same thing.
#[must_use]
pub fn obstacles(before: &Report, after: &Report) -> Vec<String> {
    let (one, two) = (&before.meta, &after.meta);
    let same = |what: &str, one: String, two: String| {
        (one != two).then(|| format!("The {what} differs: {one} before, {two} after."))
    };
    let rate = |meta: &Meta| {
        meta.rate.map_or_else(|| "as fast as answers come".to_owned(), |rate| format!("{rate}/s"))
    };
    let quota =
        |meta: &Meta| meta.shard_cpu.map_or_else(|| "none".to_owned(), |cores| format!("{cores} cores"));
    let mut found: Vec<String> = [
        same("workload", one.workload.clone(), two.workload.clone()),
        same("rate", rate(one), rate(two)),
        same("backend", one.backend.clone(), two.backend.clone()),
        same("length of a round", seconds(one), seconds(two)),
        same("number of connections", one.connections.to_string(), two.connections.to_string()),
        same("history", rows(one), rows(two)),
        same("network to a shard", format!("{} ms", one.shard_rtt_ms), format!("{} ms", two.shard_rtt_ms)),
        same("number of processes", one.processes.to_string(), two.processes.to_string()),
        same("CPU quota of a shard", quota(one), quota(two)),
    ]
    .into_iter()
    .flatten()
    .collect();
    found.extend(other_requests(one, two));
    let pairs = || before.contestants.iter().filter_map(|one| Some((one, after.contestant(&one.name)?)));
    found.extend(pairs().filter_map(|(one, two)| other_layout(one, two)));
    found.extend(pairs().filter_map(|(one, two)| other_growth(one, two)));
    found.extend(pairs().filter_map(|(one, two)| other_build(one, two)));
    if pairs().next().is_none() {
        found.push(format!("No contestant is in both: {} before, {} after.", names(before), names(after)));
    }
    found
}

fn seconds(meta: &Meta) -> String {
    format!("{} s", meta.seconds_per_round)
}

fn rows(meta: &Meta) -> String {
    format!("{} rows", meta.history_rows)
}

/// A workload of the same name may ask for something else.
fn other_requests(one: &Meta, two: &Meta) -> Option<String> {
    let differs = one.mix != two.mix || one.catalogue != two.catalogue;
    differs.then(|| {
        format!(
            "The workload {:?} has other requests, users, rooms or coupons than it had before.",
            two.workload
        )
    })
}

fn other_layout(one: &Contestant, two: &Contestant) -> Option<String> {
    (one.layout != two.layout).then(|| {
        format!(
            "Contestant {} places its rows otherwise: {} before, {} after.",
            one.name, one.layout, two.layout
        )
    })
}

/// A layout that changes in the middle of turns is another load than one that stays, or changes otherwise.
fn other_growth(one: &Contestant, two: &Contestant) -> Option<String> {
    let change = |contestant: &Contestant| {
        let told = contestant.growths().next().map(|growth| {
            let (layout, at, rate) = (&growth.layout, growth.asked_s, growth.rows_per_s_most);
            format!("to {layout} at second {at:.1}, {rate} rows a second")
        });
        told.unwrap_or_else(|| "not at all".to_owned())
    };
    let (before, after) = (change(one), change(two));
    let differs = match (one.growths().next(), two.growths().next()) {
        // The moment is measured, and lies some milliseconds beside the one that was asked for.
        (Some(one), Some(two)) => {
            one.layout != two.layout
                || one.rows_per_s_most != two.rows_per_s_most
                || (one.asked_s - two.asked_s).abs() > 0.5
        }
        (one, two) => one.is_some() != two.is_some(),
    };
    differs.then(|| {
        format!("The layout of contestant {} changes in its turns: {before} before, {after} after.", one.name)
    })
}

fn other_build(one: &Contestant, two: &Contestant) -> Option<String> {
    let (before, after) = (one.build.as_ref()?, two.build.as_ref()?);
    (before != after)
        .then(|| format!("Contestant {} is a {before} build before and a {after} build after.", one.name))
}

/// The reasons for which two reports are of no one series: obstacles to a comparison, and another machine, of whatever kernel.
pub(crate) fn other_series(before: &Report, after: &Report) -> Vec<String> {
    let machine = |report: &Report| (report.meta.machine.cores.clone(), report.meta.machine.cpu.clone());
    let moved = machine(before) != machine(after);
    obstacles(before, after).into_iter().chain(moved.then(|| other_machine(before, after))).collect()
}

fn other_machine(before: &Report, after: &Report) -> String {
    let shown = |report: &Report| {
        let machine = &report.meta.machine;
        let cores = machine.cores.show(|cores| format!("{cores} cores"));
        format!("{cores}, {}, {}", machine.cpu.show(String::clone), machine.kernel.show(String::clone))
    };
    format!("The machine differs: {} before, {} after.", shown(before), shown(after))
}

fn names(report: &Report) -> String {
    let names: Vec<&str> = report.contestants.iter().map(|contestant| contestant.name.as_str()).collect();
    if names.is_empty() { "nobody".into() } else { names.join(", ") }
}

/// The lateness of the load generator, in milliseconds, that shows a machine with other things to do.
const LATE_MS: f64 = 1.0;
/// The factor by which it must be later than in the other run.
const TIMES_LATER: f64 = 3.0;

/// The load generator is the same program in both, with the same requests: where it was much later, so was all else.
fn busier(before: &Report, after: &Report) -> Option<String> {
    let late = |report: &Report| -> Option<f64> {
        let rounds = report.contestants.iter().flat_map(|contestant| &contestant.rounds);
        let late: Vec<f64> = rounds.filter_map(|round| round.generator.lateness_p99_ms.value()).collect();
        Some(estimate(&late)?.median)
    };
    let (one, two) = (late(before)?, late(after)?);
    let (when, more, less) = if two > one { ("after", two, one) } else { ("before", one, two) };
    (more >= LATE_MS && more >= TIMES_LATER * less).then(|| {
        format!(
            "The machine was busier {when}: the load generator itself sent 1 % of its requests at least {} ms late, against \
             {} ms. What differs may be the machine's doing: run again when it is quiet.",
            number(more),
            number(less)
        )
    })
}

/// The runs whose rates and times are those of the load.
pub(super) fn left_out((when, runs): (&str, &[&Report])) -> Option<String> {
    let doubts: Vec<&Doubt> = runs.iter().filter_map(|report| report.doubt_of_load()).collect();
    let first = doubts.first()?;
    Some(format!(
        "No rates and times of {} {when}: the load was the limit there. {}",
        counted(doubts.len() as u64, "run"),
        first.text
    ))
}

/// A sentence on what lies between two runs.
pub(super) fn between(unit: Unit) -> Option<String> {
    let told = match unit {
        Unit::None => format!(
            "The two were run at different times: what the machine did in between is in every round of one and in none of the \
             other, and no interval shows it. So no rate and no time is called worse or better here; {MIN_RUNS} runs in all (--also-before, \
             --also-after) show how far runs differ by themselves, and two services in one `loadtest compare` have the same machine."
        ),
        Unit::Round => {
            "The two were run at different times, and were judged as if nothing had happened in between."
                .into()
        }
        Unit::Run => return None,
    };
    Some(told)
}

/// Differences that forbid no comparison, but have a part in its result.
#[must_use]
pub fn notes(before: &Report, after: &Report) -> Vec<String> {
    let (one, two) = (&before.meta, &after.meta);
    let mut notes = Vec::new();
    if one.machine != two.machine {
        notes.push(other_machine(before, after));
    }
    if one.seed != two.seed {
        notes.push(format!(
            "The seed differs ({} before, {} after): rounds are paired that had other requests.",
            one.seed, two.seed
        ));
    }
    if one.rounds != two.rounds {
        notes.push(format!(
            "{} rounds before, {} after: those in common are compared.",
            one.rounds, two.rounds
        ));
    }
    for (here, there, when) in [(before, after, "before"), (after, before, "after")] {
        let only = here.contestants.iter().filter(|contestant| there.contestant(&contestant.name).is_none());
        let only: Vec<&str> = only.map(|contestant| contestant.name.as_str()).collect();
        if !only.is_empty() {
            notes.push(format!("Only {when}: {}.", only.join(", ")));
        }
        if !here.audit.passed {
            notes.push(format!("The audit {when} did not pass: figures of a service that breaks its promises are worth nothing."));
        }
    }
    notes.extend(busier(before, after));
    notes
}
