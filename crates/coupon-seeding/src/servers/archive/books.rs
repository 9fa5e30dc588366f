//! The main database's side: what the shards' outboxes say, applied to coupons and their stock logs.
//!
//! Services do the same all the time; main's row for a shard makes everybody take turns, and says what is done.

use anyhow::{Context, Result};
use coupon_core::{CouponId, Timestamp};
use coupon_store::servers::books::settle;
use coupon_store::servers::cluster::Cluster;
use coupon_store::servers::mysql::{Database, DatabaseError};
use mysql_async::Conn;
use mysql_async::prelude::Queryable as _;

use super::shard::Shard;
use super::{Counts, TRIES, is_conflict};
use crate::options::now;
use crate::servers::databases::alone;

pub(super) struct Books {
    main: Database,
    /// Keeps the books from every other command while it lasts. It holds no rows, and may be silent for long.
    lock: Conn,
    dataset: String,
}

impl Books {
    /// One archive at a time has them, until it ends.
    pub(super) async fn open(cluster: &Cluster, dataset: &str) -> Result<Self> {
        let lock = alone(cluster).await?;
        Ok(Self { main: cluster.main.clone(), lock, dataset: dataset.to_owned() })
    }

    /// A connection for whatever waits for others, or has them wait; while this program still has the books.
    async fn connect(&mut self) -> Result<Conn, DatabaseError> {
        self.keep().await?;
        self.main.connect().await
    }

    /// Makes sure that this program still has the books.
    async fn keep(&mut self) -> Result<(), DatabaseError> {
        self.lock.ping().await.map_err(|error| self.main.error(&error))
    }

    /// The first of the coupons whose end has not come, and its end: one that is withdrawn may be on offer again.
    pub(super) async fn first_on_offer(
        &mut self,
        counts: &Counts,
        now: Timestamp,
    ) -> Result<Option<(CouponId, Timestamp)>> {
        let sql = "SELECT end_time FROM coupons WHERE coupon_id = ? AND end_time > ?";
        let mut conn = self.connect().await?;
        for coupon in counts.keys() {
            let wanted = (coupon.get(), now.millis());
            let end: Option<i64> =
                conn.exec_first(sql, wanted).await.map_err(|error| self.main.error(&error))?;
            if let Some(end) = end {
                return Ok(Some((*coupon, Timestamp::from_millis(end))));
            }
        }
        Ok(None)
    }

    /// Applies what a shard's outbox still has to tell, each entry exactly once.
    pub(super) async fn settle(&mut self, shard: &Shard) -> Result<()> {
        let mut tries = 1;
        loop {
            self.keep().await?;
            match settle(&self.main, shard.database(), &self.dataset, shard.id, now()).await {
                Ok(settled) if settled.entries > 0 => tries = 1,
                Ok(_) => return Ok(()),
                Err(error) if tries < TRIES && error.downcast_ref().is_some_and(is_conflict) => tries += 1,
                Err(error) => {
                    return Err(error)
                        .with_context(|| format!("{}: the outbox of shard {}", self.main, shard.id));
                }
            }
        }
    }
}
