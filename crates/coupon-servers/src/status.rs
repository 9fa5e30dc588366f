//! This process's view of each shard: kept up to date by a task, read by every request.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use coupon_core::{Money, TableId, Timestamp};
use coupon_store::measure::{Latencies, Rate};
use coupon_store::{Reported, ShardReport, Totals};

/// The answer to a look at a shard.
#[derive(Debug, Clone, Copy)]
pub struct Look {
    /// Every grab acknowledged before is stored.
    pub as_of: Timestamp,
    /// The last entry of its outbox.
    pub outbox_id: i64,
    /// Its results.
    pub results: u64,
    /// The results that are spent.
    pub used: u64,
    /// The orders that they were spent on, in sum.
    pub order_amount: Money,
    /// Its transactions.
    pub commits: u64,
    /// Messages taken from the queue so far.
    pub messages: u64,
    /// The results in them.
    pub received: u64,
    /// Results that are parked.
    pub parked: u64,
    /// Results that gave their stock back.
    pub given_back: u64,
    /// The bytes that its server has written.
    pub bytes_written: Reported<u64>,
    /// The connections that its server has.
    pub connections: u64,
    /// The time at which the server itself was last asked, which costs more than to ask the shard.
    pub server_asked: Option<Instant>,
}

impl Default for Look {
    fn default() -> Self {
        Self {
            as_of: Timestamp::from_millis(0),
            outbox_id: 0,
            results: 0,
            used: 0,
            order_amount: Money::default(),
            commits: 0,
            messages: 0,
            received: 0,
            parked: 0,
            given_back: 0,
            bytes_written: Err("the shard has not been asked yet"),
            connections: 0,
            server_asked: None,
        }
    }
}

/// One shard, as this process has seen it.
#[derive(Debug)]
pub(super) struct ShardStatus {
    look: Mutex<Look>,
    tables: Mutex<Option<Arc<[TableId]>>>,
    /// True if the last look succeeded.
    up: AtomicBool,
    /// True if it had less than was seen of it.
    lost: AtomicBool,
    /// Why the last look did not succeed.
    trouble: Mutex<Option<String>>,
    /// Results handed over and not stored, by the best estimate.
    waiting: AtomicU64,
    /// From being handed over to being stored, by this process's consumer.
    pub(super) stored: Latencies,
    pub(super) read: Latencies,
    rate: Rate,
}

impl ShardStatus {
    pub(super) fn new() -> Self {
        Self {
            look: Mutex::default(),
            tables: Mutex::default(),
            up: AtomicBool::new(false),
            lost: AtomicBool::new(false),
            trouble: Mutex::default(),
            waiting: AtomicU64::new(0),
            stored: Latencies::default(),
            read: Latencies::default(),
            rate: Rate::default(),
        }
    }

    pub(super) fn look(&self) -> Look {
        *lock(&self.look)
    }

    /// Takes a look in. The tables must have been listed after the look was taken: what it promises to be stored is
    /// then in one of them.
    ///
    /// Says whether the shard was down before.
    pub(super) fn saw(&self, look: Look, tables: Option<Vec<TableId>>) -> bool {
        let was_down = !self.up.swap(true, Ordering::Relaxed);
        self.lost.store(false, Ordering::Relaxed);
        *lock(&self.trouble) = None;
        let mut known = lock(&self.look);
        // Two tasks may look at once; the look that began later may be the first to come here.
        if look.commits < known.commits {
            return was_down;
        }
        if let Some(tables) = tables {
            self.set_tables(tables);
        }
        *known = look;
        was_down
    }

    pub(super) fn set_tables(&self, tables: Vec<TableId>) {
        *lock(&self.tables) = Some(tables.into());
    }

    /// The tables of results there are, the latest first; `None` until the shard was asked.
    pub(super) fn tables(&self) -> Option<Arc<[TableId]>> {
        lock(&self.tables).clone()
    }

    /// The shard answered, and has less than was seen of it: it was put back to an earlier state, and what it says is
    /// not true any more. Says whether that is news: a shard that fails over is down before it is found to have less.
    pub(super) fn lost_data(&self, why: String) -> bool {
        self.went_down(why);
        !self.lost.swap(true, Ordering::Relaxed)
    }

    /// True if it had less than was seen of it when it was last looked at.
    pub(super) fn has_lost_data(&self) -> bool {
        self.lost.load(Ordering::Relaxed)
    }

    /// The shard did not answer; says whether it did before.
    pub(super) fn went_down(&self, why: String) -> bool {
        *lock(&self.trouble) = Some(why);
        self.up.swap(false, Ordering::Relaxed)
    }

    pub(super) fn is_up(&self) -> bool {
        self.up.load(Ordering::Relaxed)
    }

    pub(super) fn set_waiting(&self, results: u64) {
        self.waiting.store(results, Ordering::Relaxed);
    }

    pub(super) fn waiting(&self) -> u64 {
        self.waiting.load(Ordering::Relaxed)
    }

    pub(super) fn totals(&self) -> Totals {
        let look = self.look();
        let Look { results, used, order_amount, given_back, .. } = look;
        Totals { results, used, order_amount, given_back }
    }

    pub(super) fn report(&self) -> ShardReport {
        let look = self.look();
        ShardReport {
            up: self.is_up(),
            trouble: lock(&self.trouble).clone(),
            rows: look.results,
            rows_written: look.results,
            commits: look.commits,
            writes_per_s: self.rate.of(look.results),
            queue_depth: self.waiting(),
            write_latency: self.stored.spread(),
            read_latency: self.read.spread(),
            took: (self.stored.buckets(), self.read.buckets()),
            as_of: look.as_of,
            connections: look.connections,
            cpu_seconds: Err("a MySQL server does not tell its clients; loadtest asks the server's process"),
            bytes_written: look.bytes_written,
            parked: look.parked,
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shard_that_comes_back_with_less_is_told_of_once_although_it_was_down_before() {
        let status = ShardStatus::new();
        assert!(status.saw(Look::default(), None), "it is up");
        assert!(status.went_down("refused".to_owned()));
        let lost = || status.lost_data("it has lost data".to_owned());
        assert!(lost(), "it answers, and has less");
        assert!(!lost(), "which is known by now");
        assert!(!status.is_up());
        assert_eq!(status.report().trouble.as_deref(), Some("it has lost data"));
        assert!(status.saw(Look::default(), None), "the full copy is back");
        assert_eq!(status.report().trouble, None);
        assert!(lost(), "and gone again");
    }
}
