//! Looks at the shards and their queues again and again, so that requests need not.

use std::sync::Arc;
use std::time::Duration;

use coupon_core::{ShardId, Timestamp, VersionNumber};
use coupon_store::outage::TaskOutage;
use coupon_store::timekeeping::AGREE_WITHIN_MS;
use tokio::time::{Instant, timeout};

use super::background::Background;
use crate::seam::{BrokerError, QueueAdmin, QueueState};

/// The time between two looks. Reads trail by as much at least.
const EVERY: Duration = Duration::from_millis(200);
/// A shard that takes longer is down.
const PATIENCE: Duration = Duration::from_secs(3);
/// The time between two questions for figures that change slowly, or cost more.
const SLOWLY: Duration = Duration::from_secs(1);
/// A queue in which nothing has moved for so long is sent something that moves: otherwise an empty queue would look
/// like a stuck one.
const STILL: Duration = Duration::from_secs(1);

/// Looks at one shard and its queue until the process stops, at each in its own time: while a shard does not answer,
/// its queue grows, and what bounds it must see that.
pub(crate) async fn watch(background: Arc<Background>, shard: ShardId) {
    futures_util::future::join(watch_shard(&background, shard), watch_queue(&background, shard)).await;
}

async fn watch_queue(background: &Background, shard: ShardId) {
    let outage = TaskOutage::of_shard(
        shard,
        "the queue does not say how much waits in it",
        "the queue says again how much waits in it",
    );
    let mut queue = QueueWatch { admin: None, stored: Mean::new(), sent: Mean::new(), outage };
    while !background.signals.stopping() {
        tokio::time::sleep(EVERY).await;
        queue.look(background, shard).await;
    }
}

async fn watch_shard(background: &Background, shard: ShardId) {
    let mut ticked = Instant::now();
    let (mut moved, mut told) = (Moved(None), 1);
    while !background.signals.stopping() {
        tokio::time::sleep(EVERY).await;
        look(background, shard).await;
        tell_of_layout(background, shard, &mut told).await;
        // A shard that is down would only gather them.
        let still = background.status.get(shard.index()).is_some_and(|status| {
            moved.is_still(status.look().messages) && status.is_up() && status.waiting() == 0
        });
        if still && ticked.elapsed() >= SLOWLY {
            ticked = Instant::now();
            // If it does not go, reads trail a little longer.
            let _ = background.tick(shard).await;
        }
    }
}

/// Has a shard that is up remember the latest version of the layout that main has, once for each: a main that was put back to
/// before it is recognized by that.
async fn tell_of_layout(background: &Background, shard: ShardId, told: &mut VersionNumber) {
    let latest = background.layouts.look(|versions| versions.latest().number);
    let is_up = background.status.get(shard.index()).is_some_and(|status| status.is_up());
    let Ok(server) = background.shard(shard) else { return };
    // What does not come about is tried again after the next look.
    if is_up
        && latest > *told
        && matches!(timeout(PATIENCE, server.announce_layout(latest)).await, Ok(Ok(())))
    {
        *told = latest;
    }
}

/// The time at which something last moved in a queue, by the messages that were taken from it.
struct Moved(Option<(u64, Instant)>);

impl Moved {
    /// Says whether nothing has for a while. Of a queue that was never looked at before nothing is known: it is still.
    fn is_still(&mut self, messages: u64) -> bool {
        match self.0 {
            Some((before, since)) if before == messages => since.elapsed() > STILL,
            Some(_) => {
                self.0 = Some((messages, Instant::now()));
                false
            }
            None => {
                self.0 = Some((messages, Instant::now()));
                true
            }
        }
    }
}

