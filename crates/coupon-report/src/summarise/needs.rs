//! The contestants to choose for each need.

use coupon_measure::Endpoint;
use coupon_measure::format;
use coupon_measure::stats::{ERROR, MIN_ROUNDS, RELEVANT_DIFFERENCE};

use super::figures::endpoints_of;
use super::standing::{Chosen, NO_VERDICT, Standing};
use crate::endpoints;
use crate::model::{
    Advice, Contestant, DoubtKind, EndpointRound, Grounds, LEAST_MS, Metric, Need, NeedResult, Place, Placed,
    Quantile, Report, Round, Topic,
};

/// The plain contestants that have shards to spread over; all plain ones when none has.
pub(crate) fn candidates(report: &Report) -> Vec<&Contestant> {
    let plain = || report.contestants.iter().filter(|c| report.is_plain(c));
    let sharded: Vec<&Contestant> = plain().filter(|c| c.most_shards() > 1).collect();
    if sharded.is_empty() { plain().collect() } else { sharded }
}

/// The verdict on every need that the rounds have figures for, and the advice that follows from it; nothing with a single
/// candidate.
pub(super) fn all(report: &Report) -> Vec<(Need, Advice)> {
    let candidates = candidates(report);
    if candidates.len() < 2 {
        return Vec::new();
    }
    let keys = endpoints_of(candidates.iter().copied());
    let reads = keys.iter().filter(|key| endpoints::has_plan(key));
    let mut needs = Vec::new();
    needs.extend(keys.iter().any(|key| key == "grab").then(|| writes(report, &candidates)));
    needs.extend(candidates.iter().any(|c| c.most_shards() > 1).then(|| spread(report, &candidates)));
    needs.extend(reads.map(|key| read(report, &candidates, key)));
    needs
}

/// A question: a need, by its name and its heading, and the contestants that it could be answered with.
struct Question<'a> {
    report: &'a Report,
    candidates: &'a [&'a Contestant],
    need: &'a str,
    heading: &'a str,
}

impl Question<'_> {
    /// The verdict by some standings, the first before the others.
    fn answered(&self, standings: &[&Standing<'_>], sentences: &[String]) -> (Need, Advice) {
        let judged = standings.iter().find(|standing| standing.judged());
        let chosen = Chosen::of(standings);
        let by = chosen.as_ref().map(|chosen| chosen.by).or(judged.copied());
        let disagree = chosen.as_ref().is_some_and(|chosen| !chosen.agreed);
        let choice = chosen.map_or_else(Vec::new, |chosen| chosen.names);
        let need = self.need(by, &choice);
        let warning = "These figures point to different contestants: choose by the one that matters to you.";
        let mut said = self.why_not(judged.is_some());
        said.extend(sentences.iter().filter(|sentence| !sentence.is_empty()).cloned());
        said.extend(disagree.then(|| warning.to_owned()));
        said.extend(self.barred());
        let advice = Advice {
            topic: Topic::Need(self.need.to_owned()),
            heading: self.heading.to_owned(),
            choice,
            text: said.join(" "),
            certainty: by.map_or_else(|| NO_VERDICT.to_owned(), Standing::certainty),
        };
        (need, advice)
    }

    fn need(&self, by: Option<&Standing<'_>>, choice: &[String]) -> Need {
        let place = |name: &String| match by {
            Some(_) if choice.contains(name) => Place::Leads,
            Some(by) => match by.place(self.report, name) {
                // It leads by this metric, and is behind by another.
                Place::Leads => Place::NotTold,
                other => other,
            },
            None if self.report.is_barred(name) => Place::Barred,
            None => Place::NotTold,
        };
        let placed = |contestant: &&Contestant| Placed {
            contestant: contestant.name.clone(),
            place: place(&contestant.name),
            estimate: by.and_then(|by| contestant.summary(&by.metric)?.estimate.clone()),
        };
        let mut places: Vec<Placed> = self.candidates.iter().map(placed).collect();
        if let Some(by) = by {
            let order = |name: &String| by.in_order().position(|(known, _)| *known == name.as_str());
            places.sort_by_key(|placed| order(&placed.contestant).unwrap_or(usize::MAX));
        }
        let (rounds, level) = by.and_then(|by| by.sure).unwrap_or((0, 0.0));
        Need {
            need: self.need.to_owned(),
            heading: self.heading.to_owned(),
            result: match (by, choice.is_empty()) {
                (None, _) => NeedResult::None,
                (Some(_), false) => NeedResult::Leads,
                (Some(_), true) => NeedResult::Equal,
            },
            places,
            by: by.map(|by| by.metric.clone()),
            doubts: self.doubts(),
            grounds: Grounds {
                rounds,
                level,
                comparisons: by.map_or(0, |by| by.comparisons),
                error: ERROR,
                least_ratio: 1.0 + RELEVANT_DIFFERENCE,
                least_ms: LEAST_MS,
            },
        }
    }

    /// The doubts that are about this need or one of its candidates.
    fn doubts(&self) -> Vec<DoubtKind> {
        let timed = self.need != "spread";
        let about = |contestant: Option<&String>| {
            contestant.is_none_or(|name| self.candidates.iter().any(|candidate| candidate.name == *name))
        };
        let mut kinds: Vec<DoubtKind> = self
            .report
            .doubts
            .iter()
            .filter(|doubt| {
                (doubt.kind.bars() && about(doubt.contestant.as_ref()))
                    || doubt.kind.withholds(if timed { &Metric::Mean } else { &Metric::EffectiveShards })
            })
            .map(|doubt| doubt.kind)
            .collect();
        kinds.dedup();
        kinds
    }

    /// The reason why nothing was judged.
    fn why_not(&self, judged: bool) -> Vec<String> {
        let withheld = |doubt: &&crate::model::Doubt| {
            doubt.kind.withholds(if self.need == "spread" { &Metric::EffectiveShards } else { &Metric::Mean })
        };
        match (judged, self.report.doubts.iter().find(withheld)) {
            (false, Some(doubt)) => vec![format!("No verdict: {}", doubt.text)],
            (false, None) => {
                vec![format!("Too few rounds for a verdict: it takes {MIN_ROUNDS} in common.")]
            }
            (true, _) => Vec::new(),
        }
    }

    fn barred(&self) -> Option<String> {
        let barred: Vec<&str> = self
            .candidates
            .iter()
            .map(|candidate| candidate.name.as_str())
            .filter(|name| self.report.is_barred(name))
            .collect();
        (!barred.is_empty())
            .then(|| format!("{} cannot lead: see the doubts about this run.", format::list(&barred)))
    }
}

