//! A shard's writing thread: everything that waits goes into one transaction, and is answered after its commit.
//!
//! A shard with little to do stores results in their tables at once. A busy one commits them to its inbox first,
//! which is as durable and much less to write. It gathers thousands there, and sorts them into their tables in slices
//! between two batches, so that no batch waits long.
//!
//! Between two batches it also lets results expire that were held and not confirmed in time. Stock comes back in the order row,
//! main, gate: a grab that takes the stock again is reported to main after it.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use coupon_core::{ResultId, ShardId, TableId, TimeRange, Timestamp};
use rusqlite::Connection;

use super::applier::ToMain;
use super::gate::MemoryGate;
use super::hand_over::WriterHandle;
use super::inbox::Inbox;
use super::late::WriterFence;
use super::pressure::Pressure;
use super::rooms::Telling;
use super::sql;
use super::state::{SharedShard, thread_cpu};
use super::transaction::{Done, Store};
use super::work::{Task, Work, WriterRequest};
use crate::clock::Clock;
use crate::moving::ShardMoves;
use crate::outage::TaskOutage;
use crate::pace::Spacing;
use crate::statements::latest_first;
use crate::{Layouts, PlacedResult};

/// The wait before a commit that failed is tried again, when nothing else arrives.
const RETRY: Duration = Duration::from_millis(200);
/// The most results that any inbox gathers before it is sorted in.
pub(super) const INBOX_MAX: usize = 32_768;
/// The longest that a result waits in the inbox of a busy shard: what reads may trail by.
const INBOX_WAIT: Duration = Duration::from_millis(1_000);
/// The time after which the inbox is sorted in once nothing more arrives.
const INBOX_IDLE: Duration = Duration::from_millis(5);
/// The most results that expire in one transaction, so that no batch waits long.
const EXPIRE_MAX: usize = 100;
/// The least time from the beginning of one such transaction to that of the next, whatever its shard: a hundred thousand results
/// expire within ten seconds, and batches meet one busy writer at a time.
pub(super) const EXPIRE_PACE: Duration = Duration::from_millis(8);
/// The wait after such a transaction, in the time that it took: the disk and the writer are the batches' meanwhile.
const EXPIRE_REST: u32 = 3;
/// The longest wait for the next result that is due: the clock may be set meanwhile.
const DUE_LOOK: Duration = Duration::from_millis(250);

/// A shard's writer.
pub(super) struct Writer {
    pub(super) shard: ShardId,
    pub(super) db: Connection,
    pub(super) state: Arc<SharedShard>,
    pub(super) gate: Arc<MemoryGate>,
    pub(super) clock: Clock,
    /// The way to the applier, which gets the outbox entry of each commit.
    pub(super) main: ToMain,
    pub(super) next_outbox_id: i64,
    /// Up to which entry the outbox has been emptied, because main has applied it.
    pub(super) forgotten: i64,
    /// Results whose commit failed: their reservation stands, and they are tried again until they are stored.
    pub(super) retry: Vec<PlacedResult>,
    pub(super) inbox: Inbox,
    /// The earliest moment until which any result in a table is held.
    pub(super) next_due: Option<Timestamp>,
    /// The most results that the inbox gathers.
    pub(super) inbox_max: usize,
    /// Results that are parked: handed over again they are refused again, however busy the shard.
    pub(super) parked: HashSet<ResultId>,
    pub(super) known_tables: HashSet<TableId>,
    pub(super) pressure: Pressure,
    /// The moments at which results expire, of all shards.
    pub(super) expiry_pace: Arc<Spacing>,
    /// The one that is this shard's next, once results are due.
    pub(super) next_expiry: Option<Instant>,
    /// The time at which sorting in or expiry last failed: it is not tried again at every batch.
    pub(super) resting: Option<Instant>,
    /// Of taking in what arrives.
    pub(super) storing: TaskOutage,
    /// Of sorting the inbox into the tables.
    pub(super) sorting: TaskOutage,
    /// Of letting results expire.
    pub(super) expiring: TaskOutage,
    pub(super) layouts: Arc<Layouts>,
    /// All writers: rows are passed on to them that are to be stored elsewhere.
    pub(super) writers: Arc<[WriterHandle]>,
    /// The counts of rows that have moved from here.
    pub(super) moves: ShardMoves,
    pub(super) fence: WriterFence,
    /// The writing of entries for the room index, where there is one.
    pub(super) index: Option<Telling>,
    /// True where the file decides grabs: it keeps their stock.
    pub(super) keeps_stock: bool,
}

impl Writer {
    /// Starts the thread. It ends on request, after what was sent before.
    pub(super) fn start(self, messages: Receiver<WriterRequest>) -> std::io::Result<JoinHandle<()>> {
        let name = format!("shard-{}-write", self.shard);
        thread::Builder::new().name(name).spawn(move || self.run(&messages))
    }

