//! The hand-over of the embedded backend: to the shard's writing thread, and back after its commit.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Instant;

use coupon_core::{Placement, ShardId};
use tokio::sync::oneshot;

use super::applier::{ApplierNote, ToMain};
use super::archive::Archiver;
use super::mover::MoverThread;
use super::rooms::Carriers;
use super::state::{SharedShard, lock};
use super::work::{Answer, Task, WriterRequest};
use super::writer::Writer;
use crate::metrics::Exposition;
use crate::{
    Change, Changed, HandOver, Lifecycle, LocalFuture, OwnMetrics, PlacedResult, Repairs, Unavailable,
};

/// One shard's writer, as others see it.
pub(super) struct WriterHandle {
    pub(super) messages: Sender<WriterRequest>,
    pub(super) state: Arc<SharedShard>,
    /// The shard's file.
    pub(super) path: PathBuf,
}

/// Has a shard's writer do something between two transactions; the outcome comes by what this returns.
fn ask<T: Send + 'static>(
    writers: &[WriterHandle],
    shard: ShardId,
    task: impl FnOnce(&mut Writer) -> T + Send + 'static,
) -> Result<oneshot::Receiver<T>, Unavailable> {
    let (reply, answer) = oneshot::channel();
    let task = Task(Box::new(move |writer| drop(reply.send(task(writer)))));
    let writer = writers.get(shard.index()).ok_or_else(|| stopped(shard))?;
    writer.messages.send(WriterRequest::Task(task)).map_err(|_| stopped(shard))?;
    Ok(answer)
}

/// Has a shard's writer do something between two transactions, and waits for the outcome.
pub(super) async fn on<T: Send + 'static>(
    writers: &[WriterHandle],
    shard: ShardId,
    task: impl FnOnce(&mut Writer) -> T + Send + 'static,
) -> Result<T, Unavailable> {
    ask(writers, shard, task)?.await.map_err(|_| stopped(shard))
}

/// The same, on a thread that may be blocked.
pub(super) fn on_blocking<T: Send + 'static>(
    writers: &[WriterHandle],
    shard: ShardId,
    task: impl FnOnce(&mut Writer) -> T + Send + 'static,
) -> Result<T, Unavailable> {
    ask(writers, shard, task)?.blocking_recv().map_err(|_| stopped(shard))
}

/// All writers, and the applier behind them.
pub(super) struct Writers {
    shards: Arc<[WriterHandle]>,
    to_main: ToMain,
    backlog: usize,
    mover: Arc<MoverThread>,
    archiver: Arc<Archiver>,
    /// It keeps the room index up, where there is one.
    pub(super) carriers: Arc<Carriers>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    /// It ends last: the writers may still send it entries.
    applier: Mutex<Option<JoinHandle<()>>>,
}

impl Writers {
    pub(super) fn new(
        shards: Arc<[WriterHandle]>,
        to_main: ToMain,
        backlog: usize,
        mover: Arc<MoverThread>,
        archiver: Arc<Archiver>,
        applier: JoinHandle<()>,
    ) -> Self {
        let applier = Mutex::new(Some(applier));
        let carriers = Arc::default();
        Self { shards, to_main, backlog, mover, archiver, carriers, threads: Mutex::default(), applier }
    }

    /// Takes a writer's thread in, to be waited for at the end.
    pub(super) fn take_in(&self, thread: JoinHandle<()>) {
        lock(&self.threads).push(thread);
    }

    pub(super) async fn change(&self, placement: Placement, change: Change) -> Result<Changed, Unavailable> {
        let (reply, answer) = oneshot::channel();
        self.send(placement.shard, WriterRequest::Change { table: placement.table, change, reply })?;
        answer.await.map_err(|_| stopped(placement.shard))?
    }

    fn send(&self, shard: ShardId, message: WriterRequest) -> Result<(), Unavailable> {
        let writer = self.shards.get(shard.index()).ok_or_else(|| stopped(shard))?;
        writer.messages.send(message).map_err(|_| {
            writer.state.up.store(false, Ordering::Relaxed);
            stopped(shard)
        })
    }

    fn waiting(&self, shard: ShardId) -> Option<&AtomicUsize> {
        self.shards.get(shard.index()).map(|writer| &writer.state.waiting)
    }

