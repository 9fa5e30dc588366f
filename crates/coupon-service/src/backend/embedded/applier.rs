//! Tells the main database what the shards have stored: each outbox entry exactly once, many in one transaction.
//!
//! It trails the grabs by a moment, and no grab waits for it.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use coupon_core::{CouponId, ResultId, ShardId, StockOperation, Timestamp};
use rusqlite::{Connection, Transaction, TransactionBehavior, params};
use tokio::sync::oneshot;

use super::state::{ShardState, lock};
use crate::backend::Unavailable;
use crate::backend::measure::Applied;
use crate::clock::Clock;
use crate::ids::IdGenerator;

/// How long entries gather before they are applied: main need not be told of every commit by itself.
const GATHER: Duration = Duration::from_millis(200);
const RETRY: Duration = Duration::from_millis(500);
/// The worker whose ids number stock logs; grabs never use it.
const LOG_WORKER: u16 = ResultId::WORKERS - 2;

/// What one shard transaction changed, for main.
#[derive(Debug, Clone)]
pub(super) struct OutboxEntry {
    pub(super) shard: ShardId,
    pub(super) id: i64,
    /// Rows stored, or, below zero, rows that the seeder's `archive` retired and had no time to tell of.
    pub(super) deltas: Vec<(CouponId, i64)>,
}

impl OutboxEntry {
    /// `[[coupon_id,rows],…]`, as the outbox holds it.
    pub(super) fn deltas_as_json(&self) -> String {
        let pairs: Vec<String> =
            self.deltas.iter().map(|(coupon, rows)| format!("[{coupon},{rows}]")).collect();
        format!("[{}]", pairs.join(","))
    }
}

/// What the applier is woken for. Entries pile up without waking it: under load there is one a commit.
pub(super) enum Note {
    /// The first entry since the pile was taken.
    Entries,
    /// Answer once everything before is applied.
    Marker(Reply),
    /// Apply everything before, and end.
    Stop,
}

type Reply = oneshot::Sender<Result<(), Unavailable>>;

/// The way to the applier.
#[derive(Clone)]
pub(super) struct ToMain {
    pile: Arc<Mutex<Vec<OutboxEntry>>>,
    notes: Sender<Note>,
    lag: Arc<AtomicU64>,
    pub(super) applied: Arc<Applied>,
}

impl ToMain {
    /// Adds an entry that its shard has committed.
    pub(super) fn tell(&self, entry: OutboxEntry) {
        self.lag.fetch_add(1, Ordering::Relaxed);
        let mut pile = lock(&self.pile);
        pile.push(entry);
        if pile.len() == 1 {
            // Without an applier the service is stopping; main catches up from the outbox at the next start.
            let _ = self.notes.send(Note::Entries);
        }
    }

    /// Sends a marker, or the end.
    pub(super) fn send(&self, note: Note) -> Result<(), Unavailable> {
        self.notes.send(note).map_err(|_| Unavailable::new("the main database", "its writer has stopped"))
    }

    /// Entries that main has not applied yet.
    pub(super) fn lag(&self) -> u64 {
        self.lag.load(Ordering::Relaxed)
    }
}

/// What has arrived and is not done with.
#[derive(Default)]
struct Inbox {
    entries: Vec<OutboxEntry>,
    markers: Vec<Reply>,
    stop: bool,
}

impl Inbox {
    fn take(&mut self, note: Note) {
        match note {
            Note::Entries => {}
            Note::Marker(marker) => self.markers.push(marker),
            Note::Stop => self.stop = true,
        }
    }

    /// Lets entries pile up for a moment, or until somebody waits for them, and takes them.
    fn gather(&mut self, notes: &Receiver<Note>, pile: &Mutex<Vec<OutboxEntry>>) {
        let until = Instant::now() + GATHER;
        while self.markers.is_empty() && !self.stop {
            match notes.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(note) => self.take(note),
                Err(RecvTimeoutError::Timeout) => break,
                Err(RecvTimeoutError::Disconnected) => self.stop = true,
            }
        }
        // Markers first: what was committed before they were sent is on the pile by now.
        notes.try_iter().for_each(|note| self.take(note));
        self.entries.append(&mut lock(pile));
    }
}

