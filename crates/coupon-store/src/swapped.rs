//! A value that many threads look at, swapped whole when it changes.

use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use thread_local::ThreadLocal;

/// A value that many threads look at, swapped whole when it changes.
#[derive(Debug, Default)]
pub(crate) struct Swapped<T: Send + Sync> {
    value: RwLock<Arc<T>>,
    /// One more with each swap, also with one to the same value.
    swaps: AtomicU64,
    /// A copy for each thread that looks often.
    copies: ThreadLocal<RefCell<OwnCopy<T>>>,
}

/// The value that there was after so many swaps, or more.
#[derive(Debug)]
struct OwnCopy<T> {
    swaps: u64,
    value: Arc<T>,
}

impl<T: Send + Sync> Swapped<T> {
    pub(crate) fn new(value: T) -> Self {
        Self { value: RwLock::new(Arc::new(value)), swaps: AtomicU64::new(0), copies: ThreadLocal::new() }
    }

    /// The value as it is now.
    pub(crate) fn now(&self) -> Arc<T> {
        Arc::clone(&self.value.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Looks at the value as it is now, in this thread's own copy. Between two swaps it takes no lock, and counts nothing that
    /// other threads count as well. What looks must not look again meanwhile.
    pub(crate) fn look<R>(&self, look: impl FnOnce(&T) -> R) -> R {
        let swaps = self.swaps.load(Ordering::Acquire);
        // The value is read after the number of swaps: it is that of a later one at most, and then is copied again.
        let copy = || OwnCopy { swaps, value: self.now() };
        let own = self.copies.get_or(|| RefCell::new(copy()));
        if own.borrow().swaps != swaps {
            own.replace(copy());
        }
        look(&own.borrow().value)
    }

    /// Puts another value in its place, and returns the one before. Once this has returned, every reader sees it.
    pub(crate) fn swap(&self, value: T) -> Arc<T> {
        let mut place = self.value.write().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut *place, Arc::new(value));
        drop(place);
        self.swaps.fetch_add(1, Ordering::Release);
        before
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn every_thread_sees_what_was_swapped_in() {
        let swapped = Swapped::new(1);
        let see = |seen| {
            assert_eq!(swapped.look(|value| *value), seen);
            thread::scope(|scope| {
                scope.spawn(|| assert_eq!(swapped.look(|value| *value), seen));
            });
        };
        see(1);
        swapped.swap(2);
        see(2);
    }

    #[test]
    fn a_thread_keeps_its_copy_until_the_next_swap() {
        let swapped = Swapped::new(1);
        let copy = || swapped.look(|value| std::ptr::from_ref(value) as usize);
        let before = copy();
        let held = Arc::strong_count(&swapped.now());
        assert_eq!((copy(), Arc::strong_count(&swapped.now())), (before, held));
        swapped.swap(1);
        assert_ne!(copy(), before);
    }
}
