//! The contestants to choose for each need.

use coupon_measure::Endpoint;
use coupon_measure::format;
use coupon_measure::stats::MIN_ROUNDS;

use super::figures::endpoints_of;
use super::standing::{NO_VERDICT, Standing};
use crate::endpoints;
use crate::model::{Advice, Contestant, EndpointRound, Metric, Quantile, Report, Round, Topic};

/// The plain contestants that have shards to spread over; all plain ones when none has.
pub(crate) fn candidates(report: &Report) -> Vec<&Contestant> {
    let plain = || report.contestants.iter().filter(|c| report.is_plain(c));
    let sharded: Vec<&Contestant> = plain().filter(|c| c.shards > 1).collect();
    if sharded.is_empty() { plain().collect() } else { sharded }
}

/// A piece of advice for every need that the rounds have figures for; nothing with a single candidate.
pub(super) fn all(report: &Report) -> Vec<Advice> {
    let candidates = candidates(report);
    if candidates.len() < 2 {
        return Vec::new();
    }
    let keys = endpoints_of(candidates.iter().copied());
    let reads = keys.iter().filter(|key| endpoints::has_plan(key));
    let mut needs = Vec::new();
    needs.extend(keys.iter().any(|key| key == "grab").then(|| writes(report, &candidates)));
    needs.extend(candidates.iter().any(|c| c.shards > 1).then(|| spread(report, &candidates)));
    needs.extend(reads.map(|key| read(report, &candidates, key)));
    needs
}

/// The figures so far, where there are too few rounds to choose by them.
fn too_few(topic: &str, heading: &str, so_far: &str) -> Advice {
    Advice {
        topic: Topic::Need(topic.to_owned()),
        heading: heading.to_owned(),
        choice: Vec::new(),
        text: format!("Too few rounds for a verdict: it takes {MIN_ROUNDS} in common. {so_far}")
            .trim_end()
            .to_owned(),
        certainty: NO_VERDICT.into(),
    }
}

