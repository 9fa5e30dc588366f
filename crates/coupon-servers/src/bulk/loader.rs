//! One server's part of a bulk load: a thread with the only connection that writes there.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc::Sender;
use std::thread::{self, JoinHandle};

use anyhow::Context as _;
use coupon_core::schema::{self, Dialect};
use coupon_core::{CouponResult, ResultState, TableId};
use coupon_store::statements::unless_there;
use coupon_store::{BulkFilling, Totals};
use mysql_async::prelude::Queryable as _;
use mysql_async::{Conn, Params, Value};
use tokio::runtime;
use tokio::sync::mpsc;

use super::rows::{Columns as _, ROWS, insert};
use crate::lane::Lane;
use crate::mysql::{Database, SILENT_DAYS_S};
use crate::sql;

/// Jobs that may wait for a server before the generator of rows does.
const JOBS: usize = 4;
/// Rows of one transaction: its commit is then no longer what takes the time.
const COMMIT: usize = 10_000;
/// Results that wait for their table's statement to be full, over all tables of the shard.
const WAITING: usize = 50_000;

/// A piece of work for a server.
pub(super) enum Job {
    /// One statement of many rows.
    Insert { sql: String, values: Vec<Value> },
    /// Results, and the tables that they go to.
    Results(Vec<(TableId, CouponResult)>),
    /// Commit what was handed over, and say so.
    Settle(Sender<()>),
    /// The end of the work.
    Finish,
}

#[derive(Debug)]
pub(super) struct Loader {
    /// None once the thread has given up.
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    jobs: mpsc::Sender<Job>,
    thread: JoinHandle<anyhow::Result<Totals>>,
}

