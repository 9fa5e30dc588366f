//! A shard's writing thread: everything that waits goes into one transaction, and is answered after its commit.
//!
//! A shard with little to do stores results in their tables at once. A busy one commits them to its inbox first,
//! which is as durable and much less to write. It gathers thousands there, and sorts them into their tables in slices
//! between two batches, so that no batch waits long.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use coupon_core::{ResultId, ShardId, TableId, TimeRange};
use rusqlite::Connection;
use tokio::sync::oneshot;

use super::applier::ToMain;
use super::gate::MemoryGate;
use super::inbox::Inbox;
use super::pressure::Pressure;
use super::state::{ShardState, thread_cpu};
use super::transaction::{Done, Store};
use crate::clock::Clock;
use crate::outage::TaskOutage;
use crate::statements::latest_first;
use crate::{Change, Changed, PlacedResult, Unavailable};

/// The most results one transaction takes: enough to share a commit, few enough to answer soon.
const TRANSACTION_MAX: usize = 8_192;
/// The wait before a commit that failed is tried again, when nothing else arrives.
const RETRY: Duration = Duration::from_millis(200);
/// The most results that any inbox gathers before it is sorted in.
pub(super) const INBOX_MAX: usize = 32_768;
/// The longest that a result waits in the inbox of a busy shard: what reads may trail by.
const INBOX_WAIT: Duration = Duration::from_millis(1_000);
/// The time after which the inbox is sorted in once nothing more arrives.
const INBOX_IDLE: Duration = Duration::from_millis(5);

type Reply<T> = oneshot::Sender<Result<T, Unavailable>>;

/// A request to a writer.
pub(super) enum Message {
    /// Store these.
    Store { rows: Vec<PlacedResult>, handed_over: Instant, reply: Reply<()> },
    /// Take a step of a result that lives in this table.
    Change { table: TableId, change: Change, reply: Reply<Changed> },
    /// Make the tables, ahead of need.
    MakeTables { tables: Vec<TableId> },
    /// Answer once everything before is in its table.
    Marker { reply: Reply<()> },
    /// Store everything before, and end.
    Stop,
}

/// A shard's writer.
pub(super) struct Writer {
    pub(super) shard: ShardId,
    pub(super) db: Connection,
    pub(super) state: Arc<ShardState>,
    pub(super) gate: Arc<MemoryGate>,
    pub(super) clock: Clock,
    /// The applier, which hears of each commit.
    pub(super) main: ToMain,
    pub(super) next_outbox_id: i64,
    /// Up to which entry the outbox has been emptied, because main has applied it.
    pub(super) forgotten: i64,
    /// Results whose commit failed: their reservation stands, and they are tried again until they are stored.
    pub(super) retry: Vec<PlacedResult>,
    pub(super) inbox: Inbox,
    /// The most results that the inbox gathers.
    pub(super) inbox_max: usize,
    /// Results that are parked: handed over again they are refused again, however busy the shard.
    pub(super) parked: HashSet<ResultId>,
    pub(super) known_tables: HashSet<TableId>,
    pub(super) pressure: Pressure,
    /// The time at which sorting in last failed: it is not tried again at every batch.
    pub(super) resting: Option<Instant>,
    /// Of taking in what arrives.
    pub(super) storing: TaskOutage,
    /// Of sorting the inbox into the tables.
    pub(super) sorting: TaskOutage,
}

/// The messages since the last transaction.
#[derive(Default)]
struct Work {
    rows: Vec<PlacedResult>,
    /// The number of rows that are tried again: they come first.
    retried: usize,
    stored: Vec<(Instant, usize, Reply<()>)>,
    changes: Vec<(TableId, Change, Reply<Changed>)>,
    tables: Vec<TableId>,
    markers: Vec<Reply<()>>,
    stop: bool,
}

impl Writer {
    /// Starts the thread. It ends on request, after what was sent before.
    pub(super) fn start(self) -> std::io::Result<(Sender<Message>, JoinHandle<()>)> {
        let (sender, receiver) = channel();
        let thread = thread::Builder::new()
            .name(format!("shard-{}-write", self.shard))
            .spawn(move || self.run(&receiver))?;
        Ok((sender, thread))
    }

