//! The hand-over of the servers' backend: to the shard's queue, and back once it is confirmed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use coupon_core::ShardId;
use coupon_store::failpoints;
use coupon_store::settings::Role;
use coupon_store::{HandOver, LocalFuture, PlacedResult, Unavailable};

use super::broker::Message;
use super::per_thread::PerThread;
use super::seam::{Publish as _, PublishError, Route};
use super::tasks::{Background, Watched};

/// The queues, from the side of the HTTP workers: each has its own connection.
pub(super) struct Queues {
    pub(super) background: Arc<Background>,
    pub(super) publishers: PerThread<Watched>,
    pub(super) role: Role,
    pub(super) timeout: Duration,
    pub(super) backlog: u64,
}

impl Queues {
    fn publisher(&self) -> Arc<Watched> {
        let Background { queues, gates, .. } = &*self.background;
        self.publishers.get(|| Watched::new(queues.server.publisher(self.timeout), gates))
    }

    async fn publish(
        &self,
        shard: ShardId,
        epoch: u64,
        mut results: Vec<PlacedResult>,
    ) -> Result<(), Unavailable> {
        let contradiction = failpoints::contradiction(&results);
        results.extend(contradiction);
        let message =
            Message::results(&self.background.dataset, epoch, self.background.time.mains(), &results);
        let began = Instant::now();
        let sent = self.publisher().publish(Route::results(epoch, shard), message.encode()).await;
        self.background.counts.published(shard, results.len(), &sent, began.elapsed());
        sent.map_err(|error| Unavailable::new(format!("the queue of shard {shard}"), error))
    }
}

impl HandOver for Queues {
    fn hand_over(
        &self,
        shard: ShardId,
        epoch: u64,
        results: Vec<PlacedResult>,
    ) -> LocalFuture<'_, Result<(), Unavailable>> {
        Box::pin(self.publish(shard, epoch, results))
    }

    fn refusal(&self, shard: ShardId) -> Option<Unavailable> {
        if !self.role.takes_grabs() {
            return Some(Unavailable::new(
                "this process",
                "it stores results and takes no grabs: its role is consumer",
            ));
        }
        let publisher = self.publisher();
        // While a gate is shut it has no epoch, and what waits for it is refused there.
        let mut open = self.background.gates.iter().filter_map(|gate| gate.epoch.number()).peekable();
        let refusal = match open.peek() {
            Some(_) => open.find_map(|epoch| publisher.refusal_of(Route::results(epoch, shard))),
            None => publisher.refusal(),
        };
        if let Some(error) = refusal {
            return Some(Unavailable::new(format!("the queue of shard {shard}"), error));
        }
        let status = self.background.status.get(shard.index());
        let full = status.is_none_or(|status| status.waiting() >= self.backlog);
        full.then(|| Unavailable::new(format!("shard {shard}"), "its backlog is full"))
    }

    fn ready(&self) -> Result<(), Unavailable> {
        let Background { time, queues, status, .. } = &*self.background;
        time.clock_offset.check()?;
        let takes_grabs = self.role.takes_grabs();
        let refusal = if takes_grabs {
            self.publisher().refusal()
        } else {
            // A broker that takes nothing for now is there all the same, and gives what there is to store.
            queues.publisher.refusal().filter(|error| *error == PublishError::Down)
        };
        if let Some(error) = refusal {
            return Err(Unavailable::new("the queue", error));
        }
        if !takes_grabs && !status.iter().any(|status| status.is_up()) {
            return Err(Unavailable::new("every shard", "none answers, so nothing can be stored"));
        }
        Ok(())
    }
}
