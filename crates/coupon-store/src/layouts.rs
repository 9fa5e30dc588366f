//! The versions of the layout as this process goes by them now, and the shards that it has opened.

use std::num::NonZeroU16;
use std::sync::Arc;

use coupon_core::{ShardId, ShardingStrategy, Versioned};

use crate::swapped::Swapped;

/// The versions of the layout as this process goes by them now: swapped whole when main has another list.
#[derive(Debug)]
pub struct Layouts {
    versions: Swapped<Versioned>,
    /// The shards that are open, whether or not a version uses them yet.
    prepared: NonZeroU16,
}

impl Layouts {
    /// These versions, where so many shards are open, which are at least those that a version uses.
    #[must_use]
    pub fn new(versions: Versioned, prepared: NonZeroU16) -> Self {
        let prepared = prepared.max(versions.shard_count());
        Self { versions: Swapped::new(versions), prepared }
    }

    /// A layout that has never changed, and no more shards than it uses.
    #[must_use]
    pub fn first(strategy: Arc<dyn ShardingStrategy>) -> Self {
        let prepared = strategy.shard_count();
        Self::new(Versioned::first(strategy), prepared)
    }

    /// The versions now.
    #[must_use]
    pub fn now(&self) -> Arc<Versioned> {
        self.versions.now()
    }

    /// Looks at the versions now, without a lock that other threads take. What looks must not look again meanwhile.
    pub fn look<T>(&self, look: impl FnOnce(&Versioned) -> T) -> T {
        self.versions.look(look)
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

    /// Goes by another list from now on: once this has returned, no grab is placed by the one before.
    pub fn swap(&self, versions: Versioned) {
        self.versions.swap(versions);
    }
}
