//! A service under test: its processes and its data.

use std::sync::Arc;

use anyhow::{Context, Result};
use coupon_audit::Data;
use coupon_core::{ShardId, ShardingStrategy};
use coupon_loadgen::http::Target;
use coupon_servers::names::{Names, Namespace};

use super::process::TestedProcess;

/// Some processes of a service on one data set.
#[derive(Debug)]
pub(super) struct TestedService {
    pub(super) name: &'static str,
    pub(super) namespace: String,
    pub(super) strategy: Arc<dyn ShardingStrategy>,
    pub(super) data: Data,
    pub(super) processes: Vec<TestedProcess>,
    /// The first process that the load goes to.
    pub(super) load_on: usize,
}

impl TestedService {
    /// The target of the load: all processes from that one on.
    pub(super) fn load_target(&self, from: usize) -> Result<Target> {
        let processes = self.processes.iter().skip(from);
        let mut addresses = processes.map(|process| process.front.unwrap_or(process.address()));
        let first = addresses.next().context("it has no process")?;
        Ok(Target { more: addresses.collect(), ..Target::new(self.name, first) })
    }

    /// A process of it that answers, for single questions: one under load, if it can be. Another may be there to be
    /// frozen, and a result that is spent there would leave its shard locked for as long.
    pub(super) fn answering(&self) -> Result<Target> {
        let mut in_order = self.processes.iter().skip(self.load_on).chain(&self.processes);
        let up = in_order.find(|process| process.is_running() && !process.is_paused());
        up.map(|process| process.target(self.name)).context("none of its processes runs")
    }

    /// The names of its queues and keys.
    pub(super) fn names(&self) -> Result<Names> {
        let namespace = Namespace::new(&self.namespace, "")?;
        Ok(namespace.dataset(&self.data.label()?.dataset))
    }

    pub(super) fn shards(&self) -> impl Iterator<Item = ShardId> + use<> {
        (0..self.strategy.shard_count().get()).map(ShardId::new)
    }
}
