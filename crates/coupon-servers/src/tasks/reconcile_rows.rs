//! The other direction: finds rows that take stock and that the gate lacks, and adds their holders to it.
//!
//! The gate is asked before anything is stored, and filled from what is stored, so there should be none. Where there
//! is one all the same, because a key was restored or a shard edited by hand, its user could be granted the coupon a
//! second time, and its stock be sold twice.
//!
//! Each round reads a slice of each shard, in the order of its tables' keys, so that a pass over all rows costs little
//! at any moment; after a pass it rests. Where there are several gates, each is held against rows in passes of its own, so that
//! none waits for another.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use coupon_core::{CouponId, Placement, ResultId, RowKey, ShardId, TableId, UserId};
use tokio::time::Instant;

use super::background::Background;
use crate::gate::Epoch;
use crate::seam::{Hold, Release, Unchecked};

/// The most rows that one round reads of a shard.
const SLICE: usize = 2_000;
/// The rest after a pass over all rows.
const REST: Duration = Duration::from_secs(600);

/// The progress of a pass in each shard.
pub(super) struct ShardPasses {
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

/// Rows that the gate is given, each as it is to be looked at again.
pub(super) fn to_be_checked(shard: ShardId, table: TableId, rows: &[Hold]) -> Vec<(Unchecked, Hold)> {
    let row = |hold: &Hold| {
        let release = Release {
            coupon: CouponId::new(hold.coupon).ok()?,
            user: UserId::new(hold.user).ok()?,
            id: ResultId::from_number(hold.id).ok()?,
            slot: hold.slot,
            request: hold.request,
        };
        Some((Unchecked { shard, table, release }, *hold))
    };
    rows.iter().filter_map(row).collect()
}

impl ShardPasses {
    pub(super) fn new(background: Arc<Background>) -> Self {
        Self { background, places: BTreeMap::new() }
    }

    /// One slice of each shard. A shard that does not answer has its turn later.
    pub(super) async fn round(&mut self, epoch: &Epoch) -> anyhow::Result<()> {
        for shard in self.background.shards() {
            let slice = self.slice(shard).await;
            let (table, holds) = match slice {
                Ok(Some(slice)) => slice,
                Ok(None) => continue,
                Err(error) => {
                    tracing::debug!(%shard, error = format!("{error:#}"), "its rows are held against the gate later");
                    continue;
                }
            };
            let gate = self.background.gate_of(epoch);
            let holds = self.background.held_at(gate, holds);
            let missing = gate.server.lacking(epoch, &holds).await?;
            self.background.counts.checked.fetch_add(holds.len() as u64, Ordering::Relaxed);
            self.tell(epoch, shard, table, &missing).await?;
        }
        self.look_again(epoch).await
    }

