//! Rows that come to a shard though their place is elsewhere by now, or which may have been moved already.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use coupon_core::{CouponResult, Placement, Timestamp, VersionNumber, Versioned};

use super::folder;
use super::moves;
use super::work::{Answer, Work, WriterRequest};
use super::writer::Writer;
use crate::moving::{Arriving, same_grab};
use crate::{PlacedResult, Unavailable};

/// The rows that a writer refuses while a version of the layout is announced.
#[derive(Debug, Clone, Copy)]
pub(super) struct WriterFence {
    /// Rows from that moment on are stored only by that version, or a later one.
    pub(super) version: Option<(VersionNumber, Timestamp)>,
    /// The latest time of any row that has come here.
    pub(super) latest: Timestamp,
}

/// The fate of a row that has come.
enum Fate {
    /// It is stored here, and may have come late.
    Here { late: bool },
    /// It is stored already.
    Repeat,
    /// It contradicts what is stored.
    Contradicts(String),
    /// Another writer stores it.
    Pass(Placement),
    /// That cannot be said for now; it is tried again.
    Unsure(String),
}

/// Rows for other writers, by shard.
type Passed = BTreeMap<usize, Vec<PlacedResult>>;

impl Writer {
    /// Leaves only those rows in a work that are to be stored here. While the layout is the first, that is all of them.
    pub(super) fn sort_late(&mut self, work: &mut Work) {
        self.fence.latest =
            work.rows.iter().map(|row| row.result.grab_time).fold(self.fence.latest, Ord::max);
        if work.rows.is_empty()
            || (self.fence.version.is_none() && self.layouts.look(|versions| versions.latest().number == 1))
        {
            return;
        }
        let versions = self.layouts.now();
        let mut rows = std::mem::take(&mut work.rows).into_iter();
        let retried: Vec<PlacedResult> = rows.by_ref().take(work.retried).collect();
        let nobody = Answer::to_nobody();
        let (stay, _) = self.sort_out(&versions, retried, Instant::now(), &nobody, work);
        work.retried = stay.len();
        work.rows = stay;
        for (handed_over, count, answer) in std::mem::take(&mut work.stored) {
            let mine: Vec<PlacedResult> = rows.by_ref().take(count).collect();
            let (mut stay, failed) = self.sort_out(&versions, mine, handed_over, &answer, work);
            if let Some(failed) = failed {
                // The answer to the waiting caller is that the outcome is open; what stays is stored all the same.
                answer.part().give(Err(failed));
            }
            work.stored.push((handed_over, stay.len(), answer));
            work.rows.append(&mut stay);
        }
    }

    /// Sorts out rows that were handed over together: passes on what goes elsewhere, and returns what is stored here. The other
    /// result is the reason for which some of them are not, or not yet.
    fn sort_out(
        &mut self,
        versions: &Arc<Versioned>,
        rows: Vec<PlacedResult>,
        handed_over: Instant,
        answer: &Answer,
        work: &mut Work,
    ) -> (Vec<PlacedResult>, Option<Unavailable>) {
        let (mut stay, mut passed, mut failed) = (Vec::with_capacity(rows.len()), Passed::new(), None);
        let before = rows.len();
        let (parked, unsure) = (work.contradicting.len(), self.retry.len());
        for row in rows {
            match self.fate(versions, &row) {
                Fate::Here { late } => {
                    work.late += u64::from(late);
                    stay.push(row);
                }
                Fate::Repeat => self.gate.settle([&row.result]),
                Fate::Contradicts(why) => {
                    failed = Some(self.was_parked());
                    work.contradicting.push((row, why));
                }
                Fate::Pass(placement) => {
                    let row = PlacedResult { placement, ..row };
                    passed.entry(placement.shard.index()).or_default().push(row);
                }
                Fate::Unsure(why) => {
                    failed = Some(Unavailable::new(format!("shard {}", self.shard), why));
                    self.retry.push(row);
                }
            }
        }
        let waits_here = stay.len() + work.contradicting.len() - parked + self.retry.len() - unsure;
        self.state.waiting.fetch_sub(before - waits_here, Ordering::AcqRel);
        for (shard, rows) in passed {
            failed = self.pass(shard, rows, handed_over, answer).or(failed);
        }
        (stay, failed)
    }

    /// Hands rows over to another writer, which answers for them.
    fn pass(
        &self,
        shard: usize,
        rows: Vec<PlacedResult>,
        handed_over: Instant,
        answer: &Answer,
    ) -> Option<Unavailable> {
        let gone = || Unavailable::new(format!("shard {shard}"), "its writer has stopped");
        let Some(writer) = self.writers.get(shard) else { return Some(gone()) };
        let count = rows.len();
        writer.state.waiting.fetch_add(count, Ordering::AcqRel);
        let message = WriterRequest::Store { rows, handed_over, answer: answer.part() };
        if writer.messages.send(message).is_ok() {
            return None;
        }
        writer.state.waiting.fetch_sub(count, Ordering::AcqRel);
        Some(gone())
    }

    fn fate(&self, versions: &Versioned, row: &PlacedResult) -> Fate {
        let PlacedResult { placement: here, result } = row;
        if let Some((version, from)) = self.fence.version
            && versions.latest().number < version
            && result.grab_time >= from
        {
            return Fate::Unsure("the layout is about to change".to_owned());
        }
        match Arriving::of(versions, *here, &result.key(), self.moves) {
            Ok(Arriving::Here) => Fate::Here { late: false },
            Ok(Arriving::Pass(to)) => Fate::Pass(to),
            Ok(Arriving::LookFirst(places)) => self.known(row, &places).unwrap_or(Fate::Here { late: true }),
            Ok(Arriving::LookThenPass(places)) => {
                let home = places.last().copied().unwrap_or(*here);
                self.known(row, &places).unwrap_or(Fate::Pass(home))
            }
            Err(error) => Fate::Contradicts(error.to_string()),
        }
    }

    /// Looks for a row here, and at later places in their order; none if it is at none of them.
    fn known(&self, row: &PlacedResult, places: &[Placement]) -> Option<Fate> {
        match self.look(row, places) {
            Ok(found) => found.map(|found| {
                if same_grab(&found, &row.result) {
                    Fate::Repeat
                } else {
                    Fate::Contradicts("another result is stored under this id".to_owned())
                }
            }),
            Err(error) => Some(Fate::Unsure(error.to_string())),
        }
    }

    fn look(&self, row: &PlacedResult, places: &[Placement]) -> rusqlite::Result<Option<CouponResult>> {
        let id = row.result.result_id;
        if let Some(found) = moves::look(&self.db, row.placement.table, id)? {
            return Ok(Some(found));
        }
        for place in places {
            let Some(other) = self.writers.get(place.shard.index()) else { continue };
            // So seldom that nothing is kept open for it.
            if let Some(found) = moves::look(&folder::connect_reader(&other.path)?, place.table, id)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }
}
