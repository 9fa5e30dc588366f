//! The mover: several shards at once, each table by table and batch after batch.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use coupon_core::{LayoutVersion, Placement, ShardId, TableId, Versioned};
use futures_util::future::{join_all, try_join_all};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use super::{Departure, MoveError, MovingShards, Pace, Progress, Slice, check_arrived, slice_of};
use crate::PlacedResult;
use crate::failpoints::{self, Point};
use crate::outage::TaskOutage;

/// The most rows that are looked at for one batch, for each that it may take: where few rows move, many are passed over.
const SLICE: usize = 4;
/// The shards that are emptied at once, however many there are: each has a batch in memory.
const AT_ONCE: usize = 8;
/// The longest that a batch which has arrived waits for the next to leave before it is forgotten: its rows are found
/// twice until then.
const LINGERS: Duration = Duration::from_millis(250);
/// The longest that a mover which was stopped waits for a turn, for what is on its way: there is none while the gate is shut.
const STOPS: Duration = Duration::from_secs(2);
/// The wait before a shard is tried again that could not be emptied.
const RETRY: Duration = Duration::from_millis(500);

/// The end of a mover's work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// No row of an earlier version is left where that put it, on any shard, nor comes there any more.
    Done,
    /// It was stopped before.
    Stopped,
}

/// Moves the rows of earlier versions to where the latest version puts them that receives rows.
pub struct Mover<'a, S> {
    /// The shards.
    pub shards: &'a S,
    /// The versions, of which every reader knows by now that one receives rows.
    pub versions: Arc<Versioned>,
    /// Its rate, and whether it is to stop.
    pub pace: &'a Pace,
    /// What it has done so far.
    pub progress: &'a Progress,
}

impl<S: MovingShards> Mover<'_, S> {
    /// Works until nothing is left to move, or it is stopped. What has left its shard has arrived by then, unless it is stopped
    /// where it cannot.
    ///
    /// # Errors
    /// [`MoveError`] when what an earlier mover left on its way cannot arrive, when no shard is left but such as cannot be emptied for
    /// now, or when another mover is at work.
    pub async fn run(&self) -> Result<Ended, MoveError> {
        let Some(to) = self.versions.versions().iter().rfind(|version| version.receives) else {
            return Ok(Ended::Done);
        };
        let shards = self.shards.shards();
        // What an earlier mover left on its way was sent where the versions of its time said, and may go on from there. So all of
        // it arrives before anything leaves.
        self.deliver_all().await?;
        let (places, at_work) = (Semaphore::new(AT_ONCE), AtomicUsize::new(shards.len()));
        let all = shards.into_iter().map(|shard| {
            let fails = "rows do not leave a shard; it is tried again";
            let outage = TaskOutage::of_shard(shard, fails, "rows leave the shard again");
            OfShard { mover: self, shard, to, at_work: &at_work, outage }.empty_in_turn(&places)
        });
        let ended = try_join_all(all).await?;
        Ok(if ended.contains(&Ended::Stopped) { Ended::Stopped } else { Ended::Done })
    }

    /// Brings what is leaving any shard to where it goes.
    ///
    /// # Errors
    /// [`MoveError`] when something is left of one shard; what was leaving the others has arrived, as far as it can.
    pub async fn deliver_all(&self) -> Result<(), MoveError> {
        let mut all = Ok(());
        for shard in self.shards.shards() {
            let delivered = self.deliver(shard).await;
            match &delivered {
                Ok(()) => self.progress.is_out_of_trouble(shard),
                Err(error) => self.progress.is_in_trouble(Some(shard), error),
            }
            if delivered == Err(MoveError::Shut) {
                return delivered;
            }
            all = all.and(delivered);
        }
        all
    }

    /// Brings what is leaving a shard to where it goes.
    async fn deliver(&self, shard: ShardId) -> Result<(), MoveError> {
        let turn = self.turn().await?;
        deliver(self.shards, &turn, shard).await
    }

    /// Waits for a turn, unless it is stopped.
    async fn turn(&self) -> Result<S::Turn, MoveError> {
        let mut turn = pin!(self.shards.turn());
        loop {
            match timeout(STOPS, &mut turn).await {
                Ok(turn) => return turn,
                Err(_) if self.pace.is_stopped() => return Err(MoveError::Shut),
                Err(_) => {}
            }
        }
    }
}

/// The mover at work on one shard.
struct OfShard<'a, S> {
    mover: &'a Mover<'a, S>,
    shard: ShardId,
    to: &'a LayoutVersion,
    /// The shards that are not empty, and do not wait to be tried again.
    at_work: &'a AtomicUsize,
    outage: TaskOutage,
}

/// The batches of a shard, as this mover knows them.
struct Batches {
    /// The last that left.
    last: u64,
    /// The one in `leaving` that has arrived, if there is one.
    arrived: Option<u64>,
}

