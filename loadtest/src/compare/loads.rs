//! The load of each round, and of the warm-up before them.

use std::time::Duration;

use coupon_loadgen::load::LoadSpec;
use coupon_loadgen::workload::{Requests, Workload};
use coupon_measure::turns::seed_of_round;

/// The number of a trace's requests that a warm-up asks about.
const LOOKS: usize = 1_000;

/// The load of a round: with a seed drawn for it, and of a trace the part whose turn it is.
pub(super) fn of_round(load: &LoadSpec, index: u32, rounds: u32) -> LoadSpec {
    let round = LoadSpec { seed: seed_of_round(load.seed, Some(index)), ..load.clone() };
    let Some(part) = load.workload.trace().map(|trace| trace.part(index, rounds)) else { return round };
    // The end is exclusive: one step more includes the last request.
    let own = part.length().map(|length| length + Duration::from_millis(1));
    LoadSpec { duration: own.unwrap_or(load.duration), workload: with_trace(load, part), ..round }
}

/// The time that the longest of the rounds is to take: those of a trace have lengths of their own.
pub(super) fn longest_round(load: &LoadSpec, rounds: u32) -> Duration {
    let of_trace = |index| of_round(load, index, rounds).duration;
    match load.workload.trace() {
        Some(_) => (0..rounds).map(of_trace).max().unwrap_or(load.duration),
        None => load.duration,
    }
}

/// The load before the first round: of a trace nothing that it will send itself, since its grabs would then be
/// refused as duplicates.
pub(super) fn of_warm_up(load: &LoadSpec, longest: Duration) -> LoadSpec {
    let duration = load.duration.min(longest);
    let warm_up =
        LoadSpec { duration, seed: seed_of_round(load.seed, None), keep_each: false, ..load.clone() };
    match load.workload.trace() {
        Some(trace) => LoadSpec { workload: with_trace(load, trace.looks(LOOKS)), ..warm_up },
        None => warm_up,
    }
}

fn with_trace(load: &LoadSpec, trace: coupon_loadgen::workload::Trace) -> Workload {
    Workload { requests: Requests::Trace(trace), ..load.workload.clone() }
}

#[cfg(test)]
mod tests {
    use coupon_core::Timestamp;
    use coupon_loadgen::load::Arrivals;
    use coupon_loadgen::workload::{Endpoint, Request, Schedule, Trace};

    use super::*;

    fn replay() -> LoadSpec {
        let request = |user_id| Request::alone(Endpoint::Grab, user_id, 1, 1);
        let requests: Vec<_> =
            (0..10).map(|n| (Timestamp::from_millis(1_000 * n), request(n.cast_unsigned() + 1))).collect();
        let trace = Trace::of("x.csv".into(), &requests, Some(2.0));
        let workload = Workload { requests: Requests::Trace(trace), ..Workload::default() };
        LoadSpec { workload, ..LoadSpec::new(Arrivals::Open { rate: 5.0 }) }
    }

    #[test]
    fn the_rounds_of_a_trace_send_all_of_it_once() {
        let load = replay();
        let rounds: Vec<LoadSpec> = (0..4).map(|index| of_round(&load, index, 4)).collect();
        let users: Vec<u64> = rounds
            .iter()
            .flat_map(|round| Schedule::new(&round.workload, 1))
            .map(|request| request.user_id)
            .collect();
        assert_eq!(users, (1..=10).collect::<Vec<_>>());
        // Requests 3 to 5, a second apart, at twice the speed: the last is due after a second, and must be sent.
        assert_eq!(rounds[1].duration, Duration::from_millis(1_001));
    }

    #[test]
    fn a_gap_in_a_trace_is_a_part_of_its_round_and_no_waiting() {
        let request = |user_id| Request::alone(Endpoint::Grab, user_id, 1, 1);
        let at = |n: i64| Timestamp::from_millis(1_000 * n + if n < 5 { 0 } else { 120_000 });
        let requests: Vec<_> = (0..10).map(|n| (at(n), request(n.cast_unsigned() + 1))).collect();
        let trace = Trace::of("x.csv".into(), &requests, Some(1.0));
        let load = LoadSpec {
            duration: Duration::from_secs(26),
            workload: with_trace(&replay(), trace),
            ..LoadSpec::new(Arrivals::Open { rate: 5.0 })
        };
        // Two requests a round, and all of the gap in the third.
        assert_eq!(of_round(&load, 2, 5).duration, Duration::from_millis(121_001));
        assert_eq!(longest_round(&load, 5), Duration::from_millis(121_001));
        let drawn = LoadSpec::new(Arrivals::Open { rate: 5.0 });
        assert_eq!(longest_round(&drawn, 5), drawn.duration);
    }

    #[test]
    fn a_warm_up_grabs_nothing_of_a_trace() {
        let warm_up = of_warm_up(&replay(), Duration::from_secs(1));
        let asked: Vec<Request> = Schedule::new(&warm_up.workload, 1).collect();
        assert!(
            asked.len() == 10 && asked.iter().all(|request| request.endpoint != Endpoint::Grab),
            "{asked:?}"
        );
    }

    #[test]
    fn scenarios_are_the_same_in_every_round_but_for_their_seed() {
        let load = LoadSpec::new(Arrivals::Open { rate: 5.0 });
        let (one, other) = (of_round(&load, 0, 5), of_round(&load, 1, 5));
        assert_eq!((one.duration, &one.workload), (load.duration, &load.workload));
        assert_ne!(one.seed, other.seed);
    }
}
