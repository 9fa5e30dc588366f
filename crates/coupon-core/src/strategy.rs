//! The one thing the services differ in.

use std::fmt::Debug;
use std::num::NonZeroU16;

use crate::{Placement, Plan, ResultQuery, RoomId, ShardId, TimeRange, Timestamp, UserId};

/// What a strategy may look at to place a row. None of it ever changes once the row is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RowKey {
    /// Who grabbed.
    pub user: UserId,
    /// The room whose coupon it was.
    pub room: RoomId,
    /// When: the time within the result's id.
    pub time: Timestamp,
}

/// A row that a strategy has no place for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RouteError {
    /// The room lies outside every range.
    #[error("room_id {0} lies outside every configured range")]
    RoomOutOfRange(RoomId),
}

/// Decides where rows live and which places a query must visit.
///
/// A strategy is pure: no I/O, no clock, no lock, no randomness. It is called for every grab, on the thread
/// that serves the request, so it should take nanoseconds. [`crate::laws::check`] tests what is promised here.
pub trait ShardingStrategy: Debug + Send + Sync + 'static {
    /// What reports and logs call it, for example `range-time`.
    fn name(&self) -> &str;

    /// How many shards it spreads rows over.
    fn shard_count(&self) -> NonZeroU16;

    /// Where a row lives. The same row always lives in the same place.
    ///
    /// # Errors
    /// [`RouteError`] for a row that has no place; the grab is then refused before any stock is touched.
    fn place(&self, row: &RowKey) -> Result<Placement, RouteError>;

    /// Every placement that may hold a row the query covers, and no other.
    fn plan(&self, query: &ResultQuery) -> Plan;

    /// Whether the latest results that the query covers are on all shards of its plan alike. A page then takes a share of
    /// each shard instead of a page, and asks again where that was too little: saying so wrongly costs time, never a result.
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

    /// Why a row lives where it does, step by step, for people.
    fn explain(&self, row: &RowKey) -> Vec<String> {
        match self.place(row) {
            Ok(placement) => vec![placement.to_string()],
            Err(error) => vec![error.to_string()],
        }
    }
}
