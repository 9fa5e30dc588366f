//! The mover: several shards at once, each table by table and batch after batch.

use std::sync::Arc;

use coupon_core::{LayoutVersion, Placement, ShardId, TableId, Versioned};
use futures_util::future::join_all;
use tokio::sync::Semaphore;

use super::{Departure, MoveError, MovingShards, Pace, Progress, Slice, check_arrived, slice_of};
use crate::PlacedResult;
use crate::failpoints::{self, Point};

/// The most rows that are looked at for one batch, for each that it may take: where few rows move, many are passed over.
const SLICE: usize = 4;
/// The shards that are emptied at once, however many there are: each has a batch in memory.
const AT_ONCE: usize = 8;

/// The end of a mover's work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// No row of an earlier version is left where that put it, on any shard, nor comes there any more.
    Done,
    /// It was stopped before.
    Stopped,
}

/// Moves the rows of earlier versions to where the latest version puts them that receives rows.
pub(crate) struct Mover<'a, S> {
    pub(crate) shards: &'a S,
    /// The versions, of which every reader knows by now that one receives rows.
    pub(crate) versions: Arc<Versioned>,
    pub(crate) pace: &'a Pace,
    pub(crate) progress: &'a Progress,
}

impl<S: MovingShards> Mover<'_, S> {
    /// Works until nothing is left to move, or it is stopped. What has left its shard has arrived by then.
    ///
    /// # Errors
    /// [`MoveError`] when a shard could not be emptied; the others are, as far as they can be.
    pub(crate) async fn run(&self) -> Result<Ended, MoveError> {
        let Some(to) = self.versions.versions().iter().rfind(|version| version.receives) else {
            return Ok(Ended::Done);
        };
        let shards = self.shards.shards();
        // What an earlier mover left on its way was sent where the versions of its time said, and may go on from there. So all of
        // it arrives before anything leaves.
        self.deliver_all().await?;
        let places = Semaphore::new(AT_ONCE);
        let all = shards.into_iter().map(|shard| self.empty_in_turn(&places, shard, to));
        let mut ended = Ended::Done;
        for emptied in join_all(all).await {
            if emptied? == Ended::Stopped {
                ended = Ended::Stopped;
            }
        }
        Ok(ended)
    }

    /// Brings what is leaving any shard to where it goes.
    ///
    /// # Errors
    /// [`MoveError`] when something is left of one shard; what was leaving the others has arrived, as far as it can.
    pub(crate) async fn deliver_all(&self) -> Result<(), MoveError> {
        let mut all = Ok(());
        for shard in self.shards.shards() {
            let delivered = async {
                let turn = self.shards.turn().await?;
                deliver(self.shards, &turn, shard).await
            };
            all = all.and(delivered.await);
        }
        all.inspect_err(|error| self.progress.is_in_trouble(error))
    }

    /// Empties a shard when there is a place for that.
    async fn empty_in_turn(
        &self,
        places: &Semaphore,
        shard: ShardId,
        to: &LayoutVersion,
    ) -> Result<Ended, MoveError> {
        let _place = places.acquire().await;
        // Told at once: the others may take hours.
        self.empty(shard, to).await.inspect_err(|error| self.progress.is_in_trouble(error))
    }

    /// Moves what is to move from one shard, and closes the earlier versions there.
    async fn empty(&self, shard: ShardId, to: &LayoutVersion) -> Result<Ended, MoveError> {
        let up_to = to.number.saturating_sub(1);
        loop {
            let mut begun = self.shards.begin(shard, up_to).await?;
            if begun.closed >= up_to {
                return Ok(Ended::Done);
            }
            for table in self.shards.tables(shard).await? {
                if self.empty_table(shard, table, to, &mut begun.batch).await? == Ended::Stopped {
                    return Ok(Ended::Stopped);
                }
            }
            if self.shards.close(shard, up_to, begun.late).await? {
                return Ok(Ended::Done);
            }
        }
    }

    /// Moves what is to move from one table, from its first row to its last.
    async fn empty_table(
        &self,
        shard: ShardId,
        table: TableId,
        to: &LayoutVersion,
        batch: &mut u64,
    ) -> Result<Ended, MoveError> {
        let (here, mut after) = (Placement::new(shard, table), None);
        loop {
            if self.pace.is_stopped() {
                return Ok(Ended::Stopped);
            }
            let most = self.pace.batch(S::BATCH);
            let slice = Slice { after, before: to.from, most: most * SLICE };
            let looked_at = self.shards.scan(shard, table, slice).await?;
            let Some(last) = looked_at.last().map(|row| row.id) else { return Ok(Ended::Done) };
            let going = slice_of(&self.versions, here, &looked_at)?;
            for rows in going.chunks(most) {
                self.pace.wait(rows.len()).await;
                if self.pace.is_stopped() {
                    return Ok(Ended::Stopped);
                }
                *batch += 1;
                self.carry(shard, &Departure { number: *batch, table, rows: rows.to_vec() }).await?;
                self.progress.moved(rows.len());
            }
            self.progress.looked_at(looked_at.len());
            after = Some(last);
        }
    }

    /// Moves a batch, whole.
    async fn carry(&self, shard: ShardId, departure: &Departure) -> Result<(), MoveError> {
        let turn = self.shards.turn().await?;
        self.shards.leave(&turn, shard, departure).await?;
        failpoints::hit(Point::Left);
        deliver(self.shards, &turn, shard).await
    }
}

/// Brings what is leaving a shard to where it goes.
pub(crate) async fn deliver<S: MovingShards>(
    shards: &S,
    turn: &S::Turn,
    shard: ShardId,
) -> Result<(), MoveError> {
    let Some(batch) = shards.leaving(shard).await? else { return Ok(()) };
    let parts = batch.by_shard().into_iter();
    let brought = parts.map(|(to, rows)| bring(shards, turn, (shard, batch.number), to, rows));
    // Where one shard does not take its part, the others do.
    join_all(brought).await.into_iter().collect::<Result<(), MoveError>>()?;
    shards.forget(turn, shard, batch.number).await
}

/// Brings the rows of a batch that go to one shard there.
async fn bring<S: MovingShards>(
    shards: &S,
    turn: &S::Turn,
    (from, number): (ShardId, u64),
    to: ShardId,
    rows: Vec<PlacedResult>,
) -> Result<(), MoveError> {
    shards.arrive(turn, to, from, number, &rows).await?;
    failpoints::hit(Point::Arrived);
    let arrived = shards.arrived(to, &rows).await?;
    match check_arrived(from, &rows, &arrived) {
        Err(differs) => Err(why(shards, from, number, differs).await),
        came => came,
    }
}

/// The reason for which a batch is not found where it went: if it is not leaving any more, another mover saw it arrive, and
/// may have moved it on.
async fn why<S: MovingShards>(shards: &S, shard: ShardId, number: u64, differs: MoveError) -> MoveError {
    match shards.leaving(shard).await {
        Ok(Some(batch)) if batch.number == number => differs,
        Ok(_) => MoveError::Overtaken(shard),
        Err(error) => error,
    }
}
