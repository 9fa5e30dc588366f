//! The other direction: finds rows that the gate lacks, and adds their holders to it.
//!
//! The gate is asked before anything is stored, and filled from what is stored, so there should be none. Where there
//! is one all the same, because a key was restored or a shard edited by hand, its user could be granted the coupon a
//! second time, and its stock be sold twice.
//!
//! Each round reads a slice of each shard, in the order of its tables' keys, so that a pass over all rows costs little
//! at any moment; after a pass it rests.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use coupon_core::{ShardId, TableId};
use tokio::time::Instant;

use super::Background;
use crate::servers::gate::Epoch;
use crate::servers::seam::Hold;

/// The most rows that one round reads of a shard.
const SLICE: usize = 2_000;
/// The rest after a pass over all rows.
const REST: Duration = Duration::from_secs(600);

/// The progress of a pass in each shard.
pub(super) struct Rows {
    background: Arc<Background>,
    places: BTreeMap<ShardId, Place>,
}

/// The progress of a pass in one shard.
enum Place {
    /// The next row is that of a table behind this id.
    In(TableId, i64),
    /// Nothing is left until then.
    Rests(Instant),
}

impl Rows {
    pub(super) fn new(background: Arc<Background>) -> Self {
        Self { background, places: BTreeMap::new() }
    }

    /// One slice of each shard. A shard that does not answer has its turn later.
    pub(super) async fn round(&mut self, epoch: &Epoch) -> anyhow::Result<()> {
        for shard in self.background.shards() {
            let slice = self.slice(shard).await;
            let holds = match slice {
                Ok(holds) => holds,
                Err(error) => {
                    tracing::debug!(%shard, error = format!("{error:#}"), "its rows are held against the gate later");
                    continue;
                }
            };
            let missing = self.background.gate.server.lacking(epoch, &holds).await?;
            self.background.counts.checked.fetch_add(holds.len() as u64, Ordering::Relaxed);
            self.tell(epoch, shard, &missing).await?;
        }
        Ok(())
    }

    /// The next rows of a shard.
    async fn slice(&mut self, shard: ShardId) -> anyhow::Result<Vec<Hold>> {
        if let Some(Place::Rests(until)) = self.places.get(&shard)
            && Instant::now() < *until
        {
            return Ok(Vec::new());
        }
        let background = Arc::clone(&self.background);
        let server = background.shard(shard)?;
        let mut tables = server.tables().await?;
        // The oldest first, as ids ascend.
        tables.reverse();
        let (table, after) = match self.places.get(&shard) {
            Some(Place::In(table, after)) => (Some(*table), *after),
            _ => (tables.first().copied(), -1),
        };
        let Some(table) = table else {
            self.places.insert(shard, Place::Rests(Instant::now() + REST));
            return Ok(Vec::new());
        };
        let rows = if tables.contains(&table) {
            server.rows_after(table, after, SLICE).await?
        } else {
            // It was retired meanwhile.
            Vec::new()
        };
        let next = match rows.last() {
            Some(last) if rows.len() == SLICE => Place::In(table, last.id),
            _ => match tables.iter().find(|other| **other > table) {
                Some(other) => Place::In(*other, -1),
                None => Place::Rests(Instant::now() + REST),
            },
        };
        self.places.insert(shard, next);
        Ok(rows)
    }

    /// Makes the users of rows holders. One who has become a holder meanwhile stays so.
    async fn tell(&self, epoch: &Epoch, shard: ShardId, missing: &[Hold]) -> anyhow::Result<()> {
        let fresh = self.background.gate.server.hold(epoch, missing).await?;
        for (Hold { coupon, user, id }, _) in missing.iter().zip(fresh).filter(|(_, fresh)| *fresh) {
            self.background.counts.restored.fetch_add(1, Ordering::Relaxed);
            tracing::error!(%shard, coupon, user, result_id = id, "the gate did not know of this stored result, and does now");
        }
        Ok(())
    }
}