/// The thread that applies entries.
pub(super) struct Applier {
    db: Connection,
    shards: Vec<Arc<ShardState>>,
    pile: Arc<Mutex<Vec<OutboxEntry>>>,
    lag: Arc<AtomicU64>,
    applied: Arc<Applied>,
    clock: Clock,
    log_ids: IdGenerator,
}

impl Applier {
    /// Starts the thread. It ends when told to, after what was sent before.
    pub(super) fn start(
        db: Connection,
        shards: Vec<Arc<ShardState>>,
        clock: Clock,
    ) -> anyhow::Result<(ToMain, JoinHandle<()>)> {
        let last: Option<i64> = db.query_row("SELECT MAX(log_id) FROM stock_logs", [], |row| row.get(0))?;
        let last = last.and_then(|id| ResultId::from_number(id).ok());
        let log_ids = IdGenerator::new(clock.clone(), LOG_WORKER, last);
        let (notes, receiver) = channel();
        let to_main = ToMain { pile: Arc::default(), notes, lag: Arc::default(), applied: Arc::default() };
        let (pile, lag) = (Arc::clone(&to_main.pile), Arc::clone(&to_main.lag));
        let applied = Arc::clone(&to_main.applied);
        let applier = Self { db, shards, pile, lag, applied, clock, log_ids };
        let thread =
            thread::Builder::new().name("main-apply".to_owned()).spawn(move || applier.run(&receiver))?;
        Ok((to_main, thread))
    }

    fn run(mut self, notes: &Receiver<Note>) {
        let mut inbox = Inbox::default();
        while !inbox.stop {
            if inbox.entries.is_empty() {
                match notes.recv() {
                    Ok(note) => inbox.take(note),
                    Err(_) => return,
                }
            }
            inbox.gather(notes, &self.pile);
            match self.apply(&inbox.entries) {
                Ok(()) => {
                    self.applied(&inbox.entries);
                    inbox.entries.clear();
                    inbox.markers.drain(..).for_each(|marker| drop(marker.send(Ok(()))));
                }
                // When stopping, the outbox still has the entries: the next start applies them.
                Err(error) => {
                    tracing::error!(%error, entries = inbox.entries.len(), "main takes no stock changes; they are kept");
                    let unavailable = || Unavailable::new("the main database", &error);
                    inbox.markers.drain(..).for_each(|marker| drop(marker.send(Err(unavailable()))));
                    thread::sleep(RETRY);
                }
            }
        }
    }

    /// One transaction: stock, its logs, and how far each shard's outbox has been applied.
    fn apply(&mut self, entries: &[OutboxEntry]) -> anyhow::Result<()> {
        if entries.is_empty() {
            return Ok(());
        }
        let began = Instant::now();
        let transaction = Transaction::new_unchecked(&self.db, TransactionBehavior::Immediate)?;
        let now = self.clock.now();
        // Rows that came and rows that went are different stories: they do not cancel out.
        let mut sums: BTreeMap<(ShardId, CouponId, bool), (i64, i64)> = BTreeMap::new();
        let mut positions: BTreeMap<ShardId, i64> = BTreeMap::new();
        for entry in entries {
            let reached = match positions.entry(entry.shard) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(unknown) => unknown.insert(position(&transaction, entry.shard)?),
            };
            if entry.id <= *reached {
                continue;
            }
            *reached = entry.id;
            for (coupon, rows) in &entry.deltas {
                let sum = sums.entry((entry.shard, *coupon, *rows < 0)).or_default();
                *sum = (sum.0 + rows, entry.id);
            }
        }
        for ((shard, coupon, _), (rows, entry)) in sums {
            let mut change =
                Change { db: &transaction, log_ids: &mut self.log_ids, shard, entry, coupon, now };
            if rows < 0 { change.retire(-rows)? } else { change.deduct(rows)? }
        }
        for (shard, id) in positions {
            transaction
                .prepare_cached(
                    "INSERT INTO outbox_positions (shard, outbox_id) VALUES (?1, ?2) \
                     ON CONFLICT (shard) DO UPDATE SET outbox_id = excluded.outbox_id",
                )?
                .execute(params![shard.number(), id])?;
        }
        transaction.commit()?;
        self.applied.told(entries.len(), began.elapsed());
        Ok(())
    }

    fn applied(&self, entries: &[OutboxEntry]) {
        for entry in entries {
            if let Some(state) = self.shards.get(entry.shard.index()) {
                state.applied.fetch_max(entry.id, Ordering::Release);
            }
        }
        self.lag.fetch_sub(entries.len() as u64, Ordering::Relaxed);
    }
}

