//! The requests to a shard's writer, and what it takes of them into one transaction.

use std::fmt;
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use coupon_core::{ResultId, TableId};
use tokio::sync::oneshot;

use super::state::lock;
use super::writer::Writer;
use crate::{Change, Changed, PlacedResult, Unavailable};

/// The most results one transaction takes: enough to share a commit, few enough to answer soon.
const TRANSACTION_MAX: usize = 8_192;

pub(super) type Reply<T> = oneshot::Sender<Result<T, Unavailable>>;

/// A request to a writer.
pub(super) enum WriterRequest {
    /// Store these.
    Store { rows: Vec<PlacedResult>, handed_over: Instant, answer: Answer },
    /// Take a step of a result that lives in this table.
    Change { table: TableId, change: Change, reply: Reply<Changed> },
    /// Make the tables, ahead of need.
    MakeTables { tables: Vec<TableId> },
    /// Answer once everything before is in its table.
    Marker { reply: Reply<()> },
    /// Do something else between two transactions.
    Task(Task),
    /// Store everything before, and end.
    Stop,
}

/// Something else that a writer does between two transactions.
pub(super) struct Task(pub(super) Box<dyn FnOnce(&mut Writer) + Send>);

/// The answer to the caller that handed rows over. Where several writers store a part each, it is given once all of them have.
#[derive(Clone)]
pub(super) struct Answer(Arc<Mutex<Parts>>);

struct Parts {
    /// Gone once a part has failed, or all are stored.
    reply: Option<Reply<()>>,
    open: usize,
}

impl Answer {
    /// The answer to rows that are one part.
    pub(super) fn to(reply: Reply<()>) -> Self {
        Self(Arc::new(Mutex::new(Parts { reply: Some(reply), open: 1 })))
    }

    /// The answer to rows that no caller waits for.
    pub(super) fn to_nobody() -> Self {
        Self(Arc::new(Mutex::new(Parts { reply: None, open: 1 })))
    }

    /// The answer for another part of the same rows.
    pub(super) fn part(&self) -> Self {
        lock(&self.0).open += 1;
        self.clone()
    }

    /// Answers for one part.
    pub(super) fn give(self, outcome: Result<(), Unavailable>) {
        let mut parts = lock(&self.0);
        parts.open -= 1;
        if (outcome.is_err() || parts.open == 0)
            && let Some(reply) = parts.reply.take()
        {
            let _ = reply.send(outcome);
        }
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer").field("open", &lock(&self.0).open).finish_non_exhaustive()
    }
}

/// The messages since the last transaction.
#[derive(Default)]
pub(super) struct Work {
    pub(super) rows: Vec<PlacedResult>,
    /// The number of rows that are tried again: they come first.
    pub(super) retried: usize,
    pub(super) stored: Vec<(Instant, usize, Answer)>,
    pub(super) changes: Vec<(TableId, Change, Reply<Changed>)>,
    pub(super) tables: Vec<TableId>,
    pub(super) markers: Vec<Reply<()>>,
    pub(super) tasks: Vec<Task>,
    /// The number of rows that came late, though they are stored here.
    pub(super) late: u64,
    /// Rows that contradict what is stored elsewhere, and how.
    pub(super) contradicting: Vec<(PlacedResult, String)>,
    pub(super) stop: bool,
}

impl Work {
    /// A message, and those that wait behind it.
    pub(super) fn gather(first: WriterRequest, messages: &Receiver<WriterRequest>) -> Self {
        let mut work = Self::default();
        work.take(first);
        // What comes behind a task comes after it.
        while work.rows.len() < TRANSACTION_MAX && work.tasks.is_empty() && !work.stop {
            match messages.try_recv() {
                Ok(message) => work.take(message),
                Err(_) => break,
            }
        }
        work
    }

    /// True if there are tasks and nothing else. They find the inbox as it is, and sort it in themselves where they need that: it
    /// takes long, and there are many of them.
    pub(super) fn is_only_tasks(&self) -> bool {
        let Self { rows, stored, changes, tables, markers, tasks, contradicting, stop, .. } = self;
        let nothing_to_store = rows.is_empty() && stored.is_empty() && contradicting.is_empty();
        !tasks.is_empty()
            && nothing_to_store
            && changes.is_empty()
            && tables.is_empty()
            && markers.is_empty()
            && !stop
    }

    /// True if a result is among those to be stored.
    pub(super) fn brings(&self, id: ResultId) -> bool {
        self.rows.iter().any(|row| row.result.result_id == id)
    }

    fn take(&mut self, message: WriterRequest) {
        match message {
            WriterRequest::Store { mut rows, handed_over, answer } => {
                self.stored.push((handed_over, rows.len(), answer));
                self.rows.append(&mut rows);
            }
            WriterRequest::Change { table, change, reply } => self.changes.push((table, change, reply)),
            WriterRequest::MakeTables { mut tables } => self.tables.append(&mut tables),
            WriterRequest::Marker { reply } => self.markers.push(reply),
            WriterRequest::Task(task) => self.tasks.push(task),
            WriterRequest::Stop => self.stop = true,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    fn gathered(messages: impl IntoIterator<Item = WriterRequest>) -> Work {
        let (sender, receiver) = channel();
        messages.into_iter().for_each(|message| sender.send(message).unwrap());
        Work::gather(receiver.recv().unwrap(), &receiver)
    }

    #[test]
    fn tasks_have_the_inbox_sorted_in_only_where_something_else_comes_before_them() {
        let task = || WriterRequest::Task(Task(Box::new(|_| ())));
        let tables = WriterRequest::MakeTables { tables: vec![TableId::Single] };
        let store = WriterRequest::Store {
            rows: Vec::new(),
            handed_over: Instant::now(),
            answer: Answer::to_nobody(),
        };
        assert!(gathered([task()]).is_only_tasks());
        for before in [tables, store, WriterRequest::Stop] {
            assert!(!gathered([before, task()]).is_only_tasks());
        }
        assert!(!Work::default().is_only_tasks(), "nothing came for a while: all of it is sorted in");
    }
}
