//! The movement of rows to where the latest version of the layout says: begun and ended in main, and carried out by one process
//! at a time.
//!
//! Any process may be asked to begin or to end one, and answers from main. Each that consumes looks in main whether one is to go
//! on, and the one that has the lock carries it out: when a process is killed, another goes on from what main and shards say.

use std::num::{NonZeroU16, NonZeroU32};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::Context as _;
use coupon_core::catalogue_change::Operator;
use coupon_store::measure::Rate;
use coupon_store::moving::{Ended, Mover, MovingShards as _, Pace, Progress, deliver};
use coupon_store::outage::TaskOutage;
use coupon_store::{GrowthError, Moving, Unavailable, VersionRecord};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout};

use super::background::Background;
use super::catalogue::deadline;
use super::layout::MENDED;
use super::moving::ShardConnections;
use crate::layouts::receiving;
use crate::mysql::DatabaseError;
use crate::seam::{LayoutState, MoveOrder, MoverLock};

/// The time between two looks whether there is something to move, or a movement is to end, and between two notes in main of how
/// far it has come.
const LOOK: Duration = Duration::from_millis(500);
/// The longest that an end waits for the process that moves rows.
const STOPS: Duration = Duration::from_secs(10);
/// The longest that what another mover left on its way waits for a turn.
const TURN: Duration = Duration::from_secs(2);
/// The longest reason that main keeps.
const TROUBLE: usize = 1_000;

/// The rate at which rows are looked at, as this process has read it in main.
#[derive(Default)]
pub(crate) struct MovementRate(Rate);

/// The task that moves rows.
pub(super) struct RowMover {
    background: Arc<Background>,
    outage: TaskOutage,
}

/// A movement that this process carries out.
struct Running {
    /// As it was when this process began.
    begun: Moving,
    pace: Pace,
    progress: Progress,
}

impl Running {
    fn now(&self) -> Moving {
        let looked_at = self.progress.looked_at.load(Ordering::Relaxed);
        let before = self.begun.trouble.clone().filter(|_| self.progress.is_at_the_beginning());
        Moving {
            moved: self.begun.moved + self.progress.moved.load(Ordering::Relaxed),
            looked_at,
            trouble: self.progress.trouble().map(short).or(before),
            ..self.begun.clone()
        }
    }

    /// Notes in main how far it has come, again and again, and reads there at which rate it goes on, or that it is to end. Ends
    /// once the movement is over, and never with a question under way.
    async fn keep_noting(&self, lock: &mut dyn MoverLock, over: &Notify) -> Result<(), DatabaseError> {
        loop {
            tokio::select! {
                biased;
                () = over.notified() => return Ok(()),
                () = sleep(LOOK) => {}
            }
            match lock.note(&self.now()).await {
                Ok(Some(moving)) if moving.runs && moving.began == self.begun.began => {
                    self.pace.set(moving.rate);
                }
                Ok(_) => self.pace.stop(),
                // The lock may be another's.
                Err(error) => return Err(error),
            }
        }
    }
}

/// A reason as long as main keeps one.
fn short(why: String) -> String {
    if why.len() <= TROUBLE { why } else { why.chars().take(TROUBLE).collect() }
}

/// The versions that the end of a movement closes; none where main has another movement by now, which closes them itself: a
/// process that was frozen for long may come to its end late, and main keeps the last movement alone.
fn closed_by(state: &LayoutState, moved: &Moving) -> Option<Vec<VersionRecord>> {
    let begun = |moving: &Moving| (moving.to, moving.began);
    if state.movement.as_ref().map(begun) != Some(begun(moved)) {
        return None;
    }
    let before = state.versions.iter().filter(|version| version.number < moved.to);
    Some(before.map(|version| VersionRecord { closed: true, ..version.clone() }).collect())
}

impl RowMover {
    pub(super) const fn new(background: Arc<Background>) -> Self {
        let outage = TaskOutage::new("rows do not move; it is tried again", "rows move again");
        Self { background, outage }
    }

    pub(super) async fn run(self) {
        while !self.background.signals.stopping() {
            let round = self.round().await;
            self.outage.tried(&round);
            sleep(LOOK).await;
        }
    }

