//! A shard as it is read at start, and the threads that go on with it.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Receiver;
use std::thread;

use anyhow::Context as _;
use coupon_core::books::Changes;
use coupon_core::{Placement, ResultId, ShardId, TableId, Timestamp};
use rusqlite::{Connection, Transaction, TransactionBehavior};

use super::applier::{ShardChanges, ToMain};
use super::folder::Folder;
use super::gate::MemoryGate;
use super::hand_over::WriterHandle;
use super::inbox::Inbox;
use super::late::WriterFence;
use super::options::Options;
use super::pressure::Pressure;
use super::reader::Readers;
use super::rooms::Telling;
use super::shards::sum_totals;
use super::state::SharedShard;
use super::take_up::{self, TakenUp};
use super::transaction::make_table;
use super::work::WriterRequest;
use super::writer::{INBOX_MAX, Writer};
use super::{books, moves, sql};
use crate::Layouts;
use crate::clock::Clock;
use crate::moving::ShardMoves;
use crate::outage::TaskOutage;
use crate::pace::Spacing;
use crate::terms::Terms;

/// A writer's cache of its file (SQLite's sign for KiB is a minus): the leaves of the indexes that random
/// users fall into, for some hundred thousand results.
const WRITER_CACHE_KIB: i64 = -16_384;

/// The state of one shard at start, and the connections to go on with.
pub(super) struct LoadedShard {
    pub(super) shard: ShardId,
    writer: Connection,
    readers: Vec<Connection>,
    pub(super) state: Arc<SharedShard>,
    tables: HashSet<TableId>,
    pub(super) latest: Option<ResultId>,
    unapplied: Vec<ShardChanges>,
    next_outbox_id: i64,
    inbox: Inbox,
    next_due: Option<Timestamp>,
    parked: HashSet<ResultId>,
    moves: ShardMoves,
    pub(super) index: Option<Telling>,
}

/// The parts of a process that every shard's threads work with.
pub(super) struct Around<'a> {
    pub(super) gate: Arc<MemoryGate>,
    pub(super) clock: &'a Clock,
    pub(super) to_main: &'a ToMain,
    pub(super) layouts: &'a Arc<Layouts>,
    pub(super) writers: &'a Arc<[WriterHandle]>,
    pub(super) expiry_pace: &'a Arc<Spacing>,
    /// The terms of all coupons, where the database decides grabs.
    pub(super) stock: Option<&'a [Terms]>,
}

/// A shard whose threads are at work.
pub(super) struct Started {
    pub(super) thread: thread::JoinHandle<()>,
    pub(super) readers: (Readers, Arc<SharedShard>),
}

/// Reads every shard at once: all of them must be read before the first grab.
pub(super) fn load_shards(
    folder: &Folder,
    wanted: &[Placement],
    gate: &MemoryGate,
    options: &Options,
    now: Timestamp,
) -> anyhow::Result<Vec<LoadedShard>> {
    thread::scope(|scope| {
        let load = |shard| scope.spawn(move || load_shard(folder, shard, wanted, gate, options, now));
        let loads: Vec<_> = (0..folder.shards().get()).map(ShardId::new).map(load).collect();
        let panicked = |_| anyhow::anyhow!("reading a shard panicked");
        loads.into_iter().map(|load| load.join().map_err(panicked)?).collect()
    })
}

fn load_shard(
    folder: &Folder,
    shard: ShardId,
    wanted: &[Placement],
    gate: &MemoryGate,
    options: &Options,
    now: Timestamp,
) -> anyhow::Result<LoadedShard> {
    let read = || -> anyhow::Result<LoadedShard> {
        let writer = folder.connect_shard(shard)?;
        writer.pragma_update(None, "cache_size", WRITER_CACHE_KIB)?;
        limit(&writer, options.max_file_mb)?;
        let wanted =
            wanted.iter().filter(|placement| placement.shard == shard).map(|placement| placement.table);
        make_missing(&writer, wanted)?;
        let latest_first = sql::tables(&writer)?;
        let tables: HashSet<TableId> = latest_first.iter().copied().collect();
        let TakenUp { latest, inbox, parked } =
            take_up::everything(&writer, shard, &latest_first, gate, now, |other| {
                Ok(folder.connect_shard_reader(other)?)
            })?;
        let next_due = sql::next_due(&writer)?;
        let moves = moves::state(&writer)?;
        let main = folder.connect_main_reader()?;
        let (position, last) = books::told_and_written(&main, &writer, shard)?;
        let mut totals = sum_totals(&writer, &latest_first)?;
        totals += moves::leaving_totals(&writer)?;
        let readers = connections(options.readers.get(), || folder.connect_shard_reader(shard))?;
        let open = 1 + readers.len() as u64;
        let state = Arc::new(SharedShard::new(latest_first, totals, parked.len() as u64, open));
        state.applied.store(position, Ordering::Release);
        state.leaves.store(!moves::none_leaves(&writer)?, Ordering::Release);
        if let Some(earliest) = inbox.rows.iter().map(|row| row.result.grab_time).min() {
            state.hold_back(earliest);
            state.waiting.store(inbox.rows.len(), Ordering::Release);
        }
        let unapplied = unapplied(&writer, shard, position)?;
        let next_outbox_id = last + 1;
        let index = folder.room_index().map(|places| Telling::read(&writer, places)).transpose()?;
        Ok(LoadedShard {
            shard,
            writer,
            readers,
            state,
            tables,
            latest,
            unapplied,
            next_outbox_id,
            inbox,
            next_due,
            parked,
            moves,
            index,
        })
    };
    read().with_context(|| format!("cannot read {}", folder.shard_path(shard).display()))
}

