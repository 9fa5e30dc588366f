//! Brings to its place what was on its way from one file to another when a service ended.

use std::collections::HashSet;

use coupon_core::{ShardId, TableId, Timestamp};

use super::folder::Folder;
use super::transaction::Store;
use super::{moves, sql};
use crate::moving::check_arrived;

/// Lets everything arrive that was leaving a shard. From here on no row is in two files.
pub(super) fn everything(folder: &Folder, now: Timestamp) -> anyhow::Result<()> {
    for shard in (0..folder.shards().get()).map(ShardId::new) {
        let from = folder.connect_shard(shard)?;
        let Some(batch) = moves::leaving(&from)? else { continue };
        let rows = batch.rows.len();
        for (to, rows) in batch.by_shard() {
            let db = folder.connect_shard(to)?;
            if moves::last_arrival(&db, shard)? < batch.number {
                let known: HashSet<TableId> = sql::tables(&db)?.into_iter().collect();
                let mut store = Store::begin(&db, now)?;
                store.make_tables(rows.iter().map(|row| row.placement.table), &known)?;
                store.arrive(shard, batch.number, &rows)?;
                store.commit()?;
            }
            check_arrived(shard, &rows, &moves::arrived(&db, &rows)?)?;
        }
        moves::forget(&from)?;
        tracing::info!(%shard, rows, "what was leaving this shard has arrived");
    }
    Ok(())
}
