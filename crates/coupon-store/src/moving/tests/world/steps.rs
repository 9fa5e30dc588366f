//! The steps of a mover in this world.

use std::time::Duration;

use coupon_core::{CouponResult, Placement, ResultId, ShardId, TableId, VersionNumber};
use tokio::time::sleep;

use super::{SHARDS, Shard, World};
use crate::moving::{Batch, Departure, Key, MoveError, MovingShards, ShardMoves, Slice};
use crate::{PlacedResult, Unavailable};

impl MovingShards for World {
    type Turn = ();

    const BATCH: u32 = 8_192;
    const BATCHES_PER_S: u32 = 10;

    fn shards(&self) -> Vec<ShardId> {
        (0..SHARDS).map(ShardId::new).collect()
    }

    async fn turn(&self) -> Result<(), MoveError> {
        while self.shut.get() {
            sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    async fn begin(&self, shard: ShardId, up_to: VersionNumber) -> Result<ShardMoves, MoveError> {
        self.step(|shards| {
            let moves = &mut shards[shard.index()].moves;
            moves.moving_from = moves.moving_from.max(up_to);
            Ok(*moves)
        })
        .await
    }

    async fn tables(&self, shard: ShardId) -> Result<Vec<TableId>, MoveError> {
        let waits = || self.waits.get() && self.shards.borrow()[0].moves.closed == 0;
        while shard.index() == 1 && waits() {
            sleep(Duration::from_millis(10)).await;
        }
        self.step(|shards| Ok(shards[shard.index()].tables.keys().copied().collect())).await
    }

    async fn scan(&self, shard: ShardId, table: TableId, slice: Slice) -> Result<Vec<Key>, MoveError> {
        self.step(|shards| {
            let rows = shards[shard.index()].tables[&table].values();
            let within = rows.filter(|row| {
                slice.after.is_none_or(|after| row.result_id > after) && row.grab_time < slice.before
            });
            Ok(within.map(|row| Key { id: row.result_id, row: row.key() }).take(slice.most.min(4)).collect())
        })
        .await
    }

    async fn leave(
        &self,
        (): &(),
        shard: ShardId,
        departure: &Departure,
        arrived: Option<u64>,
    ) -> Result<(), MoveError> {
        self.step(|shards| {
            let from = &mut shards[shard.index()];
            if shard.index() == 0 && self.other_mover.take() {
                from.moves.batch += 1;
            }
            let none_leaves = from.leaving.is_empty() || arrived == Some(from.moves.batch);
            if from.moves.batch + 1 != departure.number || !none_leaves {
                return Err(MoveError::Overtaken(shard));
            }
            from.moves.batch = departure.number;
            let table = from.tables.get_mut(&departure.table).unwrap();
            let leaves = |(id, placement): &(ResultId, Placement)| {
                table.remove(id).map(|result| PlacedResult { placement: *placement, result })
            };
            from.leaving = departure.rows.iter().filter_map(leaves).collect();
            Ok(())
        })
        .await
    }

    async fn leaving(&self, shard: ShardId) -> Result<Option<Batch>, MoveError> {
        self.step(|shards| {
            let Shard { leaving, moves, .. } = &shards[shard.index()];
            Ok((!leaving.is_empty()).then(|| Batch { number: moves.batch, rows: leaving.clone() }))
        })
        .await
    }

    async fn arrive(
        &self,
        (): &(),
        shard: ShardId,
        from: ShardId,
        number: u64,
        rows: &[PlacedResult],
    ) -> Result<(), MoveError> {
        self.step(|shards| {
            let refused = self.refused.get();
            if from.index() == 0 && refused > 0 {
                self.refused.set(refused - 1);
                return Err(Unavailable::new("this shard", "it does not answer").into());
            }
            let to = &mut shards[shard.index()];
            if to.arrivals.get(&from).is_some_and(|last| *last >= number) {
                return Ok(());
            }
            to.arrivals.insert(from, number);
            for row in rows {
                let table = to.tables.entry(row.placement.table).or_default();
                table.entry(row.result.result_id).or_insert(row.result);
            }
            Ok(())
        })
        .await
    }

    async fn arrived(&self, shard: ShardId, rows: &[PlacedResult]) -> Result<Vec<CouponResult>, MoveError> {
        self.step(|shards| {
            let tables = &shards[shard.index()].tables;
            let find =
                |row: &PlacedResult| tables.get(&row.placement.table)?.get(&row.result.result_id).copied();
            Ok(rows.iter().filter_map(find).collect())
        })
        .await
    }

    async fn forget(&self, (): &(), shard: ShardId, number: u64) -> Result<(), MoveError> {
        self.step(|shards| {
            let from = &mut shards[shard.index()];
            if from.moves.batch == number {
                from.leaving.clear();
            }
            Ok(())
        })
        .await
    }

    async fn close(&self, shard: ShardId, up_to: VersionNumber, late: u64) -> Result<bool, MoveError> {
        self.step(|shards| {
            let Shard { moves, leaving, .. } = &mut shards[shard.index()];
            let closes = moves.late == late && leaving.is_empty();
            if closes {
                moves.closed = moves.closed.max(up_to);
            }
            Ok(closes)
        })
        .await
    }
}
