//! Cautions: reservations that a reader must have about these figures.

use coupon_measure::format::{self, count, number, percent, plain};
use coupon_measure::stats::{ERROR, MIN_ROUNDS, RELEVANT_DIFFERENCE, estimate};

use crate::model::{Contestant, Figure, NeedResult, Report, Shape};

/// The lateness of the generator, in milliseconds, that makes a latency no longer the service's own.
const LATE_MS: f64 = 1.0;
/// The part of failed requests that is worth a line.
const FAILED: f64 = 0.001;
/// The part of its quota that makes a server saturated.
const SATURATED: f64 = 0.9;
/// The multiple of its load's time that makes a round longer than it should be.
const OVERTIME: f64 = 1.5;
/// The part of acknowledged grabs that, left in a backlog, shows a shard that cannot keep up.
const BEHIND: f64 = 0.05;

/// Every caution that these figures call for, the gravest first.
pub(super) fn all(report: &Report) -> Vec<String> {
    let mut cautions = Vec::new();
    cautions.extend(audit(report));
    cautions.extend(report.doubts.iter().map(|doubt| doubt.text.clone()));
    cautions.extend(rounds(report));
    cautions.extend(shapes(report));
    for contestant in &report.contestants {
        cautions.extend(stray_cure(report, contestant));
        cautions.extend(failures(contestant));
        if !report.was_the_load_the_limit() {
            cautions.extend(late(contestant));
        }
        cautions.extend(overtime(report, contestant));
        cautions.extend(sold_out(contestant));
        cautions.extend(behind(contestant));
        cautions.extend(saturated(contestant));
    }
    cautions.extend(growth(report));
    cautions.extend(positions(report));
    cautions.extend(by_chance(report));
    cautions.extend(one_machine(report));
    cautions
}

fn audit(report: &Report) -> Option<String> {
    let failed = !report.audit.sums.passed() && !report.meta.unaudited;
    failed.then(|| {
        "The audit failed: a service that breaks its promises has no figures worth comparing.".into()
    })
}

fn rounds(report: &Report) -> Vec<String> {
    let fewest = report.contestants.iter().map(|c| c.rounds.len()).min().unwrap_or(0);
    let mut cautions = Vec::new();
    if fewest < MIN_ROUNDS && report.contestants.len() > 1 {
        let rounds = format::counted(fewest as u64, "round");
        cautions.push(format!("Only {rounds}: a verdict takes {MIN_ROUNDS}."));
    }
    let asked = report.meta.rounds as usize;
    cautions.extend(
        report
            .contestants
            .iter()
            .filter(|c| c.rounds.len() < asked)
            .map(|c| format!("{}: {} of {asked} rounds were measured.", c.name, c.rounds.len())),
    );
    cautions
}

/// Whole distributions, which take more rounds than medians do.
fn shapes(report: &Report) -> Option<String> {
    let few = || report.shapes.iter().filter(|shape| shape.has_too_few_rounds());
    let takes = Shape::takes_most(few())?.takes();
    let rounds = few().map(|shape| shape.rounds).min()?;
    Some(format!(
        "Too few rounds to tell whole distributions of times apart ({rounds}; {takes} for so many contestants): a difference \
         that medians and 99th percentiles do not show may be there."
    ))
}

fn stray_cure(report: &Report, contestant: &Contestant) -> Option<String> {
    let plain = contestant.cure_of.as_deref()?;
    let missing = report.contestant(plain).is_none();
    missing.then(|| format!("{}: {plain}, which it is to cure, was not measured.", contestant.name))
}

fn failures(contestant: &Contestant) -> Option<String> {
    let endpoints = || contestant.rounds.iter().flat_map(|round| round.endpoints.values());
    let requests: u64 = endpoints().map(|endpoint| endpoint.requests).sum();
    let failed: u64 = endpoints().flat_map(|endpoint| endpoint.errors.values()).sum();
    let unsent: u64 = contestant.rounds.iter().map(|round| round.generator.unsent).sum();
    let part = failed as f64 / requests.max(1) as f64;
    let failing = (part >= FAILED).then(|| {
        let failed = count(failed);
        format!(
            "{}: {} of its requests failed ({failed} of {}).",
            contestant.name,
            percent(part),
            count(requests)
        )
    });
    let waiting = (unsent > 0).then(|| {
        format!(
            "{}: {} requests found no free connection and were never sent.",
            contestant.name,
            count(unsent)
        )
    });
    match (failing, waiting) {
        (Some(failing), Some(waiting)) => Some(format!("{failing} {waiting}")),
        (one, other) => one.or(other),
    }
}

fn late(contestant: &Contestant) -> Option<String> {
    let lateness: Vec<f64> =
        contestant.rounds.iter().filter_map(|round| round.generator.lateness_p99_ms.value()).collect();
    let late = estimate(&lateness)?.median;
    (late >= LATE_MS).then(|| {
        format!(
            "{}: the load generator sent 1 % of the requests at least {} ms late; that is within its latencies.",
            contestant.name,
            number(late)
        )
    })
}

/// One request that is waited for stretches the time that a round's rates are over.
fn overtime(report: &Report, contestant: &Contestant) -> Option<String> {
    let meant = report.meta.seconds_per_round;
    let over: Vec<f64> =
        contestant.rounds.iter().map(|round| round.seconds).filter(|took| *took > OVERTIME * meant).collect();
    let longest = over.iter().copied().fold(0.0, f64::max);
    (meant > 0.0 && !over.is_empty()).then(|| {
        format!(
            "{}: {} waited for answers long after the last request was due, {} s in all instead of {}: rates a second are over \
             all of that.",
            contestant.name,
            format::counted(over.len() as u64, "round"),
            number(longest),
            number(meant)
        )
    })
}

