//! The durable step after the gate.

use coupon_core::{CouponResult, Placement, ShardId};

use super::{LocalFuture, Unavailable};

/// A result and the place its strategy gave it.
#[derive(Debug, Clone, Copy)]
pub struct PlacedResult {
    /// The place it goes to.
    pub placement: Placement,
    /// The row.
    pub result: CouponResult,
}

/// The hand-over of what was stored when it was granted: there is nothing left to do. It takes grabs while the way that
/// it stands for does.
pub struct StoredAtGrant(pub Box<dyn HandOver>);

impl HandOver for StoredAtGrant {
    fn hand_over(
        &self,
        _: ShardId,
        _: u64,
        _: Vec<PlacedResult>,
    ) -> LocalFuture<'_, Result<(), Unavailable>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn refusal(&self, shard: ShardId) -> Option<Unavailable> {
        self.0.refusal(shard)
    }

    fn ready(&self) -> Result<(), Unavailable> {
        self.0.ready()
    }
}

/// The durable step after the gate.
pub trait HandOver: Send + Sync {
    /// Hands results to their shard, in the epoch in which the gate granted them. `Ok` promises that they are stored,
    /// or will be as soon as the shard is up. Handing the same result over twice stores it once.
    fn hand_over(
        &self,
        shard: ShardId,
        epoch: u64,
        results: Vec<PlacedResult>,
    ) -> LocalFuture<'_, Result<(), Unavailable>>;

    /// Says why the shard's grabs are refused before the gate, if they are: its backlog has passed its bound, or
    /// nothing can be handed over to it for now.
    fn refusal(&self, shard: ShardId) -> Option<Unavailable>;

    /// Says whether this process can do its part of it for now: hand results over, or, if it only stores them, get and
    /// store them. Answered from memory.
    ///
    /// # Errors
    /// [`Unavailable`] when it cannot.
    fn ready(&self) -> Result<(), Unavailable>;
}
