//! MySQL as the main database's server.

use std::collections::BTreeMap;

use anyhow::{Context as _, ensure};
use async_trait::async_trait;
use coupon_core::{GateCount, GateId, ShardId, Timestamp};
use coupon_store::clock::Clock;
use mysql_async::prelude::Queryable as _;
use mysql_async::{Conn, TxOpts};

use super::{Database, DatabaseError, PATIENCE, SILENT_LONG_S, begin_books, catalogue};
use crate::format::{FORMAT, SEVERAL_GATES};
use crate::mains_time;
use crate::names::Namespace;
use crate::seam::{
    BatchLock, Books, GateLock, GatePlace, GateState, GatesRecord, MainLock, MainServer, NUMBERS, Opening,
    Renewed, TERM_MS, Term,
};

/// The lock of a process that fills a gate, makes queues, or has a batch of rows on its way.
pub(crate) const GATE_LOCK: &str = "gate";
/// The wait, in seconds, for a lock that another process has: none.
pub(super) const NOW: u32 = 0;
/// The same for one that is given up at the end of each round of batches of rows that move, and taken again for the next.
const A_BATCH: u32 = 2;

/// The main database of one namespace.
#[derive(Debug, Clone)]
pub(crate) struct MainDatabase {
    pub(super) database: Database,
    namespace: Namespace,
    pub(super) gates: GateCount,
    /// Moves main's time, in tests.
    clock: Clock,
}

impl MainDatabase {
    pub(crate) fn new(database: &Database, namespace: &Namespace, clock: &Clock) -> Self {
        let gates = GateCount::ONE;
        Self { database: database.clone(), namespace: namespace.clone(), gates, clock: clock.clone() }
    }

    /// The same, of a data set with so many gates.
    pub(crate) fn of_gates(self, gates: GateCount) -> Self {
        Self { gates, ..self }
    }

    /// Main's time as an expression of its SQL.
    pub(super) fn now(&self) -> String {
        mains_time::expression(&self.clock)
    }

    /// Takes a gate's lock over a connection, with which it goes; unless another process has it for so many seconds yet.
    pub(super) async fn lock(
        &self,
        mut conn: Conn,
        what: &str,
        gate: GateId,
        wait_s: u32,
    ) -> Result<Option<Locked>, DatabaseError> {
        let name = gate_lock(&self.namespace, what, gate);
        let asked = conn.exec_first("SELECT GET_LOCK(?, ?)", (name, wait_s));
        let mine: Option<Option<i64>> = self.database.patiently(PATIENCE, asked).await?;
        Ok((mine.flatten() == Some(1)).then(|| Locked {
            conn,
            row: GateRow { gate, gates: self.gates },
            now: self.now(),
            database: self.database.clone(),
        }))
    }
}

/// The name of a gate's lock. The first has that of the only one.
pub(crate) fn gate_lock(namespace: &Namespace, what: &str, gate: GateId) -> String {
    let namespace = namespace.as_str();
    if gate == GateId::FIRST { format!("{namespace}.{what}") } else { format!("{namespace}.{what}.{gate}") }
}

/// Reads main's record of so many gates; of none where it has other ones.
pub(super) async fn read_record(conn: &mut Conn, gates: GateCount) -> mysql_async::Result<GatesRecord> {
    let state = |(epoch, open_epoch)| GateState { epoch, open_epoch };
    if !gates.is_several() {
        let sql = format!("SELECT epoch, open_epoch FROM gate_state WHERE id = {FORMAT}");
        let gates = conn.query_map(sql, state).await?;
        return Ok(GatesRecord { list: 0, gates });
    }
    let sql = format!("SELECT gate_list FROM gate_state WHERE id = {SEVERAL_GATES}");
    let Some(list) = conn.query_first(sql).await? else { return Ok(GatesRecord::default()) };
    let gates = conn.query_map("SELECT epoch, open_epoch FROM gates ORDER BY gate", state).await?;
    Ok(GatesRecord { list, gates })
}

/// The row in which main has a gate's epochs: that of the only gate, or that of one of several.
#[derive(Debug, Clone, Copy)]
struct GateRow {
    gate: GateId,
    gates: GateCount,
}

impl GateRow {
    /// Its table.
    const fn table(self) -> &'static str {
        if self.gates.is_several() { "gates" } else { "gate_state" }
    }

    /// The condition by which it is found there.
    fn key(self) -> String {
        if self.gates.is_several() { format!("gate = {}", self.gate) } else { format!("id = {FORMAT}") }
    }
}

#[async_trait]
impl MainServer for MainDatabase {
    fn name(&self) -> String {
        self.database.to_string()
    }

    async fn time(&self) -> Result<Timestamp, DatabaseError> {
        mains_time::ask(&self.database, &self.clock).await
    }

