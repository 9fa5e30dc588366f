//! The shards on servers, as a mover sees them: what becomes of a batch, transaction by transaction.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use coupon_core::{CouponResult, ShardId, TableId, VersionNumber};
use coupon_store::moving::{Batch, Departure, Key, MoveError, MovingShards, ShardMoves, Slice};
use coupon_store::{PlacedResult, Totals, Unavailable};
use tokio::time::{Instant, error::Elapsed, timeout};

use super::background::Background;
use super::steps::Tries;
use super::store::{Of, StoreError};
use super::stored::{KnownRow, Stored};
use super::turns::{Turn, Turns};
use crate::seam::{
    Begun, DatabaseError, Inserted, MainServer, MoveNote, MovingRows, ShardServer, StoringError,
};

/// The longest that a step may take.
const PATIENCE: Duration = Duration::from_secs(25);
/// The age of an idle connection of which it is not known any more whether its server keeps it.
const IDLE: Duration = Duration::from_secs(10);
/// The rows that one statement stores.
const ROWS: usize = 1_024;

/// The shards, and the connections that steps are taken over.
pub(super) struct ShardConnections<'a> {
    background: &'a Background,
    turns: Turns<&'a dyn MainServer>,
    kept: Kept,
}

/// Connections of transactions that have committed, each with the time since when it is idle.
#[derive(Default)]
struct Kept(Mutex<Idle>);

type Idle = BTreeMap<ShardId, Vec<(Instant, Box<dyn MovingRows>)>>;

impl Kept {
    fn all(&self) -> MutexGuard<'_, Idle> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep(&self, shard: ShardId, rows: Box<dyn MovingRows>) {
        self.all().entry(shard).or_default().push((Instant::now(), rows));
    }

    fn take(&self, shard: ShardId) -> Option<Box<dyn MovingRows>> {
        let mut kept = self.all();
        let of_shard = kept.get_mut(&shard)?;
        of_shard.retain(|(since, _)| since.elapsed() < IDLE);
        of_shard.pop().map(|(_, rows)| rows)
    }
}

/// The reason why a step is not taken.
#[derive(Debug, thiserror::Error)]
enum StepError {
    /// Another mover has been here.
    #[error("another mover has been here")]
    Overtaken,
    /// The right to have a batch under way was lost, and cannot be had again.
    #[error("it does not have its turn any more: {0}")]
    LostTurn(MoveError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("{0:#}")]
    Failed(#[from] anyhow::Error),
}

impl From<StoringError> for StepError {
    fn from(error: StoringError) -> Self {
        Self::Store(error.into())
    }
}

impl From<DatabaseError> for StepError {
    fn from(error: DatabaseError) -> Self {
        Self::Failed(error.into())
    }
}

type Step<T> = Result<T, StepError>;

/// A transaction that has its shard's row of state.
struct Has<'a> {
    rows: Box<dyn MovingRows>,
    begun: Begun,
    of: Of<'a>,
    kept: &'a Kept,
}

impl Has<'_> {
    async fn commit(mut self, note: MoveNote) -> Step<()> {
        self.rows.commit(&note).await?;
        self.of.committed(self.begun);
        self.kept.keep(self.of.shard, self.rows);
        Ok(())
    }

    /// Notes where the shard is, if that is news.
    async fn note(self, moves: ShardMoves) -> Step<ShardMoves> {
        if moves != self.begun.moves {
            self.commit(MoveNote { moves, ..MoveNote::default() }).await?;
        }
        Ok(moves)
    }
}

/// Takes a step, again as often as it meets another transaction.
async fn taken<T, F: Future<Output = Step<T>>>(shard: ShardId, step: impl Fn() -> F) -> Result<T, MoveError> {
    let mut tries = Tries::default();
    loop {
        let tried = timeout(PATIENCE, step()).await;
        if let Some(done) = outcome(shard, &mut tries, tried) {
            return done;
        }
    }
}

/// The outcome of a step that was tried; none if it met another transaction, and is to be tried again.
fn outcome<T>(
    shard: ShardId,
    tries: &mut Tries,
    tried: Result<Step<T>, Elapsed>,
) -> Option<Result<T, MoveError>> {
    let down = |why: &dyn std::fmt::Display| Unavailable::new(format!("shard {shard}"), why).into();
    match tried {
        Err(_) => Some(Err(down(&"it did not answer in time"))),
        Ok(Ok(done)) => Some(Ok(done)),
        Ok(Err(StepError::Overtaken)) => Some(Err(MoveError::Overtaken(shard))),
        Ok(Err(StepError::Store(error))) if tries.again_after(&error) => None,
        Ok(Err(error)) => Some(Err(down(&error))),
    }
}

