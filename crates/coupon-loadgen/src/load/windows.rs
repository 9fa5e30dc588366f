//! Parts of a load whose bounds are known only afterwards.

use std::time::Duration;

use super::outcome::{End, GrabOutcome, GrabRecord, Outcome, Refusal, Tally};
use crate::workload::Endpoint;

/// The requests that were due in a part of a load.
#[derive(Debug, Clone)]
pub struct Window {
    /// Grabs that were granted or failed; refused ones are left out.
    pub grabs: Tally,
    /// All other requests.
    pub reads: Tally,
    /// Answers that named a plan, and the shards and tables of those plans, summed.
    pub planned: (u64, u64, u64),
}

impl Outcome {
    /// The requests that were due in a part of the load, if each was kept ([`super::LoadSpec::keep_each`]). Those that
    /// failed have no latency.
    #[must_use]
    pub fn window(&self, from: Duration, until: Duration) -> Window {
        let mut window = Window { grabs: Tally::new(), reads: Tally::new(), planned: (0, 0, 0) };
        for ended in self.each.iter().filter(|ended| (from..until).contains(&ended.due)) {
            let tally = match (ended.endpoint, ended.end) {
                (Endpoint::Grab, End::Refused) => continue,
                (Endpoint::Grab, _) => &mut window.grabs,
                _ => &mut window.reads,
            };
            let ok = ended.end == End::Granted;
            tally.count(ok, Some(ended.took).filter(|_| ok));
            if let Some((shards, tables)) = ended.visited {
                let (plans, of_shards, of_tables) = window.planned;
                window.planned = (plans + 1, of_shards + shards, of_tables + tables);
            }
        }
        window
    }

    /// The longest time without a grab that was decided, granted or refused by the gate, of those that touch a part of
    /// the load. The load's start and `end`, its own or that of what is looked at, bound such times as well. None if no
    /// grab was decided.
    #[must_use]
    pub fn longest_pause(&self, from: Duration, until: Duration, end: Duration) -> Option<Duration> {
        let decided: Vec<Duration> =
            self.grabs.iter().filter(|grab| is_decided(grab)).map(|grab| grab.at).collect();
        longest_pause(&decided, (from, until), end)
    }
}

const fn is_decided(grab: &GrabRecord) -> bool {
    matches!(grab.outcome, GrabOutcome::Granted { .. } | GrabOutcome::Refused(Refusal::Decided(_)))
}

fn longest_pause(
    decided: &[Duration],
    (from, until): (Duration, Duration),
    end: Duration,
) -> Option<Duration> {
    let first = std::iter::once(Duration::ZERO).chain(decided.iter().copied());
    let last = decided.iter().copied().chain([end]);
    let touching = first.zip(last).filter(|(before, after)| *after >= from && *before <= until);
    let longest = touching.map(|(before, after)| after.min(end).saturating_sub(before)).max();
    longest.filter(|_| !decided.is_empty())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Instant;

    use super::*;
    use crate::load::{Ended, GeneratorCost, GrabLatency, GrabsByOutcome};

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn a_pause_counts_where_it_touches_the_window_and_the_loads_end_ends_one() {
        let decided = [ms(10), ms(400), ms(410), ms(1_000), ms(1_010)];
        let longest = |from, until| longest_pause(&decided, (ms(from), ms(until)), ms(2_000));
        assert_eq!(longest(0, 415), Some(ms(590)), "one began within the window and ended after it");
        assert_eq!(longest(0, 399), Some(ms(390)));
        assert_eq!(longest(1_005, 1_100), Some(ms(990)), "nothing was decided until the end");
        let before = longest_pause(&decided, (ms(0), ms(500)), ms(500));
        assert_eq!(before, Some(ms(390)), "what began before the end counts no further than to it");
        assert_eq!(longest_pause(&[], (ms(0), ms(9)), ms(10)), None);
    }

    #[test]
    fn requests_belong_to_the_part_in_which_they_were_due() {
        let ended =
            |endpoint, due, end| Ended { endpoint, due: ms(due), took: ms(2), end, visited: Some((4, 8)) };
        let outcome = Outcome {
            endpoints: BTreeMap::new(),
            scenarios: Vec::new(),
            grabs: Vec::new(),
            counts: GrabsByOutcome::default(),
            grab_latency: GrabLatency::new(),
            steps: Vec::new(),
            phases: Vec::new(),
            each: vec![
                ended(Endpoint::Grab, 100, End::Granted),
                ended(Endpoint::Grab, 200, End::Refused),
                ended(Endpoint::RoomOrders, 300, End::Granted),
                ended(Endpoint::RoomOrders, 400, End::Failed),
                ended(Endpoint::Grab, 1_000, End::Granted),
            ],
            began: Instant::now(),
            elapsed: ms(2_000),
            generator: GeneratorCost::default(),
            sold_out: 0,
            unsent: 0,
            reconnects: 0,
        };
        let Window { grabs, reads, planned } = outcome.window(ms(0), ms(1_000));
        assert_eq!((grabs.ok, grabs.requests(), grabs.latency.len()), (1, 1, 1));
        assert_eq!((reads.ok, reads.requests(), reads.latency.len()), (1, 2, 1));
        assert_eq!(planned, (3, 12, 24));
    }
}
