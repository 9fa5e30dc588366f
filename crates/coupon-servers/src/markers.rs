//! Markers: what proves that everything handed over before is stored.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use coupon_core::{ShardId, Timestamp};
use coupon_store::Unavailable;
use coupon_store::clock::Clock;
use coupon_store::ids::random_name;
use coupon_store::settings::ServersSettings;
use tokio::time::Instant;

use super::broker::{Broker, BrokerQueues, Marker, Message};
use super::cluster::Cluster;
use super::mysql::ShardDatabase;
use super::seam::{Publish, QueueServer as _, Route, ShardServer};
use super::stock;

/// The longest that a marker may take through a shard's queue and into its database.
pub(super) const MARKER: Duration = Duration::from_secs(60);
/// A marker that takes longer is worth a line in the log, and another marker: the queue may have lost it.
const SLOW: Duration = Duration::from_secs(5);
/// The time between two looks whether it is stored.
const POLL: Duration = Duration::from_millis(10);

/// Sends markers through the queue of one shard.
pub(super) struct Markers<'a> {
    pub(super) dataset: &'a str,
    pub(super) publisher: &'a dyn Publish,
    pub(super) shard: ShardId,
    pub(super) server: &'a dyn ShardServer,
}

impl Markers<'_> {
    /// Sends a marker, and waits until it is stored: then so is everything that was handed over before it, unless the
    /// queue has lost it. It may close an epoch on the way. `now` is the shared time.
    pub(super) async fn pass(&self, closes: u64, now: impl Fn() -> Timestamp) -> Result<(), Unavailable> {
        let shard = self.shard;
        let failed = |why: &dyn std::fmt::Display| Unavailable::new(format!("shard {shard}"), why);
        let deadline = Instant::now() + MARKER;
        let mut sent = vec![self.send(closes, now()).await?];
        let (mut patience, mut say) = (SLOW, Instant::now() + SLOW);
        loop {
            let found = self.server.markers(&sent).await.map_err(|error| failed(&error))?;
            if !found.is_empty() {
                if sent.first().is_some_and(|first| !found.contains(first)) {
                    tracing::warn!(
                        %shard,
                        "the queue of this shard has lost what it had confirmed: was it purged or made again, or does a \
                         policy of RabbitMQ (max-length, message-ttl, expires) drop messages? What was granted is handed \
                         over again"
                    );
                }
                return Ok(());
            }
            let waited_until = Instant::now();
            if waited_until >= deadline {
                let why = "a marker has not come through its queue: it has no consumer, or a long way to go";
                return Err(failed(&why));
            }
            if waited_until >= say {
                tracing::warn!(%shard, "waiting for this shard's queue to be stored: does a process with the role all or consumer run?");
                patience *= 2;
                say = waited_until + patience;
                sent.push(self.send(closes, now()).await?);
            }
            tokio::time::sleep(POLL).await;
        }
    }

    async fn send(&self, closes: u64, now: Timestamp) -> Result<String, Unavailable> {
        let id = random_name() + &random_name();
        let marker = Some(Marker { id: id.clone(), closes });
        let message = Message::marker(self.dataset, now, marker);
        let sent = self.publisher.publish(Route::Queue(self.shard), message.encode()).await;
        sent.map(|()| id).map_err(|error| Unavailable::new("the queue", error))
    }
}

/// Waits until everything that was handed over so far is stored, for a program beside the services. Without a
/// consumer, nothing may wait. Where the database decides grabs, nothing ever does.
///
/// # Errors
/// When a server cannot be asked, or a queue is not stored from.
pub async fn settle_queues(
    cluster: &Cluster,
    settings: &ServersSettings,
    dataset: &str,
) -> anyhow::Result<()> {
    if !stock::may_have_gate(&cluster.main, settings).await? {
        return Ok(());
    }
    let shards = u16::try_from(cluster.shards.len())?;
    let server = BrokerQueues::new(Broker::new(&settings.rabbitmq)?, cluster.names(dataset), shards);
    let publisher = server.publisher(settings.publish_timeout());
    let mut admin = server.admin().await?;
    admin.declare().await?;
    let mut stored_from = Vec::new();
    for (shard, database) in cluster.numbered() {
        let queue = admin.queue(shard).await?;
        if queue.consumers > 0 {
            let server = ShardDatabase::new(database, shard, dataset).in_lane(cluster.lane(shard), None);
            stored_from.push((shard, server));
        } else {
            ensure!(
                queue.messages == 0,
                "shard {shard}: {} messages wait in its queue, and no process stores them: start one with the role all or \
                 consumer first",
                queue.messages
            );
        }
    }
    admin.close().await;
    let system = Clock::system();
    let main_is_ahead =
        super::mains_time::ask(&cluster.main, &system).await?.millis() - system.now().millis();
    let passing = stored_from.iter().map(|(shard, server)| {
        let (publisher, system) = (&*publisher, &system);
        async move {
            let markers = Markers { dataset, publisher, shard: *shard, server };
            markers.pass(0, || system.now().plus_millis(main_is_ahead)).await
        }
    });
    let passed = futures_util::future::join_all(passing).await;
    passed
        .into_iter()
        .collect::<Result<(), _>>()
        .context("what is on its way to the shards is to be stored first")
}
