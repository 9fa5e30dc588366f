//! A shard's reading threads: each has its own connection, and takes one query at a time.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Instant;

use coupon_core::{ShardId, TableId, Timestamp};
use rusqlite::Connection;
use tokio::sync::oneshot;

use super::state::{SharedShard, lock, thread_cpu};
use crate::clock::Clock;
use crate::{LocalFuture, Unavailable, Visit, Visited};

type Job = Box<dyn FnOnce(&Connection) + Send>;

/// The most queries that wait for one shard's readers; beyond it they are refused. Those whose asker has left count
/// until a reader has thrown them away, so a shard that is stuck must not gather them for ever.
const WAITING_MAX: usize = 16_384;

/// One shard's readers. They end when the last handle is dropped.
#[derive(Debug)]
pub(super) struct Readers {
    shard: ShardId,
    jobs: Sender<Job>,
    waiting: Arc<AtomicUsize>,
    state: Arc<SharedShard>,
    clock: Clock,
}

impl Readers {
    /// Starts a thread for each connection.
    pub(super) fn start(
        shard: ShardId,
        connections: Vec<Connection>,
        state: Arc<SharedShard>,
        clock: Clock,
    ) -> std::io::Result<Self> {
        let (jobs, queue) = channel();
        let (queue, waiting) = (Arc::new(Mutex::new(queue)), Arc::default());
        for (number, connection) in connections.into_iter().enumerate() {
            let (queue, waiting, state) = (Arc::clone(&queue), Arc::clone(&waiting), Arc::clone(&state));
            let name = format!("shard-{shard}-read-{number}");
            thread::Builder::new().name(name).spawn(move || serve(&queue, &waiting, &connection, &state))?;
        }
        Ok(Self { shard, jobs, waiting, state, clock })
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Runs a query over the tables visited that exist; `read` says how many of them it read. Should a table have been dropped
    /// since it was listed, all is read again: its rows were archived.
    pub(super) fn ask<T: Send + 'static>(
        &self,
        visit: Visit,
        read: impl Fn(&Connection, &[TableId]) -> rusqlite::Result<(T, u64)> + Send + 'static,
    ) -> LocalFuture<'_, Result<Visited<T>, Unavailable>> {
        let (reply, answer) = oneshot::channel();
        let (asked, as_of, shard) = (Instant::now(), self.state.as_of(self.clock.now()), self.shard);
        let state = Arc::clone(&self.state);
        let job: Job = Box::new(move |connection| {
            // The caller has stopped waiting for the answer: a queue of such jobs must not delay others.
            if reply.is_closed() {
                return;
            }
            let mut tables = existing(&state, &visit);
            let read = loop {
                let read = read(connection, &tables);
                let there = existing(&state, &visit);
                if read.is_ok() || there == tables {
                    break read;
                }
                tables = there;
            };
            let visited = read.map(|(value, tables)| {
                state.work.read_took(asked.elapsed());
                Visited { value, tables, took: asked.elapsed(), as_of, missing: Vec::new() }
            });
            let _ = reply.send(visited.map_err(|error| Unavailable::new(format!("shard {shard}"), error)));
        });
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= WAITING_MAX {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            let full = Unavailable::new(format!("shard {shard}"), "too many queries are waiting");
            return Box::pin(std::future::ready(Err(full)));
        }
        let sent = self.jobs.send(job);
        Box::pin(async move {
            let gone = || Unavailable::new(format!("shard {shard}"), "its readers have stopped");
            sent.map_err(|_| gone())?;
            answer.await.map_err(|_| gone())?
        })
    }

    /// Answers from memory, as if from the shard.
    pub(super) fn answer<T>(&self, value: impl FnOnce(&SharedShard) -> T) -> Visited<T> {
        // The moment first: what is acknowledged between the two may be more than it promises, never less.
        let as_of = self.state.as_of(self.clock.now());
        let took = std::time::Duration::ZERO;
        Visited { value: value(&self.state), tables: 0, took, as_of, missing: Vec::new() }
    }
}

fn existing(state: &SharedShard, visit: &Visit) -> Vec<TableId> {
    let tables = state.tables();
    match visit {
        Visit::All => tables.to_vec(),
        Visit::Tables(wanted) => tables.iter().filter(|table| wanted.contains(table)).copied().collect(),
    }
}

/// One reading thread: takes jobs until every sender is gone.
fn serve(queue: &Mutex<Receiver<Job>>, waiting: &AtomicUsize, connection: &Connection, state: &SharedShard) {
    loop {
        // One idle reader waits within the lock, the others for it.
        let Ok(job) = lock(queue).recv() else { return };
        waiting.fetch_sub(1, Ordering::Relaxed);
        let before = thread_cpu();
        job(connection);
        let used = thread_cpu().saturating_sub(before);
        let used = u64::try_from(used.as_nanos()).unwrap_or(u64::MAX);
        state.work.cpu_nanos.fetch_add(used, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;
    use std::time::Duration;

    use super::*;
    use crate::Totals;

    #[tokio::test(flavor = "current_thread")]
    async fn a_query_that_nobody_waits_for_any_more_is_not_run() {
        let state = Arc::new(SharedShard::new(Vec::new(), Totals::default(), 0, 1));
        let only = vec![Connection::open_in_memory().unwrap()];
        let readers = Readers::start(ShardId::new(0), only, state, Clock::system()).unwrap();
        let (go_on, wait) = channel::<()>();
        let slow = readers.ask(Visit::All, move |_, _| Ok((wait.recv().is_ok(), 0)));
        let ran = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&ran);
        drop(readers.ask(Visit::All, move |_, _| Ok((flag.store(true, Ordering::Relaxed), 0))));
        let last = readers.ask(Visit::All, |_, _| Ok(((), 0)));
        go_on.send(()).unwrap();
        assert!(slow.await.unwrap().value);
        last.await.unwrap();
        assert!(!ran.load(Ordering::Relaxed));
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_shard_that_is_stuck_does_not_gather_queries_for_ever() {
        let state = Arc::new(SharedShard::new(Vec::new(), Totals::default(), 0, 1));
        let only = vec![Connection::open_in_memory().unwrap()];
        let readers = Readers::start(ShardId::new(0), only, state, Clock::system()).unwrap();
        let (go_on, wait) = channel::<()>();
        let slow = readers.ask(Visit::All, move |_, _| Ok((wait.recv().is_ok(), 0)));
        // Their askers leave at once, and one more than wait may have been taken by the reader.
        for _ in 0..=WAITING_MAX {
            drop(readers.ask(Visit::All, |_, _| Ok(((), 0))));
        }
        let refused = readers.ask(Visit::All, |_, _| Ok(((), 0))).await.unwrap_err();
        assert!(refused.why.contains("too many"), "{refused}");
        go_on.send(()).unwrap();
        assert!(slow.await.unwrap().value);
        let deadline = Instant::now() + Duration::from_secs(60);
        while readers.waiting.load(Ordering::Relaxed) > 0 {
            assert!(Instant::now() < deadline, "queries without an asker wait for ever");
            tokio::task::yield_now().await;
        }
        readers.ask(Visit::All, |_, _| Ok(((), 0))).await.unwrap();
    }
}