/// Stores rows that have left another place. Returns the sums over those that were not there, and whether all are there now: one
/// that contradicts what is stored stays where it was leaving, whole.
async fn put(moving: &mut dyn MovingRows, table: TableId, rows: &[&CouponResult]) -> Step<(Totals, bool)> {
    let (mut more, mut all) = (Totals::default(), true);
    if moving.put(table, rows).await? == Inserted::All {
        rows.iter().for_each(|row| more += Totals::of(row));
        return Ok((more, all));
    }
    for row in rows {
        if moving.put(table, &[*row]).await? == Inserted::All {
            more += Totals::of(row);
            continue;
        }
        let alike = Stored::of(&moving.alike(table, &[*row]).await?).about(row);
        all &= matches!(alike, KnownRow::Stored | KnownRow::Gone);
    }
    Ok((more, all))
}

impl<'a> ShardConnections<'a> {
    pub(super) fn new(background: &'a Background) -> Self {
        Self { background, turns: Turns::new(&*background.main), kept: Kept::default() }
    }

    fn server(&self, shard: ShardId) -> Result<&'a dyn ShardServer, MoveError> {
        let server = self.background.shard(shard);
        Ok(server.map_err(|error| Unavailable::new(format!("shard {shard}"), error))?)
    }

    /// Asks a shard something.
    async fn ask<T>(
        &self,
        shard: ShardId,
        asked: impl Future<Output = Result<T, DatabaseError>>,
    ) -> Result<T, MoveError> {
        Ok(asked.await.map_err(|error| Unavailable::new(format!("shard {shard}"), error))?)
    }

    /// Begins a transaction that has its shard's row of state.
    async fn begin_at(&self, shard: ShardId) -> Step<Has<'_>> {
        let of = self.background.at(shard);
        let (rows, begun) = self.begin_over_any(shard).await?;
        Ok(Has { rows, begun: of.check(begun)?, of, kept: &self.kept })
    }

    /// Begins a transaction over a connection that is idle, or a new one.
    async fn begin_over_any(&self, shard: ShardId) -> Step<(Box<dyn MovingRows>, Option<Begun>)> {
        // One that is idle may have ended meanwhile.
        if let Some(mut rows) = self.kept.take(shard)
            && let Ok(begun) = rows.begin().await
        {
            return Ok((rows, begun));
        }
        let mut rows = self.background.shard(shard)?.moving().await?;
        let begun = rows.begin().await?;
        Ok((rows, begun))
    }

    /// Begins one of a batch, which has its turn: another one where it was lost.
    async fn begin_in(&self, turn: &Turn, shard: ShardId) -> Step<Has<'_>> {
        loop {
            let has = self.begin_at(shard).await?;
            // The shard's consumers wait meanwhile.
            let Err(lost) = turn.check().await else { return Ok(has) };
            drop(has);
            tracing::debug!(%shard, error = format!("{lost:#}"), "a batch of rows has lost its turn, and waits for another");
            self.turns.renew(turn).await.map_err(StepError::LostTurn)?;
        }
    }

    /// Waits until no transaction is under way at a shard that began before.
    pub(super) async fn wait_for(&self, shard: ShardId) -> Result<(), MoveError> {
        taken(shard, || self.begin_at(shard)).await.map(drop)
    }

    async fn try_to_begin(&self, shard: ShardId, up_to: VersionNumber) -> Step<ShardMoves> {
        let has = self.begin_at(shard).await?;
        let moves = has.begun.moves;
        has.note(ShardMoves { moving_from: moves.moving_from.max(up_to), ..moves }).await
    }

    async fn try_to_leave(
        &self,
        turn: &Turn,
        shard: ShardId,
        departure: &Departure,
        arrived: Option<u64>,
    ) -> Step<()> {
        let mut has = self.begin_in(turn, shard).await?;
        let (moves, mut less) = (has.begun.moves, Totals::default());
        if departure.number != moves.batch + 1 {
            return Err(StepError::Overtaken);
        }
        if arrived == Some(moves.batch) {
            less = has.rows.forget().await?;
        } else if !has.rows.none_leaves().await? {
            return Err(StepError::Overtaken);
        }
        has.rows.leave(departure).await?;
        let moves = ShardMoves { batch: departure.number, ..moves };
        has.commit(MoveNote { moves, less, ..MoveNote::default() }).await
    }

    async fn try_to_arrive(
        &self,
        turn: &Turn,
        shard: ShardId,
        from: ShardId,
        number: u64,
        rows: &[PlacedResult],
    ) -> Step<()> {
        let mut by_table: BTreeMap<TableId, Vec<&CouponResult>> = BTreeMap::new();
        for row in rows {
            by_table.entry(row.placement.table).or_default().push(&row.result);
        }
        self.make_tables(shard, by_table.keys()).await?;
        let mut has = self.begin_in(turn, shard).await?;
        if has.rows.last_arrival(from).await? >= number {
            return Ok(());
        }
        let (mut more, mut whole) = (Totals::default(), true);
        for (table, rows) in by_table {
            for some in rows.chunks(ROWS) {
                let (stored, all) = put(&mut *has.rows, table, some).await?;
                more += stored;
                whole &= all;
            }
        }
        let (moves, arrived) = (has.begun.moves, whole.then_some((from, number)));
        has.commit(MoveNote { moves, arrived, more, less: Totals::default() }).await
    }

    /// Makes the tables that are missing: within a transaction that would end it.
    async fn make_tables(&self, shard: ShardId, wanted: impl Iterator<Item = &TableId>) -> Step<()> {
        let server = self.background.shard(shard)?;
        let there: BTreeSet<TableId> = server.tables().await?.into_iter().collect();
        for table in wanted.filter(|table| !there.contains(table)) {
            server.make_table(*table).await?;
        }
        Ok(())
    }

    async fn try_to_forget(&self, turn: &Turn, shard: ShardId, number: u64) -> Step<()> {
        let mut has = self.begin_in(turn, shard).await?;
        let moves = has.begun.moves;
        if moves.batch != number || has.rows.none_leaves().await? {
            return Ok(());
        }
        let less = has.rows.forget().await?;
        has.commit(MoveNote { moves, less, ..MoveNote::default() }).await
    }

    async fn try_to_close(&self, shard: ShardId, up_to: VersionNumber, late: u64) -> Step<bool> {
        let mut has = self.begin_at(shard).await?;
        let moves = has.begun.moves;
        if moves.late != late || !has.rows.none_leaves().await? {
            return Ok(false);
        }
        has.note(ShardMoves { closed: moves.closed.max(up_to), ..moves }).await?;
        Ok(true)
    }
}

