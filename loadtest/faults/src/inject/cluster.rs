//! Nodes of a RabbitMQ of three: killed, frozen, cut off, restarted in turn.

use std::time::Duration;

use anyhow::{Context, Result};
use coupon_stack::{Server, Status};

use super::databases::todays_shard;
use super::{frozen, killed, meanwhile, number};
use crate::deployment::CaseDeployment;
use crate::proof::Proof;

/// The time that a node stays away, beside the seconds that it takes to start or to find the others.
const AWAY: Duration = Duration::from_secs(8);
/// The time that a node is frozen: longer than any of its clients may take to notice.
const SILENT: Duration = Duration::from_secs(16);
const NODES: [Server; 3] = [Server::RabbitMq(0), Server::RabbitMq(1), Server::RabbitMq(2)];
/// Most of them.
const MAJORITY: [Server; 2] = [Server::RabbitMq(1), Server::RabbitMq(2)];

/// One node is killed, and started again.
pub(crate) fn one_killed(deployment: &CaseDeployment<'_>) -> Result<Proof> {
    killed(deployment, Server::RabbitMq(1), AWAY)
}

/// One node is frozen, and woken.
pub(crate) fn one_frozen(deployment: &CaseDeployment<'_>) -> Result<Proof> {
    frozen(deployment, Server::RabbitMq(1), SILENT)
}

/// One node and the others lose each other, while clients reach all of them.
pub(crate) fn one_cut_off(deployment: &CaseDeployment<'_>) -> Result<Proof> {
    const NODE: Server = Server::RabbitMq(1);
    let stack = deployment.stack()?;
    let sees = || stack.rabbitmqctl_on(NODE, &["eval", "nodes()."]);
    let before = sees()?;
    deployment.fault_begins();
    let look = || {
        std::thread::sleep(AWAY);
        sees()
    };
    let saw = meanwhile(|| stack.cut_off(NODE), look, || stack.join_again(NODE))?;
    stack.rabbitmqctl(&["--timeout", "60", "await_online_nodes", &NODES.len().to_string()])?;
    deployment.fault_ends();
    Proof::when(saw == "[]" && before != saw, format!("{NODE} saw {before}, and then {saw}"))
}

/// The node is killed to which everything of today goes first, and started again.
pub(crate) fn leader_killed(deployment: &CaseDeployment<'_>) -> Result<Proof> {
    let (stack, shard) = (deployment.stack()?, todays_shard(deployment)?);
    let service = deployment.services.first().context("there is no service")?;
    let queue = service.names()?.queue(shard);
    let before = stack.leader_of(&queue)?;
    let away = killed(deployment, before, AWAY)?;
    let after = stack.leader_of(&queue)?;
    Proof::when(after != before, format!("{away}; {before} led {queue}, and {after} does now"))
}

/// Each node is told to end, and started again, as soon as the one before takes clients.
pub(crate) fn restarted_in_turn(deployment: &CaseDeployment<'_>) -> Result<Proof> {
    let stack = deployment.stack()?;
    let pids = || NODES.map(|node| stack.pid(node));
    let before = pids();
    deployment.fault_begins();
    for node in NODES {
        stack.stop(node)?;
        stack.restart(node)?;
    }
    deployment.fault_ends();
    let after = pids();
    let others = before.iter().zip(&after).all(|(before, after)| before != after && after.is_some());
    let shown = |pids: [Option<u32>; 3]| pids.map(number).join(", ");
    Proof::when(others, format!("processes {} became {}", shown(before), shown(after)))
}

/// Two nodes are killed, and started again.
pub(crate) fn majority_killed(deployment: &CaseDeployment<'_>) -> Result<Proof> {
    let stack = deployment.stack()?;
    deployment.fault_begins();
    MAJORITY.iter().try_for_each(|node| stack.kill(*node))?;
    std::thread::sleep(AWAY);
    let down = MAJORITY.map(|node| stack.status(node));
    MAJORITY.iter().try_for_each(|node| stack.restart(*node))?;
    deployment.fault_ends();
    let away = down.into_iter().filter(|status| matches!(status, Ok(Status::Down))).count();
    Proof::when(away == MAJORITY.len(), format!("{away} of {} nodes were down", NODES.len()))
}
