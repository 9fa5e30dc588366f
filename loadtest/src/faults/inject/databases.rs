//! Database servers that die, hang, or run full.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use coupon_core::{RoomId, RowKey, ShardId, Timestamp, UserId};
use coupon_service::api::GlobalStatistics;
use coupon_stack::{Server, Stack, Status};

use super::disk::SmallDisk;
use super::killed;
use crate::faults::scene::Scene;
use crate::http::get_json;

/// How long a server stays away.
const AWAY: Duration = Duration::from_secs(10);
/// How long reads may take to find out.
const NOTICED: Duration = Duration::from_secs(4);

/// The shard that everything of today goes to where ranges are of time; one of four to the other service.
pub(super) fn todays_shard(scene: &Scene<'_>) -> Result<ShardId> {
    let range =
        scene.subjects.iter().find(|subject| subject.name == "range").context("there is no range service")?;
    let now = Timestamp::from_millis(jiff::Timestamp::now().as_millisecond());
    let key = RowKey { user: UserId::new(1)?, room: RoomId::new(1)?, time: now };
    Ok(range.strategy.place(&key)?.shard)
}

/// Killed, and started again.
pub(in crate::faults) fn shard_killed(scene: &Scene<'_>) -> Result<()> {
    shard_away(scene, Stack::kill, Stack::restart)
}

/// Frozen, and woken.
pub(in crate::faults) fn shard_paused(scene: &Scene<'_>) -> Result<()> {
    shard_away(scene, Stack::pause, Stack::resume)
}

type Act = fn(&Stack, Server) -> Result<()>;

fn shard_away(scene: &Scene<'_>, take: Act, bring_back: Act) -> Result<()> {
    let (stack, shard) = (scene.stack()?, todays_shard(scene)?);
    let server = Server::Shard(shard.number());
    let end = Instant::now() + AWAY;
    scene.begins();
    take(stack, server)?;
    std::thread::sleep(NOTICED);
    reads_are_partial(scene, shard)?;
    std::thread::sleep(end.saturating_duration_since(Instant::now()));
    bring_back(stack, server)?;
    scene.lifted();
    Ok(())
}

/// Main is killed, and started again.
pub(in crate::faults) fn main_killed(scene: &Scene<'_>) -> Result<()> {
    killed(scene, Server::Main, AWAY)
}

/// A shard's disk runs full, and has room again later.
pub(in crate::faults) fn disk_full(scene: &Scene<'_>) -> Result<()> {
    let (stack, shard) = (scene.stack()?, todays_shard(scene)?);
    let server = Server::Shard(shard.number());
    let disk = SmallDisk::under(stack, server)?;
    scene.begins();
    let filled = disk.fill()?;
    std::thread::sleep(AWAY);
    let complaint = std::fs::read_to_string(stack.log(server)?).unwrap_or_default();
    let full = complaint.lines().rev().find(|line| line.contains("full") || line.contains("28"));
    scene.note(format!(
        "{filled} bytes filled the disk; the server said: {}",
        full.unwrap_or("nothing").trim()
    ));
    disk.make_room()?;
    if stack.status(server)? == Status::Down {
        scene.note("the server had ended, and was started again");
        stack.restart(server)?;
    }
    scene.lifted();
    // It stays on that disk until the row is over.
    scene.keep(disk);
    Ok(())
}

/// A read of all shards names the one that is missing, and answers with the others.
fn reads_are_partial(scene: &Scene<'_>, shard: ShardId) -> Result<()> {
    for subject in &scene.subjects {
        let read: GlobalStatistics = get_json(&subject.one()?, "/api/statistics/global")?;
        let (partial, missing) = (read.partial, &read.missing_shards);
        scene.expect(
            partial && *missing == [shard.number()],
            format!(
                "{}: with shard {shard} away a read says partial {partial}, missing {missing:?}",
                subject.name
            ),
        );
    }
    scene.note(format!("reads said partial, and that shard {shard} was missing"));
    Ok(())
}
