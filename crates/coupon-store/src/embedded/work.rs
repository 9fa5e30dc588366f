//! The requests to a shard's writer, and what it takes of them into one transaction.

use std::sync::mpsc::Receiver;
use std::time::Instant;

use coupon_core::{ResultId, TableId};
use tokio::sync::oneshot;

use crate::{Change, Changed, PlacedResult, Unavailable};

/// The most results one transaction takes: enough to share a commit, few enough to answer soon.
const TRANSACTION_MAX: usize = 8_192;

pub(super) type Reply<T> = oneshot::Sender<Result<T, Unavailable>>;

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

/// The messages since the last transaction.
#[derive(Default)]
pub(super) struct Work {
    pub(super) rows: Vec<PlacedResult>,
    /// The number of rows that are tried again: they come first.
    pub(super) retried: usize,
    pub(super) stored: Vec<(Instant, usize, Reply<()>)>,
    pub(super) changes: Vec<(TableId, Change, Reply<Changed>)>,
    pub(super) tables: Vec<TableId>,
    pub(super) markers: Vec<Reply<()>>,
    pub(super) stop: bool,
}

impl Work {
    /// A message, and those that wait behind it.
    pub(super) fn gather(first: Message, messages: &Receiver<Message>) -> Self {
        let mut work = Self::default();
        work.take(first);
        while work.rows.len() < TRANSACTION_MAX && !work.stop {
            match messages.try_recv() {
                Ok(message) => work.take(message),
                Err(_) => break,
            }
        }
        work
    }

    /// True if a result is among those to be stored.
    pub(super) fn brings(&self, id: ResultId) -> bool {
        self.rows.iter().any(|row| row.result.result_id == id)
    }

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
