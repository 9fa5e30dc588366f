//! Pools whose connections can all be given up at once: behind an address there may suddenly be another server, while
//! the connections that exist still lead to the old one.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use mysql_async::{Conn, DriverError, Error, Opts, Pool};
use tokio::runtime::Handle;

/// The least time between two renewals. A server that stays read-only costs a connection a second, and not one a query.
const PAUSE: Duration = Duration::from_secs(1);

/// The number of times that the connections of one database were given up, by any thread: all of its pools share it.
#[derive(Debug, Default)]
pub(super) struct Renewals {
    count: AtomicU64,
    last: Mutex<Option<Instant>>,
}

impl Renewals {
    /// Has every pool make its connections anew, unless that was done just now.
    pub(super) fn renew(&self) {
        self.renew_at(Instant::now());
    }

    fn renew_at(&self, now: Instant) {
        let mut last = lock(&self.last);
        if last.is_none_or(|last| now.saturating_duration_since(last) >= PAUSE) {
            *last = Some(now);
            self.count.fetch_add(1, Ordering::Release);
        }
    }

    fn count(&self) -> u64 {
        self.count.load(Ordering::Acquire)
    }
}

/// One runtime's connections to a database; clones share them.
#[derive(Clone)]
pub(super) struct RenewedPool {
    opts: Opts,
    renewals: Arc<Renewals>,
    /// The pool, and how many renewals there had been when it was made.
    current: Arc<Mutex<(u64, Pool)>>,
}

impl RenewedPool {
    pub(super) fn new(opts: Opts, renewals: Arc<Renewals>) -> Self {
        let current = Arc::new(Mutex::new((renewals.count(), Pool::new(opts.clone()))));
        Self { opts, renewals, current }
    }

    /// Another pool, for another runtime, which is renewed when this one is.
    pub(super) fn another(&self) -> Self {
        Self::new(self.opts.clone(), Arc::clone(&self.renewals))
    }

    /// A connection that was made after the last renewal.
    pub(super) async fn get_conn(&self) -> mysql_async::Result<Conn> {
        match self.current().get_conn().await {
            // A caller that waited for a connection of a pool that is given up takes one of the next.
            Err(Error::Driver(DriverError::PoolDisconnected)) => self.current().get_conn().await,
            connected => connected,
        }
    }

    /// The pool of the last renewal.
    pub(super) fn current(&self) -> Pool {
        let count = self.renewals.count();
        let mut current = lock(&self.current);
        if current.0 != count {
            let next = (count, Pool::new(self.opts.clone()));
            let (_, old) = std::mem::replace(&mut *current, next);
            // It closes its idle connections at once, and those in use when they come back.
            if let Ok(runtime) = Handle::try_current() {
                runtime.spawn(old.disconnect());
            }
        }
        current.1.clone()
    }

    /// Gives up the connections of this pool, and of every other one of the database.
    pub(super) fn renew(&self) {
        self.renewals.renew();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renewals_that_follow_each_other_at_once_are_one() {
        let (renewals, now) = (Renewals::default(), Instant::now());
        renewals.renew_at(now);
        renewals.renew_at(now + PAUSE / 2);
        assert_eq!(renewals.count(), 1);
        renewals.renew_at(now + PAUSE);
        assert_eq!(renewals.count(), 2);
    }
}
