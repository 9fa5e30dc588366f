//! The worth of a change of the layout: rows are counted by spans of time, and some of each span are looked at.

use std::num::NonZeroU32;

use coupon_core::{
    RESULT_ID_EPOCH, ResultQuery, RowKey, ShardingStats, ShardingStrategy, TimeRange, Timestamp, Versioned,
};
use coupon_store::{PageRequest, Unavailable};

use crate::api::LayoutForecast;
use crate::queries::Queries;

const MINUTE_MS: i64 = 60_000;
/// The last minutes, and the spans that they are looked at in.
const LAST_MINUTES: i64 = 10;
/// The days that are looked at one by one.
const DAYS: i64 = 32;
const DAY_MS: i64 = 24 * 60 * MINUTE_MS;
/// The rows of a span that are looked at, at most.
const LOOKED_AT: usize = 1_000;
/// The fewest rows for each shard by which shares say more than chance: the hottest of eight evenly loaded shards has a
/// fifth more than its part of so many by chance alone.
const FEWEST_A_SHARD: u64 = 100;
/// About what a row takes, with its entries of indexes.
const ROW_BYTES: u64 = 150;

/// A span of time, in which rows are taken to be much alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    time: TimeRange,
    /// True if it is one of the last minutes.
    recent: bool,
}

/// The spans of all time until now: the last minutes, the days before, and the rest.
pub(super) fn spans(now: Timestamp) -> Vec<Span> {
    let ago = |millis: i64| now.plus_millis(-millis).max(RESULT_ID_EPOCH);
    let minutes =
        (0..LAST_MINUTES).step_by(2).map(|minute| (minute * MINUTE_MS, (minute + 2) * MINUTE_MS, true));
    let today = std::iter::once((LAST_MINUTES * MINUTE_MS, DAY_MS, false));
    let days = (1..DAYS).map(|day| (day * DAY_MS, (day + 1) * DAY_MS, false));
    let mut spans: Vec<Span> = minutes
        .chain(today)
        .chain(days)
        .map(|(to, from, recent)| Span { time: TimeRange::new(ago(from), ago(to)), recent })
        .collect();
    spans.push(Span { time: TimeRange::new(RESULT_ID_EPOCH, ago(DAYS * DAY_MS)), recent: false });
    // A row that is later than now by this clock counts as grabbed now.
    if let Some(last) = spans.first_mut() {
        last.time = TimeRange::new(last.time.start, Timestamp::MAX);
    }
    spans.retain(|span| !span.time.is_empty());
    spans
}

/// The rows of a span: their number, and the latest of them.
#[derive(Debug, Clone)]
pub(super) struct Stratum {
    rows: u64,
    looked_at: Vec<RowKey>,
    recent: bool,
}

impl Stratum {
    /// Counts the rows of a span, and looks at some.
    pub(super) async fn of(span: Span, queries: &Queries, now: Timestamp) -> Result<Self, Unavailable> {
        let query = ResultQuery::within(span.time);
        let (counted, answered) = queries.summary(query, now).await?;
        let mut stratum = Self { rows: counted.results, looked_at: Vec::new(), recent: span.recent };
        let mut missing = answered.missing;
        if stratum.rows > 0 {
            let page = queries.page(query, PageRequest { before: None, limit: LOOKED_AT }, now).await?;
            stratum.looked_at = page.items.iter().map(|result| result.key()).collect();
            missing.extend(page.answered.missing);
        }
        match missing.first() {
            Some(shard) => Err(Unavailable::new(format!("shard {shard}"), "its rows cannot be counted")),
            None => Ok(stratum),
        }
    }

    /// The number of rows that each one that was looked at stands for.
    #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
    fn weight(&self) -> f64 {
        self.rows as f64 / self.looked_at.len().max(1) as f64
    }
}

/// The worth of a change to `after`.
pub(super) fn of(
    strata: &[Stratum],
    before: &Versioned,
    after: &dyn ShardingStrategy,
    rows_per_s: NonZeroU32,
) -> LayoutForecast {
    let recent = |stratum: &&Stratum| stratum.recent && stratum.rows > 0;
    let lately: Vec<&Stratum> = strata.iter().filter(recent).collect();
    let (counted, of) = if lately.is_empty() {
        ("rows of all times", strata.iter().collect())
    } else {
        ("rows of the last 10 minutes", lately)
    };
    let spread_before = spread(&of, &*before.latest().strategy);
    let spread_after = spread(&of, after);
    let (mut moved, mut to_other_shards) = (0.0, 0.0);
    for stratum in strata {
        for row in &stratum.looked_at {
            let (Ok(is), Ok(will)) = (before.home(row), after.place(row)) else { continue };
            moved += if is == will { 0.0 } else { stratum.weight() };
            to_other_shards += if is.shard == will.shard { 0.0 } else { stratum.weight() };
        }
    }
    let rows_to_move = whole(moved);
    LayoutForecast {
        counted: counted.to_owned(),
        rows_counted: of.iter().map(|stratum| stratum.looked_at.len() as u64).sum(),
        rows_needed: FEWEST_A_SHARD * u64::from(after.shard_count().get()),
        effective_shards_before: spread_before.effective_shards,
        effective_shards_after: spread_after.effective_shards,
        shares_before: spread_before.share,
        shares_after: spread_after.share,
        rows: strata.iter().map(|stratum| stratum.rows).sum(),
        rows_to_move,
        rows_to_other_shards: whole(to_other_shards),
        bytes_to_move: rows_to_move * ROW_BYTES,
        rows_per_s: rows_per_s.get(),
        seconds: moved / f64::from(rows_per_s.get()),
    }
}