impl<S: MovingShards> OfShard<'_, S> {
    /// Empties it whenever there is a place for that. It is tried again for as long as others are at work, perhaps for hours.
    async fn empty_in_turn(self, places: &Semaphore) -> Result<Ended, MoveError> {
        let Mover { pace, progress, .. } = self.mover;
        loop {
            let place = places.acquire().await;
            let emptied = self.empty().await;
            drop(place);
            match emptied {
                Err(MoveError::Overtaken(_)) => return emptied,
                Err(error) => {
                    self.outage.failed(&error);
                    progress.is_in_trouble(Some(self.shard), &error);
                    // Perhaps another process reaches it.
                    if self.at_work.fetch_sub(1, Ordering::Relaxed) == 1 {
                        return Err(error);
                    }
                }
                Ok(ended) => {
                    self.at_work.fetch_sub(1, Ordering::Relaxed);
                    self.works();
                    return Ok(ended);
                }
            }
            if pace.is_stopped() {
                return Ok(Ended::Stopped);
            }
            sleep(RETRY).await;
            self.at_work.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Takes note that nothing is in its way.
    fn works(&self) {
        self.outage.worked();
        self.mover.progress.is_out_of_trouble(self.shard);
    }

    /// Moves what is to move from it, and closes the earlier versions there.
    async fn empty(&self) -> Result<Ended, MoveError> {
        let Self { mover: Mover { shards, progress, .. }, shard, to, .. } = self;
        // A try before this one may have left something on its way.
        self.mover.deliver(*shard).await?;
        let up_to = to.number.saturating_sub(1);
        loop {
            progress.looks_anew(*shard);
            let begun = shards.begin(*shard, up_to).await?;
            if begun.closed >= up_to {
                return Ok(Ended::Done);
            }
            let mut batches = Batches { last: begun.batch, arrived: None };
            let ended = self.empty_tables(&mut batches).await?;
            self.forget(&mut batches).await?;
            if ended == Ended::Stopped || shards.close(*shard, up_to, begun.late).await? {
                return Ok(ended);
            }
        }
    }

    async fn empty_tables(&self, batches: &mut Batches) -> Result<Ended, MoveError> {
        for table in self.mover.shards.tables(self.shard).await? {
            if self.empty_table(table, batches).await? == Ended::Stopped {
                return Ok(Ended::Stopped);
            }
        }
        Ok(Ended::Done)
    }

    /// Moves what is to move from one table, from its first row to its last.
    async fn empty_table(&self, table: TableId, batches: &mut Batches) -> Result<Ended, MoveError> {
        let Mover { shards, versions, pace, progress } = self.mover;
        let (here, mut after) = (Placement::new(self.shard, table), None);
        loop {
            if pace.is_stopped() {
                return Ok(Ended::Stopped);
            }
            let most = pace.batch(S::BATCHES_PER_S, S::BATCH);
            let slice = Slice { after, before: self.to.from, most: most * SLICE };
            let looked_at = shards.scan(self.shard, table, slice).await?;
            let Some(last) = looked_at.last().map(|row| row.id) else { return Ok(Ended::Done) };
            let going = slice_of(versions, here, &looked_at)?;
            if going.is_empty() {
                self.forget(batches).await?;
            }
            for rows in going.chunks(most) {
                self.wait(rows.len(), batches).await?;
                if pace.is_stopped() {
                    return Ok(Ended::Stopped);
                }
                let departure = Departure { number: batches.last + 1, table, rows: rows.to_vec() };
                *batches = self.carry(&departure, batches.arrived).await?;
                progress.moved(rows.len());
                self.works();
            }
            progress.looked_at(self.shard, looked_at.len());
            after = Some(last);
        }
    }

    /// Waits until so many rows may be moved.
    async fn wait(&self, rows: usize, batches: &mut Batches) -> Result<(), MoveError> {
        let pace = self.mover.pace;
        if timeout(LINGERS, pace.wait(rows)).await.is_err() {
            self.forget(batches).await?;
            pace.wait(rows).await;
        }
        Ok(())
    }

    /// Moves a batch, whole. It stays in `leaving` until the next one leaves, or until it is forgotten.
    async fn carry(&self, departure: &Departure, arrived: Option<u64>) -> Result<Batches, MoveError> {
        let shards = self.mover.shards;
        let turn = self.mover.turn().await?;
        shards.leave(&turn, self.shard, departure, arrived).await?;
        failpoints::hit(Point::Left);
        let arrived = bring_all(shards, &turn, self.shard).await?;
        Ok(Batches { last: departure.number, arrived })
    }

    /// Forgets the batch that has arrived, if there is one.
    async fn forget(&self, batches: &mut Batches) -> Result<(), MoveError> {
        let Some(number) = batches.arrived.take() else { return Ok(()) };
        let turn = self.mover.turn().await?;
        self.mover.shards.forget(&turn, self.shard, number).await
    }
}

/// Brings what is leaving a shard to where it goes, and forgets it.
pub async fn deliver<S: MovingShards>(shards: &S, turn: &S::Turn, shard: ShardId) -> Result<(), MoveError> {
    match bring_all(shards, turn, shard).await? {
        Some(number) => shards.forget(turn, shard, number).await,
        None => Ok(()),
    }
}

/// Brings what is leaving a shard to where it goes; returns the batch's number, if there is one.
async fn bring_all<S: MovingShards>(
    shards: &S,
    turn: &S::Turn,
    shard: ShardId,
) -> Result<Option<u64>, MoveError> {
    let Some(batch) = shards.leaving(shard).await? else { return Ok(None) };
    let parts = batch.by_shard().into_iter();
    let brought = parts.map(|(to, rows)| bring(shards, turn, (shard, batch.number), to, rows));
    // Where one shard does not take its part, the others do.
    join_all(brought).await.into_iter().collect::<Result<(), MoveError>>()?;
    Ok(Some(batch.number))
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
