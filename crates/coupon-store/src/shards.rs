//! Reads, and the one update, on the shards.

use std::sync::Arc;
use std::time::Duration;

use coupon_core::{
    CouponResult, Money, Placement, ResultId, ResultQuery, ShardId, TableId, Timestamp, UserId,
};

use super::{LocalFuture, Unavailable};
use crate::metrics::Buckets;

/// The tables of one shard that a query visits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Visit {
    /// Every table of results there is.
    All,
    /// These, as far as they exist.
    Tables(Vec<TableId>),
}

/// A result, and the table it lives in.
pub type Found = (TableId, CouponResult);

/// One shard's answer.
#[derive(Debug, Clone)]
pub struct Visited<T> {
    /// The answer.
    pub value: T,
    /// The number of tables that were read for it.
    pub tables: u64,
    /// The time that the shard took, queueing included.
    pub took: Duration,
    /// Every grab acknowledged before this moment is included.
    pub as_of: Timestamp,
}

/// The part of a list that is wanted; lists run from the latest result to the earliest.
#[derive(Debug, Clone, Copy)]
pub struct PageRequest {
    /// Only results before this one.
    pub before: Option<ResultId>,
    /// At most so many.
    pub limit: usize,
}

/// The number of results a query covers, and the latest of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    /// Their number.
    pub results: u64,
    /// The time of the latest grab.
    pub last_grab: Option<Timestamp>,
}

/// Sums over results.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Their number.
    pub results: u64,
    /// The number that were spent.
    pub used: u64,
    /// The sum of their orders.
    pub order_amount: Money,
}

/// An order that spends a result.
#[derive(Debug, Clone, Copy)]
pub struct Spending {
    /// The user who holds it.
    pub user: UserId,
    /// The result.
    pub id: ResultId,
    /// The amount of the order.
    pub amount: Money,
    /// The time.
    pub time: Timestamp,
}

/// The outcome of an attempt to spend a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpendOutcome {
    /// It is spent now.
    Spent,
    /// It was spent before.
    AlreadyUsed,
}

/// A figure that some systems cannot give, with the reason.
pub type Figure<T> = Result<T, &'static str>;

/// A shard's state and the work it has done: since the service started on the embedded backend, in all on servers,
/// where several processes share it.
#[derive(Debug, Clone)]
pub struct ShardReport {
    /// True if it takes writes.
    pub up: bool,
    /// Results stored there.
    pub rows: u64,
    /// Results written.
    pub rows_written: u64,
    /// Transactions committed.
    pub commits: u64,
    /// Results written a second, lately; `None` in the first second.
    pub writes_per_s: Option<f64>,
    /// Results handed over and not in their table yet.
    pub queue_depth: u64,
    /// The time that commits took, from hand-over.
    pub write_latency: Option<Latency>,
    /// The time that reads took.
    pub read_latency: Option<Latency>,
    /// The same two, in buckets.
    pub took: (Arc<Buckets>, Arc<Buckets>),
    /// Every grab acknowledged before this moment is in its table.
    pub as_of: Timestamp,
    /// Open connections.
    pub connections: u64,
    /// CPU seconds spent on its reads and writes.
    pub cpu_seconds: Figure<f64>,
    /// Bytes its writer sent to storage.
    pub bytes_written: Figure<u64>,
    /// Results parked because they contradict what is stored.
    pub parked: u64,
}

/// A spread of latencies, in microseconds.
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "the fields are percentiles by name")]
pub struct Latency {
    pub count: u64,
    pub p50: u64,
    pub p90: u64,
    pub p99: u64,
    pub max: u64,
}

/// Reads, and the one update, on the shards.
pub trait Shards: Send + Sync {
    /// Results that the query covers, latest first, each with the table it lives in.
    fn page(
        &self,
        shard: ShardId,
        visit: Visit,
        query: ResultQuery,
        page: PageRequest,
    ) -> LocalFuture<'_, Result<Visited<Vec<Found>>, Unavailable>>;

    /// The result with that id, if it is in the tables visited.
    fn find(
        &self,
        shard: ShardId,
        visit: Visit,
        id: ResultId,
    ) -> LocalFuture<'_, Result<Visited<Option<Found>>, Unavailable>>;

    /// Counts the results that the query covers.
    fn summary(
        &self,
        shard: ShardId,
        visit: Visit,
        query: ResultQuery,
    ) -> LocalFuture<'_, Result<Visited<Summary>, Unavailable>>;

    /// Sums over the tables visited, counted now.
    fn totals(&self, shard: ShardId, visit: Visit) -> LocalFuture<'_, Result<Visited<Totals>, Unavailable>>;

    /// The same sums as the shard's writer keeps them: no table is read.
    fn kept_totals(&self, shard: ShardId) -> LocalFuture<'_, Result<Visited<Totals>, Unavailable>>;

    /// Spends a result that lives there.
    fn spend(
        &self,
        placement: Placement,
        spending: Spending,
    ) -> LocalFuture<'_, Result<SpendOutcome, Unavailable>>;

    /// The shard's state and work; `None` when there is no such shard.
    fn report(&self, shard: ShardId) -> LocalFuture<'_, Option<ShardReport>>;
}