    fn run(mut self, messages: &Receiver<WriterRequest>) {
        let mut stop = false;
        while !stop {
            let (patience, due) = (self.patience(), self.until_due());
            let only_due = due.is_some_and(|due| patience.is_none_or(|patience| due < patience));
            let first = match patience.into_iter().chain(due).min() {
                Some(patience) => messages.recv_timeout(patience),
                None => messages.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            let work = match first {
                Ok(first) => Some(Work::gather(first, messages)),
                Err(RecvTimeoutError::Timeout) if only_due => None,
                Err(RecvTimeoutError::Timeout) => Some(Work::default()),
                Err(RecvTimeoutError::Disconnected) => Some(Work { stop: true, ..Work::default() }),
            };
            let cpu = thread_cpu();
            if let Some(mut work) = work {
                stop = work.stop;
                let only_tasks = work.is_only_tasks() && self.retry.is_empty();
                let tasks = std::mem::take(&mut work.tasks);
                if only_tasks {
                    self.turn_over_if_due(0);
                    self.sort_slice_in();
                } else {
                    self.work(work);
                }
                tasks.into_iter().for_each(|Task(task)| task(&mut self));
            }
            self.expire();
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

    /// The time until the next result is due and may expire, or until the clock is looked at again.
    fn until_due(&self) -> Option<Duration> {
        let millis = self.next_due?.millis() - self.clock.now().millis();
        let until = Duration::from_millis(u64::try_from(millis).unwrap_or(0));
        Some(if self.is_resting() { RETRY } else { until.min(DUE_LOOK).max(self.expiry_rests()) })
    }

    /// The time for which nothing more expires, so that batches come first.
    fn expiry_rests(&self) -> Duration {
        self.next_expiry.map_or(Duration::ZERO, |from| from.saturating_duration_since(Instant::now()))
    }

    pub(super) fn work(&mut self, mut work: Work) {
        work.retried = self.retry.len();
        work.rows.splice(0..0, self.retry.drain(..));
        self.sort_late(&mut work);
        let busy = self.pressure.is_busy_with(work.rows.len(), Instant::now());
        let more = work.stop
            || !(work.tables.is_empty() && work.markers.is_empty())
            || work
                .changes
                .iter()
                .any(|(_, change, _)| self.state.may_be_on_its_way(change.id) || work.brings(change.id));
        self.turn_over_if_due(work.rows.len());
        let roomy = self.inbox.len() + work.rows.len() < self.inbox_max;
        let parked = !self.parked.is_empty()
            && work.rows.iter().any(|row| self.parked.contains(&row.result.result_id));
        let late = work.late > 0 || !work.contradicting.is_empty();
        let nothing = work.rows.is_empty() && work.changes.is_empty();
        if busy && roomy && !more && !parked && !late && !nothing {
            self.commit_to_inbox(work);
            self.sort_slice_in();
        } else {
            self.commit_to_tables(work);
        }
    }

    /// Begins to sort in what the inbox has gathered, if with so many more it is enough, or for long enough.
    fn turn_over_if_due(&mut self, more: usize) {
        let due = self.inbox.rows.len() + more >= self.inbox_max / 2
            || self.inbox.since.is_some_and(|since| since.elapsed() >= INBOX_WAIT);
        if due && self.inbox.sorting.is_empty() {
            self.inbox.turn_over();
        }
    }

    /// Lets some of the results expire that are due.
    fn expire(&mut self) {
        let now = self.clock.now();
        if self.next_due.is_none_or(|due| now < due) || self.is_resting() {
            return;
        }
        let began = Instant::now();
        if began < *self.next_expiry.get_or_insert_with(|| self.expiry_pace.next(began)) {
            return;
        }
        let applied = self.state.applied.load(Ordering::Acquire);
        let expire = || {
            let mut store = Store::begin(&self.db, now)?;
            store.expire(EXPIRE_MAX)?;
            self.leave_word(&mut store, applied)?;
            store.commit()
        };
        match expire() {
            Ok(mut done) => {
                if self.retry.is_empty() {
                    self.state.up.store(true, Ordering::Relaxed);
                }
                self.expiring.worked();
                self.committed(&mut done, applied);
                // Unless the file can be asked, it is looked at again at once.
                self.next_due = sql::next_due(&self.db).unwrap_or(Some(now));
                let rested = Instant::now() + began.elapsed() * EXPIRE_REST;
                let more = self.next_due.is_some_and(|due| due <= now);
                self.next_expiry = more.then(|| self.expiry_pace.next(Instant::now()).max(rested));
            }
            Err(error) => {
                self.state.up.store(false, Ordering::Relaxed);
                self.expiring.failed(&error);
                self.resting = Some(Instant::now());
            }
        }
    }

    /// True for a moment after sorting in or expiry has failed.
    fn is_resting(&self) -> bool {
        self.resting.is_some_and(|failed| failed.elapsed() < RETRY)
    }

    /// One small transaction: the results are durable, and sorted in later; others, which are in their tables, are
    /// changed there.
    fn commit_to_inbox(&mut self, work: Work) {
        let applied = self.state.applied.load(Ordering::Acquire);
        let put = || {
            let mut store = Store::begin(&self.db, self.clock.now())?;
            if !work.rows.is_empty() {
                store.put_in_inbox(self.inbox.next_batch, &work.rows)?;
            }
            for (table, change, _) in &work.changes {
                store.change(*table, change, &self.known_tables)?;
            }
            self.leave_word(&mut store, applied)?;
            store.commit()
        };
        match put() {
            Ok(mut done) => {
                if let Some(earliest) = work.rows.iter().map(|row| row.result.grab_time).min() {
                    self.inbox.next_batch += 1;
                    self.inbox.since.get_or_insert_with(Instant::now);
                    self.state.hold_back(earliest);
                }
                self.gate.settle(work.rows.iter().map(|row| &row.result));
                // They count as waiting until they are in their tables.
                self.inbox.rows.extend_from_slice(&work.rows);
                self.committed(&mut done, applied);
                self.answer(work, &done);
            }
            Err(error) => self.keep(&error, work),
        }
    }

    /// A small part of what is due: between two batches, so that no batch waits long.
    fn sort_slice_in(&mut self) {
        if self.inbox.sorting.is_empty() || self.is_resting() {
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
            self.leave_word(&mut store, applied)?;
            store.commit()
        };
        match store() {
            Ok(mut done) => {
                self.sorting.worked();
                self.took_in(&mut done, applied, &slice);
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

    /// Notes for the stock, for main and for the room index what a transaction has done, and forgets what the latter have.
    pub(super) fn leave_word(&self, store: &mut Store<'_>, applied: i64) -> rusqlite::Result<()> {
        if self.keeps_stock {
            store.take_stock_back()?;
        }
        let forget = (applied > self.forgotten).then_some(applied);
        store.write_outbox(self.shard, self.next_outbox_id, forget)?;
        store.tell_index(self.index.as_ref())
    }

    /// One transaction for everything: what the inbox holds, what has just arrived, and whatever else is asked.
    pub(super) fn commit_to_tables(&mut self, work: Work) {
        let applied = self.state.applied.load(Ordering::Acquire);
        let store = || {
            let mut store = Store::begin(&self.db, self.clock.now())?;
            let rows = self.inbox.all().chain(&work.rows).map(|row| row.placement.table);
            store.make_tables(work.tables.iter().copied().chain(rows), &self.known_tables)?;
            store.store(&self.inbox.sorting)?;
            store.store(&self.inbox.rows)?;
            store.store(&work.rows)?;
            for (row, why) in &work.contradicting {
                store.park(row, why)?;
            }
            if work.late > 0 {
                store.note_moves(self.moves.with_late(work.late))?;
            }
            if self.inbox.len() > 0 {
                store.clear_inbox(self.inbox.next_batch)?;
            }
            for (table, change, _) in &work.changes {
                store.change(*table, change, &self.known_tables)?;
            }
            self.leave_word(&mut store, applied)?;
            store.commit()
        };
        match store() {
            Ok(done) => self.tell(done, applied, work),
            Err(error) => self.keep(&error, work),
        }
    }

    /// Everything is in its table: settle the gate, hand the entry for main on, then answer.
    fn tell(&mut self, mut done: Done, applied: i64, work: Work) {
        self.moves = self.moves.with_late(work.late);
        self.parked.extend(work.contradicting.iter().map(|(row, _)| row.result.result_id));
        let stored = work.rows.iter().filter(|row| !done.parked.contains(&row.result.result_id));
        self.gate.settle(stored.map(|row| &row.result));
        let inbox = std::mem::take(&mut self.inbox);
        self.inbox.next_batch = inbox.next_batch;
        let sorted_in: Vec<PlacedResult> = inbox.all().copied().collect();
        self.took_in(&mut done, applied, &sorted_in);
        self.state.caught_up(None);
        let brought = sorted_in.len() + work.rows.len() + work.contradicting.len();
        self.state.waiting.fetch_sub(brought, Ordering::AcqRel);
        self.answer(work, &done);
    }

    /// Takes note of what a transaction did with rows of the inbox or of another place, whose users have their answers
    /// already.
    pub(super) fn took_in(&mut self, done: &mut Done, applied: i64, taken: &[PlacedResult]) {
        if !done.parked.is_empty() {
            let parked = taken.iter().filter(|row| done.parked.contains(&row.result.result_id));
            self.gate.unsettle(parked.map(|row| &row.result));
            self.parked.extend(&done.parked);
        }
        self.committed(done, applied);
    }

    /// Takes note of what a transaction did to the rows, and passes it on to main and to the gate.
    pub(super) fn committed(&mut self, done: &mut Done, applied: i64) {
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
        if let (Some(index), Some(told)) = (&mut self.index, done.told.take()) {
            index.committed(told);
        }
        // Only now: a grab that takes the stock which came back is reported to main after it.
        let now = self.clock.now();
        done.given_back.iter().for_each(|result| self.gate.let_go(result, now));
        self.next_due = self.next_due.into_iter().chain(done.next_due).min();
    }
}

/// The window for which tables should exist: yesterday, for grabs fixed before midnight, to tomorrow.
pub(super) fn table_window(clock: &Clock) -> TimeRange {
    let today = clock.now().day();
    TimeRange::new(today.start().plus_millis(-1), today.next().next().start())
}
