//! Reads, and the changes of results, on the shards.

use std::sync::Arc;
use std::time::Duration;

use coupon_core::after_grab::Action;
use coupon_core::{
    CouponId, CouponResult, Money, Place, Placement, ResultId, ResultQuery, ShardId, TableId, Timestamp,
    UseStatus, UserId,
};

use super::{LocalFuture, Unavailable};
use crate::metrics::Buckets;

/// The tables of one place that a query visits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Visit {
    /// Every table of results there is.
    All,
    /// These, as far as they exist.
    Tables(Vec<TableId>),
}

/// A result, and the table it lives in.
pub type Found = (TableId, CouponResult);

/// One place's answer.
#[derive(Debug, Clone)]
pub struct Visited<T> {
    /// The answer.
    pub value: T,
    /// The number of tables that were read for it.
    pub tables: u64,
    /// The time that it took, queueing included.
    pub took: Duration,
    /// Every grab acknowledged before this moment is included, but for the missing shards'.
    pub as_of: Timestamp,
    /// Shards that did not answer, where one visit asks several: what they hold is missing.
    pub missing: Vec<ShardId>,
}

impl<T> Visited<T> {
    /// The same, with what is made of the answer.
    ///
    /// # Errors
    /// When nothing can be made of it.
    pub fn try_map<U, E>(self, of: impl FnOnce(T) -> Result<U, E>) -> Result<Visited<U>, E> {
        let Self { value, tables, took, as_of, missing } = self;
        Ok(Visited { value: of(value)?, tables, took, as_of, missing })
    }
}

/// The part of a list that is wanted; lists run from the latest result to the earliest.
#[derive(Debug, Clone, Copy)]
pub struct PageRequest {
    /// Only results before this one.
    pub before: Option<ResultId>,
    /// The most of them.
    pub limit: usize,
}

/// The number of results a query covers, and the latest of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ResultSummary {
    /// Their number.
    pub results: u64,
    /// The time of the latest grab.
    pub last_grab: Option<Timestamp>,
}

/// Sums over results.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Their number, whatever became of them.
    pub results: u64,
    /// The number that were spent.
    pub used: u64,
    /// The sum of their orders.
    pub order_amount: Money,
    /// The number that gave their stock back.
    pub given_back: u64,
}

impl Totals {
    /// The sums over one result.
    #[must_use]
    pub fn of(result: &CouponResult) -> Self {
        Self {
            results: 1,
            used: u64::from(result.use_status == UseStatus::Used),
            order_amount: result.order_amount.unwrap_or_default(),
            given_back: u64::from(result.slot.is_none()),
        }
    }
}

impl std::ops::SubAssign for Totals {
    fn sub_assign(&mut self, less: Self) {
        self.results = self.results.saturating_sub(less.results);
        self.used = self.used.saturating_sub(less.used);
        self.order_amount = Money::from_cents(self.order_amount.cents() - less.order_amount.cents());
        self.given_back = self.given_back.saturating_sub(less.given_back);
    }
}

impl std::ops::AddAssign for Totals {
    fn add_assign(&mut self, more: Self) {
        self.results += more.results;
        self.used += more.used;
        self.order_amount = Money::from_cents(self.order_amount.cents() + more.order_amount.cents());
        self.given_back += more.given_back;
    }
}

/// A step of a result's life after its grab, to be taken if the row allows it.
#[derive(Debug, Clone, Copy)]
pub struct Change {
    /// The user whose result it is.
    pub user: UserId,
    /// The result.
    pub id: ResultId,
    /// The step.
    pub action: Action,
    /// The time.
    pub time: Timestamp,
}

/// The outcome of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Changed {
    /// This call changed it; the row as it is now.
    Now(CouponResult),
    /// The row did not allow it, perhaps since it was done before; as it stands.
    Stands(CouponResult),
    /// That user has no such result there.
    NotFound,
}

/// A figure that some systems cannot give, with the reason.
pub type Reported<T> = Result<T, &'static str>;

/// A shard's state and the work it has done: since the service started on the embedded backend, in all on servers,
/// where several processes share it.
#[derive(Debug, Clone)]
pub struct ShardReport {
    /// True if it takes writes.
    pub up: bool,
    /// Why it is not up, as far as that is known.
    pub trouble: Option<String>,
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
    pub cpu_seconds: Reported<f64>,
    /// Bytes its writer sent to storage.
    pub bytes_written: Reported<u64>,
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

/// The number of results that are held, of each coupon that has any.
pub type HeldByCoupon = Vec<(CouponId, u64)>;

/// Reads, and the changes of results, on the shards. A backend whose shards are run by hand has no other place than each of them.
pub trait Shards: Send + Sync {
    /// Results that the query covers, latest first, each with the table it lives in.
    fn page(
        &self,
        place: Place,
        visit: Visit,
        query: ResultQuery,
        page: PageRequest,
    ) -> LocalFuture<'_, Result<Visited<Vec<Found>>, Unavailable>>;

    /// The result with that id, if it is in the tables visited.
    fn find(
        &self,
        place: Place,
        visit: Visit,
        id: ResultId,
    ) -> LocalFuture<'_, Result<Visited<Option<Found>>, Unavailable>>;

    /// Counts the results that the query covers.
    fn summary(
        &self,
        place: Place,
        visit: Visit,
        query: ResultQuery,
    ) -> LocalFuture<'_, Result<Visited<ResultSummary>, Unavailable>>;

    /// Sums over the tables visited, counted now.
    fn totals(&self, place: Place, visit: Visit) -> LocalFuture<'_, Result<Visited<Totals>, Unavailable>>;

    /// The same sums of one shard, as its writer keeps them: no table is read.
    fn kept_totals(&self, shard: ShardId) -> LocalFuture<'_, Result<Visited<Totals>, Unavailable>>;

    /// The number of results that are held on a shard, of each coupon that has any.
    fn held(&self, shard: ShardId) -> LocalFuture<'_, Result<Visited<HeldByCoupon>, Unavailable>>;

    /// Takes a step of a result that lives there, by one conditional update of its row in a transaction of its shard. Where stock
    /// comes back, the backend has the gate forget the result and main apply the change, both after the commit.
    fn change(&self, placement: Placement, change: Change) -> LocalFuture<'_, Result<Changed, Unavailable>>;

    /// The shard's state and work; `None` when there is no such shard.
    fn report(&self, shard: ShardId) -> LocalFuture<'_, Option<ShardReport>>;
}
