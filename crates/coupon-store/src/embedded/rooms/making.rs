//! Makes a folder's room index, and takes it away: where no service has the folder.

use anyhow::Context as _;
use coupon_core::{CouponResult, Placement, ShardId};
use rusqlite::{Connection, Transaction, TransactionBehavior};

use super::{IndexDelivery, drop_tables, make_tables, take_in};
use crate::clock::Clock;
use crate::embedded::folder::Folder;
use crate::embedded::moves;
use crate::embedded::shards::sum_totals;
use crate::embedded::sql;
use crate::room_index::{MakingProgress, RoomPlaces};
use crate::statements::LEAVING;

/// The rows that are read from a table at a time.
const CHUNK: usize = 8_192;

/// Makes the index over all shards of a folder that no service has, of what is stored in their tables. Where it is cut short
/// there is none, and the next run goes on, unless rows may have changed in between. `told` is called with the number of rows
/// that the index has, and with the number of all rows.
///
/// # Errors
/// When a file cannot be read or written.
pub fn build(folder: Folder, told: &mut dyn FnMut(u64, u64)) -> anyhow::Result<Folder> {
    let shards = open(&folder)?;
    let (folder, mut making) = match folder.making()? {
        Some(making) => (folder, making),
        None => begin(folder, &shards)?,
    };
    let (places, now) = (making.places(), Clock::system().now());
    let mut all = 0;
    for (_, db) in &shards {
        all += sum_totals(db, &sql::tables(db)?)?.results;
    }
    for (shard, db) in &shards {
        let so_far = making;
        let take = |at: Option<Placement>, rows: &[CouponResult]| {
            for (to, rows) in places.parted(rows) {
                let (_, db) = shards.get(to.index()).context("a shard of the index is not there")?;
                take_in(db, &IndexDelivery { rows, positions: Vec::new() }, now)?;
            }
            let Some(at) = at else { return Ok(()) };
            let taken = making.took(at, rows);
            folder.note_making(Some(making))?;
            told(taken, all.max(taken));
            anyhow::Ok(())
        };
        read_all(db, *shard, so_far, take)
            .with_context(|| folder.shard_path(*shard).display().to_string())?;
    }
    drop(shards);
    Ok(folder.with_room_index(Some(places))?)
}

/// Every row of a shard that is left, some thousands at a time, with the place that they are at; those that are leaving
/// it come last.
fn read_all(
    db: &Connection,
    shard: ShardId,
    making: MakingProgress,
    mut take: impl FnMut(Option<Placement>, &[CouponResult]) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    for (table, mut after) in making.left(shard, sql::tables(db)?) {
        loop {
            let rows = sql::behind(db, table, after, CHUNK)?;
            let Some(last) = rows.last() else { break };
            after = last.result_id.number();
            take(Some(Placement::new(shard, table)), &rows)?;
        }
    }
    let leaving = moves::leaving(db).with_context(|| format!("the table {LEAVING}"))?;
    let leaving = leaving.into_iter().flat_map(|batch| batch.rows).map(|row| row.result);
    take(None, &leaving.collect::<Vec<_>>())
}

/// Begins an index over all shards anew.
fn begin(folder: Folder, shards: &[(ShardId, Connection)]) -> anyhow::Result<(Folder, MakingProgress)> {
    let folder = folder.with_room_index(None)?;
    for (shard, db) in shards {
        let anew = || {
            let transaction = Transaction::new_unchecked(db, TransactionBehavior::Immediate)?;
            drop_tables(&transaction)?;
            make_tables(&transaction)?;
            transaction.commit()
        };
        anew().with_context(|| folder.shard_path(*shard).display().to_string())?;
    }
    let making = MakingProgress::begin(RoomPlaces::over(folder.shards()), 0);
    Ok((folder, making))
}

/// Takes the index away, if there is one.
///
/// # Errors
/// When a file cannot be written.
pub fn drop_index(folder: Folder) -> anyhow::Result<Folder> {
    let folder = folder.with_room_index(None)?;
    for (shard, db) in open(&folder)? {
        drop_tables(&db).with_context(|| folder.shard_path(shard).display().to_string())?;
    }
    Ok(folder)
}

fn open(folder: &Folder) -> anyhow::Result<Vec<(ShardId, Connection)>> {
    let open = |shard| Ok((shard, folder.connect_shard(shard)?));
    (0..folder.shards().get()).map(ShardId::new).map(open).collect()
}
