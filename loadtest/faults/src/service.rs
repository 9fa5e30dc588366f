//! A service that is broken: its processes and its data.

use std::sync::Arc;

use anyhow::{Context, Result};
use coupon_audit::Data;
use coupon_core::{ShardId, ShardingStrategy};
use coupon_loadgen::http::Target;

use super::process::TestedProcess;

/// A service: some processes on one data set.
#[derive(Debug)]
pub(super) struct Subject {
    pub(super) name: &'static str,
    pub(super) namespace: String,
    pub(super) strategy: Arc<dyn ShardingStrategy>,
    pub(super) data: Data,
    pub(super) processes: Vec<TestedProcess>,
    /// The first process that the load goes to.
    pub(super) load_on: usize,
}

impl Subject {
    /// Where the load goes: to all processes from that one on.
    pub(super) fn target(&self, from: usize) -> Result<Target> {
        let processes = self.processes.iter().skip(from);
        let mut addresses = processes.map(|process| process.front.unwrap_or(process.address()));
        let first = addresses.next().context("it has no process")?;
        Ok(Target { more: addresses.collect(), ..Target::new(self.name, first) })
    }

    /// A process of it that answers, for single questions: one under load, if it can be. Another may be there to be frozen, and
    /// whoever spends a result there would leave its shard locked for as long.
    pub(super) fn one(&self) -> Result<Target> {
        let mut in_order = self.processes.iter().skip(self.load_on).chain(&self.processes);
        let up = in_order.find(|process| process.is_running() && !process.is_paused());
        up.map(|process| process.target(self.name)).context("none of its processes runs")
    }

    /// What a queue of its is called.
    pub(super) fn names(&self) -> Result<coupon_store::servers::names::Names> {
        let namespace = coupon_store::servers::names::Namespace::new(&self.namespace, "")?;
        Ok(namespace.dataset(&self.data.label()?.dataset))
    }

    pub(super) fn shards(&self) -> impl Iterator<Item = ShardId> + use<> {
        (0..self.strategy.shard_count().get()).map(ShardId::new)
    }
}
