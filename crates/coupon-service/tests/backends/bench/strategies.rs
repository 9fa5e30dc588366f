//! The strategies that the suite's backends go by.

use std::num::NonZeroU16;
use std::sync::Arc;

use coupon_core::{
    CouponResult, Placement, Plan, ResultQuery, RoomId, RouteError, RowKey, ShardId, ShardingStrategy,
    TableId, TimeRange, UserId,
};
use coupon_store::Backend;
use coupon_store::settings::DecidedBy;

use super::now;

/// Two shards by the parity of the user, a table a day.
#[derive(Debug)]
pub(crate) struct ParityAndDay;

impl ShardingStrategy for ParityAndDay {
    fn name(&self) -> &str {
        "parity-and-day"
    }
    fn shard_count(&self) -> NonZeroU16 {
        NonZeroU16::new(2).unwrap()
    }
    fn place(&self, row: &RowKey) -> Result<Placement, RouteError> {
        Ok(Placement::new(shard_of(row.user.get()), TableId::Day(row.time.day())))
    }
    fn plan(&self, _query: &ResultQuery) -> Plan {
        Plan::All
    }
    fn tables(&self, window: TimeRange) -> Vec<Placement> {
        let days = [window.start.day(), window.start.day().next(), window.end.day()];
        let on = |shard| days.map(|day| Placement::new(ShardId::new(shard), TableId::Day(day)));
        [on(0), on(1)].concat()
    }
}

pub(crate) fn shard_of(user: u64) -> ShardId {
    ShardId::new((user % 2) as u16)
}

/// One shard with one table, whose database decides grabs.
#[derive(Debug)]
pub(crate) struct OneTable;

impl ShardingStrategy for OneTable {
    fn name(&self) -> &str {
        "one-table"
    }
    fn shard_count(&self) -> NonZeroU16 {
        NonZeroU16::MIN
    }
    fn place(&self, _: &RowKey) -> Result<Placement, RouteError> {
        Ok(Placement::single(ShardId::new(0)))
    }
    fn plan(&self, _: &ResultQuery) -> Plan {
        Plan::All
    }
}

pub(crate) fn strategy(decided_by: DecidedBy) -> Arc<dyn ShardingStrategy> {
    match decided_by {
        DecidedBy::Gate => Arc::new(ParityAndDay),
        DecidedBy::Database => Arc::new(OneTable),
    }
}

/// The place of a row of a backend.
pub(crate) fn place(backend: &Backend, row: &CouponResult) -> Placement {
    backend.layouts.look(|versions| versions.place(&row.key())).unwrap()
}

/// The shard of a user's rows of today.
pub(crate) fn home(backend: &Backend, user: u64) -> ShardId {
    let key = RowKey { user: UserId::new(user).unwrap(), room: RoomId::new(1).unwrap(), time: now() };
    backend.layouts.look(|versions| versions.place(&key)).unwrap().shard
}