    /// Ends the threads, each after what was sent to it before; does nothing the second time.
    fn stop(&self) {
        // A batch that is under way comes to its end first.
        self.archiver.close();
        self.mover.close();
        self.carriers.stop();
        for writer in &*self.shards {
            let _ = writer.messages.send(WriterRequest::Stop);
        }
        let threads = std::mem::take(&mut *lock(&self.threads));
        threads.into_iter().for_each(join);
        let _ = self.to_main.send(ApplierNote::Stop);
        let applier = lock(&self.applier).take();
        applier.into_iter().for_each(join);
    }

    async fn reached(&self) -> Result<(), Unavailable> {
        // Every writer works at once; the answers are then waited for in turn.
        let mut answers = Vec::with_capacity(self.shards.len());
        for shard in (0..).map(ShardId::new).take(self.shards.len()) {
            let (reply, answer) = oneshot::channel();
            self.send(shard, WriterRequest::Marker { reply })?;
            answers.push((shard, answer));
        }
        for (shard, answer) in answers {
            answer.await.map_err(|_| stopped(shard))??;
        }
        let (reply, answer) = oneshot::channel();
        self.to_main.send(ApplierNote::Marker(reply))?;
        answer.await.map_err(|_| Unavailable::new("the main database", "its writer has stopped"))??;
        self.carriers.reached().await
    }
}

/// Closes the backend: its folder can be opened again at once.
impl Drop for Writers {
    fn drop(&mut self) {
        self.stop();
    }
}

fn stopped(shard: ShardId) -> Unavailable {
    Unavailable::new(format!("shard {shard}"), "its writer has stopped")
}

impl HandOver for Arc<Writers> {
    fn hand_over(
        &self,
        shard: ShardId,
        _epoch: u64,
        rows: Vec<PlacedResult>,
    ) -> LocalFuture<'_, Result<(), Unavailable>> {
        let (reply, answer) = oneshot::channel();
        let count = rows.len();
        if let Some(waiting) = self.waiting(shard) {
            waiting.fetch_add(count, Ordering::AcqRel);
        }
        let (handed_over, to) = (Instant::now(), Answer::to(reply));
        let sent = self.send(shard, WriterRequest::Store { rows, handed_over, answer: to });
        if let (Err(_), Some(waiting)) = (&sent, self.waiting(shard)) {
            waiting.fetch_sub(count, Ordering::AcqRel);
        }
        Box::pin(async move {
            sent?;
            answer.await.map_err(|_| stopped(shard))?
        })
    }

    fn ready(&self) -> Result<(), Unavailable> {
        let down = (0..).map(ShardId::new).zip(&*self.shards);
        let down = down.filter(|(_, writer)| !writer.state.up.load(Ordering::Relaxed));
        let down: Vec<String> = down.map(|(shard, _)| format!("shard {shard}")).collect();
        if down.is_empty() { Ok(()) } else { Err(Unavailable::new(down.join(", "), "it takes no writes")) }
    }

    fn refusal(&self, shard: ShardId) -> Option<Unavailable> {
        let full = self.waiting(shard).is_none_or(|waiting| waiting.load(Ordering::Acquire) >= self.backlog);
        full.then(|| Unavailable::new(format!("shard {shard}"), "its backlog is full"))
    }
}

impl Lifecycle for Arc<Writers> {
    fn make_tables(&self, placements: &[Placement]) {
        for (shard, writer) in (0..).map(ShardId::new).zip(&*self.shards) {
            let here = placements.iter().filter(|placement| placement.shard == shard);
            let tables = here.map(|placement| placement.table).collect();
            // A writer that has stopped needs no tables.
            let _ = writer.messages.send(WriterRequest::MakeTables { tables });
        }
    }

    fn drain(&self) -> LocalFuture<'_, Result<(), Unavailable>> {
        Box::pin(self.reached())
    }

    fn close(&self) {
        self.stop();
    }
}

impl OwnMetrics for Arc<Writers> {
    fn repairs(&self) -> Repairs {
        // What is reserved is on its way to the writer: both end with this process.
        Repairs::default()
    }

    fn expose(&self, page: &mut Exposition) {
        self.to_main.applied.expose(page);
    }
}

fn join(thread: JoinHandle<()>) {
    let name = thread.thread().name().unwrap_or("a writer").to_owned();
    if thread.join().is_err() {
        tracing::error!(name, "a thread panicked");
    }
}