/// Looks at a shard once.
pub(crate) async fn look(background: &Background, shard: ShardId) {
    let (Ok(server), Some(status)) = (background.shard(shard), background.status.get(shard.index())) else {
        return;
    };
    let (before, floor) = (status.look(), background.floors.of(shard));
    let began = background.time.mains();
    let looked = timeout(PATIENCE, server.look(&before)).await;
    let looked =
        looked.map_or_else(|_| Err(anyhow::anyhow!("it did not answer in time")), |looked| Ok(looked?));
    // What was seen before this look began must be in it.
    match looked.map(|(look, tables)| (floor.check(look.outbox_id, look.commits), look, tables)) {
        Ok((Err(lost), ..)) => {
            if status.lost_data(lost.to_string()) {
                tracing::error!(%shard, server = server.name(), error = %lost, "a shard is refused; the others are served");
            }
        }
        Ok((Ok(()), mut look, tables)) => {
            let as_of = if server.keeps_stock() { began } else { look.as_of };
            look.as_of = believed(as_of, background.time.mains());
            background.floors.saw_committed(shard, look.commits);
            if status.saw(look, tables) {
                tracing::info!(%shard, "the shard is up");
            }
        }
        Err(error) => {
            if status.went_down(format!("{error:#}")) {
                tracing::warn!(%shard, server = server.name(), %error, "a shard is down; the others are served");
            }
        }
    }
}

/// A shard's `as_of`, or 0 where it is later than now: a clock that was wrong wrote it, and
/// nothing is known until its consumer has put that right.
fn believed(as_of: Timestamp, now: Timestamp) -> Timestamp {
    if as_of > now.plus_millis(AGREE_WITHIN_MS) { Timestamp::from_millis(0) } else { as_of }
}

/// The mean number of results in recent messages.
#[derive(Debug)]
struct Mean {
    /// Messages and results so far, when they were last looked at.
    last: (u64, u64),
    mean: f64,
}

impl Mean {
    const fn new() -> Self {
        Self { last: (0, 0), mean: 1.0 }
    }

    /// Takes note of how many messages and results there have been by now, and says what a message holds.
    fn after(&mut self, (messages, results): (u64, u64)) -> f64 {
        let lately = (messages.saturating_sub(self.last.0), results.saturating_sub(self.last.1));
        if lately.0 > 0 && lately.1 > 0 {
            #[expect(clippy::cast_precision_loss, reason = "counts of a fraction of a second")]
            let mean = lately.1 as f64 / lately.0 as f64;
            self.mean = mean.max(1.0);
        }
        self.last = (messages, results);
        self.mean
    }
}

/// The number of results that wait in a shard's queue. The queue counts messages, and only those that no consumer has.
/// The results in a message are known from those that came through lately, and, while none do, from those that this
/// process has sent: of the two, the larger.
struct QueueWatch {
    admin: Option<Box<dyn QueueAdmin>>,
    stored: Mean,
    sent: Mean,
    outage: TaskOutage,
}

impl QueueWatch {
    async fn look(&mut self, background: &Background, shard: ShardId) {
        let Some(status) = background.status.get(shard.index()) else { return };
        let look = status.look();
        let stored = self.stored.after((look.messages, look.received));
        let mean = stored.max(self.sent.after(background.counts.sent(shard)));
        let asked = self.ask(background, shard).await;
        self.outage.tried(&asked);
        let Ok(queue) = asked else {
            self.admin = None;
            return;
        };
        let (results, buffered) = background.queues.at_work_on(shard);
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "an estimate of a count"
        )]
        let waiting = ((queue.messages + buffered) as f64 * mean) as u64;
        status.set_waiting(waiting + results);
    }

    async fn ask(&mut self, background: &Background, shard: ShardId) -> Result<QueueState, BrokerError> {
        let admin = match self.admin.take().filter(|admin| admin.is_open()) {
            Some(admin) => admin,
            None => background.queues.server.admin().await?,
        };
        self.admin.insert(admin).queue(shard).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_holds_what_the_last_ones_held_and_one_result_at_least() {
        let mut mean = Mean::new();
        let after = [(0, 0), (10, 400), (10, 400), (12, 402), (20, 402)].map(|counts| mean.after(counts));
        assert_eq!(after, [1.0, 40.0, 40.0, 1.0, 1.0]);
    }
}
