//! The catalogue as this process works by it now: swapped whole when a change comes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::Known;
use crate::swapped::Swapped;

/// The known catalogue, and the version that it is of.
#[derive(Debug, Default)]
pub struct Current {
    known: Swapped<Known>,
    version: AtomicU64,
}

impl Current {
    /// The catalogue of a version.
    pub fn new(known: Known, version: u64) -> Self {
        Self { known: Swapped::new(known), version: AtomicU64::new(version) }
    }

    /// The catalogue as it is known now.
    pub fn known(&self) -> Arc<Known> {
        self.known.now()
    }

    /// Looks at what is known now, without a lock that other threads take. What looks must not look again meanwhile.
    pub fn look<T>(&self, look: impl FnOnce(&Known) -> T) -> T {
        self.known.look(look)
    }

    /// The version that this process works by.
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// Goes by another state of the catalogue from now on. The gate enforces it already: once the version has moved on, what was
    /// remembered of earlier answers is forgotten, and no user gets an older answer again.
    pub fn swap(&self, known: Known, version: u64) {
        // Before the version: a reader that has seen the new version looks at no copy from before.
        self.known.swap(known);
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
    fn what_was_swapped_in_is_seen_also_under_the_same_version() {
        let current = Current::new(Known::default(), 5);
        current.swap(with_room(1), 6);
        assert!(knows(&current, 1));
        current.swap(with_room(2), 6);
        assert!(!knows(&current, 1));
        assert!(knows(&current, 2));
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
}
