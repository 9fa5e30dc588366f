//! A case: a fault, the deployment that it is injected into, and the promise.

use std::num::NonZeroU16;

use anyhow::Result;
use coupon_stack::Topology;

use super::context::SHARDS;
use super::deployment::CaseDeployment;
use super::plan::{DeploymentPlan, Proxied};
use super::proof::Proof;
pub use super::rows::CASES;

/// One way to break the system, and the promise that holds all the same.
#[derive(Debug, Clone, Copy)]
pub struct FaultCase {
    /// The number of the case.
    pub id: &'static str,
    /// The processes, their data and the networks between them.
    pub plan: DeploymentPlan,
    /// The fault, in words.
    pub name: &'static str,
    /// The promise, beside the one of every case: nothing lost, duplicate, oversold, invented or leaked, and every
    /// unclear grab has one truth.
    pub promised: &'static str,
    /// The services that it takes.
    pub needs: RequiredServices,
    /// Grabs must go on while the fault is there.
    pub goes_on: bool,
    /// Breaks it and mends it again, under load, and proves that it took effect.
    pub(super) inject: fn(&CaseDeployment<'_>) -> Result<Proof>,
    /// Looks at what the audit does not, once everything is settled.
    pub(super) afterwards: fn(&CaseDeployment<'_>) -> Result<()>,
}

/// The services that a fault can be injected into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequiredServices {
    /// Any.
    Servers,
    /// Only those with fail points.
    FailPoints,
    /// Any, on a RabbitMQ of several nodes.
    Cluster,
    /// Any, on a Redis with Sentinels.
    Sentinels,
    /// Any, on a Redis without Sentinels.
    OneRedis,
    /// Any, on databases with replicas.
    Replicas,
    /// Any, on several gates.
    Gates,
}

/// The servers that the cases of a run share.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum StackKind {
    /// One of each, and a MySQL for each shard.
    #[default]
    Plain,
    /// The same, each MySQL with a replica, a Redis with a replica and three Sentinels, and a RabbitMQ of three nodes.
    Ha,
    /// One of each, a MySQL for each shard, and two Redis, each a gate of its own.
    Gates,
}

impl StackKind {
    /// Checks that it has the servers that a case needs.
    ///
    /// # Errors
    /// What it lacks.
    pub(super) fn suits(self, case: &FaultCase) -> Result<(), String> {
        let (needs, kind) = match (self, case.needs) {
            (Self::Plain | Self::Gates, RequiredServices::Cluster) => ("a RabbitMQ of three nodes", "ha"),
            (Self::Plain | Self::Gates, RequiredServices::Sentinels) => ("a Redis with Sentinels", "ha"),
            (Self::Plain | Self::Gates, RequiredServices::Replicas) => ("databases with replicas", "ha"),
            (Self::Ha | Self::Gates, RequiredServices::OneRedis) => ("one Redis without Sentinels", "plain"),
            (Self::Plain | Self::Ha, RequiredServices::Gates) => ("two gates", "gates"),
            _ => return Ok(()),
        };
        Err(format!("it needs {needs}: --stack {kind}"))
    }

    /// The servers of such a stack.
    pub(super) fn topology(self) -> Topology {
        const NODES: NonZeroU16 = NonZeroU16::new(3).unwrap();
        const GATES: NonZeroU16 = NonZeroU16::new(2).unwrap();
        let plain = Topology { shards: SHARDS, ..Topology::default() };
        match self {
            Self::Plain => plain,
            Self::Ha => Topology { replicas: true, redis_sentinel: true, rabbitmq: NODES, ..plain },
            Self::Gates => Topology { redis: GATES, ..plain },
        }
    }
}

/// The case of that number.
#[must_use]
pub fn find_case(id: &str) -> Option<&'static FaultCase> {
    CASES.iter().find(|case| case.id == id)
}

fn nothing(_: &CaseDeployment<'_>) -> Result<()> {
    Ok(())
}

/// A case on two processes that do everything, where grabs go on.
pub(super) const fn case(
    id: &'static str,
    name: &'static str,
    promised: &'static str,
    inject: fn(&CaseDeployment<'_>) -> Result<Proof>,
) -> FaultCase {
    FaultCase {
        id,
        plan: DeploymentPlan::PLAIN,
        name,
        promised,
        needs: RequiredServices::Servers,
        goes_on: true,
        inject,
        afterwards: nothing,
    }
}

/// One where all grabs may have to wait.
pub(super) const fn holding_up(case: FaultCase) -> FaultCase {
    FaultCase { goes_on: false, ..case }
}

/// One that is brought about from within a service.
pub(super) const fn from_within(case: FaultCase) -> FaultCase {
    FaultCase { needs: RequiredServices::FailPoints, ..case }
}

/// One that needs a RabbitMQ of several nodes.
pub(super) const fn of_a_cluster(case: FaultCase) -> FaultCase {
    FaultCase { needs: RequiredServices::Cluster, ..case }
}

/// One of a Redis that fails over.
pub(super) const fn of_sentinels(case: FaultCase) -> FaultCase {
    FaultCase { needs: RequiredServices::Sentinels, ..case }
}

/// One of a Redis that does not.
pub(super) const fn of_one_redis(case: FaultCase) -> FaultCase {
    FaultCase { needs: RequiredServices::OneRedis, ..case }
}

/// One that needs databases with replicas.
pub(super) const fn of_replicas(case: FaultCase) -> FaultCase {
    FaultCase { needs: RequiredServices::Replicas, ..case }
}

/// One that needs several gates.
pub(super) const fn of_gates(case: FaultCase) -> FaultCase {
    FaultCase { needs: RequiredServices::Gates, ..case }
}

/// One with a network that can be broken between services and a server.
pub(super) const fn behind(proxied: Proxied, case: FaultCase) -> FaultCase {
    FaultCase { plan: DeploymentPlan { proxied, ..case.plan }, ..case }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_case_has_a_number_of_its_own_by_which_it_is_found() {
        let ids: BTreeSet<&str> = CASES.iter().map(|case| case.id).collect();
        assert_eq!(ids.len(), CASES.len());
        assert!(CASES.iter().all(|case| find_case(case.id).is_some_and(|found| found.name == case.name)));
        assert!(find_case("0").is_none());
    }

    #[test]
    fn cases_of_other_servers_are_numbered_in_rows_of_their_own() {
        let only_there = CASES.iter().filter(|case| StackKind::Plain.suits(case).is_err());
        let ids: Vec<&str> = only_there.map(|case| case.id).collect();
        let fail_over = (1..=13).map(|number| format!("h{number}"));
        let of_gates = (1..=4).map(|number| format!("g{number}"));
        assert_eq!(ids, fail_over.chain(of_gates).collect::<Vec<_>>());
    }

    #[test]
    fn every_case_says_what_is_broken_and_what_is_promised_in_a_line() {
        for FaultCase { id, name, promised, .. } in CASES {
            assert!(!name.is_empty() && !promised.is_empty(), "{id}");
            assert!(!format!("{name}{promised}").contains(['|', '\n']), "{id}: it would break the table");
        }
    }

    #[test]
    fn a_load_goes_to_a_process_that_takes_grabs() {
        for FaultCase { id, plan, .. } in CASES {
            let roles = plan.roles.get(plan.load_on..).unwrap_or_default();
            assert!(!roles.is_empty() && roles.iter().all(|role| *role != "consumer"), "{id}");
        }
    }
}
