//! Opens a data set whose shards an engine has.

use std::sync::Arc;

use anyhow::Context as _;
use coupon_core::{Lanes, ShardingStrategy};

use super::cluster::InEngine;
use super::{AllLanes, Bounds, keyspace};
use crate::Backend;
use crate::clock::Clock;
use crate::servers::cluster::Opened;
use crate::servers::names::Namespace;
use crate::servers::open::{Asked, ConnectedDataSet, Connects, Options, open_by, reach, servers_of};
use crate::servers::stock;
use crate::settings::DecidedBy;

/// Opens an engine for a strategy whose shards it has. Where there is no data set yet, makes one that holds the sample catalogue.
///
/// # Errors
/// When main, the engine or another server cannot be used, or the engine is one in which rows could be lost; the message names the
/// setting.
pub fn open(
    options: &Options,
    strategy: Arc<dyn ShardingStrategy>,
    clock: &Clock,
) -> anyhow::Result<Backend> {
    open_by(Engine, options, strategy, clock)
}

/// The way to a data set whose shards an engine has.
struct Engine;

impl Connects for Engine {
    fn decided_by(&self) -> DecidedBy {
        DecidedBy::Gate
    }

    async fn connect(self, asked: &Asked<'_>) -> anyhow::Result<ConnectedDataSet> {
        let (settings, strategy) = (asked.settings, asked.strategy);
        let whole = strategy.whole();
        let lanes = Lanes::new(whole.lanes()).filter(|_| whole.is_planned());
        let lanes = lanes.with_context(|| format!("the strategy {} is for no engine", strategy.name()))?;
        let engine = InEngine::new(settings, Namespace::new(&settings.namespace, strategy.name())?, lanes)?;
        let around = reach(DecidedBy::Gate, settings).await?;
        // Before anything of it is changed.
        stock::ensure_main_agrees(&engine.cluster.main, DecidedBy::Gate).await?;
        let Opened { label, cluster, versions, down } = engine.open(&strategy.layout()).await?;
        for (shard, error) in &down {
            tracing::warn!(%shard, %error, "a lane is down; the others are served");
        }
        let servers = super::lane_servers(settings, &label.dataset, lanes)?;
        let lanes = engine.lanes().map(|(_, lane, _)| lane).collect();
        let whole = Some(AllLanes::new(engine.whole.clone(), engine.lanes));
        let bounds = Some(Arc::new(Bounds::new(keyspace(&settings.engine)?, engine.lanes)));
        let servers = servers_of(&cluster, &label.dataset, servers, None, around, asked).await?;
        Ok(ConnectedDataSet { cluster, servers, versions, lanes, bounds, whole })
    }
}