    fn run(mut self, messages: &Receiver<Message>) {
        let mut stop = false;
        while !stop {
            let first = match self.patience() {
                Some(patience) => messages.recv_timeout(patience),
                None => messages.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            let mut work = match first {
                Ok(first) => gather(first, messages),
                Err(RecvTimeoutError::Timeout) => Work::default(),
                Err(RecvTimeoutError::Disconnected) => Work { stop: true, ..Work::default() },
            };
            stop = work.stop;
            work.retried = self.retry.len();
            work.rows.splice(0..0, self.retry.drain(..));
            let cpu = thread_cpu();
            self.work(work);
            let used = thread_cpu().saturating_sub(cpu);
            self.state
                .work
                .cpu_nanos
                .fetch_add(u64::try_from(used.as_nanos()).unwrap_or(0), Ordering::Relaxed);
        }
        if !self.retry.is_empty() {
            tracing::error!(shard = %self.shard, rows = self.retry.len(), "stopped with results that no commit took");
        }
    }

    /// The time for which it may wait for a message before there is something else to do.
    fn patience(&self) -> Option<Duration> {
        let failing = !self.state.up.load(Ordering::Relaxed);
        match self.inbox.since {
            _ if !self.retry.is_empty() => Some(RETRY),
            Some(_) if failing => Some(RETRY),
            Some(since) => Some(INBOX_IDLE.min(INBOX_WAIT.saturating_sub(since.elapsed()))),
            None if !self.inbox.sorting.is_empty() => Some(if failing { RETRY } else { INBOX_IDLE }),
            None => None,
        }
    }

    fn work(&mut self, work: Work) {
        let busy = self.pressure.is_busy_with(work.rows.len(), Instant::now());
        let more =
            work.stop || !(work.changes.is_empty() && work.tables.is_empty() && work.markers.is_empty());
        let due = self.inbox.rows.len() + work.rows.len() >= self.inbox_max / 2
            || self.inbox.since.is_some_and(|since| since.elapsed() >= INBOX_WAIT);
        if due && self.inbox.sorting.is_empty() {
            self.inbox.turn_over();
        }
        let roomy = self.inbox.len() + work.rows.len() < self.inbox_max;
        let parked = !self.parked.is_empty()
            && work.rows.iter().any(|row| self.parked.contains(&row.result.result_id));
        if busy && roomy && !more && !parked && !work.rows.is_empty() {
            self.commit_to_inbox(work);
            self.sort_slice_in();
        } else {
            self.commit_to_tables(work);
        }
    }

    /// One small transaction: the results are durable, and sorted in later.
    fn commit_to_inbox(&mut self, work: Work) {
        let put = || {
            let store = Store::begin(&self.db, self.clock.now())?;
            store.put_in_inbox(self.inbox.next_batch, &work.rows)?;
            store.commit()
        };
        match put() {
            Ok(_) => {
                self.inbox.next_batch += 1;
                self.inbox.since.get_or_insert_with(Instant::now);
                let earliest = work.rows.iter().map(|row| row.result.grab_time).min();
                earliest.into_iter().for_each(|grabbed| self.state.hold_back(grabbed));
                self.state.work.commits.fetch_add(1, Ordering::Relaxed);
                self.gate.settle(work.rows.iter().map(|row| &row.result));
                // They count as waiting until they are in their tables.
                self.inbox.rows.extend_from_slice(&work.rows);
                self.answer(work, &Done::default());
            }
            Err(error) => self.keep(&error, work),
        }
    }

    /// A small part of what is due: between two batches, so that no batch waits long.
    fn sort_slice_in(&mut self) {
        let resting = self.resting.is_some_and(|failed| failed.elapsed() < RETRY);
        if self.inbox.sorting.is_empty() || resting {
            return;
        }
        let applied = self.state.applied.load(Ordering::Acquire);
        let slice = self.inbox.slice().to_vec();
        let store = || {
            let mut store = Store::begin(&self.db, self.clock.now())?;
            store.make_tables(slice.iter().map(|row| row.placement.table), &self.known_tables)?;
            store.store(&slice)?;
            if slice.len() == self.inbox.sorting.len() {
                store.clear_inbox(self.inbox.sorting_batch)?;
            }
            store.write_outbox(self.shard, self.next_outbox_id, self.to_forget(applied))?;
            store.commit()
        };
        match store() {
            Ok(mut done) => {
                self.sorting.worked();
                self.sorted_in(&mut done, applied, &slice);
                self.inbox.sorting.truncate(self.inbox.sorting.len() - slice.len());
                if self.inbox.sorting.is_empty() {
                    self.state.caught_up(self.inbox.rows.iter().map(|row| row.result.grab_time).min());
                }
                self.state.waiting.fetch_sub(slice.len(), Ordering::AcqRel);
            }
            Err(error) => {
                self.state.up.store(false, Ordering::Relaxed);
                self.sorting.failed(&error);
                self.resting = Some(Instant::now());
            }
        }
    }

    /// Up to which entry the outbox can be emptied, if there is anything to empty.
    fn to_forget(&self, applied: i64) -> Option<i64> {
        (applied > self.forgotten).then_some(applied)
    }

    /// One transaction for everything: what the inbox holds, what has just arrived, and whatever else is asked.
    fn commit_to_tables(&mut self, work: Work) {
        let applied = self.state.applied.load(Ordering::Acquire);
        let store = || {
            let mut store = Store::begin(&self.db, self.clock.now())?;
            let rows = self.inbox.all().chain(&work.rows).map(|row| row.placement.table);
            store.make_tables(work.tables.iter().copied().chain(rows), &self.known_tables)?;
            store.store(&self.inbox.sorting)?;
            store.store(&self.inbox.rows)?;
            store.store(&work.rows)?;
            if self.inbox.len() > 0 {
                store.clear_inbox(self.inbox.next_batch)?;
            }
            store.write_outbox(self.shard, self.next_outbox_id, self.to_forget(applied))?;
            for (table, change, _) in &work.changes {
                store.change(*table, change)?;
            }
            store.commit()
        };
        match store() {
            Ok(done) => self.tell(done, applied, work),
            Err(error) => self.keep(&error, work),
        }
    }

    /// Everything is in its table: settle the gate, then answer, then tell main.
    fn tell(&mut self, mut done: Done, applied: i64, work: Work) {
        let stored = work.rows.iter().filter(|row| !done.parked.contains(&row.result.result_id));
        self.gate.settle(stored.map(|row| &row.result));
        let inbox = std::mem::take(&mut self.inbox);
        self.inbox.next_batch = inbox.next_batch;
        let sorted_in: Vec<PlacedResult> = inbox.all().copied().collect();
        self.sorted_in(&mut done, applied, &sorted_in);
        self.state.caught_up(None);
        self.state.waiting.fetch_sub(sorted_in.len() + work.rows.len(), Ordering::AcqRel);
        self.answer(work, &done);
    }

    /// Takes note of what a transaction did; `sorted_in` came from the inbox, and its users have their answers
    /// already.
    fn sorted_in(&mut self, done: &mut Done, applied: i64, sorted_in: &[PlacedResult]) {
        if !done.parked.is_empty() {
            let parked = sorted_in.iter().filter(|row| done.parked.contains(&row.result.result_id));
            self.gate.unsettle(parked.map(|row| &row.result));
            self.parked.extend(&done.parked);
        }
        if !done.new_tables.is_empty() {
            self.known_tables.extend(&done.new_tables);
            self.state.set_tables(latest_first(self.known_tables.iter().copied()));
        }
        self.state.add(done.totals);
        self.state.work.parked.fetch_add(done.newly_parked, Ordering::Relaxed);
        self.state.work.wrote(done.added.len() as u64);
        if let Some(entry) = done.entry.take() {
            self.next_outbox_id += 1;
            self.forgotten = self.forgotten.max(applied);
            self.main.tell(entry);
        }
    }

    fn answer(&self, work: Work, done: &Done) {
        self.state.up.store(true, Ordering::Relaxed);
        self.storing.worked();
        let mut rest = work.rows.get(work.retried..).unwrap_or_default();
        for (handed_over, count, reply) in work.stored {
            let (mine, others) = rest.split_at(count.min(rest.len()));
            rest = others;
            self.state.work.write_took(handed_over.elapsed());
            let contradicted = mine.iter().any(|row| done.parked.contains(&row.result.result_id));
            let parked = || Unavailable::new(format!("shard {}", self.shard), "a result was parked");
            let _ = reply.send(if contradicted { Err(parked()) } else { Ok(()) });
        }
        for ((_, _, reply), outcome) in work.changes.into_iter().zip(&done.changed) {
            let _ = reply.send(Ok(*outcome));
        }
        for marker in work.markers {
            let _ = marker.send(Ok(()));
        }
    }

    /// Nothing is on disk: callers learn that the outcome is open, and the rows wait for the next try.
    fn keep(&mut self, error: &rusqlite::Error, work: Work) {
        self.state.up.store(false, Ordering::Relaxed);
        self.storing.failed(error);
        // Callers who ask again hand the same result over again: once is enough to try. Another result under the same
        // id is a contradiction, and must be found to be one.
        let mut rows = work.rows;
        let before = rows.len();
        let identity = |row: &PlacedResult| {
            let result = &row.result;
            (result.result_id, result.user_id, result.coupon_id, result.room_id)
        };
        rows.sort_unstable_by_key(identity);
        rows.dedup_by_key(|row| identity(row));
        self.state.waiting.fetch_sub(before - rows.len(), Ordering::AcqRel);
        self.retry = rows;
        let unavailable = || Unavailable::new(format!("shard {}", self.shard), error);
        for (_, _, reply) in work.stored {
            let _ = reply.send(Err(unavailable()));
        }
        for (_, _, reply) in work.changes {
            let _ = reply.send(Err(unavailable()));
        }
        for marker in work.markers {
            let _ = marker.send(Err(unavailable()));
        }
    }
}

fn gather(first: Message, messages: &Receiver<Message>) -> Work {
    let mut work = Work::default();
    work.take(first);
    while work.rows.len() < TRANSACTION_MAX && !work.stop {
        match messages.try_recv() {
            Ok(message) => work.take(message),
            Err(_) => break,
        }
    }
    work
}

impl Work {
    fn take(&mut self, message: Message) {
        match message {
            Message::Store { mut rows, handed_over, reply } => {
                self.stored.push((handed_over, rows.len(), reply));
                self.rows.append(&mut rows);
            }
            Message::Change { table, change, reply } => self.changes.push((table, change, reply)),
            Message::MakeTables { mut tables } => self.tables.append(&mut tables),
            Message::Marker { reply } => self.markers.push(reply),
            Message::Stop => self.stop = true,
        }
    }
}

/// The window for which tables should exist: yesterday, for grabs fixed before midnight, to tomorrow.
pub(super) fn table_window(clock: &Clock) -> TimeRange {
    let today = clock.now().day();
    TimeRange::new(today.start().plus_millis(-1), today.next().next().start())
}