impl Running {
    fn end(self) -> anyhow::Result<Totals> {
        drop(self.jobs);
        self.thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

impl Loader {
    /// Starts the thread; it says so in `index_made` whenever a table of results has its indexes, at the end.
    pub(super) fn start(
        name: &str,
        database: &Database,
        lane: Lane,
        filling: BulkFilling,
        index_made: Sender<()>,
    ) -> anyhow::Result<Self> {
        let (jobs, received) = mpsc::channel(JOBS);
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let database = database.clone();
        let run = move || runtime.block_on(work(&database, lane, filling, received, &index_made));
        let thread = thread::Builder::new().name(name.to_owned()).spawn(run)?;
        Ok(Self { running: Some(Running { jobs, thread }) })
    }

    /// Hands work over; waits when there is much of it already.
    ///
    /// # Errors
    /// Returns the error of earlier work, if it failed.
    pub(super) fn send(&mut self, job: Job) -> anyhow::Result<()> {
        let gone = "a server's thread has ended before its work";
        let running = self.running.as_ref().context(gone)?;
        if running.jobs.blocking_send(job).is_ok() {
            return Ok(());
        }
        let ended = self.running.take().context(gone)?.end();
        ended.and_then(|_| anyhow::bail!(gone))
    }

    /// Waits for the thread to end. Returns the sums over the results it stored.
    pub(super) fn end(self) -> anyhow::Result<Totals> {
        self.running.context("a server's thread has ended before its work")?.end()
    }
}

async fn work(
    database: &Database,
    lane: Lane,
    filling: BulkFilling,
    jobs: mpsc::Receiver<Job>,
    index_made: &Sender<()>,
) -> anyhow::Result<Totals> {
    let mut conn = database.connect_for_bulk().await?;
    let there = tables(&mut conn).await.map_err(|error| database.error(&error))?;
    let writer = Writer {
        conn,
        lane,
        filling,
        waiting: BTreeMap::new(),
        waiting_rows: 0,
        uncommitted: 0,
        made: there,
        sums: Totals::default(),
    };
    Ok(writer.run(jobs, index_made).await.map_err(|error| database.error(&error))?)
}

/// The tables of results that are there.
async fn tables(conn: &mut Conn) -> mysql_async::Result<BTreeSet<TableId>> {
    let names: Vec<String> = conn.query("SHOW TABLES").await?;
    Ok(names.iter().filter_map(|name| TableId::parse(name)).collect())
}

struct Writer {
    conn: Conn,
    lane: Lane,
    filling: BulkFilling,
    /// Results of each table, in the order in which they came: if that was the order of ids, they are appended to their
    /// table, which costs least.
    waiting: BTreeMap<TableId, Vec<CouponResult>>,
    waiting_rows: usize,
    uncommitted: usize,
    made: BTreeSet<TableId>,
    sums: Totals,
}

impl Writer {
    /// Ends early, with the last transaction undone, when the source of the rows goes away.
    async fn run(
        mut self,
        mut jobs: mpsc::Receiver<Job>,
        index_made: &Sender<()>,
    ) -> mysql_async::Result<Totals> {
        // An engine ends a transaction that waits for rows: each statement is one there.
        if !self.lane.is_engines() {
            let session = format!("SET SESSION autocommit = 0, wait_timeout = {SILENT_DAYS_S}");
            self.conn.query_drop(session).await?;
        }
        while let Some(job) = jobs.recv().await {
            match job {
                Job::Insert { sql, values } => self.insert(&sql, values, ROWS).await?,
                Job::Results(rows) => self.results(rows).await?,
                Job::Settle(settled) => {
                    self.flush_all().await?;
                    self.commit().await?;
                    // An error says that the caller does not wait any more.
                    let _ = settled.send(());
                }
                Job::Finish => {
                    self.flush_all().await?;
                    self.commit().await?;
                    self.index(index_made).await?;
                    self.conn.disconnect().await?;
                    break;
                }
            }
        }
        Ok(self.sums)
    }

    async fn results(&mut self, rows: Vec<(TableId, CouponResult)>) -> mysql_async::Result<()> {
        for (table, row) in rows {
            self.sums += Totals::of(&row);
            let waiting = self.waiting.entry(table).or_default();
            waiting.push(row);
            self.waiting_rows += 1;
            if waiting.len() == ROWS {
                let full = std::mem::take(waiting);
                self.store(table, full).await?;
            }
        }
        if self.waiting_rows > WAITING { self.flush_all().await } else { Ok(()) }
    }

    async fn flush_all(&mut self) -> mysql_async::Result<()> {
        for (table, rows) in std::mem::take(&mut self.waiting) {
            if !rows.is_empty() {
                self.store(table, rows).await?;
            }
        }
        Ok(())
    }

    async fn store(&mut self, table: TableId, rows: Vec<CouponResult>) -> mysql_async::Result<()> {
        if self.made.insert(table) {
            // It commits what was written before, which does no harm.
            self.conn.query_drop(schema::results(Dialect::MySql, table).0).await?;
        }
        self.waiting_rows -= rows.len();
        let end = self.unless_there();
        if self.lane.is_engines() {
            let rows: Vec<&CouponResult> = rows.iter().collect();
            let sql = sql::insert_whole(self.lane, table, &rows, end);
            return self.conn.query_drop(sql).await;
        }
        let mut values = Vec::with_capacity(rows.len() * CouponResult::COLUMNS.len());
        rows.iter().for_each(|row| row.bind(&mut values));
        let sql = insert(&table.to_string(), CouponResult::COLUMNS, rows.len()) + end;
        self.insert(&sql, values, rows.len()).await?;
        // The data set is incomplete until all of it is there.
        let held = rows.iter().filter(|row| row.state == ResultState::Held);
        let holds: Vec<String> = held
            .filter_map(|row| Some(format!("({},{},'{table}')", row.hold_until?.millis(), row.result_id)))
            .collect();
        if holds.is_empty() {
            return Ok(());
        }
        let sql =
            format!("INSERT INTO holds (hold_until, result_id, table_name) VALUES {}{end}", holds.join(","));
        self.conn.query_drop(sql).await
    }

    /// The end of a statement that stores results.
    const fn unless_there(&self) -> &'static str {
        match self.filling {
            BulkFilling::Once => "",
            BulkFilling::Resumable => unless_there(Dialect::MySql),
        }
    }

    async fn insert(&mut self, sql: &str, values: Vec<Value>, rows: usize) -> mysql_async::Result<()> {
        self.conn.exec_drop(sql, Params::Positional(values)).await?;
        self.uncommitted += rows;
        if self.uncommitted >= COMMIT { self.commit().await } else { Ok(()) }
    }

    async fn commit(&mut self) -> mysql_async::Result<()> {
        self.uncommitted = 0;
        self.conn.query_drop("COMMIT").await
    }

    async fn index(&mut self, index_made: &Sender<()>) -> mysql_async::Result<()> {
        for &table in &self.made {
            if !self.lane.is_engines() && !has_indexes(&mut self.conn, table).await? {
                self.conn.query_drop(schema::results_indexes(table)).await?;
            }
            // An error says that the receiver is gone, and does not matter.
            let _ = index_made.send(());
        }
        Ok(())
    }
}

/// True if a table has the indexes that one statement adds after the rows.
async fn has_indexes(conn: &mut Conn, table: TableId) -> mysql_async::Result<bool> {
    let sql = "SELECT COUNT(*) FROM information_schema.statistics WHERE table_schema = DATABASE() \
               AND table_name = ? AND index_name <> 'PRIMARY'";
    let columns: Option<i64> = conn.exec_first(sql, (table.to_string(),)).await?;
    Ok(columns != Some(0))
}
