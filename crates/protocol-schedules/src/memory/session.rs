//! A connection to a shard, on which transactions follow each other until it is cut.

use coupon_servers::seam::StoringError;

use super::shard::{Shard, ShardMemory};
use crate::world::{NoAnswer, World};

/// A connection to a shard.
pub(super) struct Session {
    pub(super) shard: Shard,
    /// The connections to its server that had been cut when this one was made.
    cuts: u64,
}

impl Session {
    pub(super) fn open(shard: &Shard) -> Self {
        Self { shard: shard.clone(), cuts: shard.line.world.cuts(shard.line.server) }
    }

    pub(super) fn failed(&self, lost: NoAnswer) -> StoringError {
        StoringError::Failed(self.shard.failed(lost))
    }

    pub(super) async fn ask<T>(&self, ask: impl FnOnce(&mut ShardMemory) -> T) -> Result<T, StoringError> {
        let asked = self.shard.ask(ask).await;
        if self.shard.line.world.cuts(self.shard.line.server) != self.cuts {
            return Err(self.failed(NoAnswer::Refused));
        }
        asked.map_err(StoringError::Failed)
    }

    /// Ends a transaction: what it staged is written, and then its locks are let go of. A transaction ends with its connection:
    /// nothing is written once that is cut.
    pub(super) async fn commit<L: Send + 'static>(
        &self,
        locks: L,
        write: impl FnOnce(&World) + Send + 'static,
    ) -> Result<(), StoringError> {
        let (cuts, server) = (self.cuts, self.shard.line.server);
        let committed = self.shard.line.order(move |world| {
            let whole = world.cuts(server) == cuts;
            if whole {
                write(world);
            }
            drop(locks);
            whole
        });
        match committed.await {
            Ok(true) => Ok(()),
            Ok(false) => Err(self.failed(NoAnswer::Unheard)),
            Err(lost) => Err(self.failed(lost)),
        }
    }
}
