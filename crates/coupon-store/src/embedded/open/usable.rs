//! The folder that a backend opens: what it must be, and what it must not.

use std::sync::Arc;

use anyhow::{Context as _, ensure};
use coupon_core::schema::{self, Dialect};
use coupon_core::{ResultId, ShardId, ShardingStrategy, Timestamp, Versioned};
use rusqlite::Connection;

use super::Options;
use crate::embedded::folder::{Folder, FolderError};
use crate::embedded::{books, layouts, moves, rooms};
use crate::ids::PATIENCE_MS;
use crate::room_index::agreed;
use crate::settings::DecidedBy;
use crate::stock::{KEPT, SHARD, ensure_one_table};
use crate::timekeeping::seconds;
use crate::{Layouts, VersionRecord, layout_records};

/// The folder, refused where it is not for this strategy, or for grabs that are decided so.
pub(super) fn folder(
    decided_by: DecidedBy,
    options: &Options,
    strategy: &dyn ShardingStrategy,
) -> anyhow::Result<Folder> {
    let keeps_stock = decided_by == DecidedBy::Database;
    if keeps_stock {
        ensure_one_table(strategy, options.shards_prepared.get())?;
    }
    let folder = open_folder(options, strategy)?;
    if keeps_stock {
        ensure_one_table(strategy, folder.shards().get())?;
    } else {
        let kept = decided_by_of(&folder)? == DecidedBy::Database;
        ensure!(!kept, "cannot use {}: {KEPT}", folder.dir().display());
    }
    agreed(options.room_index, folder.room_index())
        .with_context(|| format!("cannot use {}", folder.dir().display()))?;
    Ok(folder)
}

/// The decider of the grabs of a folder's data set: the database, once it has kept stock.
///
/// # Errors
/// When the first shard's file cannot be read.
pub fn decided_by_of(folder: &Folder) -> rusqlite::Result<DecidedBy> {
    let kept = folder.connect_shard_reader(SHARD)?.table_exists(None, "stock")?;
    Ok(if kept { DecidedBy::Database } else { DecidedBy::Gate })
}

/// The versions of the layout that may still have rows.
pub(super) fn read_layouts(
    folder: &Folder,
    main: &Connection,
    strategy: Arc<dyn ShardingStrategy>,
) -> anyhow::Result<Layouts> {
    let read = || {
        let records = layouts::read(main)?;
        let versions = layout_records::versioned(&Versioned::first(strategy), &records)?;
        anyhow::Ok((records, versions))
    };
    let (records, versions) =
        read().with_context(|| format!("cannot read {}", folder.main_path().display()))?;
    for shard in (0..folder.shards().get()).map(ShardId::new) {
        agrees_with_main(folder, shard, main, &records)
            .with_context(|| format!("cannot use {}", folder.shard_path(shard).display()))?;
    }
    Ok(Layouts::new(versions, folder.shards()))
}

/// Refuses a shard that has forgotten outbox entries which main has applied, and a main that has forgotten a version of the
/// layout which was announced to a shard, or which a shard's rows have begun to move to.
fn agrees_with_main(
    folder: &Folder,
    shard: ShardId,
    main: &Connection,
    records: &[VersionRecord],
) -> anyhow::Result<()> {
    let db = folder.connect_shard_reader(shard)?;
    books::told_and_written(main, &db, shard)?;
    let (moves, told) = (moves::state(&db)?, moves::told_layout(&db)?);
    let known = layout_records::ensure_known(moves, records)
        .and_then(|()| layout_records::ensure_told(told, records));
    known.map_err(|why| anyhow::anyhow!("{why}. Put back the whole folder"))
}

/// Refuses results from a time that has not come: until then there would be no ids for any grab.
pub(super) fn not_ahead(latest: Option<ResultId>, now: Timestamp) -> anyhow::Result<()> {
    let Some(latest) = latest.map(ResultId::time) else { return Ok(()) };
    let ahead = latest.millis() - now.millis();
    ensure!(
        ahead <= PATIENCE_MS,
        "its latest result is of {latest}, which is {} ahead of this machine's clock ({now}), so that no grab could be \
         given an id before then. If this clock is wrong now, set it right. If it was wrong when that result was made, \
         start again after that time, or take the copy of the folder from before",
        seconds(ahead)
    );
    Ok(())
}

/// The folder, with the sample catalogue if there was nothing in it.
fn open_folder(options: &Options, strategy: &dyn ShardingStrategy) -> anyhow::Result<Folder> {
    let (layout, shards) = (strategy.layout(), strategy.shard_count().max(options.shards_prepared));
    match Folder::open(&options.data, &layout, shards) {
        Err(FolderError::NoData { .. }) => {}
        opened => return Ok(opened?),
    }
    let folder = Folder::create(&options.data, &layout, shards)?;
    folder.mark_incomplete()?;
    let main = folder.connect_main()?;
    main.execute_batch("BEGIN")?;
    for statement in schema::sample(Dialect::Sqlite) {
        main.execute_batch(&statement).context("cannot load the sample catalogue")?;
    }
    main.execute_batch("COMMIT")?;
    let folder = if options.room_index { rooms::build(folder, &mut |_, _| ())? } else { folder };
    folder.mark_complete()?;
    tracing::info!(
        data = %options.data.display(),
        "the data folder was empty: it now holds a small sample catalogue; the seeder makes a large one"
    );
    Ok(folder)
}
