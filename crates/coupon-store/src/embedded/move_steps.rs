//! A writer's steps in moving rows, each of them one transaction of its file.

use std::sync::atomic::Ordering;

use coupon_core::{ShardId, VersionNumber};
use tokio::sync::oneshot;

use super::moves;
use super::transaction::{Done, Store};
use super::work::Work;
use super::writer::Writer;
use crate::moving::{Departure, MoveError, ShardMoves};
use crate::{PlacedResult, Totals, Unavailable};

type Moved<T> = Result<T, MoveError>;

impl Writer {
    /// Begins to let rows go of versions up to this one.
    pub(super) fn begin_moving(&mut self, up_to: VersionNumber) -> Moved<ShardMoves> {
        self.flush()?;
        // Before the first row leaves: from now on readers look at what is leaving.
        self.state.leaves.store(true, Ordering::Release);
        if self.moves.moving_from < up_to {
            self.note(ShardMoves { moving_from: up_to, ..self.moves })?;
        }
        Ok(self.moves)
    }

    /// Lets a batch leave, and forgets the one before if that is known to have arrived.
    pub(super) fn leave(&mut self, departure: &Departure, arrived: Option<u64>) -> Moved<()> {
        let next = ShardMoves { batch: departure.number, ..self.moves };
        let forgets = arrived == Some(self.moves.batch);
        if next.batch != self.moves.batch + 1 || !(forgets || self.none_leaves()?) {
            return Err(MoveError::Overtaken(self.shard));
        }
        let left = if forgets { self.leaving_totals()? } else { Totals::default() };
        self.transact(|store| {
            if forgets {
                store.forget()?;
            }
            store.leave(departure, next)
        })?;
        self.moves = next;
        self.state.take_off(left);
        Ok(())
    }

    /// Takes in a batch of another place.
    pub(super) fn arrive(&mut self, from: ShardId, number: u64, rows: &[PlacedResult]) -> Moved<()> {
        if moves::last_arrival(&self.db, from).map_err(|error| self.failed(&error))? >= number {
            return Ok(());
        }
        let mut done = self.transact(|store| {
            store.make_tables(rows.iter().map(|row| row.placement.table), &self.known_tables)?;
            store.arrive(from, number, rows)
        })?;
        let applied = self.state.applied.load(Ordering::Acquire);
        self.took_in(&mut done, applied, rows);
        Ok(())
    }

    /// Forgets a batch that has arrived.
    pub(super) fn forget(&mut self, number: u64) -> Moved<()> {
        if self.moves.batch != number {
            return Ok(());
        }
        let left = self.leaving_totals()?;
        self.transact(|store| store.forget())?;
        self.state.take_off(left);
        Ok(())
    }

    /// Closes versions up to this one, unless more came late than so many rows, or something is leaving.
    pub(super) fn close_versions(&mut self, up_to: VersionNumber, late: u64) -> Moved<bool> {
        if self.moves.late != late || !self.none_leaves()? {
            return Ok(false);
        }
        if self.moves.closed < up_to {
            self.note(ShardMoves { closed: up_to, ..self.moves })?;
        }
        self.state.leaves.store(false, Ordering::Release);
        Ok(true)
    }

    /// Brings everything that is stored here into its table.
    pub(super) fn flush(&mut self) -> Result<(), Unavailable> {
        if self.inbox.len() > 0 || !self.retry.is_empty() {
            let (reply, mut answer) = oneshot::channel();
            self.work(Work { markers: vec![reply], ..Work::default() });
            answer.try_recv().unwrap_or(Ok(()))?;
        }
        self.all_stored()
    }

    fn note(&mut self, moves: ShardMoves) -> Moved<()> {
        self.transact(|store| store.note_moves(moves))?;
        self.moves = moves;
        Ok(())
    }

    fn leaving_totals(&self) -> Moved<Totals> {
        moves::leaving_totals(&self.db).map_err(|error| self.failed(&error))
    }

    fn none_leaves(&self) -> Moved<bool> {
        moves::none_leaves(&self.db).map_err(|error| self.failed(&error))
    }

    /// One transaction.
    fn transact(&self, step: impl FnOnce(&mut Store<'_>) -> rusqlite::Result<()>) -> Moved<Done> {
        let run = || {
            let mut store = Store::begin(&self.db, self.clock.now())?;
            step(&mut store)?;
            store.commit()
        };
        run().map_err(|error| self.failed(&error))
    }

    fn failed(&self, error: &rusqlite::Error) -> MoveError {
        Unavailable::new(format!("shard {}", self.shard), error).into()
    }
}
