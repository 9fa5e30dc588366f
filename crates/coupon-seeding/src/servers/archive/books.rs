//! The main database's side: what the shards' outboxes say, applied to coupons and their stock logs.
//!
//! Services do the same all the time; main's row for a shard makes all processes take turns, and says what is done.

use anyhow::{Context, Result};
use coupon_core::catalogue_change::Operator;
use coupon_core::{CouponId, Day, Timestamp};
use coupon_servers::books::settle;
use coupon_servers::cluster::Cluster;
use coupon_servers::mysql::{Database, DatabaseError, end_for_good, first_not_yet};
use coupon_store::NotYet;
use mysql_async::Conn;
use mysql_async::prelude::Queryable as _;

use super::shard::Shard;
use super::{Counts, Tries};
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

    /// Makes sure that this program still has the books.
    async fn keep(&mut self) -> Result<(), DatabaseError> {
        self.lock.ping().await.map_err(|error| self.main.error(&error))
    }

    /// The last to end of those among these coupons whose results may not go yet.
    pub(super) async fn first_not_yet(&mut self, going: &Counts, now: Timestamp) -> Result<Option<NotYet>> {
        self.keep().await?;
        let coupons: Vec<CouponId> = going.keys().copied().collect();
        Ok(first_not_yet(&self.main, &coupons, now).await?)
    }

    /// Takes coupons out of sale for good, unless results of one may not go yet: then it is returned, and nothing is changed.
    pub(super) async fn end_for_good(
        &mut self,
        going: &Counts,
        before: Day,
        operator: Option<&Operator>,
        now: Timestamp,
    ) -> Result<Option<NotYet>> {
        let mut tries = Tries::default();
        loop {
            self.keep().await?;
            match end_for_good(&self.main, going, before, operator, now).await.map_err(anyhow::Error::from) {
                Err(error) if tries.again_after(&error) => {}
                done => return done,
            }
        }
    }

    /// Applies the entries that are left in a shard's outbox, each exactly once.
    pub(super) async fn settle(&mut self, shard: &Shard) -> Result<()> {
        let mut tries = Tries::default();
        loop {
            self.keep().await?;
            match settle(&self.main, shard.database(), &self.dataset, shard.id, now()).await {
                Ok(settled) if settled.entries > 0 => tries = Tries::default(),
                Ok(_) => return Ok(()),
                Err(error) if tries.again_after(&error) => {}
                Err(error) => {
                    return Err(error)
                        .with_context(|| format!("{}: the outbox of shard {}", self.main, shard.id));
                }
            }
        }
    }
}