fn writes(report: &Report, candidates: &[&Contestant]) -> (Need, Advice) {
    let granted = Standing::of(report, candidates, &Metric::Granted);
    let p50 = Standing::of(report, candidates, &Metric::latency("grab", Quantile::P50));
    let p99 = Standing::of(report, candidates, &Metric::latency("grab", Quantile::P99));
    let rate = if granted.differs() {
        format!(
            "Most grabs granted: {}; behind: {}.",
            Standing::shown(&granted.leading, "/s"),
            Standing::shown(&granted.beaten, "/s")
        )
    } else if granted.judged() {
        format!("No difference in grabs granted ({}).", granted.range("/s"))
    } else {
        String::new()
    };
    // A grab is acknowledged at the queue: what the shards then take is what a strategy can keep up for long.
    let stored = Standing::of(report, candidates, &Metric::Stored);
    let mut sentences =
        vec![storing(&stored), rate, kept_up(report, candidates), latency(&p50, "p50"), latency(&p99, "p99")];
    sentences.extend(shapes(report, candidates, "grab"));
    let question = Question { report, candidates, need: "writes", heading: "Grabbing coupons" };
    question.answered(&[&stored, &granted, &p50, &p99], &sentences)
}

/// The rows that the shards took, where a queue lies before them.
fn storing(stored: &Standing<'_>) -> String {
    if stored.differs() {
        format!(
            "Most rows stored: {}; behind: {}.",
            Standing::shown(&stored.leading, "/s"),
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
        let so_far = Standing::shown(&standing.apart, "ms");
        return match standing.missing {
            Some(why) => format!("{percentile}: n/a, {why}."),
            None if so_far.is_empty() => so_far,
            None => format!("{percentile} so far: {so_far}."),
        };
    }
    if !standing.differs() {
        return format!("{percentile}: no difference ({}).", standing.range("ms"));
    }
    let lead = if standing.leading.len() > 1 { "lead, no difference between them" } else { "leads" };
    let apart = match standing.apart.as_slice() {
        [] => String::new(),
        apart => format!("; not told from either: {}", Standing::shown(apart, "ms")),
    };
    format!(
        "{percentile}: {} {lead}; behind: {}{apart}.",
        Standing::shown(&standing.leading, "ms"),
        Standing::shown(&standing.beaten, "ms")
    )
}

fn spread(report: &Report, candidates: &[&Contestant]) -> (Need, Advice) {
    let standing = Standing::of(report, candidates, &Metric::EffectiveShards);
    let by_cpu = Standing::of(report, candidates, &Metric::EffectiveShardsByCpu);
    let sentences: Vec<String> = candidates.iter().filter_map(|contestant| worth(contestant)).collect();
    let question =
        Question { report, candidates, need: "spread", heading: "Spreading the writes over machines" };
    question.answered(&[&standing, &by_cpu], &sentences)
}

/// The worth of a contestant's shards, as a sentence.
pub(super) fn worth(contestant: &Contestant) -> Option<String> {
    let shards = contestant.most_shards();
    if shards < 2 {
        return None;
    }
    let effective = contestant.median(&Metric::EffectiveShards)?;
    Some(format!(
        "{}: {shards} shards are worth {} (a round's hottest takes {} of its writes).",
        contestant.name,
        format::plain(effective.min(f64::from(shards))),
        format::percent(1.0 / effective.max(1.0)),
    ))
}

fn read(report: &Report, candidates: &[&Contestant], key: &str) -> (Need, Advice) {
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
    let mut sentences = vec![latency(&p50, "p50"), latency(&p99, "p99"), fan_out];
    sentences.extend(shapes(report, candidates, key));
    let question = Question { report, candidates, need: key, heading };
    let (need, mut advice) = question.answered(&[&p50, &p99, &shards, &tables], &sentences);
    if !timed && (shards.differs() || tables.differs()) {
        advice.certainty = "by fan-out alone, which is counted; no time difference was shown".into();
    }
    (need, advice)
}

/// The sentences on shapes that the medians hide.
fn shapes<'a>(
    report: &'a Report,
    candidates: &'a [&'a Contestant],
    key: &'a str,
) -> impl Iterator<Item = String> + use<'a> {
    let among = |name: &str| candidates.iter().any(|candidate| candidate.name == name);
    let told = report.shapes.iter().filter(move |shape| shape.endpoint == key && shape.same_median);
    told.filter(move |shape| among(&shape.a) && among(&shape.b)).map(|shape| shape.text.clone())
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
        Standing::shown(&standing.leading, ""),
        Standing::shown(&standing.beaten, "")
    )
}
