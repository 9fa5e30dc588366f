//! The change of a contestant's layout, as the page shows it: when, what was written where before and after, and what moves.

use std::sync::Arc;
use std::time::{Duration, Instant};

use coupon_core::{ShardingStrategy, Timestamp};
use coupon_lab::growth::{AnnouncedChange, ChangeEvent};
use coupon_loadgen::load::GrabRecord;
use coupon_report::model::GrowthRound;
use serde::Serialize;

use crate::compare::key_of;

/// The change, once it was announced. Times are in seconds since the load began.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(super) struct Change {
    what: String,
    asked_s: f64,
    in_force_s: f64,
    /// The time at which all rows had been moved.
    even_s: Option<f64>,
    /// Rows moved so far.
    moved: u64,
    /// The longest time without a decided grab from the change on; known once the load is over.
    pause_ms: Option<f64>,
    /// Rows a second by shard, by where their grabs were placed.
    written_before: Vec<f64>,
    written_after: Vec<f64>,
}

/// The rows that a load wrote, by shard, before and after a change of the layout.
#[derive(Debug)]
pub(super) struct Writes {
    before: Arc<dyn ShardingStrategy>,
    after: Option<(Timestamp, Arc<dyn ShardingStrategy>)>,
    rows: [Vec<u64>; 2],
}

impl Writes {
    pub(super) const fn new(before: Arc<dyn ShardingStrategy>) -> Self {
        Self { before, after: None, rows: [Vec::new(), Vec::new()] }
    }

    /// Counts those of the grabs that were granted.
    pub(super) fn add(&mut self, grabs: &[GrabRecord]) {
        for key in grabs.iter().filter_map(key_of) {
            let [before, after] = &mut self.rows;
            let (strategy, rows) = match &self.after {
                Some((from, strategy)) if key.time >= *from => (strategy, after),
                _ => (&self.before, before),
            };
            let Ok(place) = strategy.place(&key) else { continue };
            let shard = place.shard.index();
            rows.resize(rows.len().max(shard + 1), 0);
            rows.iter_mut().skip(shard).take(1).for_each(|rows| *rows += 1);
        }
    }

    fn goes_on(&mut self, version: &AnnouncedChange) {
        self.after = self.before.of_layout(&version.layout).map(|strategy| (version.from, strategy));
    }

    /// Rows a second of each shard that there is by now: before, and after.
    fn per_s(&self, before: f64, after: f64) -> [Vec<f64>; 2] {
        let last = self.after.as_ref().map_or(&self.before, |(_, strategy)| strategy);
        let shards = usize::from(self.before.shard_count().max(last.shard_count()).get());
        let [rows_before, rows_after] = &self.rows;
        [(rows_before, before), (rows_after, after)].map(|(rows, seconds)| {
            let of = |shard| rows.get(shard).copied().unwrap_or(0) as f64;
            (0..shards).map(|shard| if seconds > 0.0 { of(shard) / seconds } else { 0.0 }).collect()
        })
    }
}

impl Change {
    /// Takes in a step of the change of a layout whose load began at that moment.
    pub(super) fn step(
        change: &mut Option<Self>,
        writes: &mut Writes,
        began: Instant,
        event: &ChangeEvent<'_>,
    ) {
        let since = |moment: Instant| moment.saturating_duration_since(began).as_secs_f64();
        if let ChangeEvent::Announced(version) = event {
            writes.goes_on(version);
            let (asked_s, in_force_s) = (since(version.asked), since(version.in_force));
            *change = Some(Self { what: version.what.clone(), asked_s, in_force_s, ..Self::default() });
        }
        let Some(change) = change else { return };
        match event {
            ChangeEvent::Announced(_) => {}
            ChangeEvent::Moving(view) => change.moved = view.moved,
            ChangeEvent::Even(changed) => {
                (change.moved, change.even_s) = (changed.moved, Some(since(changed.even)));
            }
        }
    }

    /// Says what was written so long after the load began.
    pub(super) fn count(&mut self, writes: &Writes, elapsed: Duration) {
        let (elapsed, split) = (elapsed.as_secs_f64(), self.in_force_s);
        [self.written_before, self.written_after] =
            writes.per_s(elapsed.min(split), (elapsed - split).max(0.0));
    }

    /// The change as the report has it.
    pub(super) fn of_round(round: &GrowthRound) -> Self {
        Self {
            what: round.what.clone(),
            asked_s: round.asked_s,
            in_force_s: round.in_force_s,
            even_s: round.even_s.value(),
            moved: round.rows_moved.value().unwrap_or(0.0) as u64,
            pause_ms: round.longest_pause_ms.value(),
            written_before: round.written_before.clone(),
            written_after: round.written_after.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU16;

    use coupon_core::ResultId;
    use coupon_loadgen::load::GrabOutcome;
    use coupon_strategies::strategy;

    use super::*;

    fn grab(user_id: u64, millis: i64) -> GrabRecord {
        let id = ResultId::from_parts(Timestamp::from_millis(millis), 1, 0).unwrap();
        GrabRecord {
            user_id,
            coupon_id: 1,
            room_id: Some(1),
            request: None,
            outcome: GrabOutcome::Granted { result_id: id.number() },
            at: Duration::ZERO,
            held: None,
            told_at: Timestamp::from_millis(millis),
        }
    }

    #[test]
    fn rows_count_where_the_layout_of_their_time_places_them() {
        let from = 1_800_000_000_000;
        let four = strategy("hash", NonZeroU16::new(4).unwrap(), &[]).unwrap();
        let eight = strategy("hash", NonZeroU16::new(8).unwrap(), &[]).unwrap();
        let began = Instant::now();
        let version = AnnouncedChange {
            what: "go on over 8 shards".to_owned(),
            layout: eight.layout(),
            from: Timestamp::from_millis(from),
            asked: began + Duration::from_secs(1),
            in_force: began + Duration::from_secs(2),
        };
        let (mut writes, mut change) = (Writes::new(four), None);
        writes.add(&(0..400).map(|user| grab(user + 1, from - 1)).collect::<Vec<_>>());
        Change::step(&mut change, &mut writes, began, &ChangeEvent::Announced(&version));
        writes.add(&(0..400).map(|user| grab(user + 1, from)).collect::<Vec<_>>());
        let mut change = change.unwrap();
        change.count(&writes, Duration::from_secs(4));
        assert_eq!((change.asked_s, change.in_force_s, change.even_s), (1.0, 2.0, None));
        let sum = |rows: &[f64]| rows.iter().sum::<f64>();
        assert_eq!((sum(&change.written_before), sum(&change.written_after)), (200.0, 200.0));
        assert_eq!(change.written_before.len(), 8);
        assert!(change.written_before[4..].iter().all(|rows| *rows == 0.0), "{change:?}");
        assert!(change.written_after.iter().all(|rows| *rows > 0.0), "{change:?}");
    }
}
