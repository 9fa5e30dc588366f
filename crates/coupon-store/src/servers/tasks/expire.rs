//! Lets results expire that were held and not confirmed in time, a task for each shard.
//!
//! Processes take turns by the shard's row of state, so any number of them may do so at once.

use std::sync::Arc;
use std::time::Duration;

use coupon_core::{ShardId, Timestamp};
use tokio::time::{Instant, timeout};

use super::Background;
use super::steps::{At, expire};
use super::store::Of;
use crate::outage::TaskOutage;

/// The most results that expire in one transaction: consumers of the shard wait for it.
const MOST: usize = 500;
/// The least time from the beginning of one such transaction to that of the next. A hundred thousand results of four shards
/// that are due at once expire within ten seconds, and whoever grabs meanwhile has the servers nearly alone.
const PACE: Duration = Duration::from_millis(160);
/// The longest wait for the next result that is due: one may be stored that is due earlier, and the clock may be set.
const LOOK: Duration = Duration::from_millis(250);
/// The wait after a failure.
const RETRY: Duration = Duration::from_millis(500);
/// A shard that takes longer is as good as down.
const PATIENCE: Duration = Duration::from_secs(30);

/// The task of one shard.
pub(super) struct Sweeper {
    background: Arc<Background>,
    shard: ShardId,
    outage: TaskOutage,
}

impl Sweeper {
    pub(super) fn new(background: Arc<Background>, shard: ShardId) -> Self {
        let outage = TaskOutage::of_shard(
            shard,
            "results that are not confirmed in time expire later",
            "results that are not confirmed in time expire again",
        );
        Self { background, shard, outage }
    }

    pub(super) async fn run(self) {
        while !self.background.signals.stopping() {
            let round = timeout(PATIENCE, self.round()).await;
            let round = round.unwrap_or_else(|_| Err(anyhow::anyhow!("it did not answer in time")));
            self.outage.tried(&round);
            tokio::time::sleep(round.unwrap_or(RETRY)).await;
        }
    }

    /// Lets everything expire that is due. Says how long to wait for the next.
    async fn round(&self) -> anyhow::Result<Duration> {
        let background = &self.background;
        // A clock that shows another time than main's proves nothing.
        if background.time.agreement.check().is_err() {
            return Ok(LOOK);
        }
        let server = background.shard(self.shard)?;
        while !background.signals.stopping() {
            let now = background.time.mains();
            let Some(due) = server.next_due().await? else { return Ok(LOOK) };
            if due > now {
                return Ok(until(due, now));
            }
            // A clock that was just set ahead would end what is held for longer: what is due is so by main's own word.
            let now = now.min(background.main.time().await?);
            if due > now {
                return Ok(until(due, now));
            }
            let of = Of { dataset: &background.dataset, shard: self.shard, floors: &background.floors };
            let at = At { server, of };
            let began = Instant::now();
            let (_, releases) = expire(at, now, MOST).await?;
            background.counts.expired(releases.len());
            // Another task tells the gate: one that does not answer must not hold up what is due.
            background.signals.gave_back(self.shard);
            tokio::time::sleep(rest(began.elapsed())).await;
        }
        Ok(LOOK)
    }
}

/// The wait after a transaction that took so long: until the pace allows the next, and as long as it took at least, so that
/// whatever else is asked of a busy shard comes as far as it.
fn rest(took: Duration) -> Duration {
    PACE.saturating_sub(took).max(took).min(LOOK)
}

fn until(due: Timestamp, now: Timestamp) -> Duration {
    Duration::from_millis(u64::try_from(due.millis() - now.millis()).unwrap_or(0)).min(LOOK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transactions_keep_a_pace_and_rest_as_long_as_they_took() {
        let ms = Duration::from_millis;
        assert_eq!([0, 20, 80, 110, 600].map(|took| rest(ms(took))), [160, 140, 80, 110, 250].map(ms));
    }
}
