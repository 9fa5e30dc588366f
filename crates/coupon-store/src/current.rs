//! The catalogue as this process works by it now: swapped whole when a change comes.

use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use thread_local::ThreadLocal;

use super::Known;

/// What is known, and the version that it is of.
#[derive(Debug, Default)]
pub(crate) struct Current {
    known: RwLock<Arc<Known>>,
    version: AtomicU64,
    /// One more with each swap, also with one to the same version.
    swaps: AtomicU64,
    /// A copy for each thread that looks often.
    copies: ThreadLocal<RefCell<OwnCopy>>,
}

/// What was known when there had been so many swaps, or more.
#[derive(Debug, Clone)]
struct OwnCopy {
    swaps: u64,
    known: Arc<Known>,
}

impl Current {
    pub(crate) fn new(known: Known, version: u64) -> Self {
        Self { known: RwLock::new(Arc::new(known)), version: AtomicU64::new(version), ..Self::default() }
    }

    /// What is known now.
    pub(crate) fn known(&self) -> Arc<Known> {
        Arc::clone(&self.known.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Looks at what is known now in this thread's own copy. Between two swaps it takes no lock, and counts nothing that
    /// other threads count as well. What looks must not look again meanwhile.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&Known) -> T) -> T {
        let swaps = self.swaps.load(Ordering::Acquire);
        // Known is read after the number of swaps: it is that of a later one at most, and then is copied again.
        let copy = || OwnCopy { swaps, known: self.known() };
        let own = self.copies.get_or(|| RefCell::new(copy()));
        if own.borrow().swaps != swaps {
            own.replace(copy());
        }
        look(&own.borrow().known)
    }

    /// The version that this process works by.
    pub(crate) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// Goes by another state of the catalogue from now on. The gate enforces it already: once the version has moved on, what
    /// was remembered of earlier answers is forgotten, and nobody hears an older one again.
    pub(crate) fn swap(&self, known: Known, version: u64) {
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(known);
        // Before the version: who has seen that looks at no copy from before.
        self.swaps.fetch_add(1, Ordering::Release);
        self.version.store(version, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use coupon_core::RoomId;

    use super::*;

    fn with_room(room: u64) -> Known {
        Known::default().with_rooms([RoomId::new(room).unwrap()])
    }

    fn knows(current: &Current, room: u64) -> bool {
        current.look(|known| known.knows_room(RoomId::new(room).unwrap()))
    }

    #[test]
    fn every_thread_sees_what_was_swapped_in_also_under_the_same_version() {
        let current = Current::new(Known::default(), 5);
        let see = |room, seen| {
            assert_eq!(knows(&current, room), seen);
            thread::scope(|scope| {
                scope.spawn(|| assert_eq!(knows(&current, room), seen));
            });
        };
        see(1, false);
        current.swap(with_room(1), 6);
        see(1, true);
        current.swap(with_room(2), 6);
        see(1, false);
        see(2, true);
    }

    #[test]
    fn who_has_seen_a_version_knows_what_it_brought() {
        let current = Current::new(Known::default(), 0);
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    let mut version = 0;
                    while version < 500 {
                        version = current.version();
                        let rooms = version.max(1)..=500;
                        assert!(version == 0 || rooms.into_iter().any(|room| knows(&current, room)));
                    }
                });
            }
            (1..=500).for_each(|version| current.swap(with_room(version), version));
        });
    }

    #[test]
    fn a_thread_keeps_its_copy_until_the_next_swap() {
        let current = Current::new(Known::default(), 0);
        let copy = || current.look(|known| std::ptr::from_ref(known) as usize);
        let before = copy();
        let held = Arc::strong_count(&current.known());
        assert_eq!((copy(), Arc::strong_count(&current.known())), (before, held));
        current.swap(Known::default(), 1);
        assert_ne!(copy(), before);
    }
}
