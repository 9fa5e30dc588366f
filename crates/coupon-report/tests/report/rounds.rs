//! Reports of rounds of which the truth is known.

use coupon_report::model::{
    Contestant, EndpointRound, Figure, GeneratorRound, LatencyMs, Meta, Place, Reading, Report, Round,
};
use coupon_report::summarise;

/// A round of so many requests to one endpoint, each of about that time.
fn round(index: u32, endpoint: &str, ms: f64) -> Round {
    let requests = 1_000;
    let latency = LatencyMs { p50: ms, p90: 1.5 * ms, p99: 3.0 * ms, p999: 5.0 * ms, max: 9.0 * ms };
    let of = EndpointRound {
        requests,
        ok: requests,
        timed: requests,
        latency: Reading::Known(latency),
        mean_ms: Figure::of(1.1 * ms),
        ..EndpointRound::default()
    };
    let generator = GeneratorRound {
        cpu_seconds: Figure::of(0.1),
        lateness_p99_ms: Figure::of(0.1),
        lateness_p50_ms: Figure::of(0.01),
        sent: requests,
        ..GeneratorRound::default()
    };
    let mut round = Round { index, seconds: 1.0, generator, ..Round::default() };
    round.endpoints.insert(endpoint.to_owned(), of);
    round
}

/// Contestants with these times, round by round.
pub(crate) fn report(endpoint: &str, contestants: &[(&str, &[f64])]) -> Report {
    let contestants = contestants.iter().map(|(name, times)| Contestant {
        name: (*name).to_owned(),
        rounds: (0..).zip(*times).map(|(index, ms)| round(index, endpoint, *ms)).collect(),
        ..Contestant::default()
    });
    let meta = Meta { rounds: 5, seconds_per_round: 1.0, connections: 8, unaudited: true, ..Meta::default() };
    Report::new(meta, contestants.collect())
}

pub(crate) fn summed(mut report: Report) -> Report {
    summarise(&mut report);
    report
}

/// Half as long for the second in every round.
pub(crate) fn two() -> Report {
    report("grab", &[("slow", &[4.0, 4.2, 3.9, 4.1, 4.3]), ("fast", &[2.0, 2.1, 2.0, 1.9, 2.2])])
}

pub(crate) fn place(report: &Report, need: &str, name: &str) -> Place {
    let need = report.need(need).unwrap();
    need.places.iter().find(|placed| placed.contestant == name).unwrap().place
}