    /// The next rows of a shard that take stock, and their table.
    async fn slice(&mut self, shard: ShardId) -> anyhow::Result<Option<(TableId, Vec<Hold>)>> {
        if let Some(Place::Rests(until)) = self.places.get(&shard)
            && Instant::now() < *until
        {
            return Ok(None);
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
            return Ok(None);
        };
        let rows = if tables.contains(&table) {
            let floor = background.floors.of(shard);
            let (reached, rows) = server.rows_after(table, after, SLICE).await?;
            floor.check(reached.outbox_id, reached.commits)?;
            rows
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
        Ok(Some((table, rows)))
    }

    /// Makes the users of rows holders. One who has become a holder meanwhile stays so. Each row is looked at again after
    /// that.
    async fn tell(
        &self,
        epoch: &Epoch,
        shard: ShardId,
        table: TableId,
        missing: &[Hold],
    ) -> anyhow::Result<()> {
        let rows = to_be_checked(shard, table, missing);
        let fresh = self.background.gate_of(epoch).server.restore(epoch, &rows).await?;
        let now = self.background.time.mains();
        // One that was to expire just now has done so since it was read, and is let go of again.
        let due = |hold: &Hold| hold.hold_until.is_some_and(|until| until <= now);
        for ((_, hold), _) in rows.iter().zip(fresh).filter(|((_, hold), fresh)| *fresh && !due(hold)) {
            let Hold { coupon, user, id, .. } = hold;
            self.background.counts.restored.fetch_add(1, Ordering::Relaxed);
            tracing::error!(%shard, coupon, user, result_id = id, "the gate did not know of this stored result, and does now");
        }
        Ok(())
    }

    /// Looks again at rows that the gate was given, in this round or before: one that has given its stock back meanwhile was
    /// perhaps let go of before the gate knew of it.
    async fn look_again(&self, epoch: &Epoch) -> anyhow::Result<()> {
        let gate = &self.background.gate_of(epoch).server;
        let mut rows = gate.unchecked(epoch).await?;
        rows.sort_unstable_by_key(|row| (row.shard, row.table));
        for of_table in rows.chunk_by(|one, next| (one.shard, one.table) == (next.shard, next.table)) {
            for some in of_table.chunks(SLICE) {
                let Some(Unchecked { shard, table, .. }) = some.first() else { continue };
                let ids: Vec<ResultId> = some.iter().map(|row| row.release.id).collect();
                let looked = match self.stock_taken_by(*shard, *table, &ids, some).await {
                    Ok(looked) => looked,
                    Err(error) => {
                        tracing::debug!(%shard, error = format!("{error:#}"), "rows that the gate was told of are looked at later");
                        continue;
                    }
                };
                let gone = |row: &&Unchecked| looked.contains(&(row.release.id, false));
                let gone: Vec<Release> = some.iter().filter(gone).map(|row| row.release).collect();
                gate.let_go(epoch, &gone).await?;
                gate.checked(epoch, some).await?;
            }
        }
        Ok(())
    }

    /// Those of these results that are in a table of a shard, or have moved from there, and whether they take stock.
    async fn stock_taken_by(
        &self,
        shard: ShardId,
        table: TableId,
        ids: &[ResultId],
        rows: &[Unchecked],
    ) -> anyhow::Result<Vec<(ResultId, bool)>> {
        let mut looked = self.stock_taken(shard, table, ids).await?;
        if self.background.layouts.look(|versions| versions.latest().number > 1) {
            let there: BTreeSet<ResultId> = looked.iter().map(|(id, _)| *id).collect();
            for row in rows.iter().filter(|row| !there.contains(&row.release.id)) {
                looked.extend(self.stock_taken_elsewhere(row).await?);
            }
        }
        Ok(looked)
    }

    /// The same for one that is not there any more: in the order of the places that it comes to. Of one that moves
    /// there may be two copies, and what either of them says it gave back is given back: steps are taken of the later
    /// one alone.
    async fn stock_taken_elsewhere(&self, row: &Unchecked) -> anyhow::Result<Option<(ResultId, bool)>> {
        let (background, Release { coupon, user, id, .. }) = (&self.background, row.release);
        let Some(room) = background.offered.known().room_of(coupon) else { return Ok(None) };
        let key = RowKey { user, room, time: id.time() };
        let places = background.layouts.look(|versions| versions.places(&key))?;
        let mut takes_stock = None;
        for Placement { shard, table } in [Placement::new(row.shard, row.table)].into_iter().chain(places) {
            let floor = background.floors.of(shard);
            let (reached, found) = background.shard(shard)?.look_for(table, &[id]).await?;
            floor.check(reached.outbox_id, reached.commits)?;
            for copy in found {
                takes_stock = Some(takes_stock.unwrap_or(true) && copy.slot.is_some());
            }
        }
        Ok(takes_stock.map(|takes_stock| (id, takes_stock)))
    }

    /// Those of these results that are in a table of a shard, and whether they take stock.
    async fn stock_taken(
        &self,
        shard: ShardId,
        table: TableId,
        ids: &[ResultId],
    ) -> anyhow::Result<Vec<(ResultId, bool)>> {
        let background = &self.background;
        let floor = background.floors.of(shard);
        let (reached, looked) = background.shard(shard)?.take_stock(table, ids).await?;
        floor.check(reached.outbox_id, reached.commits)?;
        Ok(looked)
    }
}