fn position(db: &Connection, shard: ShardId) -> rusqlite::Result<i64> {
    let mut statement =
        db.prepare_cached("SELECT COALESCE(MAX(outbox_id), 0) FROM outbox_positions WHERE shard = ?1")?;
    statement.query_row([shard.number()], |row| row.get(0))
}

/// A change of one coupon's stock, and the outbox entry that asks for it.
struct Change<'a> {
    db: &'a Connection,
    log_ids: &'a mut IdGenerator,
    shard: ShardId,
    entry: i64,
    coupon: CouponId,
    now: Timestamp,
}

impl Change<'_> {
    /// Rows that came take stock.
    fn deduct(&mut self, rows: i64) -> anyhow::Result<()> {
        let before = self.remaining()?;
        self.update(0, -rows)?;
        self.log(StockOperation::Deduct, "grab", before, before - rows)
    }

    /// Rows that were retired give their stock back, and the total falls by as much.
    fn retire(&mut self, rows: i64) -> anyhow::Result<()> {
        let before = self.remaining()?;
        self.update(-rows, 0)?;
        self.log(StockOperation::RollBack, "archive", before, before + rows)?;
        self.log(StockOperation::Initialise, "archive", before + rows, before)
    }

    fn remaining(&self) -> rusqlite::Result<i64> {
        self.db
            .prepare_cached("SELECT remaining_stock FROM coupons WHERE coupon_id = ?1")?
            .query_row([self.coupon.get()], |row| row.get(0))
    }

    fn update(&self, total: i64, remaining: i64) -> rusqlite::Result<usize> {
        let sql = "UPDATE coupons SET total_stock = total_stock + ?2, remaining_stock = remaining_stock + ?3, \
                   update_time = ?4 WHERE coupon_id = ?1";
        let values = params![self.coupon.get(), total, remaining, self.now.millis()];
        self.db.prepare_cached(sql)?.execute(values)
    }

    fn log(&mut self, operation: StockOperation, by: &str, before: i64, after: i64) -> anyhow::Result<()> {
        let sql = "INSERT INTO stock_logs (log_id, coupon_id, operation_type, stock_before, stock_after, \
                   operator, shard, outbox_id, create_time) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
        self.db.prepare_cached(sql)?.execute(params![
            self.log_ids.make()?.number(),
            self.coupon.get(),
            operation.code(),
            before,
            after,
            by,
            self.shard.number(),
            self.entry,
            self.now.millis(),
        ])?;
        Ok(())
    }
}

/// Entries of a shard's outbox after a position: what main did not get to before the service stopped.
pub(super) fn unapplied(db: &Connection, shard: ShardId, after: i64) -> anyhow::Result<Vec<OutboxEntry>> {
    let mut statement =
        db.prepare("SELECT outbox_id, deltas FROM outbox WHERE outbox_id > ?1 ORDER BY outbox_id")?;
    let mut rows = statement.query([after])?;
    let mut entries = Vec::new();
    while let Some(row) = rows.next()? {
        let deltas: String = row.get(1)?;
        let deltas: Vec<(CouponId, i64)> = serde_json::from_str(&deltas)?;
        entries.push(OutboxEntry { shard, id: row.get(0)?, deltas });
    }
    Ok(entries)
}