    async fn record(&self) -> Result<(Option<String>, GatesRecord), DatabaseError> {
        let mut conn = self.database.connect().await?;
        let failed = |error| self.database.error(&error);
        let dataset: Option<String> =
            conn.query_first("SELECT value FROM meta WHERE name = 'dataset'").await.map_err(failed)?;
        self.database.follow(&mut conn).await.map_err(failed)?;
        Ok((dataset, read_record(&mut conn, self.gates).await.map_err(failed)?))
    }

    async fn positions(&self) -> Result<BTreeMap<ShardId, i64>, DatabaseError> {
        let mut conn = self.database.connect().await?;
        let asked = conn.query("SELECT shard, outbox_id FROM outbox_positions");
        let rows: Vec<(u16, i64)> = self.database.patiently(PATIENCE, asked).await?;
        Ok(rows.into_iter().map(|(shard, position)| (ShardId::new(shard), position)).collect())
    }

    async fn gate_seen(&self, gate: GateId, address: &str) -> Result<(), DatabaseError> {
        let now = self.now();
        let sql = if self.gates.is_several() {
            format!(
                "UPDATE gates SET address = IF(address = '', ?, address), seen = {now} WHERE gate = {gate}"
            )
        } else {
            format!(
                "INSERT INTO gate_record (id, address, seen) VALUES (1, ?, {now}) \
                 ON DUPLICATE KEY UPDATE seen = VALUES(seen)"
            )
        };
        let mut conn = self.database.connect().await?;
        self.database.patiently(PATIENCE, conn.exec_drop(sql, (address,))).await
    }

    async fn lock_gate(&self, gate: GateId) -> Result<Option<Box<dyn GateLock>>, DatabaseError> {
        let conn = self.database.connect_to_lock().await?;
        let Some(mut lock) = self.lock(conn, GATE_LOCK, gate, A_BATCH).await? else { return Ok(None) };
        // A process that was frozen while it waited, and has the lock unawares, does not have it for long.
        let long = lock.conn.query_drop(format!("SET SESSION wait_timeout = {SILENT_LONG_S}"));
        self.database.patiently(PATIENCE, long).await?;
        Ok(Some(Box::new(lock)))
    }

    async fn lock_gates_for_a_batch(&self) -> Result<Option<Box<dyn BatchLock>>, DatabaseError> {
        let mut conn = self.database.connect_to_lock().await?;
        // Over one connection, with which all go.
        for gate in self.gates.all().skip(1) {
            let Some(locked) = self.lock(conn, GATE_LOCK, gate, A_BATCH).await? else { return Ok(None) };
            conn = locked.conn;
        }
        let locked = self.lock(conn, GATE_LOCK, GateId::FIRST, A_BATCH).await?;
        Ok(locked.map(|lock| Box::new(lock) as Box<dyn BatchLock>))
    }

    async fn lock_reconciler(&self, gate: GateId) -> Result<Option<Box<dyn MainLock>>, DatabaseError> {
        let locked = self.lock(self.database.connect_to_lock().await?, "reconcile", gate, NOW).await?;
        Ok(locked.map(|lock| Box::new(lock) as Box<dyn MainLock>))
    }

    async fn books(&self) -> anyhow::Result<Box<dyn Books>> {
        Ok(Box::new(begin_books(&self.database).await?))
    }

    async fn lease(&self, holder: &str, count: usize) -> anyhow::Result<Vec<Term>> {
        let (main, now) = (&self.database, self.now());
        let failed = |error| main.error(&error);
        let mut conn = main.connect().await?;
        let mut transaction = conn.start_transaction(TxOpts::default()).await.map_err(failed)?;
        // Every process that leases locks this row first, so that no two of them want the same.
        transaction.query_drop("SELECT id FROM gate_state FOR UPDATE").await.map_err(failed)?;
        let sql = format!("SELECT worker FROM worker_leases WHERE lease_end >= {now}");
        let taken: Vec<u16> = transaction.query(sql).await.map_err(failed)?;
        let free: Vec<u16> = (0..NUMBERS).filter(|number| !taken.contains(number)).take(count).collect();
        ensure!(
            free.len() == count,
            "{main}: all {NUMBERS} worker numbers are leased; those of processes that are gone are free again within {} \
             minutes",
            TERM_MS / 60_000
        );
        let mut terms = Vec::with_capacity(count);
        for worker in free {
            // The end goes last: what is assigned before it is judged by the end of the old lease.
            let mine = "lease_end < VALUES(lease_start)";
            let sql = format!(
                "INSERT INTO worker_leases (worker, holder, lease_start, lease_end) \
                 VALUES (?, ?, {now}, {now} + {TERM_MS}) ON DUPLICATE KEY UPDATE \
                 holder = IF({mine}, VALUES(holder), holder), \
                 lease_start = IF({mine}, VALUES(lease_start), lease_start), \
                 lease_end = IF({mine}, VALUES(lease_end), lease_end)"
            );
            transaction.exec_drop(sql, (worker, holder)).await.map_err(failed)?;
            let sql = "SELECT lease_start, lease_end FROM worker_leases WHERE worker = ? AND holder = ?";
            let row: Option<(i64, i64)> =
                transaction.exec_first(sql, (worker, holder)).await.map_err(failed)?;
            let (start, end) = row.with_context(|| {
                format!("{main}: worker number {worker} was renewed by its holder just now")
            })?;
            terms.push(Term {
                worker,
                start: Timestamp::from_millis(start),
                end: Timestamp::from_millis(end),
            });
        }
        transaction.commit().await.map_err(failed)?;
        Ok(terms)
    }

