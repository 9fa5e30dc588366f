//! Requests of the protocol to the main database.

use std::collections::BTreeMap;

use async_trait::async_trait;
use coupon_core::books::{DeltasByCoupon, Posting, Stock};
use coupon_core::{CouponId, GateId, ShardId, Timestamp};

use super::{CatalogueServer, DatabaseError, LayoutServer};
use crate::stock::ADDRESS;

/// Main's record of a gate.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct GateState {
    /// The last epoch that was taken.
    pub epoch: u64,
    /// The last epoch that was opened.
    pub open_epoch: u64,
}

impl GateState {
    /// The epoch that grabs may use; none while a filling is under way, or before the first.
    #[must_use]
    pub fn open(self) -> Option<u64> {
        (self.open_epoch > 0 && self.open_epoch == self.epoch).then_some(self.open_epoch)
    }
}

/// Main's record of every gate.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GatesRecord {
    /// The number of times that the list of gates was changed.
    pub list: u64,
    /// The gates, in order.
    pub gates: Vec<GateState>,
}

impl GatesRecord {
    /// The record of one.
    #[must_use]
    pub fn of(&self, gate: GateId) -> GateState {
        self.gates.get(gate.index()).copied().unwrap_or_default()
    }

    /// The epochs that are open.
    #[must_use]
    pub fn open(&self) -> Vec<u64> {
        self.gates.iter().filter_map(|gate| gate.open()).collect()
    }
}

/// The greatest age of a sighting of the gate where main has it: three times as long as it takes each process to look.
const FRESH_MS: i64 = 15_000;

/// The outcome of opening an epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opening {
    /// It is open.
    Open,
    /// The catalogue has changed since its coupons were offered.
    Changed,
    /// Another epoch was taken since.
    Taken,
}

/// The gate's place, as main has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GatePlace {
    /// The address of its server.
    pub address: String,
    /// The age of the last sighting there, in milliseconds.
    pub age_ms: i64,
}

impl GatePlace {
    /// Says whether a process whose gate is at this address may fill it there. None moves to the shard's database or from there:
    /// results of the one are on ways that the other does not know.
    #[must_use]
    pub fn allows(&self, address: &str) -> bool {
        let is_stock = |address: &str| address == ADDRESS;
        self.is_at(address)
            || self.gave_way_to(address)
            || (self.age_ms > FRESH_MS && !is_stock(&self.address) && !is_stock(address))
    }

    /// Says whether Sentinels have elected the Redis at this address in place of that one. No process that finds the gate where
    /// it was keeps it there: it has not heard of the fail-over.
    fn gave_way_to(&self, address: &str) -> bool {
        let both = election(&self.address).zip(election(address));
        both.is_some_and(|((of, before), (service, failover))| of == service && before < failover)
    }

    /// Says whether the gate would stay where it is.
    #[must_use]
    pub fn is_at(&self, address: &str) -> bool {
        self.address == address
    }
}

/// What stands between the host, the Sentinels' name for their Redis, and the number of a fail-over in the address of one.
const ELECTED: [&str; 2] = [" of ", " since fail-over "];

/// The address of a Redis that Sentinels have elected.
pub(crate) fn elected(host: &str, service: &str, failover: u64) -> String {
    let [of, since] = ELECTED;
    format!("{host}{of}{service}{since}{failover}")
}

/// The Sentinels' name for their Redis, and the fail-over by which the one at this address was elected.
fn election(address: &str) -> Option<(&str, u64)> {
    let [of, since] = ELECTED;
    let (elected, failover) = address.rsplit_once(since)?;
    Some((elected.split_once(of)?.1, failover.parse().ok()?))
}

/// Numbers from here on are kept for history and for stock logs of the embedded backend.
pub const NUMBERS: u16 = 1_000;
/// The length of a lease. A process that cannot reach main for so long makes no ids any more; one that was killed keeps
/// its numbers for so long.
pub const TERM_MS: i64 = 600_000;

/// The time for which a worker number is leased.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Term {
    /// The number.
    pub worker: u16,
    /// The moment from which it is leased.
    pub start: Timestamp,
    /// The moment until which it is.
    pub end: Timestamp,
}

/// Leases that were renewed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Renewed {
    /// The ends of those that are still their holder's.
    pub ends: BTreeMap<u16, Timestamp>,
    /// Main's time.
    pub now: Timestamp,
}

/// The main database. Each question is answered for one moment; times are its own.
#[async_trait]
pub trait MainServer: CatalogueServer + LayoutServer {
    /// Its name in an error.
    fn name(&self) -> String;

    /// Its time.
    async fn time(&self) -> Result<Timestamp, DatabaseError>;

    /// The data set that it holds, if any, and its record of the gates.
    async fn record(&self) -> Result<(Option<String>, GatesRecord), DatabaseError>;

    /// The last entry of each shard's outbox that it has applied.
    async fn positions(&self) -> Result<BTreeMap<ShardId, i64>, DatabaseError>;

    /// Records that a gate was found just now. A data set of before has no address yet.
    async fn gate_seen(&self, gate: GateId, address: &str) -> Result<(), DatabaseError>;

    /// Takes the lock for filling a gate and making queues; none while another process has it. Its holder may be silent for
    /// long.
    async fn lock_gate(&self, gate: GateId) -> Result<Option<Box<dyn GateLock>>, DatabaseError>;

    /// Takes that lock of every gate for a batch of rows; none while another process has one. Should the process be frozen, or be
    /// silent for a minute, main lets go of them.
    async fn lock_gates_for_a_batch(&self) -> Result<Option<Box<dyn BatchLock>>, DatabaseError>;

