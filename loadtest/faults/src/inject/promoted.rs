//! Databases with replicas: a primary lost, and its replica promoted; or both taking writes.

use std::time::Duration;

use anyhow::Result;
use coupon_lab::wait::until;
use coupon_servers::mysql::Database;
use coupon_servers::names::Namespace;
use coupon_stack::Server;
use coupon_store::settings::ServerUrl;

use super::copies::{each, number, says};
use super::databases::todays_shard;
use super::{RECOVERY, meanwhile};
use crate::deployment::CaseDeployment;
use crate::proof::Proof;

/// The time that an operator takes to promote a replica.
const AWAY: Duration = Duration::from_secs(3);
/// The time for which it is watched that nothing is stored.
const STILL: Duration = Duration::from_secs(3);

/// A shard's primary is killed, and its replica promoted.
pub(crate) fn shard_killed(deployment: &CaseDeployment<'_>) -> Result<Proof> {
    let shard = todays_shard(deployment)?.number();
    killed_and_promoted(deployment, Server::Shard(shard), Server::ShardReplica(shard))
}

/// Main's primary is killed, and its replica promoted.
pub(crate) fn main_killed(deployment: &CaseDeployment<'_>) -> Result<Proof> {
    killed_and_promoted(deployment, Server::Main, Server::MainReplica)
}

fn killed_and_promoted(deployment: &CaseDeployment<'_>, primary: Server, replica: Server) -> Result<Proof> {
    let stack = deployment.stack()?;
    let before = stack.pid(primary);
    deployment.fault_begins();
    stack.kill(primary)?;
    std::thread::sleep(AWAY);
    stack.promote(replica)?;
    let goes_there = |service| until("the replica is used", RECOVERY, || says(service, "takes the writes"));
    let used = deployment.services.iter().try_for_each(goes_there);
    deployment.record.expect(used.is_ok(), format!("{replica} was promoted, and is not used"));
    deployment.fault_ends();
    let took_over = !stack.is_read_only(replica)? && stack.is_read_only(primary)?;
    let process = super::number(before);
    Proof::when(took_over, format!("{primary}, process {process}, was gone; {replica} takes the writes"))
}

/// A shard's replica is made writable beside its primary, for a while.
pub(crate) fn both_writable(deployment: &CaseDeployment<'_>) -> Result<Proof> {
    let (stack, shard) = (deployment.stack()?, todays_shard(deployment)?);
    let replica = Server::ShardReplica(shard.number());
    // The address that names both leads to neither.
    let primary = ServerUrl::new(stack.url(Server::Shard(shard.number()))?);
    let commits = || {
        each(deployment, |service| {
            let name = Namespace::new(&service.namespace, "")?.shard_database(shard);
            number(&Database::new("servers.shards", &primary, &name, 1)?, "SELECT commits FROM shard_state")
        })
    };
    let look = || {
        for service in &deployment.services {
            let noticed =
                until("neither is used", RECOVERY, || says(service, "more than one of its servers"));
            let what = format!("{}: two primaries were not noticed", service.name);
            deployment.record.expect(noticed.is_ok(), what);
        }
        // Each process notices by itself.
        std::thread::sleep(STILL);
        let before = commits()?;
        std::thread::sleep(STILL);
        Ok((before, commits()?))
    };
    deployment.fault_begins();
    let (before, after) = meanwhile(
        || stack.run_sql(replica, "STOP REPLICA; SET GLOBAL read_only = 0"),
        look,
        || stack.run_sql(replica, "SET GLOBAL read_only = 1; START REPLICA"),
    )?;
    deployment.fault_ends();
    deployment.record.expect(
        before == after,
        format!("one of two primaries was stored to: transactions {before:?}, then {after:?}"),
    );
    Proof::when(true, format!("{replica} took writes as well, and transactions stayed {after:?}"))
}
