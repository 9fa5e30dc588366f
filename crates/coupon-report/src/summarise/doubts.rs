//! Doubts: reasons for which figures allow no verdict, or a contestant leads in nothing.
//!
//! They come before every comparison. A figure whose limit was the load says nothing of a service, however sure it is; and a
//! contestant that fails or refuses more than others does less work, which is no merit.

use coupon_measure::format::{self, count, number, percent};
use coupon_measure::stats::estimate;

use crate::model::{Contestant, Doubt, DoubtKind, Metric, Quantile, Report, Round};

/// The part of a core, or of the time, from which on the generator has none to spare.
const BUSY: f64 = 0.9;
/// The part of a latency that, if it is the generator's own lateness, makes the latency the generator's.
const OWN: f64 = 0.5;
/// Lateness below this is none, in milliseconds: at the 99th percentile, and at the median.
const LATE_MS: (f64, f64) = (1.0, 0.5);
/// The part of requests that, waiting for a connection, makes their number the limit.
const WAITED: f64 = 0.05;
/// The part of requests by which one fails clearly more than another.
const FAILED: f64 = 0.001;
/// The part of grabs by which one refuses clearly more.
const REFUSED: f64 = 0.05;
/// The part of requests due that must have been sent.
const SENT: f64 = 0.95;
/// The part of the largest data set that another must have.
const SAME_DATA: f64 = 0.95;

/// All doubts, the gravest first.
pub(super) fn all(report: &Report) -> Vec<Doubt> {
    let each = |find: fn(&Contestant) -> Option<Doubt>| report.contestants.iter().filter_map(find);
    let mut doubts: Vec<Doubt> = each(generator).chain(each(connections)).collect();
    doubts.extend(data_sets(report));
    doubts.extend(builds(report));
    doubts.extend(failures(report));
    doubts.extend(refusals(report));
    doubts.extend(each(not_offered));
    doubts.extend(left_alone(report));
    doubts.sort_by_key(|doubt| doubt.kind);
    doubts
}

fn of(kind: DoubtKind, contestant: &Contestant, text: &str) -> Doubt {
    Doubt { kind, contestant: Some(contestant.name.clone()), text: format!("{}: {text}", contestant.name) }
}

/// The median over the rounds that have the figure.
fn median(contestant: &Contestant, figure: impl Fn(&Round) -> Option<f64>) -> Option<f64> {
    let figures: Vec<f64> =
        contestant.rounds.iter().filter_map(figure).filter(|figure| figure.is_finite()).collect();
    Some(estimate(&figures)?.median)
}

/// A generator without time to spare, or so late that most of a latency is its own.
fn generator(contestant: &Contestant) -> Option<Doubt> {
    let used = median(contestant, |round| Some(round.generator.cpu_seconds.value()? / round.seconds));
    let limit = |why: String| {
        Some(of(DoubtKind::GeneratorLimited, contestant, &format!("the load generator was the limit: {why}")))
    };
    if let Some(used) = used.filter(|part| *part >= BUSY) {
        return limit(format!("it used {} of a core.", percent(used)));
    }
    let busy = median(contestant, |round| Some(round.generator.busy_seconds.value()? / round.seconds));
    if let Some(busy) = busy.filter(|part| *part >= BUSY) {
        return limit(format!(
            "it was busy {} of the time, also where others of this machine had its core.",
            percent(busy)
        ));
    }
    let asked = most_asked(contestant)?;
    let latency = |quantile| {
        let metric = Metric::latency(asked, quantile);
        median(contestant, |round| metric.read(round).value())
    };
    let rare = median(contestant, |round| round.generator.lateness_p99_ms.value());
    let usual = median(contestant, |round| round.generator.lateness_p50_ms.value());
    let own = |late: Option<f64>, least: f64, quantile: Quantile| {
        let (late, latency) = (late?, latency(quantile)?);
        (late >= least && late >= OWN * latency).then_some((late, latency))
    };
    if let Some((late, latency)) = own(usual, LATE_MS.1, Quantile::P50) {
        return limit(format!(
            "half of the requests were sent at least {} ms late, of a median latency of {} ms.",
            number(late),
            number(latency)
        ));
    }
    let (late, latency) = own(rare, LATE_MS.0, Quantile::P99)?;
    limit(format!(
        "1 % of the requests were sent at least {} ms late, of a p99 of {} ms.",
        number(late),
        number(latency)
    ))
}

/// The endpoint that most requests were for.
fn most_asked(contestant: &Contestant) -> Option<&str> {
    let first = contestant.rounds.first()?;
    let most = first.endpoints.iter().max_by_key(|(_, of)| of.requests)?;
    Some(most.0)
}

fn due(round: &Round) -> f64 {
    round.endpoints.values().map(|endpoint| endpoint.requests).sum::<u64>() as f64
}

/// Requests that had to wait for a connection are as late as others want them to be.
fn connections(contestant: &Contestant) -> Option<Doubt> {
    let waited = median(contestant, |round| Some(round.generator.queued as f64 / due(round)))?;
    let unsent = median(contestant, |round| Some(round.generator.unsent as f64 / due(round)))?;
    if waited < WAITED && unsent < FAILED {
        return None;
    }
    let never =
        if unsent > 0.0 { format!(", and {} were never sent", percent(unsent)) } else { String::new() };
    let text = format!(
        "the connections were the limit: {} of the requests found none free when they were due{never}. Give more with \
         --connections, or a lower --rate.",
        percent(waited.max(unsent)),
    );
    Some(of(DoubtKind::ConnectionsLimited, contestant, &text))
}

