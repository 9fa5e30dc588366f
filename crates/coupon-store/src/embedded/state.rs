//! The state that a shard's writer and readers share, and the work they have counted.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::measure::{Latencies, Rate};
use crate::{Reported, ShardReport, Totals};
use coupon_core::{ResultId, TableId, Timestamp};

/// The time between two questions to the system for the bytes a writer has written.
const ASK_BYTES: Duration = Duration::from_millis(100);

/// One shard's shared state.
#[derive(Debug)]
pub(super) struct SharedShard {
    tables: Mutex<Arc<[TableId]>>,
    totals: Mutex<Totals>,
    /// Results handed over and not in their table yet.
    pub(super) waiting: AtomicUsize,
    /// The earliest time of a result that is committed but not in its table yet, in milliseconds since 1970; 0 if
    /// there is none.
    held_back: AtomicI64,
    /// True while rows move from here: some may be leaving.
    pub(super) leaves: AtomicBool,
    /// True if the last commit succeeded.
    pub(super) up: AtomicBool,
    /// The last entry of the shard's outbox that main has applied.
    pub(super) applied: AtomicI64,
    pub(super) work: ShardWork,
    pub(super) connections: u64,
}

impl SharedShard {
    pub(super) fn new(tables: Vec<TableId>, totals: Totals, parked: u64, connections: u64) -> Self {
        let work = ShardWork::new();
        work.parked.store(parked, Ordering::Relaxed);
        Self {
            tables: Mutex::new(tables.into()),
            totals: Mutex::new(totals),
            waiting: AtomicUsize::new(0),
            held_back: AtomicI64::new(0),
            leaves: AtomicBool::new(false),
            up: AtomicBool::new(true),
            applied: AtomicI64::new(0),
            work,
            connections,
        }
    }

    /// Results were committed to the inbox: until they are in their tables, reads trail. What counts is the results'
    /// own time, which is before their commit: a search by id must answer that the result may be there.
    pub(super) fn hold_back(&self, grabbed: Timestamp) {
        let earlier = |known: i64| (known == 0 || grabbed.millis() < known).then_some(grabbed.millis());
        // An error means that an earlier one is held back already.
        let _ = self.held_back.fetch_update(Ordering::AcqRel, Ordering::Acquire, earlier);
    }

    /// Every result committed so far is in its table, but for those grabbed from `earliest` on.
    pub(super) fn caught_up(&self, earliest: Option<Timestamp>) {
        self.held_back.store(earliest.map_or(0, Timestamp::millis), Ordering::Release);
    }

    /// False if a result is in its table, if it is anywhere.
    pub(super) fn may_be_on_its_way(&self, id: ResultId) -> bool {
        let held_back = self.held_back.load(Ordering::Acquire);
        held_back != 0 && id.time().millis() >= held_back
    }

    /// The moment before which every acknowledged result is in its table.
    pub(super) fn as_of(&self, now: Timestamp) -> Timestamp {
        match self.held_back.load(Ordering::Acquire) {
            0 => now,
            held_back => now.min(Timestamp::from_millis(held_back)),
        }
    }

    /// The tables of results there are, the latest first.
    pub(super) fn tables(&self) -> Arc<[TableId]> {
        Arc::clone(&lock(&self.tables))
    }

    pub(super) fn set_tables(&self, tables: Vec<TableId>) {
        *lock(&self.tables) = tables.into();
    }

    pub(super) fn totals(&self) -> Totals {
        *lock(&self.totals)
    }

    pub(super) fn add(&self, more: Totals) {
        *lock(&self.totals) += more;
    }

    pub(super) fn take_off(&self, less: Totals) {
        *lock(&self.totals) -= less;
    }

    pub(super) fn report(&self, now: Timestamp) -> ShardReport {
        let work = &self.work;
        let cpu = || Duration::from_nanos(work.cpu_nanos.load(Ordering::Relaxed)).as_secs_f64();
        ShardReport {
            up: self.up.load(Ordering::Relaxed),
            trouble: None,
            rows: self.totals().results,
            rows_written: work.rows.load(Ordering::Relaxed),
            commits: work.commits.load(Ordering::Relaxed),
            writes_per_s: work.rate.of(work.rows.load(Ordering::Relaxed)),
            queue_depth: self.waiting.load(Ordering::Relaxed) as u64,
            write_latency: work.write_us.spread(),
            read_latency: work.read_us.spread(),
            took: (work.write_us.buckets(), work.read_us.buckets()),
            as_of: self.as_of(now),
            connections: self.connections,
            cpu_seconds: if CPU_CLOCK { Ok(cpu()) } else { Err("this system has no CPU clock a thread") },
            bytes_written: lock(&work.bytes_written).1,
            parked: work.parked.load(Ordering::Relaxed),
        }
    }
}

/// The work done for one shard since the service started.
#[derive(Debug)]
pub(super) struct ShardWork {
    pub(super) rows: AtomicU64,
    pub(super) commits: AtomicU64,
    pub(super) cpu_nanos: AtomicU64,
    pub(super) parked: AtomicU64,
    /// The time of the last question to the system, and the answer.
    bytes_written: Mutex<(Option<Instant>, Reported<u64>)>,
    write_us: Latencies,
    read_us: Latencies,
    rate: Rate,
}

impl ShardWork {
    fn new() -> Self {
        Self {
            rows: AtomicU64::new(0),
            commits: AtomicU64::new(0),
            cpu_nanos: AtomicU64::new(0),
            parked: AtomicU64::new(0),
            // A counter begins at 0, or there is none at all.
            bytes_written: Mutex::new((None, thread_bytes_written().map(|_| 0))),
            write_us: Latencies::default(),
            read_us: Latencies::default(),
            rate: Rate::default(),
        }
    }

    /// Counts a commit; its writing thread calls this.
    pub(super) fn wrote(&self, rows: u64) {
        self.rows.fetch_add(rows, Ordering::Relaxed);
        self.commits.fetch_add(1, Ordering::Relaxed);
        let mut bytes = lock(&self.bytes_written);
        // Asking the system costs as much as a small commit.
        if bytes.0.is_none_or(|asked| asked.elapsed() >= ASK_BYTES) {
            *bytes = (Some(Instant::now()), thread_bytes_written());
        }
    }

    pub(super) fn write_took(&self, took: Duration) {
        self.write_us.record(took);
    }

    pub(super) fn read_took(&self, took: Duration) {
        self.read_us.record(took);
    }
}

const CPU_CLOCK: bool =
    cfg!(any(target_os = "linux", target_os = "android", target_os = "macos", target_os = "freebsd"));

/// CPU time the calling thread has used.
pub(super) fn thread_cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// Bytes the calling thread has caused to be sent to storage.
fn thread_bytes_written() -> Reported<u64> {
    let io = std::fs::read_to_string("/proc/thread-self/io")
        .map_err(|_| "this system does not count a thread's bytes in /proc/thread-self/io")?;
    let bytes = io.lines().find_map(|line| line.strip_prefix("write_bytes: ")?.trim().parse().ok());
    bytes.ok_or("/proc/thread-self/io has no line write_bytes")
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