    async fn renew(&self, holder: &str, workers: &[u16]) -> anyhow::Result<Renewed> {
        let (now, held) = (self.now(), list(workers));
        let mut conn = self.database.connect().await?;
        let sql = format!(
            "UPDATE worker_leases SET lease_end = GREATEST(lease_end, {now} + {TERM_MS}) \
             WHERE holder = ? AND worker IN ({held})"
        );
        conn.exec_drop(sql, (holder,)).await?;
        let sql =
            format!("SELECT worker, lease_end FROM worker_leases WHERE holder = ? AND worker IN ({held})");
        let ends: Vec<(u16, i64)> = conn.exec(sql, (holder,)).await?;
        let now: Option<i64> = conn.query_first(format!("SELECT {now}")).await?;
        Ok(Renewed {
            ends: ends.into_iter().map(|(worker, end)| (worker, Timestamp::from_millis(end))).collect(),
            now: Timestamp::from_millis(now.unwrap_or_default()),
        })
    }

    async fn give_back(&self, holder: &str, worker: u16, end: Timestamp) -> anyhow::Result<()> {
        let mut conn = self.database.connect().await?;
        let sql = "UPDATE worker_leases SET lease_end = ? WHERE worker = ? AND holder = ?";
        Ok(conn.exec_drop(sql, (end.millis(), worker, holder)).await?)
    }
}

fn list(numbers: &[u16]) -> String {
    numbers.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

/// A connection that has a lock: the server lets go of it when the connection ends.
pub(super) struct Locked {
    pub(super) conn: Conn,
    row: GateRow,
    /// Main's time as an expression of its SQL.
    now: String,
    pub(super) database: Database,
}

#[async_trait]
impl MainLock for Locked {
    async fn end(self: Box<Self>) {
        let _ = self.conn.disconnect().await;
    }
}

#[async_trait]
impl BatchLock for Locked {
    async fn are_open(&mut self) -> anyhow::Result<bool> {
        let record = read_record(&mut self.conn, self.row.gates).await?;
        Ok(!record.gates.is_empty() && record.gates.iter().all(|gate| gate.open().is_some()))
    }
}

#[async_trait]
impl GateLock for Locked {
    async fn state(&mut self) -> anyhow::Result<GateState> {
        let GateRow { gate, gates } = self.row;
        Ok(read_record(&mut self.conn, gates).await?.of(gate))
    }

    async fn place(&mut self) -> anyhow::Result<Option<GatePlace>> {
        let (now, GateRow { gate, gates }) = (&self.now, self.row);
        let sql = if gates.is_several() {
            format!("SELECT address, {now} - seen FROM gates WHERE gate = {gate} AND address <> ''")
        } else {
            format!("SELECT address, {now} - seen FROM gate_record WHERE id = 1")
        };
        let found: Option<(String, i64)> = self.conn.query_first(sql).await?;
        Ok(found.map(|(address, age_ms)| GatePlace { address, age_ms }))
    }

    async fn take_epoch(&mut self, epoch: u64, last: u64) -> anyhow::Result<bool> {
        let sql = format!("UPDATE {} SET epoch = ? WHERE {} AND epoch = ?", self.row.table(), self.row.key());
        self.conn.exec_drop(sql, (epoch, last)).await?;
        Ok(self.conn.affected_rows() == 1)
    }

    async fn filled_at(&mut self, address: &str) -> anyhow::Result<()> {
        let (now, GateRow { gate, gates }) = (&self.now, self.row);
        let sql = if gates.is_several() {
            format!("UPDATE gates SET address = ?, seen = {now} WHERE gate = {gate}")
        } else {
            format!("REPLACE INTO gate_record (id, address, seen) VALUES (1, ?, {now})")
        };
        Ok(self.conn.exec_drop(sql, (address,)).await?)
    }

    async fn open(&mut self, epoch: u64, version: u64) -> anyhow::Result<Opening> {
        let (table, key) = (self.row.table(), self.row.key());
        let mut transaction = self.conn.start_transaction(TxOpts::default()).await?;
        // A change of the catalogue takes this row first: its version is seen here, or it finds the epoch open once it has the
        // row.
        let opening = if catalogue::lock_version(&mut transaction).await? == version {
            let sql = format!("UPDATE {table} SET open_epoch = ? WHERE {key} AND epoch = ?");
            transaction.exec_drop(sql, (epoch, epoch)).await?;
            if transaction.affected_rows() == 1 { Opening::Open } else { Opening::Taken }
        } else {
            Opening::Changed
        };
        transaction.commit().await?;
        Ok(opening)
    }
}