    /// Moves rows, if that is to be and no other process does. What has left its shard arrives also where a movement was stopped.
    async fn round(&self) -> anyhow::Result<()> {
        let main = &self.background.main;
        if self.background.layouts.look(|versions| versions.versions().len() == 1) {
            return Ok(());
        }
        let Some(moving) = main.movement().await? else { return Ok(()) };
        if !moving.runs && !self.any_leaves().await {
            return Ok(());
        }
        let Some(mut lock) = main.lock_mover().await? else { return Ok(()) };
        let moved = if moving.runs { self.move_rows(&mut *lock).await } else { self.deliver().await };
        lock.end().await;
        moved
    }

    /// True if rows have left a shard that answers, and have not arrived.
    async fn any_leaves(&self) -> bool {
        let shards = ShardConnections::new(&self.background);
        for shard in self.background.shards() {
            if matches!(shards.leaving(shard).await, Ok(Some(_))) {
                return true;
            }
        }
        false
    }

    async fn deliver(&self) -> anyhow::Result<()> {
        let shards = ShardConnections::new(&self.background);
        for shard in self.background.shards() {
            // The lock that archives and books wait for is had meanwhile: it is tried again once the gate is open.
            let turn = timeout(TURN, shards.turn())
                .await
                .context("no batch could have a turn: the gate is shut, or its lock is another's")??;
            deliver(&shards, &turn, shard).await?;
        }
        Ok(())
    }

    /// The movement that is to go on.
    async fn going_on(&self) -> anyhow::Result<Option<Moving>> {
        Ok(self.background.main.movement().await?.filter(|moving| moving.runs))
    }

    async fn move_rows(&self, lock: &mut dyn MoverLock) -> anyhow::Result<()> {
        let background = &self.background;
        let Some(moving) = self.going_on().await? else { return Ok(()) };
        let now = background.main.version().await?;
        let versions = background.layouts.now();
        if receiving(&versions) != Some(moving.to) {
            return Ok(());
        }
        // Every reader is to know where rows come to before the first goes there.
        let behind = background.confirmed(now, deadline()).await?;
        if !behind.is_empty() {
            let why = format!(
                "no row moves to where version {} of the layout says before every process goes by it, and this one does not yet: {}",
                moving.to,
                behind.join(", ")
            );
            lock.note(&Moving { trouble: Some(short(why)), ..moving }).await?;
            return Ok(());
        }
        let running = Running {
            pace: Pace::new(moving.rate),
            progress: Progress::after(moving.looked_at),
            begun: Moving { rows: background.rows(), ..moving },
        };
        lock.note(&running.now()).await?;
        let Running { pace, progress, .. } = &running;
        let shards = ShardConnections::new(background);
        let mover = Mover { shards: &shards, versions, pace, progress };
        let ended = {
            let over = Notify::new();
            let mut noting = pin!(running.keep_noting(lock, &over));
            let ended = tokio::select! {
                biased;
                ended = mover.run() => ended,
                noted = &mut noting => return Ok(noted?),
            };
            over.notify_one();
            let noted = noting.await;
            if ended.is_ok() {
                noted?;
            }
            ended
        };
        match ended {
            Ok(Ended::Done) => self.close(Moving { runs: false, trouble: None, ..running.now() }).await,
            Ok(Ended::Stopped) => Ok(lock.note(&running.now()).await.map(drop)?),
            Err(error) => {
                let trouble = Some(short(error.to_string()));
                if let Err(unheard) = lock.note(&Moving { trouble, ..running.now() }).await {
                    tracing::debug!(error = %unheard, "main does not hear why rows do not move");
                }
                Err(error.into())
            }
        }
    }

    /// Writes that no row is left where versions before said, unless another movement has begun.
    async fn close(&self, moved: Moving) -> anyhow::Result<()> {
        let changing = self.background.main.change_layout(NonZeroU16::MIN).await?;
        let Some(closed) = closed_by(changing.state(), &moved) else { return Ok(()) };
        let what = format!("every row is where version {} of the layout says", moved.to);
        changing.commit(&closed, Some(&moved), MENDED, &what).await?;
        tracing::info!(
            version = moved.to,
            moved = moved.moved,
            "every row is where this version of the layout says"
        );
        Ok(())
    }
}

impl Background {
    /// The rows that there are.
    fn rows(&self) -> u64 {
        self.status.iter().map(|status| status.look().results).sum()
    }