/// The advice by the first of some standings that tells candidates apart: those it leaves unbeaten, and of them those
/// that the other standings leave unbeaten as well, if there are any.
fn advice(topic: &str, heading: &str, standings: &[&Standing<'_>], sentences: &[String]) -> Advice {
    let Some(judged) = standings.iter().find(|standing| standing.judged()) else {
        return too_few(topic, heading, &sentences.join(" "));
    };
    let mut decisive = standings.iter().filter(|standing| standing.differs());
    let first = decisive.next();
    let mut choice = first.map_or_else(Vec::new, |standing| standing.leaders());
    let mut disagree = false;
    for other in decisive {
        let both: Vec<String> = other.leaders().into_iter().filter(|name| choice.contains(name)).collect();
        disagree |= both.is_empty();
        choice = if both.is_empty() { choice } else { both };
    }
    let warning = "These figures point to different contestants: choose by the one that matters to you.";
    let sentences = sentences.iter().map(String::as_str).chain(disagree.then_some(warning));
    Advice {
        topic: Topic::Need(topic.to_owned()),
        heading: heading.to_owned(),
        choice,
        text: sentences.filter(|sentence| !sentence.is_empty()).collect::<Vec<_>>().join(" "),
        certainty: first.unwrap_or(judged).certainty(),
    }
}

fn writes(report: &Report, candidates: &[&Contestant]) -> Advice {
    let granted = Standing::of(report, candidates, &Metric::Granted);
    let p50 = Standing::of(report, candidates, &Metric::latency("grab", Quantile::P50));
    let p99 = Standing::of(report, candidates, &Metric::latency("grab", Quantile::P99));
    let rate = if granted.differs() {
        format!(
            "Most grabs granted: {}; behind: {}.",
            Standing::shown(&granted.unbeaten, "/s"),
            Standing::shown(&granted.beaten, "/s")
        )
    } else if granted.judged() {
        format!("No difference in grabs granted ({}).", granted.range("/s"))
    } else {
        String::new()
    };
    // A grab is acknowledged at the queue: what the shards then take is what a strategy can keep up for long.
    let stored = Standing::of(report, candidates, &Metric::Stored);
    let sentences =
        [storing(&stored), rate, kept_up(report, candidates), latency(&p50, "p50"), latency(&p99, "p99")];
    advice("writes", "Grabbing coupons", &[&stored, &granted, &p50, &p99], &sentences)
}

/// The rows that the shards took, where a queue lies before them.
fn storing(stored: &Standing<'_>) -> String {
    if stored.differs() {
        format!(
            "Most rows stored: {}; behind: {}.",
            Standing::shown(&stored.unbeaten, "/s"),
            Standing::shown(&stored.beaten, "/s")
        )
    } else if stored.judged() {
        format!("No difference in rows stored ({}).", stored.range("/s"))
    } else {
        String::new()
    }
}

/// A sentence on the contestants that kept up with the rate offered, with every answer and in the time of the round: they
/// have not shown their limit.
pub(super) fn kept_up(report: &Report, candidates: &[&Contestant]) -> String {
    let in_time = |round: &Round| round.seconds <= 1.05 * report.meta.seconds_per_round;
    let all = |grab: &EndpointRound| grab.ok as f64 >= 0.99 * grab.requests as f64;
    let answered = |contestant: &&Contestant| {
        contestant.rounds.iter().all(|round| in_time(round) && round.endpoints.get("grab").is_none_or(all))
    };
    if report.meta.rate.is_some() && candidates.iter().all(answered) {
        "All of them kept up with the rate offered, so this is not their limit.".into()
    } else {
        String::new()
    }
}

fn latency(standing: &Standing<'_>, percentile: &str) -> String {
    if !standing.judged() {
        let so_far = Standing::shown(&standing.unbeaten, "ms");
        return match standing.missing {
            Some(why) => format!("{percentile}: n/a, {why}."),
            None if so_far.is_empty() => so_far,
            None => format!("{percentile} so far: {so_far}."),
        };
    }
    if !standing.differs() {
        return format!("{percentile}: no difference ({}).", standing.range("ms"));
    }
    let lead = if standing.unbeaten.len() > 1 { "lead, no difference between them" } else { "leads" };
    format!(
        "{percentile}: {} {lead}; behind: {}.",
        Standing::shown(&standing.unbeaten, "ms"),
        Standing::shown(&standing.beaten, "ms")
    )
}

fn spread(report: &Report, candidates: &[&Contestant]) -> Advice {
    let standing = Standing::of(report, candidates, &Metric::EffectiveShards);
    let by_cpu = Standing::of(report, candidates, &Metric::EffectiveShardsByCpu);
    let sentences: Vec<String> = candidates.iter().filter_map(|contestant| worth(contestant)).collect();
    advice("spread", "Spreading the writes over machines", &[&standing, &by_cpu], &sentences)
}

/// The worth of a contestant's shards, as a sentence.
pub(super) fn worth(contestant: &Contestant) -> Option<String> {
    if contestant.shards < 2 {
        return None;
    }
    let effective = contestant.median(&Metric::EffectiveShards)?;
    let shards = f64::from(contestant.shards);
    Some(format!(
        "{}: {} shards are worth {} (a round's hottest takes {} of its writes).",
        contestant.name,
        contestant.shards,
        format::plain(effective.min(shards)),
        format::percent(1.0 / effective.max(1.0)),
    ))
}

fn read(report: &Report, candidates: &[&Contestant], key: &str) -> Advice {
    let of = |metric: Metric| Standing::of(report, candidates, &metric);
    let p50 = of(Metric::latency(key, Quantile::P50));
    let p99 = of(Metric::latency(key, Quantile::P99));
    let (shards, tables) = (of(Metric::shards(key)), of(Metric::tables(key)));
    let timed = p50.differs() || p99.differs();
    let fan_out = fan_out(&shards, &tables, timed);
    let heading = match Endpoint::of_key(key) {
        Some(endpoint) => endpoint.need(),
        None => key,
    };
    let sentences = [latency(&p50, "p50"), latency(&p99, "p99"), fan_out];
    let mut advice = advice(key, heading, &[&p50, &p99, &shards, &tables], &sentences);
    if !timed && (shards.differs() || tables.differs()) {
        advice.certainty = "by fan-out alone, which is counted; no time difference was shown".into();
    }
    advice
}

fn fan_out(shards: &Standing<'_>, tables: &Standing<'_>, timed: bool) -> String {
    let (standing, what) = if shards.differs() {
        (shards, "shards")
    } else if tables.differs() {
        (tables, "tables")
    } else {
        return String::new();
    };
    let meaning = if timed { "" } else { "; over a network, or with more shards, that is what will tell" };
    format!(
        "{} a query: {} against {}{meaning}.",
        if what == "shards" { "Shards" } else { "Tables" },
        Standing::shown(&standing.unbeaten, ""),
        Standing::shown(&standing.beaten, "")
    )
}
