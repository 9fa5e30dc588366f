//! Lets results expire that were held and not confirmed in time, a task for each shard.
//!
//! Processes take turns by the shard's row of state, so any number of them may do so at once.

use std::sync::Arc;
use std::time::Duration;

use coupon_core::{ShardId, Timestamp};
use coupon_store::outage::TaskOutage;
use coupon_store::pace::Spacing;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::background::Background;
use super::steps::{At, expire};
use crate::seam::DatabaseError;

/// The most results that expire in one transaction: consumers of the shard wait for it.
const MOST: usize = 250;
/// The least time from the beginning of one such transaction to that of the next, whatever its shard. A hundred thousand results
/// that are due at once expire within ten seconds, and grabs meanwhile meet one busy shard at a time, not all of them at once.
pub(super) const PACE: Duration = Duration::from_millis(22);
/// The longest wait for the next result that is due: one may be stored that is due earlier, and the clock may be set.
const LOOK: Duration = Duration::from_millis(250);
/// The wait after a failure.
const RETRY: Duration = Duration::from_millis(500);
/// A shard that takes longer is as good as down.
const PATIENCE: Duration = Duration::from_secs(30);

/// The task of one shard.
pub(super) struct Sweeper {
    background: Arc<Background>,
    pace: Arc<Spacing>,
    shard: ShardId,
    outage: TaskOutage,
}

impl Sweeper {
    pub(super) fn new(background: Arc<Background>, pace: Arc<Spacing>, shard: ShardId) -> Self {
        let outage = TaskOutage::of_shard(
            shard,
            "results that are not confirmed in time expire later",
            "results that are not confirmed in time expire again",
        );
        Self { background, pace, shard, outage }
    }

    pub(super) async fn run(self) {
        while !self.background.signals.stopping() {
            let round = timeout(PATIENCE, self.round()).await;
            let round = round.unwrap_or_else(|_| Err(anyhow::anyhow!("it did not answer in time")));
            self.outage.tried(&round);
            sleep(round.unwrap_or(RETRY)).await;
        }
    }

    /// Lets some of what is due expire. Says how long to wait for the next.
    async fn round(&self) -> anyhow::Result<Duration> {
        let background = &self.background;
        // A clock that shows another time than main's proves nothing.
        if background.time.clock_offset.check().is_err() {
            return Ok(LOOK);
        }
        let server = background.shard(self.shard)?;
        let now = background.time.mains();
        let Some(due) = server.next_due().await? else { return Ok(LOOK) };
        if due > now {
            return Ok(until(due, now));
        }
        sleep_until(self.pace.next(Instant::now().into_std()).into()).await;
        // A clock that was just set ahead would end what is held for longer: what is due is so by main's own word.
        let now = now.min(self.mains_word().await?);
        if due > now {
            return Ok(until(due, now));
        }
        let at = At { server, of: background.at(self.shard) };
        let began = Instant::now();
        let (_, releases) = expire(at, now, MOST).await?;
        background.counts.expired(releases.len());
        // Another task has the gate let go: a gate that does not answer must not hold up what is due.
        background.signals.gave_back(self.shard);
        // Whatever else is asked of a busy shard comes as far as this.
        Ok(began.elapsed().min(LOOK))
    }

    /// Main's time by its own word: what it says now or, while it is away, what it has reached since it was last heard.
    async fn mains_word(&self) -> Result<Timestamp, DatabaseError> {
        let clock_offset = &self.background.time.clock_offset;
        let told = self.background.main.time().await;
        told.inspect(|told| clock_offset.heard(*told))
            .or_else(|away| clock_offset.mains_at_least().ok_or(away))
    }
}

fn until(due: Timestamp, now: Timestamp) -> Duration {
    Duration::from_millis(u64::try_from(due.millis() - now.millis()).unwrap_or(0)).min(LOOK)
}