    /// Takes the lock of a gate's reconciler; none while another process has it.
    async fn lock_reconciler(&self, gate: GateId) -> Result<Option<Box<dyn MainLock>>, DatabaseError>;

    /// A transaction on the books.
    async fn books(&self) -> anyhow::Result<Box<dyn Books>>;

    /// Leases so many free numbers.
    async fn lease(&self, holder: &str, count: usize) -> anyhow::Result<Vec<Term>>;

    /// Moves the ends of these leases, as far as they are still the holder's.
    async fn renew(&self, holder: &str, workers: &[u16]) -> anyhow::Result<Renewed>;

    /// Ends a lease.
    async fn give_back(&self, holder: &str, worker: u16, end: Timestamp) -> anyhow::Result<()>;
}

/// A lock of main's, which lasts until it is given up, or its process is gone.
#[async_trait]
pub trait MainLock: Send {
    /// Gives it up.
    async fn end(self: Box<Self>);
}

/// The lock of a process that has rows on their way from one shard to another.
#[async_trait]
pub trait BatchLock: MainLock + Sync {
    /// Says whether every gate is open.
    async fn are_open(&mut self) -> anyhow::Result<bool>;
}

/// The lock of the process that fills a gate, and what only that process changes.
#[async_trait]
pub trait GateLock: MainLock + Sync {
    /// Main's record of the gate.
    async fn state(&mut self) -> anyhow::Result<GateState>;

    /// The gate's place, if it has one.
    async fn place(&mut self) -> anyhow::Result<Option<GatePlace>>;

    /// Takes an epoch, if the last one is still `last`. Says whether it was.
    async fn take_epoch(&mut self, epoch: u64, last: u64) -> anyhow::Result<bool>;

    /// Records that the gate was filled at this address.
    async fn filled_at(&mut self, address: &str) -> anyhow::Result<()>;

    /// Opens an epoch whose coupons were offered by that version of the catalogue, if it is still the last one that was
    /// taken, and the catalogue has not changed.
    async fn open(&mut self, epoch: u64, version: u64) -> anyhow::Result<Opening>;
}

/// A transaction on main's books; dropped before it commits, it has changed nothing.
#[async_trait]
pub trait Books: Send {
    /// Takes main's row for a shard, and says how far the shard's outbox has been applied.
    async fn lock_position(&mut self, shard: ShardId) -> anyhow::Result<i64>;

    /// Takes the books, and returns the number of the last line of the stock log.
    async fn lock_logs(&mut self) -> anyhow::Result<i64>;

    /// The deltas that are parked.
    async fn parked(&mut self) -> anyhow::Result<DeltasByCoupon>;

    /// Stocks of these coupons, which are held until the end of the transaction.
    async fn stocks(&mut self, coupons: &[CouponId]) -> anyhow::Result<BTreeMap<CouponId, Stock>>;

    /// Writes postings: stocks, lines of the log from after `last` on, and what is parked of coupons of which that
    /// changes.
    async fn write(&mut self, postings: &[WrittenPosting], last: i64, now: Timestamp) -> anyhow::Result<()>;

    /// Records how far a shard's outbox has been applied.
    async fn reach(&mut self, shard: ShardId, position: i64) -> anyhow::Result<()>;

    /// Commits.
    async fn commit(self: Box<Self>) -> anyhow::Result<()>;

    /// Gives up.
    async fn roll_back(self: Box<Self>) -> anyhow::Result<()>;
}

/// A posting, and whether it changes what is parked of its coupon.
#[derive(Debug, Clone)]
pub struct WrittenPosting {
    /// The coupon.
    pub coupon: CouponId,
    /// The posting.
    pub posting: Posting,
    /// True if other deltas are parked from now on.
    pub parks: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gate_moves_only_once_nobody_finds_it_where_it_was() {
        let place = |age_ms| GatePlace { address: "one:6379".to_owned(), age_ms };
        assert!(place(0).allows("one:6379"), "whatever is there now has lost its memory");
        assert!(!place(FRESH_MS).allows("other:6379"));
        assert!(place(FRESH_MS + 1).allows("other:6379"));
        assert!(!place(FRESH_MS + 1).allows(ADDRESS), "grabs would be decided by another");
        let stock = GatePlace { address: ADDRESS.to_owned(), age_ms: FRESH_MS + 1 };
        assert!(stock.allows(ADDRESS) && !stock.allows("one:6379"));
        assert!(!place(-5_000).allows("other:6379"), "a clock of main's that was put back proves nothing");
    }

    #[test]
    fn a_gate_moves_at_once_to_the_redis_of_a_later_failover_and_back_to_none_before() {
        let at = |host: &str, failover| elected(host, "mymaster", failover);
        let place = GatePlace { address: at("one:6379", 3), age_ms: 0 };
        assert!(place.allows(&at("other:6379", 4)) && place.allows(&at("one:6379", 3)));
        assert!(!place.allows(&at("other:6379", 2)), "a Sentinel that has not heard of the latest");
        assert!(!place.allows(&elected("other:6379", "another", 9)) && !place.allows("other:6379"));
        let stale = GatePlace { age_ms: FRESH_MS + 1, ..place };
        assert!(stale.allows(&at("other:6379", 0)), "Sentinels that were set up anew count from nothing");
    }

    #[test]
    fn an_epoch_is_open_when_it_is_the_last_that_was_taken() {
        let open = |epoch, open_epoch| GateState { epoch, open_epoch }.open();
        assert_eq!([open(0, 0), open(1, 0), open(2, 1), open(2, 2)], [None, None, None, Some(2)]);
    }
}
