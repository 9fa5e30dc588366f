//! Ranges of time: one table a day (or hour), each on one shard.

use std::fmt;
use std::num::NonZeroU16;
use std::sync::Arc;

use coupon_core::{
    Day, Growth, Hour, LayoutChange, LayoutChangeError, LayoutPattern, Piece, Placement, Plan, ResultQuery,
    RouteError, RowKey, ShardingStrategy, TableId, TimeRange, Timestamp,
};
use coupon_service::AnyProgram as _;
use serde::Deserialize;

use crate::{LONGEST_PLAN, Spread};

/// The length of a table's range of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Bucket {
    /// A UTC day.
    #[default]
    Day,
    /// A UTC hour: today's rows reach every shard, though each moment's still go to one.
    Hour,
}

impl Bucket {
    /// The table a moment falls into, and that range's number since 1970.
    fn of(self, time: Timestamp) -> (TableId, u64) {
        match self {
            Self::Day => Self::day(time.day()),
            Self::Hour => Self::hour(time.hour()),
        }
    }

    fn day(day: Day) -> (TableId, u64) {
        (TableId::Day(day), day.number().unsigned_abs())
    }

    fn hour(hour: Hour) -> (TableId, u64) {
        (TableId::Hour(hour), hour.number().unsigned_abs())
    }

    fn within(self, window: TimeRange) -> Box<dyn Iterator<Item = (TableId, u64)>> {
        match self {
            Self::Day => Box::new(window.days().map(Self::day)),
            Self::Hour => Box::new(window.hours().map(Self::hour)),
        }
    }
}

impl fmt::Display for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Day => "day",
            Self::Hour => "hour",
        })
    }
}

/// Places a result by the moment of its grab: day d lives on shard d % shards.
#[derive(Debug, Clone)]
pub struct TimeRangeSharding {
    bucket: Bucket,
    spread: Spread,
}

impl TimeRangeSharding {
    /// The line that names its layout.
    pub const LAYOUT: LayoutPattern = LayoutPattern(&[
        Piece::Text("range of time, one table a UTC "),
        Piece::Value("bucket"),
        Piece::Text(", spread "),
        Piece::Value("spread"),
    ]);

    /// Buckets of that length, each spread as stated.
    #[must_use]
    pub const fn new(bucket: Bucket, spread: Spread) -> Self {
        Self { bucket, spread }
    }

    /// The tables of a window, in the lanes that a query must visit.
    fn placements(&self, window: TimeRange, lanes: std::ops::Range<u16>) -> impl Iterator<Item = Placement> {
        let spread = self.spread;
        self.bucket.within(window).flat_map(move |(table, number)| {
            lanes.clone().map(move |lane| Placement::new(spread.shard(number, lane), table))
        })
    }
}

impl ShardingStrategy for TimeRangeSharding {
    fn name(&self) -> &str {
        "range-time"
    }

    fn shard_count(&self) -> NonZeroU16 {
        self.spread.shard_count()
    }

    fn place(&self, row: &RowKey) -> Result<Placement, RouteError> {
        let (table, number) = self.bucket.of(row.time);
        Ok(Placement::new(self.spread.shard(number, self.spread.lane(row.user)), table))
    }

    fn plan(&self, query: &ResultQuery) -> Plan {
        match query.time {
            Some(window) => {
                Plan::at_most(self.placements(window, self.spread.lanes(query.user)), LONGEST_PLAN)
            }
            None => Plan::All,
        }
    }

    fn tables(&self, window: TimeRange) -> Vec<Placement> {
        self.placements(window, self.spread.lanes(None)).collect()
    }

    fn layout(&self) -> String {
        Self::LAYOUT.line(&[&self.bucket, &self.spread.width()], self.shard_count())
    }

    fn of_layout(&self, line: &str) -> Option<Arc<dyn ShardingStrategy>> {
        crate::PROGRAM.of_layout(&[Self::LAYOUT], &["by=time".to_owned()], line)
    }

    fn changed(&self, change: &LayoutChange) -> Result<Arc<dyn ShardingStrategy>, LayoutChangeError> {
        let spread = match change {
            LayoutChange::Shards(shards) => self.spread.over(*shards)?,
            LayoutChange::Spread(width) => self.spread.of_width(*width)?,
            LayoutChange::Split(_) => return Err(change.is_not_of(self.name())),
        };
        Ok(Arc::new(Self { spread, ..self.clone() }))
    }

    fn growths(&self, shards: NonZeroU16) -> Vec<Growth> {
        self.spread.growths(shards, |spread| Self { spread, ..self.clone() })
    }

    fn explain(&self, row: &RowKey) -> Vec<String> {
        let (table, number) = self.bucket.of(row.time);
        let (bucket, shards, lane) = (self.bucket, self.shard_count(), self.spread.lane(row.user));
        let mut steps = vec![format!("{} falls into {bucket} {number} since 1970: table {table}", row.time)];
        let width = self.spread.width();
        if width > NonZeroU16::MIN {
            steps.push(format!("spread {width}: xxh3(user_id {}) % {width} = {lane}", row.user));
        }
        let shard = self.spread.shard(number, lane);
        steps.push(format!("shard = ({number} + {lane}) % {shards} = {shard}"));
        steps
    }
}
