//! A Redis that fails over: its primary killed, frozen or replaced, its replica elected by Sentinels.

use std::time::Duration;

use anyhow::{Context, Result};
use coupon_lab::wait::until;
use coupon_stack::{Server, Stack};
use deadpool_redis::redis;

use super::gate::{connect, grabs_are_taken, offset, set};
use super::{RECOVERY, meanwhile};
use crate::deployment::CaseDeployment;
use crate::proof::Proof;

/// The time for which a replica that is cut off hears of nothing: much less than makes Sentinels pass over it.
const CUT_OFF: Duration = Duration::from_secs(1);

/// Killed, and started again once its replica was elected.
pub(crate) fn primary_killed(deployment: &CaseDeployment<'_>) -> Result<Proof> {
    let stack = deployment.stack()?;
    let (primary, _) = in_step(stack)?;
    deployment.fault_begins();
    stack.kill(primary)?;
    let proof = elected(stack, primary)?;
    stack.restart(primary)?;
    deployment.fault_ends();
    Ok(proof)
}

/// Killed while its replica lacks what it decided last, and started again once that was elected.
pub(crate) fn stale_replica_elected(deployment: &CaseDeployment<'_>) -> Result<Proof> {
    let stack = deployment.stack()?;
    let (primary, replica) = in_step(stack)?;
    let url = url::Url::parse(&stack.url(replica)?)?;
    let password = url.password().context("Redis has no password")?;
    let follow_with = |password: &str| set(&mut connect(url.as_str())?, "masterauth", password);
    let cut_off = || -> Result<()> {
        follow_with("wrong")?;
        Ok(redis::cmd("CLIENT")
            .arg("KILL")
            .arg("TYPE")
            .arg("replica")
            .exec(&mut connect(&stack.url(primary)?)?)?)
    };
    let kill = || {
        std::thread::sleep(CUT_OFF);
        let written = offset(&mut connect(&stack.url(primary)?)?)?;
        let heard = offset(&mut connect(url.as_str())?)?;
        deployment.fault_begins();
        stack.kill(primary)?;
        elected(stack, primary)?;
        Proof::when(written > heard, format!("{replica} had heard {heard} of {written} bytes of {primary}"))
    };
    let proof = meanwhile(cut_off, kill, || follow_with(password))?;
    stack.restart(primary)?;
    deployment.fault_ends();
    Ok(proof)
}

/// Frozen until its replica was elected and grabs are taken again, and woken: it takes itself for the primary still.
pub(crate) fn primary_frozen(deployment: &CaseDeployment<'_>) -> Result<Proof> {
    let stack = deployment.stack()?;
    let (primary, _) = in_step(stack)?;
    deployment.fault_begins();
    stack.pause(primary)?;
    let proof = elected(stack, primary)?;
    grabs_are_taken(deployment)?;
    stack.resume(primary)?;
    deployment.fault_ends();
    Ok(proof)
}

/// Replaced by its replica, and that by it again, as an operator would.
pub(crate) fn changed_over_and_back(deployment: &CaseDeployment<'_>) -> Result<Proof> {
    let stack = deployment.stack()?;
    let (first, _) = in_step(stack)?;
    deployment.fault_begins();
    for primary in [first, other(first)] {
        in_step(stack)?;
        // They refuse until they have heard of the replica.
        until("Sentinels fail over", RECOVERY, || Ok(stack.fail_over_redis().is_ok()))?;
        elected(stack, primary)?;
    }
    deployment.fault_ends();
    let last = stack.primary_redis()?;
    Proof::when(first == last, format!("{first} was the primary, then {}, then {last}", other(first)))
}

const fn other(redis: Server) -> Server {
    if matches!(redis, Server::Redis) { Server::RedisReplica } else { Server::Redis }
}

/// The primary and its replica, once that has what the primary has.
fn in_step(stack: &Stack) -> Result<(Server, Server)> {
    let primary = stack.primary_redis()?;
    let replica = other(primary);
    let url = stack.url(replica)?;
    until("the replica is in step", RECOVERY, || {
        let told = connect(&url).and_then(|mut replica| {
            Ok(redis::cmd("INFO").arg("replication").query::<redis::InfoDict>(&mut replica)?)
        });
        Ok(told.is_ok_and(|told| told.get::<String>("master_link_status").as_deref() == Some("up")))
    })?;
    Ok((primary, replica))
}

/// Waits until another Redis is the primary.
fn elected(stack: &Stack, before: Server) -> Result<Proof> {
    until("the replica is elected", RECOVERY, || Ok(stack.primary_redis()? != before))?;
    Proof::when(true, format!("{before} was the primary, and then {}", stack.primary_redis()?))
}
