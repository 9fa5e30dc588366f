//! The thread that carries the shards' entries to the room index.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use coupon_core::{ShardId, Timestamp};
use rusqlite::Connection;
use tokio::sync::oneshot;

use super::{IndexDelivery, IndexProgress, entries, position, reached};
use crate::Unavailable;
use crate::clock::Clock;
use crate::embedded::hand_over::{WriterHandle, on_blocking};
use crate::embedded::state::{SharedShard, lock};
use crate::outage::TaskOutage;
use crate::room_index::RoomPlaces;

/// The time for which entries gather, unless a caller waits for them: what the index may trail by.
const GATHER: Duration = Duration::from_millis(200);
/// The rows from which on a shard of the index takes no more into one transaction: a few milliseconds for which its grabs wait.
const ROWS: usize = 2_048;

type Reply = oneshot::Sender<Result<(), Unavailable>>;

/// A shard whose entries are carried to the index.
pub(in crate::embedded) struct Source {
    pub(in crate::embedded) shard: ShardId,
    /// A connection that reads.
    pub(in crate::embedded) db: Connection,
    pub(in crate::embedded) told: Arc<IndexProgress>,
    pub(in crate::embedded) state: Arc<SharedShard>,
}

/// A shard of the index.
struct Target {
    shard: ShardId,
    /// The position up to which it has the entries of each source.
    positions: Vec<i64>,
    as_of: Arc<AtomicI64>,
}

/// Carries entries to the index.
pub(in crate::embedded) struct Carrier {
    sources: Vec<Source>,
    targets: Vec<Target>,
    writers: Arc<[WriterHandle]>,
    clock: Clock,
    stopping: Arc<AtomicBool>,
    outage: TaskOutage,
}

impl Carrier {
    /// Reads how far each shard of the index has come.
    ///
    /// # Errors
    /// When one has lost entries that it had taken, or a shard has lost entries that the index has.
    pub(in crate::embedded) fn new(
        places: RoomPlaces,
        sources: Vec<Source>,
        connect: impl Fn(ShardId) -> rusqlite::Result<Connection>,
        writers: Arc<[WriterHandle]>,
        clock: Clock,
    ) -> anyhow::Result<Self> {
        let target = |shard: ShardId| {
            let db = connect(shard)?;
            let position = |source: &Source| -> anyhow::Result<i64> {
                let has = position(&db, source.shard)?;
                reached(&source.db, shard)?.check(shard, source.shard, has)?;
                Ok(has)
            };
            let positions = sources.iter().map(position).collect::<anyhow::Result<_>>()?;
            anyhow::Ok(Target { shard, positions, as_of: Arc::default() })
        };
        let targets = places.all().map(target).collect::<anyhow::Result<_>>()?;
        let outage = TaskOutage::new(
            "the room index is not kept up; it is told later",
            "the room index is kept up again",
        );
        Ok(Self { sources, targets, writers, clock, stopping: Arc::default(), outage })
    }

    /// The moment before which each shard of the index has everything, in milliseconds since 1970; 0 while that is not known.
    pub(in crate::embedded) fn as_of(&self) -> Vec<Arc<AtomicI64>> {
        self.targets.iter().map(|target| Arc::clone(&target.as_of)).collect()
    }

    /// Starts the thread.
    pub(in crate::embedded) fn start(self, carriers: &Carriers) -> std::io::Result<()> {
        let (markers, inbox) = channel();
        let stopping = Arc::clone(&self.stopping);
        let thread = thread::Builder::new().name("room-index".to_owned()).spawn(move || self.run(&inbox))?;
        *lock(&carriers.0) = Some(Running { markers, stopping, thread });
        Ok(())
    }

