//! A turn's figures around the change: what was written where, how long nothing was decided, and what requests took before,
//! while rows moved, and after.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use coupon_core::{ResultId, RoomId, RowKey, ShardingStats, ShardingStrategy, Timestamp, UserId};
use coupon_lab::growth::CompletedChange;
use coupon_loadgen::load::{GrabOutcome, GrabRecord, LoadSpec, Outcome, Tally, Window};
use coupon_report::model::{Figure, GrowthPart, GrowthRound, ScenarioRound};

use super::super::sampler::Sample;

/// The rows of a load's granted grabs, each with the moment of its answer.
pub(super) fn keys_of(outcome: &Outcome) -> impl Iterator<Item = (Duration, RowKey)> {
    outcome.grabs.iter().filter_map(|grab| Some((grab.at, key_of(grab)?)))
}

/// The row of a granted grab.
pub(crate) fn key_of(grab: &GrabRecord) -> Option<RowKey> {
    let GrabOutcome::Granted { result_id } = grab.outcome else { return None };
    let time = ResultId::from_number(result_id).ok()?.time();
    Some(RowKey { user: UserId::new(grab.user_id).ok()?, room: RoomId::new(grab.room_id?).ok()?, time })
}

/// Rows of granted grabs, with the shard that each was written to.
pub(super) struct Written {
    /// The rows in the order of the answers.
    rows: Vec<(Duration, RowKey, usize)>,
    shards: usize,
}

impl Written {
    /// Places each row by the layout that was in force at its time.
    pub(super) fn of(
        outcome: &Outcome,
        before: &dyn ShardingStrategy,
        after: &dyn ShardingStrategy,
        from: Timestamp,
    ) -> Result<Self> {
        let place = |(at, key): (Duration, RowKey)| {
            let strategy = if key.time < from { before } else { after };
            let place = strategy
                .place(&key)
                .with_context(|| format!("{} has no place for a row", strategy.name()))?;
            Ok((at, key, place.shard.index()))
        };
        let shards = usize::from(before.shard_count().max(after.shard_count()).get());
        Ok(Self { rows: keys_of(outcome).map(place).collect::<Result<_>>()?, shards })
    }

    /// The keys of rows from before that time.
    pub(super) fn keys_before(&self, from: Timestamp) -> impl Iterator<Item = RowKey> {
        self.rows.iter().map(|(_, key, _)| *key).filter(move |key| key.time < from)
    }

    /// The number of rows that a shard got.
    pub(super) fn on(&self, shard: usize) -> usize {
        self.rows.iter().filter(|(.., on)| *on == shard).count()
    }

    /// Samples at the same moments, of these rows.
    pub(super) fn samples(&self, samples: &[Sample]) -> Vec<Sample> {
        let mut rows = vec![0; self.shards];
        let mut left = self.rows.iter().peekable();
        let of_these = |sample: &Sample| {
            while let Some((.., shard)) = left.next_if(|(at, ..)| *at <= sample.at) {
                if let Some(rows) = rows.get_mut(*shard) {
                    *rows += 1;
                }
            }
            let mut waiting = sample.waiting.clone();
            waiting.resize(self.shards, 0);
            Sample { at: sample.at, rows: rows.clone(), waiting }
        };
        samples.iter().map(of_these).collect()
    }

    /// Rows a second by shard, of the rows for which that holds and which were written in so many seconds.
    fn per_s(&self, seconds: f64, holds: impl Fn(&RowKey) -> bool) -> Vec<f64> {
        let mut rows = vec![0.0; self.shards];
        for (_, _, shard) in self.rows.iter().filter(|(_, key, _)| holds(key)) {
            if let Some(rows) = rows.get_mut(*shard) {
                *rows += 1.0;
            }
        }
        if seconds > 0.0 { rows.iter().map(|rows| rows / seconds).collect() } else { vec![0.0; self.shards] }
    }
}

