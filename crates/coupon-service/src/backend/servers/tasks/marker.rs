//! Markers: what proves that everything handed over before is stored.

use std::time::Duration;

use coupon_core::ShardId;
use mysql_async::Conn;
use mysql_async::prelude::Queryable as _;
use tokio::time::Instant;

use super::super::broker::{Marker, Message};
use super::super::mysql::{Database, DatabaseError};
use super::{Background, MARKER, PATIENCE, POLL, random};
use crate::backend::Unavailable;

/// A marker that takes longer is worth a line in the log, and another marker: the queue may have lost it.
const SLOW: Duration = Duration::from_secs(5);

impl Background {
    /// Sends a marker through a shard's queue, and waits until it is stored: then so is everything that was handed over
    /// before it, unless the queue has lost it. It may close an epoch on the way.
    pub(in super::super) async fn marker(&self, shard: ShardId, closes: u64) -> Result<(), Unavailable> {
        let failed = |why: &dyn std::fmt::Display| Unavailable::new(format!("shard {shard}"), why);
        let database = self.database(shard).map_err(|error| failed(&error))?;
        let mut conn = database.connect().await.map_err(|error| failed(&error))?;
        let deadline = Instant::now() + MARKER;
        let mut sent = vec![self.send_marker(shard, closes).await?];
        let (mut patience, mut say) = (SLOW, Instant::now() + SLOW);
        loop {
            let found = stored(database, &mut conn, &sent).await.map_err(|error| failed(&error))?;
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
            let now = Instant::now();
            if now >= deadline {
                let why = "a marker has not come through its queue: it has no consumer, or a long way to go";
                return Err(failed(&why));
            }
            if now >= say {
                tracing::warn!(%shard, "waiting for this shard's queue to be stored: does a process with the role all or consumer run?");
                patience *= 2;
                say = now + patience;
                sent.push(self.send_marker(shard, closes).await?);
            }
            tokio::time::sleep(POLL).await;
        }
    }

    async fn send_marker(&self, shard: ShardId, closes: u64) -> Result<String, Unavailable> {
        let id = format!("{:016x}{:016x}", random(), random());
        let marker = Some(Marker { id: id.clone(), closes });
        let message = Message::marker(&self.dataset, self.mains_time(), marker);
        let sent = self.publisher.publish("", &self.names.queue(shard), message.encode()).await;
        sent.map(|()| id).map_err(|error| Unavailable::new("the queue", error))
    }
}

/// Those of these markers that are stored.
async fn stored(database: &Database, conn: &mut Conn, sent: &[String]) -> Result<Vec<String>, DatabaseError> {
    let listed: Vec<String> = sent.iter().map(|id| format!("'{id}'")).collect();
    let sql = format!("SELECT marker_id FROM markers WHERE marker_id IN ({})", listed.join(","));
    database.patiently(PATIENCE, conn.query(sql)).await
}
