//! The one thing the services differ in.

use std::fmt::Debug;
use std::num::NonZeroU16;
use std::sync::Arc;

use crate::layout::shards_in;
use crate::{
    LayoutChange, LayoutChangeError, Placement, Plan, ResultQuery, RoomId, ShardId, TimeRange, Timestamp,
    UserId, Whole,
};

/// The part of a row that places it. None of it ever changes once the row is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RowKey {
    /// The user who grabbed.
    pub user: UserId,
    /// The room whose coupon it was.
    pub room: RoomId,
    /// The time within the result's id.
    pub time: Timestamp,
}

/// A row that a strategy has no place for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RouteError {
    /// The room lies outside every range.
    #[error("room_id {0} lies outside every configured range")]
    RoomOutOfRange(RoomId),
}

/// A way to go on over another number of shards.
#[derive(Debug, Clone)]
pub struct Growth {
    /// The way in words, for tables.
    pub how: &'static str,
    /// The places of rows afterwards.
    pub after: Arc<dyn ShardingStrategy>,
}

/// Decides where rows live and which places a query must visit.
///
/// A strategy is pure: no I/O, no clock, no lock, no randomness. It is called for every grab, on the thread
/// that serves the request, so it should take nanoseconds. [`crate::laws::check`] tests what is promised here.
pub trait ShardingStrategy: Debug + Send + Sync + 'static {
    /// The name in reports and logs, for example `range-time`.
    fn name(&self) -> &str;

    /// The number of shards that it spreads rows over; of an engine, the lanes.
    fn shard_count(&self) -> NonZeroU16;

    /// The visits that [`Plan::All`] takes: one to each shard or, for the strategy of an engine, one that the engine plans.
    fn whole(&self) -> Whole {
        Whole::Shards(self.shard_count())
    }

    /// The place of a row. The same row always lives in the same place.
    ///
    /// # Errors
    /// [`RouteError`] for a row that has no place; the grab is then refused before any stock is touched.
    fn place(&self, row: &RowKey) -> Result<Placement, RouteError>;

    /// Every placement that may hold a row the query covers, and no other.
    fn plan(&self, query: &ResultQuery) -> Plan;

    /// True when the latest results that the query covers are spread over all shards of its plan alike. A page then
    /// takes a share of each shard instead of a page, and asks again where that was too little: saying so wrongly
    /// costs time, never a result.
    fn is_even(&self, _query: &ResultQuery) -> bool {
        false
    }

    /// The tables that rows of that time may need, so that they can be made ahead of it.
    ///
    /// The default suits strategies with one table a shard.
    fn tables(&self, _window: TimeRange) -> Vec<Placement> {
        (0..self.shard_count().get()).map(|shard| Placement::single(ShardId::new(shard))).collect()
    }

    /// One line that holds every parameter that decides where a row lives. It is stored with the data: a service
    /// whose layout differs from its data's would look for rows where they are not, and refuses to start.
    fn layout(&self) -> String {
        format!("{}, {} shards", self.name(), self.shard_count())
    }

    /// The ways of going on over so many shards, for tools that show how many stored rows each of them moves.
    fn growths(&self, _shards: NonZeroU16) -> Vec<Growth> {
        Vec::new()
    }

    /// The strategy that a layout line names, if it is one that this strategy may have become, or come from.
    ///
    /// The default knows the ways of growing. A strategy that can change otherwise reads its own lines.
    fn of_layout(&self, line: &str) -> Option<Arc<dyn ShardingStrategy>> {
        let growths = self.growths(shards_in(line)?);
        growths.into_iter().map(|growth| growth.after).find(|after| after.layout() == line)
    }

    /// The strategy after a change. The default goes on over another number of shards in the first way there is.
    /// [`LayoutChange::of`] asks for it, and refuses what changes nothing.
    ///
    /// # Errors
    /// [`LayoutChangeError`] for a change that the strategy cannot make.
    fn changed(&self, change: &LayoutChange) -> Result<Arc<dyn ShardingStrategy>, LayoutChangeError> {
        let LayoutChange::Shards(shards) = change else { return Err(change.is_not_of(self.name())) };
        let mut growths = self.growths(*shards).into_iter().map(|growth| growth.after);
        let over = growths.find(|after| after.shard_count() == *shards);
        over.ok_or_else(|| change.is_not_of(self.name()))
    }

    /// Explains a row's place, step by step, for people.
    fn explain(&self, row: &RowKey) -> Vec<String> {
        match self.place(row) {
            Ok(placement) => vec![placement.to_string()],
            Err(error) => vec![error.to_string()],
        }
    }
}
