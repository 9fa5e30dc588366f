//! Rows that are leaving the shards while a gate is filled, or coupons are added to it.

use coupon_core::{CouponResult, Placement, ShardId};
use coupon_store::moving::{MoveError, MovingShards as _, deliver, not_there};

use super::background::Background;
use super::moving::ShardConnections;
use super::turns::Turn;
use crate::seam::Hold;

impl Background {
    /// Brings what a mover left on its way to where it goes, and returns the rows that cannot arrive, with their shard and one of
    /// its tables. The caller has main's lock of the gate, and is about to read all holders of coupons: each row is in a table,
    /// and stays there, or is among those that are returned.
    pub(super) async fn deliver_what_leaves(&self) -> anyhow::Result<Vec<(Placement, Vec<Hold>)>> {
        let (shards, turn) = (ShardConnections::new(self), Turn::OfTheGatekeeper);
        for shard in self.shards() {
            shards.wait_for(shard).await?;
        }
        let mut still = Vec::new();
        for shard in self.shards() {
            match deliver(&shards, &turn, shard).await {
                Err(error @ MoveError::Differs { .. }) => {
                    tracing::error!(%shard, %error, "rows that move cannot arrive; they keep their stock where they are");
                }
                delivered => delivered?,
            }
            still.extend(shards.still_leaving(shard).await?);
        }
        Ok(still)
    }
}

impl ShardConnections<'_> {
    /// The rows that are leaving a shard and have not arrived, with one of the tables that they go to. Those that have
    /// are in their table, and may have taken steps there.
    async fn still_leaving(&self, shard: ShardId) -> Result<Option<(Placement, Vec<Hold>)>, MoveError> {
        let Some(batch) = self.leaving(shard).await? else { return Ok(None) };
        let mut holds = Vec::new();
        for (to, rows) in batch.by_shard() {
            let still = not_there(&rows, &self.arrived(to, &rows).await?);
            holds.extend(still.iter().filter(|row| is_known_to_a_gate(row)).map(Hold::of));
        }
        Ok(batch.rows.first().map(|row| (Placement::new(shard, row.placement.table), holds)))
    }
}

/// True of a row that takes stock, or answers a request.
const fn is_known_to_a_gate(row: &CouponResult) -> bool {
    row.slot.is_some() || row.request.is_some()
}
