//! The thread that moves rows between the files, while there are rows to move.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use coupon_core::{CouponResult, ShardId, TableId, VersionNumber};
use rusqlite::Connection;
use tokio::sync::{OwnedRwLockReadGuard, RwLock};
use tokio::time::sleep;

use super::applier::{LayoutStep, ToMain};
use super::folder;
use super::hand_over::{WriterHandle, on};
use super::moves;
use super::sql;
use super::state::lock;
use crate::layouts::Previous;
use crate::moving::{
    Batch, Departure, Ended, Key, MoveError, Mover, MovingShards, Pace, Progress, ShardMoves, Slice,
};
use crate::outage::TaskOutage;
use crate::{Layouts, Moving, PlacedResult, Unavailable};

/// The wait before what failed is tried again.
const RETRY: Duration = Duration::from_millis(500);
/// The time between two looks at whether any reader still goes by the versions of before.
const LOOK: Duration = Duration::from_millis(5);
/// The time between two notes in main of how far it has come.
const NOTE: Duration = Duration::from_secs(1);

/// The lock that a thread has while it reads all holders of a coupon, or a batch while it is between two files: one excludes
/// the other.
pub(super) type HolderLock = Arc<RwLock<()>>;

/// The thread that moves rows, while there is one.
#[derive(Default)]
pub(super) struct MoverThread(Mutex<State>);

#[derive(Default)]
struct State {
    running: Option<Running>,
    /// True once the backend closes: no other is started.
    closed: bool,
}

struct Running {
    movement: Arc<Movement>,
    thread: JoinHandle<()>,
}

/// A movement of rows that is under way.
pub(super) struct Movement {
    /// As it was when it began.
    begun: Moving,
    pace: Pace,
    progress: Progress,
}

impl Movement {
    /// The progress so far.
    pub(super) fn now(&self) -> Moving {
        Moving {
            runs: true,
            moved: self.begun.moved + self.progress.moved.load(Ordering::Relaxed),
            looked_at: self.progress.looked_at.load(Ordering::Relaxed),
            rate: self.pace.rows_per_s(),
            rows_per_s: self.progress.rows_per_s(),
            trouble: self.progress.trouble(),
            ..self.begun.clone()
        }
    }

    /// The version that rows move to.
    pub(super) const fn to(&self) -> VersionNumber {
        self.begun.to
    }

    /// Changes its rate.
    pub(super) fn set_rate(&self, rate: std::num::NonZeroU32) {
        self.pace.set(rate);
    }
}

impl MoverThread {
    /// The movement that is under way.
    pub(super) fn movement(&self) -> Option<Arc<Movement>> {
        let state = lock(&self.0);
        let running = state.running.as_ref().filter(|running| !running.thread.is_finished())?;
        Some(Arc::clone(&running.movement))
    }

    /// Starts the thread, once no reader goes by the versions of before any more.
    pub(super) fn start(
        &self,
        files: Files,
        layouts: Arc<Layouts>,
        to_main: ToMain,
        begun: Moving,
        before: Option<Previous>,
    ) -> std::io::Result<Arc<Movement>> {
        self.stop();
        let mut state = lock(&self.0);
        if state.closed {
            return Err(std::io::Error::other("it is stopping"));
        }
        let (pace, progress) = (Pace::new(begun.rate), Progress::after(begun.looked_at));
        let movement = Arc::new(Movement { begun, pace, progress });
        let job = Job { files, layouts, to_main, movement: Arc::clone(&movement) };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
        let run = move || runtime.block_on(job.run(before));
        let thread = thread::Builder::new().name("move-rows".to_owned()).spawn(run)?;
        state.running = Some(Running { movement: Arc::clone(&movement), thread });
        Ok(movement)
    }

    /// Ends it for good; main still says that it is under way, so that the next start goes on.
    pub(super) fn close(&self) {
        lock(&self.0).closed = true;
        self.stop();
    }

    /// Ends it: what has left its shard arrives first. Returns what was under way.
    pub(super) fn stop(&self) -> Option<Moving> {
        let Running { movement, thread } = lock(&self.0).running.take()?;
        let finished = thread.is_finished();
        movement.pace.stop();
        if thread.join().is_err() {
            tracing::error!("the thread that moves rows panicked");
        }
        (!finished).then(|| movement.now())
    }
}

/// The thread's job.
struct Job {
    files: Files,
    layouts: Arc<Layouts>,
    to_main: ToMain,
    movement: Arc<Movement>,
}

impl Job {
    async fn run(self, before: Option<Previous>) {
        if let Some(before) = before {
            while before.is_in_use() && !self.movement.pace.is_stopped() {
                sleep(LOOK).await;
            }
        }
        let outage = TaskOutage::new("rows do not move; it is tried again", "rows move again");
        let ended = tokio::select! {
            ended = self.work(&outage) => ended,
            never = self.note() => match never {},
        };
        // Only now, when no note can come after it which says that rows move.
        if ended == Ended::Done {
            self.close(&outage).await;
        }
    }