fn data_sets(report: &Report) -> Option<Doubt> {
    let sizes: Vec<(&str, u64)> =
        report.contestants.iter().filter_map(|c| Some((c.name.as_str(), c.history_rows?))).collect();
    let (most, least) =
        (sizes.iter().max_by_key(|(_, rows)| *rows)?, sizes.iter().min_by_key(|(_, rows)| *rows)?);
    (least.1 as f64 / (most.1 as f64) < SAME_DATA).then(|| Doubt {
        kind: DoubtKind::DataSetsDiffer,
        contestant: None,
        text: format!(
            "The data sets differ: {} held {} results before the first round, {} held {}.",
            most.0,
            count(most.1),
            least.0,
            count(least.1)
        ),
    })
}

fn builds(report: &Report) -> Option<Doubt> {
    let known = || report.contestants.iter().filter_map(|c| Some((c.name.as_str(), c.build.as_deref()?)));
    let (_, first) = known().next()?;
    known().any(|(_, build)| build != first).then(|| {
        let told: Vec<String> = known().map(|(name, build)| format!("{name} is a {build} build")).collect();
        Doubt {
            kind: DoubtKind::BuildsDiffer,
            contestant: None,
            text: format!("The builds differ: {}.", format::list(&told)),
        }
    })
}

/// The requests of all rounds that failed, and all requests.
fn failed(contestant: &Contestant) -> (f64, f64) {
    let endpoints = || contestant.rounds.iter().flat_map(|round| round.endpoints.values());
    let failed: u64 = endpoints().flat_map(|endpoint| endpoint.errors.values()).sum();
    let all: u64 = endpoints().map(|endpoint| endpoint.requests).sum();
    (failed as f64, all as f64)
}

/// Contestants of which a larger part of something went wrong than of the best: by so much, and by more than chance
/// (three standard deviations of two counts) would make it.
fn worse_than_best(
    report: &Report,
    least: f64,
    counted: impl Fn(&Contestant) -> (f64, f64),
) -> Vec<(&Contestant, f64, &Contestant, f64)> {
    let all: Vec<(&Contestant, f64, f64)> = report
        .contestants
        .iter()
        .map(|contestant| (contestant, counted(contestant)))
        .filter(|(_, (_, of))| *of > 0.0)
        .map(|(contestant, (bad, of))| (contestant, bad, of))
        .collect();
    let share = |(_, bad, of): &(&Contestant, f64, f64)| bad / of;
    let Some(best) = all.iter().min_by(|one, other| share(one).total_cmp(&share(other))) else {
        return Vec::new();
    };
    all.iter()
        .filter(|one| {
            let expected = share(best) * one.2;
            share(one) - share(best) >= least && one.1 - expected >= 3.0 * (one.1 + expected + 1.0).sqrt()
        })
        .map(|one| (one.0, share(one), best.0, share(best)))
        .collect()
}

fn failures(report: &Report) -> Vec<Doubt> {
    worse_than_best(report, FAILED, failed)
        .into_iter()
        .map(|(contestant, part, best, least)| {
            let text = format!(
                "{} of its requests failed ({} of {}'s): it leads in nothing.",
                percent(part),
                percent(least),
                best.name
            );
            of(DoubtKind::FailuresDiffer, contestant, &text)
        })
        .collect()
}

fn refusals(report: &Report) -> Vec<Doubt> {
    let refused = |contestant: &Contestant| {
        let grabs = || contestant.rounds.iter().map(|round| &round.grabs);
        let granted: u64 = grabs().map(|grabs| grabs.granted).sum();
        // What a status refused has failed, and is counted there.
        let by_the_gate = grabs().flat_map(|grabs| &grabs.refused).filter(|(why, _)| *why != "rejected");
        let refused: u64 = by_the_gate.map(|(_, number)| number).sum();
        (refused as f64, (granted + refused) as f64)
    };
    worse_than_best(report, REFUSED, refused)
        .into_iter()
        .map(|(contestant, part, best, least)| {
            let text = format!(
                "{} of its grabs were refused ({} of {}'s), which is less work: it leads in nothing.",
                percent(part),
                percent(least),
                best.name
            );
            of(DoubtKind::RefusalsDiffer, contestant, &text)
        })
        .collect()
}

fn left_alone(report: &Report) -> Vec<Doubt> {
    let has_changed = report.contestants.iter().any(|contestant| contestant.growths().next().is_some());
    let stayed = report.contestants.iter().filter(|contestant| has_changed && contestant.unchanged.is_some());
    let text =
        "its layout stayed while that of others changed and their rows were moved: it leads in nothing.";
    stayed.map(|contestant| of(DoubtKind::LeftAlone, contestant, text)).collect()
}

fn not_offered(contestant: &Contestant) -> Option<Doubt> {
    let sent: u64 = contestant.rounds.iter().map(|round| round.generator.sent).sum();
    let due: f64 = contestant.rounds.iter().map(due).sum();
    let part = sent as f64 / due;
    (due > 0.0 && part < SENT).then(|| {
        let text = format!("only {} of its requests could be sent: it leads in nothing.", percent(part));
        of(DoubtKind::NotOffered, contestant, &text)
    })
}
