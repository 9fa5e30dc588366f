//! One shard's part of a bulk load: a thread that owns the only connection to the shard's file.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender, SyncSender};
use std::thread::{self, JoinHandle};

use coupon_core::schema::{self, Dialect};
use coupon_core::{CouponResult, ShardId, TableId};
use rusqlite::Connection;

use crate::BulkFilling;
use crate::embedded::folder::{Folder, FolderError};
use crate::embedded::{bindings, sql};
use crate::statements::unless_there;

/// Results, and the tables of one shard that they go to.
pub(super) type BulkRows = Vec<(TableId, CouponResult)>;

/// Batches that may wait for a shard before the generator of rows does.
const BATCHES: usize = 4;

enum Job {
    Store(BulkRows),
    /// Make durable what was stored, and say so.
    Settle(Sender<()>),
    Finish,
}

#[derive(Debug)]
pub(super) struct Lane {
    jobs: SyncSender<Job>,
    thread: JoinHandle<Result<u64, FolderError>>,
}

impl Lane {
    /// Starts the thread; it says so in `index_made` whenever it has made an index, at the end.
    pub(super) fn start(
        folder: &Arc<Folder>,
        shard: ShardId,
        (filling, cache_kib): (BulkFilling, u32),
        index_made: Sender<()>,
    ) -> Result<Self, FolderError> {
        let (jobs, received) = mpsc::sync_channel(BATCHES);
        let path = folder.shard_path(shard);
        let failed = |error| FolderError::sqlite(&path, error);
        let db = folder.connect_shard(shard).map_err(failed)?;
        filling.prepare(&db, cache_kib).map_err(failed)?;
        let tables = sql::tables(&db).map_err(failed)?.into_iter().collect();
        let folder = Arc::clone(folder);
        let run = move || {
            Writer { db, filling, tables, rows: 0 }.run(&received, &index_made, &folder.shard_path(shard))
        };
        let thread = thread::Builder::new().name(format!("bulk-{shard}")).spawn(run);
        Ok(Self { jobs, thread: thread.map_err(|error| FolderError::io(&path, error))? })
    }

    /// Hands rows over; false when the thread has given up, and [`Lane::end`] says why.
    pub(super) fn send(&self, rows: BulkRows) -> bool {
        self.jobs.send(Job::Store(rows)).is_ok()
    }

    /// Asks that what was handed over be made durable, and that `settled` say so. If the thread has given up, no answer comes.
    pub(super) fn settle(&self, settled: Sender<()>) {
        let _ = self.jobs.send(Job::Settle(settled));
    }

    /// Says that every row has been handed over. If the thread has given up, [`Lane::end`] will say so.
    pub(super) fn no_more(&self) {
        let _ = self.jobs.send(Job::Finish);
    }

    /// Waits for the thread to end and returns how many rows it stored.
    pub(super) fn end(self) -> Result<u64, FolderError> {
        drop(self.jobs);
        self.thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

struct Writer {
    db: Connection,
    filling: BulkFilling,
    /// The tables of results that are there.
    tables: BTreeSet<TableId>,
    rows: u64,
}

impl Writer {
    /// Ends early, with the file unfinished, when the source of the rows goes away.
    fn run(mut self, jobs: &Receiver<Job>, index_made: &Sender<()>, path: &Path) -> Result<u64, FolderError> {
        let failed = |error| FolderError::sqlite(path, error);
        while let Ok(job) = jobs.recv() {
            match job {
                Job::Store(rows) => self.store(&rows).map_err(failed)?,
                Job::Settle(settled) => {
                    super::settle(&self.db).map_err(failed)?;
                    // An error says that the caller does not wait any more.
                    let _ = settled.send(());
                }
                Job::Finish => {
                    self.index(index_made).map_err(failed)?;
                    super::durable(self.db, path)?;
                    break;
                }
            }
        }
        Ok(self.rows)
    }

    fn store(&mut self, rows: &BulkRows) -> rusqlite::Result<()> {
        let transaction = self.db.transaction()?;
        for rows in rows.chunk_by(|one, next| one.0 == next.0) {
            let Some(&(table, _)) = rows.first() else { continue };
            if self.tables.insert(table) {
                transaction.execute_batch(&schema::results(Dialect::Sqlite, table).0)?;
            }
            let mut statement = transaction.prepare_cached(&insert(table, self.filling))?;
            for (_, row) in rows {
                bindings::result(&mut statement, row)?;
                sql::hold(&transaction, table, row)?;
            }
        }
        transaction.commit()?;
        self.rows += rows.len() as u64;
        Ok(())
    }

    fn index(&mut self, index_made: &Sender<()>) -> rusqlite::Result<()> {
        for &table in &self.tables {
            for sql in schema::results_indexes_if_missing(table) {
                self.db.execute_batch(&sql)?;
                // An error says that the receiver is gone, and does not matter.
                let _ = index_made.send(());
            }
        }
        Ok(())
    }
}

fn insert(table: TableId, filling: BulkFilling) -> String {
    let insert = bindings::whole_row(table);
    match filling {
        BulkFilling::Once => insert,
        BulkFilling::Resumable => format!("{insert} {}", unless_there(Dialect::Sqlite)),
    }
}