    /// Moves everything, or what it can until it is stopped.
    async fn work(&self, outage: &TaskOutage) -> Ended {
        let Movement { pace, progress, .. } = &*self.movement;
        let mover = || Mover { shards: &self.files, versions: self.layouts.now(), pace, progress };
        while !pace.is_stopped() {
            let done = mover().run().await;
            outage.tried(&done);
            match done {
                Ok(Ended::Done) => return Ended::Done,
                Ok(Ended::Stopped) => {}
                Err(_) => sleep(RETRY).await,
            }
        }
        // What has left its shard and could not arrive is tried once more; what still leaves after that is reported.
        outage.tried(&mover().deliver_all().await);
        Ended::Stopped
    }

    /// Closes the versions of before in main.
    async fn close(&self, outage: &TaskOutage) {
        let Movement { pace, progress, .. } = &*self.movement;
        while !pace.is_stopped() {
            let moved = Moving { runs: false, trouble: None, ..self.movement.now() };
            let closed = self.to_main.layout(LayoutStep::Moved(moved)).await;
            outage.tried(&closed);
            let Err(error) = closed else { return };
            progress.is_in_trouble(None, &error);
            sleep(RETRY).await;
        }
    }

    /// Notes in main how far it has come, again and again.
    async fn note(&self) -> Infallible {
        loop {
            sleep(NOTE).await;
            // If it fails, the next one says more.
            let _ = self.to_main.layout(LayoutStep::Moving(self.movement.now())).await;
        }
    }
}

/// The files, as a mover sees them. What it reads it reads by connections of its own.
pub(super) struct Files {
    pub(super) writers: Arc<[WriterHandle]>,
    pub(super) turns: HolderLock,
    readers: RefCell<BTreeMap<ShardId, Connection>>,
}

impl Files {
    pub(super) fn new(writers: Arc<[WriterHandle]>, turns: HolderLock) -> Self {
        Self { writers, turns, readers: RefCell::default() }
    }

    fn read<T>(
        &self,
        shard: ShardId,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, MoveError> {
        let failed = |error| Unavailable::new(format!("shard {shard}"), error);
        let mut readers = self.readers.borrow_mut();
        if let Some(reader) = readers.get(&shard) {
            return Ok(read(reader).map_err(failed)?);
        }
        let Some(writer) = self.writers.get(shard.index()) else {
            return Err(Unavailable::new(format!("shard {shard}"), "there is no such shard").into());
        };
        let reader = folder::connect_reader(&writer.path).map_err(failed)?;
        let done = read(&reader).map_err(failed)?;
        readers.insert(shard, reader);
        Ok(done)
    }
}

impl MovingShards for Files {
    type Turn = OwnedRwLockReadGuard<()>;

    const BATCH: u32 = 8_192;
    // Grabs wait for each transaction of one.
    const BATCHES_PER_S: u32 = 25;

    fn shards(&self) -> Vec<ShardId> {
        (0..).map(ShardId::new).take(self.writers.len()).collect()
    }

    async fn turn(&self) -> Result<Self::Turn, MoveError> {
        Ok(Arc::clone(&self.turns).read_owned().await)
    }

    async fn begin(&self, shard: ShardId, up_to: VersionNumber) -> Result<ShardMoves, MoveError> {
        on(&self.writers, shard, move |writer| writer.begin_moving(up_to)).await?
    }

    async fn tables(&self, shard: ShardId) -> Result<Vec<TableId>, MoveError> {
        self.read(shard, sql::tables)
    }

    async fn scan(&self, shard: ShardId, table: TableId, slice: Slice) -> Result<Vec<Key>, MoveError> {
        self.read(shard, |db| moves::scan(db, table, slice))
    }

    async fn leave(
        &self,
        _: &Self::Turn,
        shard: ShardId,
        departure: &Departure,
        arrived: Option<u64>,
    ) -> Result<(), MoveError> {
        let departure = departure.clone();
        on(&self.writers, shard, move |writer| writer.leave(&departure, arrived)).await?
    }

    async fn leaving(&self, shard: ShardId) -> Result<Option<Batch>, MoveError> {
        self.read(shard, moves::leaving)
    }

    async fn arrive(
        &self,
        _: &Self::Turn,
        shard: ShardId,
        from: ShardId,
        number: u64,
        rows: &[PlacedResult],
    ) -> Result<(), MoveError> {
        let rows = rows.to_vec();
        on(&self.writers, shard, move |writer| writer.arrive(from, number, &rows)).await?
    }

    async fn arrived(&self, shard: ShardId, rows: &[PlacedResult]) -> Result<Vec<CouponResult>, MoveError> {
        self.read(shard, |db| moves::arrived(db, rows))
    }

    async fn forget(&self, _: &Self::Turn, shard: ShardId, number: u64) -> Result<(), MoveError> {
        on(&self.writers, shard, move |writer| writer.forget(number)).await?
    }

    async fn close(&self, shard: ShardId, up_to: VersionNumber, late: u64) -> Result<bool, MoveError> {
        on(&self.writers, shard, move |writer| writer.close_versions(up_to, late)).await?
    }
}
