//! Brings to its place what was on its way from one file to another when a service ended.

use std::collections::HashSet;

use anyhow::Context as _;
use coupon_core::{ShardId, TableId, Timestamp};

use super::folder::Folder;
use super::transaction::Store;
use super::{moves, sql};
use crate::moving::check_arrived;

/// Lets everything arrive that was leaving a shard. From here on no row is in two files, but for a batch of which a row cannot
/// arrive: that stays on its way, as it does for a mover.
pub(super) fn everything(folder: &Folder, now: Timestamp) -> anyhow::Result<()> {
    (0..folder.shards().get()).map(ShardId::new).try_for_each(|shard| {
        let path = folder.shard_path(shard);
        settle(folder, shard, now)
            .with_context(|| format!("cannot bring to its place what is leaving {}", path.display()))
    })
}

fn settle(folder: &Folder, shard: ShardId, now: Timestamp) -> anyhow::Result<()> {
    let from = folder.connect_shard(shard)?;
    let Some(batch) = moves::leaving(&from)? else { return Ok(()) };
    let (rows, mut whole) = (batch.rows.len(), true);
    for (to, rows) in batch.by_shard() {
        let db = folder.connect_shard(to)?;
        if moves::last_arrival(&db, shard)? < batch.number {
            let known: HashSet<TableId> = sql::tables(&db)?.into_iter().collect();
            let mut store = Store::begin(&db, now)?;
            store.make_tables(rows.iter().map(|row| row.placement.table), &known)?;
            store.arrive(shard, batch.number, &rows)?;
            store.commit()?;
        }
        if let Err(differs) = check_arrived(shard, &rows, &moves::arrived(&db, &rows)?) {
            tracing::error!(error = %differs, "a row that was leaving a shard cannot arrive");
            whole = false;
        }
    }
    if whole {
        moves::forget(&from)?;
        tracing::info!(%shard, rows, "what was leaving this shard has arrived");
    }
    Ok(())
}