    fn run(mut self, inbox: &Receiver<Reply>) {
        while !self.stopping.load(Ordering::Acquire) {
            let done = self.carry();
            self.outage.tried(&done);
            let mut waiting: Vec<Reply> = match inbox.recv_timeout(GATHER) {
                Ok(marker) => vec![marker],
                Err(RecvTimeoutError::Timeout) => continue,
                Err(RecvTimeoutError::Disconnected) => return,
            };
            waiting.extend(inbox.try_iter());
            let done = self.carry();
            self.outage.tried(&done);
            for marker in waiting {
                let unavailable = |error| Unavailable::new("the room index", error);
                let _ = marker.send(done.as_ref().copied().map_err(unavailable));
            }
        }
    }

    /// Carries everything that was committed before. What one shard of the index does not take holds up no other.
    fn carry(&mut self) -> anyhow::Result<()> {
        let Self { sources, targets, writers, clock, stopping, .. } = self;
        let mut done = Ok(());
        for target in targets {
            loop {
                match carry_to(target, sources, writers, clock.now()) {
                    Ok(true) if stopping.load(Ordering::Acquire) => {
                        done = Err(anyhow::anyhow!("the service stops before it is told everything"));
                        break;
                    }
                    Ok(true) => {}
                    Ok(false) => break,
                    Err(error) => {
                        done = Err(error);
                        break;
                    }
                }
            }
        }
        done
    }
}

/// Carries some entries to a shard of the index. Says whether there may be more.
fn carry_to(
    target: &mut Target,
    sources: &[Source],
    writers: &[WriterHandle],
    now: Timestamp,
) -> anyhow::Result<bool> {
    let mut delivery = IndexDelivery::default();
    let mut positions = target.positions.clone();
    let (mut as_of, mut more) = (now, false);
    for (source, position) in sources.iter().zip(&mut positions) {
        // Before its last entry is looked at: what is acknowledged before then has its entry by then.
        as_of = as_of.min(source.state.as_of(now));
        let last = source.told.last.load(Ordering::Acquire);
        if *position >= last {
            continue;
        }
        let room = ROWS.saturating_sub(delivery.rows.len());
        let found = entries(&source.db, target.shard, *position, room)?;
        let rows: usize = found.iter().map(|entry| entry.rows.len()).sum();
        if rows >= room {
            more = true;
            *position = found.last().map_or(*position, |entry| entry.id);
        } else {
            *position = found.last().map_or(last, |entry| entry.id.max(last));
        }
        if let Some(entry) = found.last() {
            delivery.positions.push((source.shard, entry.id));
        }
        delivery.rows.extend(found.into_iter().flat_map(|entry| entry.rows));
    }
    if !delivery.positions.is_empty() {
        let taken = delivery.positions.clone();
        on_blocking(writers, target.shard, move |writer| writer.take_in(&delivery, as_of))??;
        for (shard, position) in taken {
            let source = sources.iter().find(|source| source.shard == shard);
            if let Some(taken) = source.and_then(|source| source.told.taken.get(target.shard.index())) {
                taken.store(position, Ordering::Release);
            }
        }
    }
    target.positions = positions;
    if !more {
        target.as_of.store(as_of.millis(), Ordering::Release);
    }
    Ok(more)
}

/// The thread that carries, where there is an index.
#[derive(Default)]
pub(in crate::embedded) struct Carriers(Mutex<Option<Running>>);

struct Running {
    markers: Sender<Reply>,
    stopping: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Carriers {
    /// Waits until the index has everything that was committed before.
    pub(in crate::embedded) async fn reached(&self) -> Result<(), Unavailable> {
        let stopped = |_| Unavailable::new("the room index", "the thread that keeps it up has stopped");
        let (reply, answer) = oneshot::channel();
        match &*lock(&self.0) {
            Some(running) => running.markers.send(reply).map_err(|_| stopped(()))?,
            None => return Ok(()),
        }
        answer.await.map_err(|_| stopped(()))?
    }

    /// Ends the thread. Entries that were not carried yet wait in the shards.
    pub(in crate::embedded) fn stop(&self) {
        let Some(Running { markers, stopping, thread }) = lock(&self.0).take() else { return };
        stopping.store(true, Ordering::Release);
        drop(markers);
        if thread.join().is_err() {
            tracing::error!("the thread that keeps the room index up panicked");
        }
    }
}
