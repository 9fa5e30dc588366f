//! A shard's reading threads: each has a connection of its own, and takes one query at a time.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Instant;

use coupon_core::{ShardId, TableId};
use rusqlite::Connection;
use tokio::sync::oneshot;

use super::state::{ShardState, lock, thread_cpu};
use crate::backend::{LocalFuture, Unavailable, Visit, Visited};
use crate::clock::Clock;

type Job = Box<dyn FnOnce(&Connection) + Send>;

/// One shard's readers. They end when the last handle is dropped.
#[derive(Debug)]
pub(super) struct Readers {
    shard: ShardId,
    jobs: Sender<Job>,
    state: Arc<ShardState>,
    clock: Clock,
}

impl Readers {
    /// Starts a thread for each connection.
    pub(super) fn start(
        shard: ShardId,
        connections: Vec<Connection>,
        state: Arc<ShardState>,
        clock: Clock,
    ) -> std::io::Result<Self> {
        let (jobs, queue) = channel();
        let queue = Arc::new(Mutex::new(queue));
        for (number, connection) in connections.into_iter().enumerate() {
            let (queue, state) = (Arc::clone(&queue), Arc::clone(&state));
            let name = format!("shard-{shard}-read-{number}");
            thread::Builder::new().name(name).spawn(move || serve(&queue, &connection, &state))?;
        }
        Ok(Self { shard, jobs, state, clock })
    }

    /// Runs a query over the tables visited that exist; `read` says how many of them it read.
    pub(super) fn ask<T: Send + 'static>(
        &self,
        visit: Visit,
        read: impl FnOnce(&Connection, &[TableId]) -> rusqlite::Result<(T, u64)> + Send + 'static,
    ) -> LocalFuture<'_, Result<Visited<T>, Unavailable>> {
        let (reply, answer) = oneshot::channel();
        let (asked, as_of, shard) = (Instant::now(), self.state.as_of(self.clock.now()), self.shard);
        let state = Arc::clone(&self.state);
        let job: Job = Box::new(move |connection| {
            // Whoever stopped waiting does not want the answer any more: a queue of such jobs must not delay others.
            if reply.is_closed() {
                return;
            }
            let tables = existing(&state, visit);
            let visited = read(connection, &tables).map(|(value, tables)| {
                state.work.read_took(asked.elapsed());
                Visited { value, tables, took: asked.elapsed(), as_of }
            });
            let _ = reply.send(visited.map_err(|error| Unavailable::new(format!("shard {shard}"), error)));
        });
        let sent = self.jobs.send(job);
        Box::pin(async move {
            let gone = || Unavailable::new(format!("shard {shard}"), "its readers have stopped");
            sent.map_err(|_| gone())?;
            answer.await.map_err(|_| gone())?
        })
    }

    /// Answers from memory, as if from the shard.
    pub(super) fn answer<T>(&self, value: impl FnOnce(&ShardState) -> T) -> Visited<T> {
        // The moment first: what is acknowledged between the two may be more than it promises, never less.
        let as_of = self.state.as_of(self.clock.now());
        Visited { value: value(&self.state), tables: 0, took: std::time::Duration::ZERO, as_of }
    }
}

fn existing(state: &ShardState, visit: Visit) -> Vec<TableId> {
    let tables = state.tables();
    match visit {
        Visit::All => tables.to_vec(),
        Visit::Tables(wanted) => tables.iter().filter(|table| wanted.contains(table)).copied().collect(),
    }
}

/// One reading thread: takes jobs until there is nobody left to send any.
fn serve(queue: &Mutex<Receiver<Job>>, connection: &Connection, state: &ShardState) {
    loop {
        // One idle reader waits within the lock, the others for it.
        let Ok(job) = lock(queue).recv() else { return };
        let before = thread_cpu();
        job(connection);
        let used = thread_cpu().saturating_sub(before);
        let used = u64::try_from(used.as_nanos()).unwrap_or(u64::MAX);
        state.work.cpu_nanos.fetch_add(used, std::sync::atomic::Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;
    use crate::backend::Totals;

    #[tokio::test(flavor = "current_thread")]
    async fn a_query_that_nobody_waits_for_any_more_is_not_run() {
        let state = Arc::new(ShardState::new(Vec::new(), Totals::default(), 0, 1));
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
}
