//! Opens a data set whose shards an engine has.

use std::sync::Arc;

use anyhow::Context as _;
use coupon_core::{Lanes, ShardingStrategy};
use coupon_store::Backend;
use coupon_store::clock::Clock;
use coupon_store::settings::DecidedBy;

use super::keyspace::Keyspace;
use super::{AllLanes, Bounds};
use crate::cluster::Opened;
use crate::mysql::ShardDatabase;
use crate::names::Namespace;
use crate::open::{Asked, ConnectedDataSet, Connects, Options, open_by, reach, servers_of};
use crate::seam::ShardServer;
use crate::stock;

/// Opens an engine for a strategy whose shards it has. Where there is no data set yet, makes one that holds the sample catalogue.
///
/// # Errors
/// When main, the engine or another server cannot be used, or the engine is one in which rows could be lost; the message names
/// the setting.
pub fn open(
    options: &Options,
    strategy: Arc<dyn ShardingStrategy>,
    clock: &Clock,
) -> anyhow::Result<Backend> {
    open_by(Engine, options, strategy, clock)
}

/// The way to a data set whose shards an engine has.
pub(crate) struct Engine;

impl Connects for Engine {
    fn decided_by(&self) -> DecidedBy {
        DecidedBy::Gate
    }

    async fn connect(self, asked: &Asked<'_>) -> anyhow::Result<ConnectedDataSet> {
        let (settings, strategy) = (asked.settings, asked.strategy);
        let whole = strategy.whole();
        let lanes = Lanes::new(whole.lanes()).filter(|_| whole.is_planned());
        let lanes = lanes.with_context(|| format!("the strategy {} is for no engine", strategy.name()))?;
        let keyspace = Keyspace::new(settings, lanes)?;
        let cluster = keyspace.cluster(settings, Namespace::new(&settings.namespace, strategy.name())?)?;
        let around = reach(DecidedBy::Gate, settings).await?;
        // Before anything of it is changed.
        stock::ensure_main_agrees(&cluster.main, DecidedBy::Gate).await?;
        let Opened { label, cluster, versions, gate_list, down } =
            keyspace.open(&cluster, &strategy.layout()).await?;
        for (shard, error) in &down {
            tracing::warn!(%shard, %error, "a lane is down; the others are served");
        }
        let bounds = Arc::new(Bounds::new(keyspace.whole.clone(), lanes));
        let whole = Some(AllLanes::new(keyspace.whole, lanes));
        let count = cluster.gates.count();
        let server = |(shard, database)| {
            let server = ShardDatabase::new(database, shard, &label.dataset).of_gates(count);
            Box::new(server.in_lane(cluster.lane(shard), Some(&bounds))) as Box<dyn ShardServer>
        };
        let servers = cluster.numbered().map(server).collect();
        let lanes = cluster.numbered().map(|(shard, _)| cluster.lane(shard)).collect();
        let servers = servers_of(&cluster, &label.dataset, servers, None, around, gate_list, asked).await?;
        Ok(ConnectedDataSet { cluster, servers, versions, lanes, bounds: Some(bounds), whole })
    }
}