    /// Begins to move rows to the latest version, or has them move at another rate.
    pub(crate) async fn start_moving(
        self: Arc<Self>,
        rate: NonZeroU32,
        operator: Operator,
    ) -> Result<Moving, GrowthError> {
        let ordered = self.main.order_movement(MoveOrder::Rate(rate)).await.map_err(Unavailable::from)?;
        if let Some(moving) = ordered {
            return Ok(moving);
        }
        let changing = self.main.change_layout(NonZeroU16::MIN).await.map_err(Unavailable::from)?;
        let state = changing.state();
        let Some(latest) = state.versions.last() else {
            return Err(Unavailable::new("the main database", "it has no version of the layout").into());
        };
        let open = state.versions.iter().filter(|version| !version.closed).count();
        let from = (latest.number, latest.from);
        let last = state.movement.as_ref();
        let moving = Moving::begin(open, from, state.now, self.rows(), (rate, &operator), last)?;
        let latest = VersionRecord { receives: true, ..latest.clone() };
        let what = format!("rows are moved to where version {} of the layout says", moving.to);
        let begun =
            changing.commit(std::slice::from_ref(&latest), Some(&moving), operator.as_str(), &what).await;
        begun.map_err(Unavailable::from)?;
        tracing::info!(
            version = moving.to,
            operator = operator.as_str(),
            "rows are moved to where this version of the layout says"
        );
        Ok(moving)
    }

    /// Ends the movement for now, and waits for a while for the process that moves rows to stop.
    pub(crate) async fn stop_moving(self: Arc<Self>) -> Result<Option<Moving>, GrowthError> {
        let stopped = self.main.order_movement(MoveOrder::Stop).await.map_err(Unavailable::from)?;
        if stopped.is_none() {
            return Ok(None);
        }
        let deadline = Instant::now() + STOPS;
        while Instant::now() < deadline {
            if let Some(lock) = self.main.lock_mover().await.map_err(Unavailable::from)? {
                lock.end().await;
                break;
            }
            sleep(LOOK / 4).await;
        }
        Ok(self.main.movement().await.map_err(Unavailable::from)?)
    }

    /// The last movement, as main has it, and how fast it goes, by what this process has read of it before.
    pub(crate) async fn movement_now(self: Arc<Self>) -> Result<Option<Moving>, GrowthError> {
        let Some(moving) = self.main.movement().await.map_err(Unavailable::from)? else { return Ok(None) };
        let rows_per_s = self.movement.0.of(moving.looked_at).filter(|_| moving.runs).unwrap_or(0.0);
        Ok(Some(Moving { rows_per_s, ..moving }))
    }
}

#[cfg(test)]
mod tests {
    use coupon_core::{Timestamp, VersionNumber};

    use super::*;
    use crate::layouts::first;

    fn movement(to: VersionNumber, began: i64) -> Moving {
        let (now, ann) = (Timestamp::from_millis(began), Operator::new("Ann").unwrap());
        Moving::begin(2, (to, now), now, 9, (NonZeroU32::MIN, &ann), None).unwrap()
    }

    #[test]
    fn who_comes_to_its_end_late_does_not_end_another_movement() {
        let version = |number| VersionRecord { number, ..first("another", Timestamp::from_millis(0)) };
        let state = |movement| LayoutState {
            versions: vec![version(1), version(2), version(3)],
            now: Timestamp::from_millis(9),
            catalogue: 7,
            open_epochs: vec![1],
            behind: Vec::new(),
            narrow: Vec::new(),
            movement,
        };
        let mine = Moving { runs: false, ..movement(2, 5) };
        let closed = |movement| {
            let closed = closed_by(&state(movement), &mine)?;
            Some(closed.iter().map(|version| (version.number, version.closed)).collect::<Vec<_>>())
        };
        assert_eq!(closed(Some(movement(2, 5))), Some(vec![(1, true)]));
        let stopped = Moving { runs: false, rate: NonZeroU32::MAX, ..movement(2, 5) };
        assert_eq!(closed(Some(stopped)), Some(vec![(1, true)]), "every row is in its place all the same");
        assert_eq!(closed(Some(movement(3, 6))), None);
        assert_eq!(closed(Some(movement(2, 6))), None, "it was stopped, and has begun anew");
        assert_eq!(closed(None), None, "main was put back");
    }
}
