//! The rooms, coupons and users that the last minute's results are of.

use std::cell::RefCell;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use coupon_core::CouponResult;
use coupon_measure::recent::{Recent, Recents, Top};
use coupon_store::metrics::Exposition;

use crate::api::{HotKey, HotKeys, HotResults};

/// A result's room, coupon and user.
type Keys = [u64; 3];
type Seen = Arc<Mutex<Recent<3>>>;

/// The most of each that are named.
const NAMED: usize = 10;
/// In metrics, only what has this share of all: a new label value begins a series that Prometheus keeps.
const SHARE_OF_SERIES: f64 = 0.01;

/// Counts that each worker keeps for itself, and that are added up when they are read.
#[derive(Debug)]
pub(super) struct Hot {
    begun: Instant,
    workers: Mutex<Vec<Seen>>,
}

impl Hot {
    pub(super) fn new() -> Self {
        Self { begun: Instant::now(), workers: Mutex::default() }
    }

    /// The counts of one more worker.
    pub(super) fn worker(&self) -> HotWorker {
        let seen = Seen::default();
        let mut workers = locked(&self.workers);
        // The counts of a worker that is gone go as well.
        workers.retain(|seen| Arc::strong_count(seen) > 1);
        workers.push(Arc::clone(&seen));
        HotWorker { begun: self.begun, seen, waiting: RefCell::default() }
    }

    fn recents(&self) -> Recents<3> {
        let workers = locked(&self.workers);
        // Windows are shared, not copied: a worker's lock is held for a moment.
        let seen = workers.iter().map(|seen| locked(seen).clone()).collect();
        Recents::new(seen, self.begun.elapsed())
    }

    /// The hot keys, for operators.
    pub(super) fn results(&self) -> HotResults {
        let recents = self.recents();
        let [rooms, coupons, users] = [0, 1, 2].map(|column| recents.column(column));
        HotResults {
            seconds: recents.span().as_secs_f64(),
            results: rooms.all(),
            rooms: keys(&rooms),
            coupons: keys(&coupons),
            users: keys(&users),
        }
    }

    /// States the rooms and coupons among it; users are left out there.
    pub(super) fn expose(&self, page: &mut Exposition) {
        let recents = self.recents();
        let [rooms, coupons] = [0, 1].map(|column| recents.column(column));
        page.gauge(
            "coupon_recent_results",
            "Results of the last minute that this process handed over safely.",
        )
        .is(&[], rooms.all());
        let mut hot = page.gauge(
            "coupon_hot_results",
            "The least number of them that the rooms and coupons have which have the most: ten of each, above 1% of all.",
        );
        for (kind, top) in [("room", &rooms), ("coupon", &coupons)] {
            for key in keys(top).top.iter().filter(|key| key.share >= SHARE_OF_SERIES) {
                hot.is(&[("kind", kind), ("id", &key.id.to_string())], key.results);
            }
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
fn keys(top: &Top) -> HotKeys {
    let all = top.all().max(1) as f64;
    let key = |id, results: u64| HotKey { id, results, share: results as f64 / all };
    HotKeys {
        error: top.error(),
        top: top.most(NAMED).into_iter().map(|often| key(often.value, often.least)).collect(),
    }
}

/// One worker's counts, on its thread.
#[derive(Debug)]
pub(super) struct HotWorker {
    begun: Instant,
    seen: Seen,
    /// The keys that came while the counts were being read.
    waiting: RefCell<Vec<Keys>>,
}

impl HotWorker {
    /// Counts a batch's results for one shard, all at once. It never waits: while an operator looks, they are put by for the
    /// next batch.
    pub(super) fn stored<'a>(&self, results: impl Iterator<Item = &'a CouponResult>) {
        let keys =
            |result: &CouponResult| [result.room_id.get(), result.coupon_id.get(), result.user_id.get()];
        self.count(self.begun.elapsed(), results.map(keys));
    }

    fn count(&self, at: Duration, results: impl Iterator<Item = Keys>) {
        let mut waiting = self.waiting.borrow_mut();
        waiting.extend(results);
        match self.seen.try_lock() {
            Ok(mut seen) => seen.see(at, waiting.drain(..)),
            Err(TryLockError::Poisoned(seen)) => seen.into_inner().see(at, waiting.drain(..)),
            Err(TryLockError::WouldBlock) => {}
        }
    }
}

fn locked<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grab(worker: &HotWorker, keys: Keys) {
        worker.count(Duration::ZERO, std::iter::once(keys));
    }

    fn pairs(keys: &HotKeys) -> Vec<(u64, u64)> {
        keys.top.iter().map(|key| (key.id, key.results)).collect()
    }

    #[test]
    fn workers_counts_are_added_up() {
        let hot = Hot::new();
        let (one, other) = (hot.worker(), hot.worker());
        grab(&one, [3, 31, 1]);
        grab(&one, [3, 32, 2]);
        grab(&other, [3, 31, 3]);
        grab(&other, [4, 41, 1]);
        let found = hot.results();
        assert_eq!((found.results, found.rooms.error), (4, 0));
        assert_eq!(pairs(&found.rooms), [(3, 3), (4, 1)]);
        assert_eq!(pairs(&found.coupons), [(31, 2), (32, 1), (41, 1)]);
        assert_eq!(pairs(&found.users), [(1, 2), (2, 1), (3, 1)]);
        assert!((found.rooms.top[0].share - 0.75).abs() < 1e-9);
    }

    #[test]
    fn a_worker_that_meets_somebody_looking_waits_for_nobody_and_loses_nothing() {
        let hot = Hot::new();
        let worker = hot.worker();
        let looking = worker.seen.lock().unwrap();
        grab(&worker, [1, 1, 1]);
        drop(looking);
        assert_eq!(hot.results().results, 0);
        grab(&worker, [1, 1, 1]);
        assert_eq!(hot.results().results, 2);
    }

    #[test]
    fn what_a_worker_counted_goes_with_it() {
        let hot = Hot::new();
        let gone = hot.worker();
        grab(&gone, [1, 1, 1]);
        drop(gone);
        grab(&hot.worker(), [2, 2, 2]);
        assert_eq!(hot.results().results, 1);
    }

    #[test]
    fn metrics_name_few_rooms_and_coupons_and_no_user() {
        let hot = Hot::new();
        let worker = hot.worker();
        // Coupon 1 of room 1 has half of all; no other coupon has 1 %, and none of the twenty other rooms 3 %.
        for n in 0..1_000 {
            let keys = if n % 2 == 0 { [1, 1, n] } else { [2 + n % 20, 1_000 + n, n] };
            grab(&worker, keys);
        }
        let mut page = Exposition::default();
        hot.expose(&mut page);
        let text = page.into_text();
        assert!(text.contains("coupon_recent_results 1000\n"), "{text}");
        assert!(text.contains("coupon_hot_results{kind=\"room\",id=\"1\"} 500\n"), "{text}");
        assert!(text.contains("coupon_hot_results{kind=\"coupon\",id=\"1\"} 500\n"), "{text}");
        assert_eq!(text.matches("kind=\"room\"").count(), NAMED);
        assert_eq!(text.matches("kind=\"coupon\"").count(), 1);
        assert!(!text.contains("user"), "{text}");
    }
}
