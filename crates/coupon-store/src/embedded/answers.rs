//! A writer's answers to the callers that wait for them.

use std::sync::atomic::Ordering;

use super::transaction::Done;
use super::work::Work;
use super::writer::Writer;
use crate::{PlacedResult, Unavailable};

impl Writer {
    /// Everything is on disk.
    pub(super) fn answer(&self, work: Work, done: &Done) {
        self.state.up.store(true, Ordering::Relaxed);
        self.storing.worked();
        let mut rest = work.rows.get(work.retried..).unwrap_or_default();
        for (handed_over, count, answer) in work.stored {
            let (mine, others) = rest.split_at(count.min(rest.len()));
            rest = others;
            self.state.work.write_took(handed_over.elapsed());
            let contradicted = mine.iter().any(|row| done.parked.contains(&row.result.result_id));
            answer.give(if contradicted { Err(self.was_parked()) } else { Ok(()) });
        }
        for ((_, _, reply), outcome) in work.changes.into_iter().zip(&done.changed) {
            let _ = reply.send(Ok(*outcome));
        }
        for marker in work.markers {
            let _ = marker.send(self.all_stored());
        }
    }

    /// An error while some of what came here waits to be tried again.
    pub(super) fn all_stored(&self) -> Result<(), Unavailable> {
        if self.retry.is_empty() {
            return Ok(());
        }
        Err(Unavailable::new(format!("shard {}", self.shard), "some of its results are not stored yet"))
    }

    /// The answer to the hand-over of a result that contradicts what is stored.
    pub(super) fn was_parked(&self) -> Unavailable {
        Unavailable::new(format!("shard {}", self.shard), "a result was parked")
    }

    /// Nothing is on disk: callers learn that the outcome is open, and the rows wait for the next try.
    pub(super) fn keep(&mut self, error: &rusqlite::Error, work: Work) {
        self.state.up.store(false, Ordering::Relaxed);
        self.storing.failed(error);
        // Callers who ask again hand the same result over again: once is enough to try. Another result under the same
        // id is a contradiction, and must be found to be one.
        let mut rows = work.rows;
        rows.extend(work.contradicting.into_iter().map(|(row, _)| row));
        let before = rows.len();
        let identity = |row: &PlacedResult| {
            let result = &row.result;
            (result.result_id, result.user_id, result.coupon_id, result.room_id)
        };
        rows.sort_unstable_by_key(identity);
        rows.dedup_by_key(|row| identity(row));
        self.state.waiting.fetch_sub(before - rows.len(), Ordering::AcqRel);
        // Beside those that could not even be tried.
        self.retry.append(&mut rows);
        let unavailable = || Unavailable::new(format!("shard {}", self.shard), error);
        for (_, _, answer) in work.stored {
            answer.give(Err(unavailable()));
        }
        for (_, _, reply) in work.changes {
            let _ = reply.send(Err(unavailable()));
        }
        for marker in work.markers {
            let _ = marker.send(Err(unavailable()));
        }
    }
}
