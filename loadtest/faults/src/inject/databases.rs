//! Database servers that die, hang, or run full.

use std::time::Duration;

use anyhow::{Context, Result};
use coupon_core::{RoomId, RowKey, ShardId, UserId};
use coupon_lab::wait::{blocking, until};
use coupon_loadgen::http::get_json;
use coupon_service::api::GlobalStatistics;
use coupon_stack::{Server, Stack, Status};
use mysql_async::prelude::Queryable as _;

use super::disk::SmallDisk;
use super::{ServerAction, away, killed};
use crate::context::now;
use crate::deployment::CaseDeployment;
use crate::proof::Proof;
use crate::service::TestedService;

/// The time that a server stays away.
const AWAY: Duration = Duration::from_secs(10);
/// The time that reads may take to notice.
const NOTICED: Duration = Duration::from_secs(4);
/// The time that a server may take to need more of a full disk, beside the time that it is away.
const FULL: Duration = Duration::from_secs(15);
/// The words of database servers for a full disk.
const DISK_IS_FULL: [&str; 4] = ["Disk is full", "disk full", "No space left", "Errcode: 28"];

/// The shard that everything of today goes to where ranges are of time; one of four to the other service.
pub(super) fn todays_shard(deployment: &CaseDeployment<'_>) -> Result<ShardId> {
    let range = deployment
        .services
        .iter()
        .find(|service| service.name == "range")
        .context("there is no range service")?;
    let now = now();
    let key = RowKey { user: UserId::new(1)?, room: RoomId::new(1)?, time: now };
    Ok(range.strategy.place(&key)?.shard)
}

/// Killed, and started again.
pub(crate) fn shard_killed(deployment: &CaseDeployment<'_>) -> Result<Proof> {
    shard_away(deployment, Stack::kill, Stack::restart)
}

/// Frozen, and woken.
pub(crate) fn shard_paused(deployment: &CaseDeployment<'_>) -> Result<Proof> {
    shard_away(deployment, Stack::pause, Stack::resume)
}

fn shard_away(
    deployment: &CaseDeployment<'_>,
    take: ServerAction,
    bring_back: ServerAction,
) -> Result<Proof> {
    let shard = todays_shard(deployment)?;
    away(deployment, Server::Shard(shard.number()), AWAY, take, bring_back, || {
        std::thread::sleep(NOTICED);
        reads_are_partial(deployment, shard)
    })
}

/// Puts main's record of the gate of a service back by an epoch, as a copy of a while ago would. Returns the number
/// of rows that changed.
pub(super) fn put_back_the_epoch(deployment: &CaseDeployment<'_>, service: &TestedService) -> Result<u64> {
    let main = deployment.context.main_of(&service.namespace)?;
    blocking(async {
        let mut connection = main.connect_alone().await?;
        let back = "UPDATE gate_state SET epoch = epoch - 1, open_epoch = epoch WHERE epoch > 0";
        connection.query_drop(back).await?;
        let changed = connection.affected_rows();
        connection.disconnect().await?;
        Ok(changed)
    })
}

/// Main is killed, and started again.
pub(crate) fn main_killed(deployment: &CaseDeployment<'_>) -> Result<Proof> {
    killed(deployment, Server::Main, AWAY)
}

/// A shard's disk runs full, and has room again later.
pub(crate) fn disk_full(deployment: &CaseDeployment<'_>) -> Result<Proof> {
    let (stack, shard) = (deployment.stack()?, todays_shard(deployment)?);
    let server = Server::Shard(shard.number());
    let disk = SmallDisk::under(stack, server)?;
    let log = stack.log(server)?;
    let before = std::fs::read_to_string(&log).unwrap_or_default().len();
    let complaint = || -> Option<String> {
        let said = std::fs::read_to_string(&log).unwrap_or_default();
        let since = said.get(before..)?;
        since.lines().rev().find(|line| DISK_IS_FULL.iter().any(|of| line.contains(of))).map(str::to_owned)
    };
    deployment.fault_begins();
    let filled = disk.fill()?;
    std::thread::sleep(AWAY);
    // It has some free room within its files: what it writes over needs none.
    let found = || Ok(complaint().is_some() || stack.status(server)? == Status::Down);
    let _ = until("the server is out of room", FULL, found);
    let complaint = complaint();
    disk.make_room()?;
    // InnoDB ends its server where it cannot write its log, which is an effect as well.
    let ended = stack.status(server)? == Status::Down;
    if ended {
        deployment.record.note("the server had ended, and was started again");
        stack.restart(server)?;
    }
    deployment.fault_ends();
    // It stays on that disk until the case is over.
    deployment.keep(disk);
    let said = match &complaint {
        Some(complaint) => format!("the server said: {}", complaint.trim()),
        None if ended => "the server ended".to_owned(),
        None => "the server said nothing".to_owned(),
    };
    Proof::when(complaint.is_some() || ended, format!("{filled} bytes filled the disk, and {said}"))
}

/// A read of all shards names the one that is missing, and answers with the others.
pub(super) fn reads_are_partial(deployment: &CaseDeployment<'_>, shard: ShardId) -> Result<()> {
    for service in &deployment.services {
        let read: GlobalStatistics = get_json(&service.answering()?, "/api/statistics/global")?;
        let (partial, missing) = (read.partial, &read.missing_shards);
        deployment.record.expect(
            partial && *missing == [shard.number()],
            format!(
                "{}: with shard {shard} away a read says partial {partial}, missing {missing:?}",
                service.name
            ),
        );
    }
    deployment.record.note(format!("reads said partial, and that shard {shard} was missing"));
    Ok(())
}