/// The spread of rows like these over shards, were they written by a strategy.
fn spread(strata: &[&Stratum], strategy: &dyn ShardingStrategy) -> ShardingStats {
    let mut work = vec![0.0; usize::from(strategy.shard_count().get())];
    for stratum in strata {
        for row in &stratum.looked_at {
            let shard = strategy.place(row).ok().and_then(|place| work.get_mut(place.shard.index()));
            if let Some(work) = shard {
                *work += stratum.weight();
            }
        }
    }
    ShardingStats::of(work)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count, and not negative")]
fn whole(rows: f64) -> u64 {
    rows.round() as u64
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU16;
    use std::sync::Arc;

    use coupon_core::{Placement, Plan, RoomId, RouteError, ShardId, UserId};

    use super::*;

    /// Rooms by their remainder.
    #[derive(Debug)]
    struct ByRoom(u16);

    impl ShardingStrategy for ByRoom {
        fn name(&self) -> &str {
            "by-room"
        }
        fn shard_count(&self) -> NonZeroU16 {
            NonZeroU16::new(self.0).unwrap()
        }
        fn place(&self, row: &RowKey) -> Result<Placement, RouteError> {
            let shard = (row.room.get() % u64::from(self.0)) as u16;
            Ok(Placement::single(ShardId::new(shard)))
        }
        fn plan(&self, _query: &ResultQuery) -> Plan {
            Plan::All
        }
    }

    fn stratum(rows: u64, rooms: &[u64], recent: bool) -> Stratum {
        let key = |room: &u64| RowKey {
            user: UserId::new(1).unwrap(),
            room: RoomId::new(*room).unwrap(),
            time: Timestamp::from_millis(1_800_000_000_000),
        };
        Stratum { rows, looked_at: rooms.iter().map(key).collect(), recent }
    }

    fn forecast(strata: &[Stratum]) -> LayoutForecast {
        let before = Versioned::first(Arc::new(ByRoom(2)));
        of(strata, &before, &ByRoom(4), NonZeroU32::new(100).unwrap())
    }

    #[test]
    fn rows_that_were_looked_at_stand_for_all_of_their_span() {
        let strata = [stratum(1_000, &[1, 2, 3, 4], false), stratum(10, &[1], false)];
        let forecast = forecast(&strata);
        // Of the first span, rooms 2 and 3 go to other shards; of the second, none.
        assert_eq!((forecast.rows, forecast.rows_to_move, forecast.rows_to_other_shards), (1_010, 500, 500));
        assert_eq!((forecast.bytes_to_move, forecast.seconds), (75_000, 5.0));
        assert_eq!(forecast.counted, "rows of all times");
    }

    #[test]
    fn new_rows_are_judged_by_those_of_the_last_minutes() {
        let strata = [stratum(30, &[1, 3, 5], true), stratum(90_000, &[2], false)];
        let forecast = forecast(&strata);
        assert_eq!(forecast.counted, "rows of the last 10 minutes");
        assert_eq!((forecast.rows_counted, forecast.rows_needed), (3, 400));
        assert_eq!(forecast.shares_before, [0.0, 1.0]);
        assert_eq!(
            (forecast.effective_shards_before, forecast.effective_shards_after),
            (Some(1.0), Some(1.5))
        );
    }

    #[test]
    fn without_rows_nothing_is_moved_and_nothing_is_worth_anything() {
        let forecast = forecast(&[stratum(0, &[], true), stratum(0, &[], false)]);
        assert_eq!(
            (forecast.rows_to_move, forecast.effective_shards_after, forecast.seconds),
            (0, None, 0.0)
        );
    }

    #[test]
    fn spans_cover_all_time_once() {
        let now = Timestamp::from_millis(1_800_000_000_000);
        let spans = spans(now);
        assert_eq!(
            (spans.first().unwrap().time.end, spans.last().unwrap().time.start),
            (Timestamp::MAX, RESULT_ID_EPOCH)
        );
        assert!(spans.windows(2).all(|pair| pair[0].time.start == pair[1].time.end));
        assert_eq!(spans.iter().filter(|span| span.recent).count(), 5);
    }
}