/// The round, but for the rows predicted.
pub(super) fn round(
    changed: &CompletedChange,
    outcome: &Outcome,
    load: &LoadSpec,
    written: &Written,
) -> GrowthRound {
    let (version, end) = (&changed.version, load.duration);
    let since = |moment: Instant| moment.saturating_duration_since(outcome.began);
    let (asked, in_force, even) = (since(version.asked), since(version.in_force), since(changed.even));
    let (split, until) = (in_force.min(end), even.min(end));
    let written_before = written.per_s(split.as_secs_f64(), |key| key.time < version.from);
    let written_after = written.per_s((end - split).as_secs_f64(), |key| key.time >= version.from);
    let effective = |rows: &[f64]| {
        let worth = ShardingStats::of(rows.to_vec()).effective_shards;
        worth.map_or_else(|| Figure::unknown("nothing was written"), Figure::of)
    };
    let pause = |from, until, end| {
        let longest = outcome.longest_pause(from, until, end);
        longest.map_or_else(
            || Figure::unknown("no grab was decided"),
            |pause| Figure::of(pause.as_secs_f64() * 1e3),
        )
    };
    let part = |from, until| part(&outcome.window(from, until), (from, until), load.timeout);
    GrowthRound {
        what: version.what.clone(),
        layout: version.layout.clone(),
        asked_s: asked.as_secs_f64(),
        in_force_s: in_force.as_secs_f64(),
        even_s: Figure::of(even.as_secs_f64()),
        rows_per_s_most: changed.rate.get(),
        rows_moved: Figure::of(changed.moved as f64),
        rows_predicted: Figure::default(),
        moved_per_s: Figure::of(changed.moved as f64 / (changed.even - changed.moving).as_secs_f64()),
        longest_pause_before_ms: pause(Duration::ZERO, asked, asked),
        longest_pause_ms: pause(asked, until, end),
        effective_before: effective(&written_before),
        effective_after: effective(&written_after),
        written_before,
        written_after,
        before: part(Duration::ZERO, asked),
        during: part(since(changed.moving).min(until), until),
        after: part(until, end),
    }
}

/// A part of the load.
fn part(window: &Window, (from, until): (Duration, Duration), timeout: Duration) -> GrowthPart {
    let (plans, shards, tables) = window.planned;
    let mean = |sum: u64| match plans {
        0 => Figure::unknown("no answer named a plan"),
        _ => Figure::of(sum as f64 / plans as f64),
    };
    let requests = |tally: &Tally| ScenarioRound::of(&tally.latency, tally.requests(), tally.ok, timeout);
    let seconds = until.saturating_sub(from).as_secs_f64();
    GrowthPart {
        from_s: from.as_secs_f64(),
        until_s: until.as_secs_f64(),
        granted_per_s: if seconds > 0.0 {
            Figure::of(window.grabs.ok as f64 / seconds)
        } else {
            Figure::unknown("the load has no such part")
        },
        grabs: requests(&window.grabs),
        reads: requests(&window.reads),
        shards_visited: mean(shards),
        tables_visited: mean(tables),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn rows_count_from_the_start_by_the_shard_that_they_were_written_to() {
        let key = |millis| RowKey {
            user: UserId::new(1).unwrap(),
            room: RoomId::new(1).unwrap(),
            time: Timestamp::from_millis(millis),
        };
        let rows = vec![(ms(10), key(0), 0), (ms(300), key(500), 1), (ms(800), key(900), 1)];
        let written = Written { rows, shards: 3 };
        let sample = |at| Sample { at: ms(at), rows: vec![9], waiting: vec![7] };
        let samples = written.samples(&[sample(0), sample(500), sample(1_000)]);
        let rows: Vec<Vec<u64>> = samples.iter().map(|sample| sample.rows.clone()).collect();
        assert_eq!(rows, [[0, 0, 0], [1, 1, 0], [1, 2, 0]]);
        assert_eq!(samples[0].waiting, [7, 0, 0]);
        assert_eq!(
            (written.on(1), written.per_s(2.0, |key| key.time.millis() > 400)),
            (2, vec![0.0, 1.0, 0.0])
        );
        assert_eq!(written.keys_before(Timestamp::from_millis(500)).count(), 1);
    }

    #[test]
    fn a_part_that_the_load_did_not_reach_has_no_rate() {
        let window = Window { grabs: Tally::new(), reads: Tally::new(), planned: (2, 5, 8) };
        let empty = part(&window, (ms(2_000), ms(2_000)), ms(10_000));
        assert_eq!(empty.granted_per_s.reason(), Some("the load has no such part"));
        assert_eq!((empty.shards_visited, empty.tables_visited), (Figure::of(2.5), Figure::of(4.0)));
        assert!(empty.grabs.latency.known().is_none());
    }
}