impl MovingShards for ShardConnections<'_> {
    type Turn = Turn;

    const BATCH: u32 = 2_048;
    const BATCHES_PER_S: u32 = 10;

    fn shards(&self) -> Vec<ShardId> {
        self.background.shards().collect()
    }

    async fn turn(&self) -> Result<Turn, MoveError> {
        self.turns.next().await
    }

    async fn begin(&self, shard: ShardId, up_to: VersionNumber) -> Result<ShardMoves, MoveError> {
        taken(shard, || self.try_to_begin(shard, up_to)).await
    }

    async fn tables(&self, shard: ShardId) -> Result<Vec<TableId>, MoveError> {
        self.ask(shard, self.server(shard)?.tables()).await
    }

    async fn scan(&self, shard: ShardId, table: TableId, slice: Slice) -> Result<Vec<Key>, MoveError> {
        self.ask(shard, self.server(shard)?.scan(table, slice)).await
    }

    async fn leave(
        &self,
        turn: &Turn,
        shard: ShardId,
        departure: &Departure,
        arrived: Option<u64>,
    ) -> Result<(), MoveError> {
        taken(shard, || self.try_to_leave(turn, shard, departure, arrived)).await
    }

    async fn leaving(&self, shard: ShardId) -> Result<Option<Batch>, MoveError> {
        self.ask(shard, self.server(shard)?.leaving()).await
    }

    async fn arrive(
        &self,
        turn: &Turn,
        shard: ShardId,
        from: ShardId,
        number: u64,
        rows: &[PlacedResult],
    ) -> Result<(), MoveError> {
        taken(shard, || self.try_to_arrive(turn, shard, from, number, rows)).await
    }

    async fn arrived(&self, shard: ShardId, rows: &[PlacedResult]) -> Result<Vec<CouponResult>, MoveError> {
        self.ask(shard, self.server(shard)?.arrived(rows)).await
    }

    async fn forget(&self, turn: &Turn, shard: ShardId, number: u64) -> Result<(), MoveError> {
        taken(shard, || self.try_to_forget(turn, shard, number)).await
    }

    async fn close(&self, shard: ShardId, up_to: VersionNumber, late: u64) -> Result<bool, MoveError> {
        taken(shard, || self.try_to_close(shard, up_to, late)).await
    }
}
