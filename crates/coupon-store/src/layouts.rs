//! The versions of the layout as this process goes by them now, and the shards that it has opened.

use std::num::NonZeroU16;
use std::sync::Arc;

use coupon_core::{ShardId, ShardingStrategy, Versioned};

use crate::swapped::Swapped;

/// A list of versions, behind a pointer that those alone share with it who took [`Layouts::now`]: whoever only looks shares the
/// list around it.
#[derive(Debug)]
struct List(Arc<Versioned>);

/// The versions of the layout as this process goes by them now: swapped whole when main has another list.
#[derive(Debug)]
pub struct Layouts {
    versions: Swapped<List>,
    /// The shards that are open, whether or not a version uses them yet.
    prepared: NonZeroU16,
}

impl Layouts {
    /// These versions, where so many shards are open, which are at least those that a version uses.
    #[must_use]
    pub fn new(versions: Versioned, prepared: NonZeroU16) -> Self {
        let prepared = prepared.max(versions.shard_count());
        Self { versions: Swapped::new(List(Arc::new(versions))), prepared }
    }

    /// A layout that has never changed, and no more shards than it uses.
    #[must_use]
    pub fn first(strategy: Arc<dyn ShardingStrategy>) -> Self {
        let prepared = strategy.shard_count();
        Self::new(Versioned::first(strategy), prepared)
    }

    /// The versions now. Whoever goes from place to place by them keeps them until the last: rows begin to move once nobody
    /// has those of before any more.
    #[must_use]
    pub fn now(&self) -> Arc<Versioned> {
        Arc::clone(&self.versions.now().0)
    }

    /// Looks at the versions now, without a lock that other threads take. What looks must not look again meanwhile.
    pub fn look<T>(&self, look: impl FnOnce(&Versioned) -> T) -> T {
        self.versions.look(|List(versions)| look(versions))
    }

    /// Every shard that is open, whether or not a version uses it yet.
    pub fn shards(&self) -> impl Iterator<Item = ShardId> + use<> {
        (0..self.prepared.get()).map(ShardId::new)
    }

    /// The number of shards that are open.
    #[must_use]
    pub const fn prepared(&self) -> NonZeroU16 {
        self.prepared
    }

    /// Goes by another list from now on: once this has returned, no grab is placed by the one before, which it returns.
    pub fn swap(&self, versions: Versioned) -> Previous {
        Previous(self.versions.swap(List(Arc::new(versions))))
    }
}

/// A list of versions that is not gone by any more, but for those who took it before.
#[derive(Debug)]
pub struct Previous(Arc<List>);

impl Previous {
    /// True while somebody still goes from place to place by it.
    #[must_use]
    pub fn is_in_use(&self) -> bool {
        let List(versions) = &*self.0;
        Arc::strong_count(versions) > 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embedded::tests::Parity;

    #[test]
    fn versions_are_in_use_while_somebody_goes_by_them_and_not_because_somebody_looked() {
        let layouts = Layouts::first(Arc::new(Parity));
        layouts.look(|versions| assert_eq!(versions.latest().number, 1));
        let reading = layouts.now();
        let before = layouts.swap(Versioned::first(Arc::new(Parity)));
        assert!(before.is_in_use());
        drop(reading);
        assert!(!before.is_in_use());
    }
}
