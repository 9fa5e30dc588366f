//! Shards that are no databases which are made here.

use std::fmt;

use async_trait::async_trait;
use coupon_core::ShardId;

use super::Cluster;
use crate::lane::Lane;

/// What has a data set's shards in the place of databases of its own: an engine.
#[async_trait]
pub(crate) trait HasShards: fmt::Debug + Send + Sync {
    /// The keyspace that they are in, by which main notes it.
    fn keyspace(&self) -> &str;

    /// The lane that a shard is.
    fn lane(&self, shard: ShardId) -> Option<Lane>;

    /// Makes the tables, and writes into each lane which data set it belongs to.
    async fn make(&self, cluster: &Cluster, dataset: &str) -> anyhow::Result<()>;

    /// Removes the tables, if they hold that data set.
    async fn remove(&self, dataset: Option<&str>) -> anyhow::Result<()>;
}

impl Cluster {
    /// The lane that a shard is: the only one of its database, unless an engine has it.
    pub(crate) fn lane(&self, shard: ShardId) -> Lane {
        self.engine.as_ref().and_then(|engine| engine.lane(shard)).unwrap_or(Lane::ONLY)
    }
}