impl LoadedShard {
    /// Starts its threads, which go on from here.
    pub(super) fn start(
        self,
        around: &Around<'_>,
        backlog: usize,
        messages: Receiver<WriterRequest>,
    ) -> anyhow::Result<Started> {
        let Around { gate, clock, to_main, layouts, writers, expiry_pace, stock } = around;
        self.unapplied.into_iter().for_each(|entry| to_main.tell(entry));
        let mut writer = Writer {
            shard: self.shard,
            db: self.writer,
            state: Arc::clone(&self.state),
            gate: Arc::clone(gate),
            clock: (*clock).clone(),
            main: (*to_main).clone(),
            next_outbox_id: self.next_outbox_id,
            forgotten: 0,
            retry: Vec::new(),
            inbox: self.inbox,
            next_due: self.next_due,
            // What is in the inbox counts as waiting: it must not fill the backlog by itself.
            inbox_max: INBOX_MAX.min(backlog / 2),
            parked: self.parked,
            pressure: Pressure::default(),
            expiry_pace: Arc::clone(expiry_pace),
            next_expiry: None,
            resting: None,
            storing: TaskOutage::of_shard(
                self.shard,
                "a commit failed; its results are kept and tried again",
                "commits succeed again",
            ),
            sorting: TaskOutage::of_shard(
                self.shard,
                "the inbox is not sorted into its tables; it is tried again",
                "the inbox is sorted into its tables again",
            ),
            expiring: TaskOutage::of_shard(
                self.shard,
                "results that are due do not expire; it is tried again",
                "results that are due expire again",
            ),
            known_tables: self.tables,
            layouts: Arc::clone(layouts),
            writers: Arc::clone(writers),
            moves: self.moves,
            fence: WriterFence {
                version: None,
                latest: self.latest.map_or(Timestamp::from_millis(0), ResultId::time),
            },
            index: self.index,
            keeps_stock: false,
        };
        if let Some(terms) = stock {
            writer.count_stock(terms).with_context(|| format!("shard {} cannot decide grabs", self.shard))?;
        }
        let thread = writer.start(messages)?;
        let readers = Readers::start(self.shard, self.readers, Arc::clone(&self.state), (*clock).clone())?;
        Ok(Started { thread, readers: (readers, self.state) })
    }
}

/// The outbox entries that main has not applied. A main that was put back since is refused.
fn unapplied(db: &Connection, shard: ShardId, position: i64) -> anyhow::Result<Vec<ShardChanges>> {
    let entries = books::entries(db, position)?;
    Changes::default().take(shard, position, entries.iter().map(|(id, deltas)| (*id, &**deltas)))?;
    Ok(entries.into_iter().map(|(id, deltas)| ShardChanges { shard, id, deltas }).collect())
}

/// Makes the tables that are not there, all or none: one without its indexes would be taken for whole ever after.
fn make_missing(db: &Connection, wanted: impl Iterator<Item = TableId>) -> rusqlite::Result<()> {
    let mut there: HashSet<TableId> = sql::tables(db)?.into_iter().collect();
    let missing: Vec<TableId> = wanted.filter(|table| there.insert(*table)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let transaction = Transaction::new_unchecked(db, TransactionBehavior::Immediate)?;
    missing.into_iter().try_for_each(|table| make_table(&transaction, table))?;
    transaction.commit()
}

fn limit(db: &Connection, max_file_mb: u32) -> rusqlite::Result<()> {
    if max_file_mb > 0 {
        let page: i64 = db.query_row("PRAGMA page_size", [], |row| row.get(0))?;
        let pages = i64::from(max_file_mb) * 1024 * 1024 / page.max(1);
        db.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(()))?;
    }
    Ok(())
}

pub(super) fn connections(
    count: usize,
    connect: impl Fn() -> rusqlite::Result<Connection>,
) -> rusqlite::Result<Vec<Connection>> {
    (0..count).map(|_| connect()).collect()
}