fn sold_out(contestant: &Contestant) -> Option<String> {
    let rounds = contestant.rounds.iter().filter(|round| round.grabs.sold_out > 0).count();
    (rounds > 0).then(|| {
        let rounds = format::counted(rounds as u64, "round");
        format!("{}: sold out in {rounds}: no throughput figure there.", contestant.name)
    })
}

/// Grabs are acknowledged at the queue: a rate that the shards did not take was none that could have gone on.
fn behind(contestant: &Contestant) -> Option<String> {
    let granted: u64 = contestant.rounds.iter().map(|round| round.grabs.granted).sum();
    let flows = contestant.rounds.iter().filter_map(|round| round.flow.as_ref());
    let backlog: f64 = flows.filter_map(|flow| flow.backlog.value()).sum();
    let part = backlog / granted.max(1) as f64;
    (part >= BEHIND).then(|| {
        format!(
            "{}: when the load ended, {} of the grabs acknowledged were still in a queue: it could not have gone on at \
             that rate. Compare rows stored a second.",
            contestant.name,
            percent(part)
        )
    })
}

/// A server that had all the CPU it may use for most of the time: which, and what follows.
fn saturated(contestant: &Contestant) -> Option<String> {
    let of_shard = |shard: u16| -> Vec<f64> {
        let here =
            contestant.rounds.iter().flat_map(|round| &round.shards).filter(|work| work.shard == shard);
        here.filter_map(|work| work.flow.as_ref()?.saturation.value()).collect()
    };
    let full: Vec<String> = (0..contestant.most_shards())
        .filter(|shard| estimate(&of_shard(*shard)).is_some_and(|of| of.median >= SATURATED))
        .map(|shard| shard.to_string())
        .collect();
    let (name, all) = (&contestant.name, full.len() == usize::from(contestant.most_shards()));
    let which = if full.len() == 1 {
        format!("shard {}", full.concat())
    } else {
        format!("shards {}", full.join(", "))
    };
    match full.len() {
        0 => None,
        _ if all => {
            Some(format!("{name}: every shard used all the CPU of its quota: this is the limit of them all."))
        }
        _ => Some(format!(
            "{name}: {which} used all the CPU of the quota: reads there wait behind writes, and effective shards by CPU \
             understate the skew."
        )),
    }
}

/// A layout that changed in the middle of turns: what spans the change, and rows that moved otherwise than predicted.
fn growth(report: &Report) -> Vec<String> {
    let wrong = report.contestants.iter().filter_map(|contestant| {
        let wrong = contestant.growths().find(|growth| growth.is_as_predicted() == Some(false))?;
        let rows = |figure: &Figure| figure.show(|rows| plain(*rows));
        Some(format!(
            "{}: {} rows were moved, and routing alone says {}: one of the two is wrong.",
            contestant.name,
            rows(&wrong.rows_moved),
            rows(&wrong.rows_predicted)
        ))
    });
    let changed = report.contestants.iter().any(|contestant| contestant.growths().next().is_some());
    let spans = changed.then(|| {
        "The layout was changed in the middle of each turn, so figures of whole turns, and what is concluded from them, are of the load \
         before, while rows moved, and after; contestants that were left alone did less."
            .to_owned()
    });
    wrong.chain(spans).collect()
}

/// A place in the order of turns that made a difference by itself.
fn positions(report: &Report) -> Vec<String> {
    let differ = report.positions.iter().filter(|position| {
        let ratio = &position.ratio;
        let away = (ratio.low > 1.0 || ratio.high < 1.0) && ratio.n >= MIN_ROUNDS;
        let far = ratio.median.max(1.0 / ratio.median) >= 1.0 + RELEVANT_DIFFERENCE;
        away && far
    });
    let told = differ.map(|position| {
        let (place, ratio) = (position.position + 1, format::ratio(&position.ratio));
        format!(
            "Turn {place} of a round took {ratio} the time of any turn, whoever had it. All had every place about as often."
        )
    });
    told.collect()
}

/// Each need errs seldom; of many needs, one may well.
fn by_chance(report: &Report) -> Option<String> {
    let judged = report.needs.iter().filter(|need| need.result != NeedResult::None).count();
    let leads = report.needs.iter().filter(|need| need.result == NeedResult::Leads).count();
    (leads > 0).then(|| {
        let each = percent(ERROR);
        format!(
            "{leads} of {} name somebody. Of equal contestants a need would in {each} of runs at most; that any of {judged} does \
             has a probability of {} at most.",
            format::counted(judged as u64, "need"),
            percent((judged as f64 * ERROR).min(1.0))
        )
    })
}

fn one_machine(report: &Report) -> Option<String> {
    let together = !report.meta.shards_elsewhere;
    let sharded = together && report.contestants.iter().any(|contestant| contestant.most_shards() > 1);
    let network = report.meta.shard_rtt_ms > 0.0;
    sharded.then(|| {
        let scatter = if network {
            format!("A call to a shard was given {} ms of network.", number(report.meta.shard_rtt_ms))
        } else {
            "No network lies between service and shards, so queries that visit many shards look cheaper than they \
             would be."
                .into()
        };
        match report.meta.shard_cpu {
            Some(cores) => format!(
                "All shards shared one machine, and each was held to {} cores, as if it had a machine of its own. {scatter}",
                number(cores)
            ),
            None => format!(
                "All shards shared one machine, where a hot shard may use the cores of the others: compare effective \
                 shards, not only times. {scatter}"
            ),
        }
    })
}
