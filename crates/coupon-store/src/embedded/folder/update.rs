//! Brings the files of a folder of before up to date. Its format is written last: to be cut short does no harm, since
//! what was done before is found to be.

use std::path::Path;
use std::time::Instant;

use coupon_core::schema::{self, Column, Dialect, ResultsUpdate};
use coupon_core::{ShardId, TableId};
use rusqlite::{Connection, Row};

use super::{Folder, FolderError};
use crate::clock::Clock;
use crate::embedded::{layouts, sql};
use crate::layout_records;
use crate::slices::{SLICE, TableProgress};

/// Makes the tables and columns that later versions have added, in main and in every shard.
pub(super) fn run(folder: &Folder) -> Result<(), FolderError> {
    tracing::info!(dir = %folder.dir().display(), "the folder is brought up to date");
    let path = folder.main_path();
    update(&path, || main(&mut folder.connect_main()?))?;
    first_layout(folder)?;
    for shard in (0..folder.shards().get()).map(ShardId::new) {
        let path = folder.shard_path(shard);
        update(&path, || self::shard(&mut folder.connect_shard(shard)?, shard))?;
    }
    Ok(())
}

/// Adds the columns that a shard lacks which a version of before has made.
pub(super) fn add_columns(folder: &Folder) -> Result<(), FolderError> {
    for shard in (0..folder.shards().get()).map(ShardId::new) {
        let path = folder.shard_path(shard);
        update(&path, || add(&folder.connect_shard(shard)?, &schema::shard_columns(Dialect::Sqlite)))?;
    }
    Ok(())
}

/// Makes the layout that a data set began with the first version, unless it is.
pub(super) fn first_layout(folder: &Folder) -> Result<(), FolderError> {
    let first = layout_records::first(folder.layout(), Clock::system().now());
    update(&folder.main_path(), || {
        let main = folder.connect_main()?;
        if layouts::read(&main)?.is_empty() { layouts::add(&main, &first) } else { Ok(()) }
    })
}

fn update(path: &Path, run: impl FnOnce() -> rusqlite::Result<()>) -> Result<(), FolderError> {
    run().map_err(|error| FolderError::sqlite(path, error))
}

fn main(db: &mut Connection) -> rusqlite::Result<()> {
    let transaction = db.transaction()?;
    schema::main_updates().iter().try_for_each(|sql| transaction.execute_batch(sql))?;
    add(&transaction, &schema::main_columns())?;
    transaction.commit()
}

fn shard(db: &mut Connection, shard: ShardId) -> rusqlite::Result<()> {
    schema::shard_updates().iter().try_for_each(|sql| db.execute_batch(sql))?;
    add(db, &schema::shard_columns(Dialect::Sqlite))?;
    let tables = sql::tables(db)?;
    let all = tables.len();
    for (number, table) in (1..).zip(tables) {
        let began = Instant::now();
        if results(db, table, SLICE)? {
            let took_s = began.elapsed().as_secs_f64();
            tracing::info!(%shard, %table, number, all, took_s, "a table of results is brought up to date");
        }
    }
    Ok(())
}

/// Brings one table of results up to date, its rows slice by slice: each slice stays changed should this be cut short. Says
/// whether there was more to do than to look at them.
pub(super) fn results(db: &mut Connection, table: TableId, slice: u32) -> rusqlite::Result<bool> {
    let update = schema::results_update(Dialect::Sqlite, table);
    let of_before = !covers_slot(db, &update.index)?;
    add(db, &update.columns)?;
    // Also where the index is there: after an update that was cut short, the version of before may have used results.
    rows(db, &update, slice)?;
    if of_before {
        let transaction = db.transaction()?;
        update.index_anew.iter().try_for_each(|sql| transaction.execute_batch(sql))?;
        transaction.commit()?;
    }
    Ok(of_before)
}

/// Gives every row of a table the state that it has by its use.
fn rows(db: &Connection, update: &ResultsUpdate, slice: u32) -> rusqlite::Result<()> {
    let (mut after, mut progress) = (0, TableProgress::of(&update.table));
    loop {
        let next = |row: &Row<'_>| -> rusqlite::Result<(u64, Option<i64>)> { Ok((row.get(0)?, row.get(1)?)) };
        let (rows, Some(last)) = db.query_row(&update.next_slice(after, slice), [], next)? else {
            return Ok(());
        };
        db.execute(&update.slice(after, last), [])?;
        progress.passed(rows);
        after = last;
    }
}

/// Adds the columns that are missing.
fn add(db: &Connection, columns: &[Column]) -> rusqlite::Result<()> {
    for Column { table, name, sql } in columns {
        let there = "SELECT COUNT(*) FROM pragma_table_info(?1) WHERE name = ?2";
        if db.query_row(there, [table, name], |row| row.get::<_, i64>(0))? == 0 {
            db.execute_batch(sql)?;
        }
    }
    Ok(())
}

fn covers_slot(db: &Connection, index: &str) -> rusqlite::Result<bool> {
    let sql = "SELECT COUNT(*) FROM pragma_index_info(?1) WHERE name = 'slot'";
    db.query_row(sql, [index], |row| row.get::<_, i64>(0)).map(|covers| covers == 1)
}
