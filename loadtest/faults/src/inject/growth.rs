//! Four shards that become eight, while something happens to the processes that move their rows, or to the servers that
//! have them.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use coupon_core::{LayoutChange, RoomId, RowKey, UserId};
use coupon_lab::growth::{LayoutStep, announce};
use coupon_lab::wait::{at_once, until};
use coupon_loadgen::http::{get_json, post_json};
use coupon_service::api::{LayoutView, Rebalance, RebalanceView};
use coupon_stack::{Server, Stack};
use serde_json::json;

use super::services::{dead, first_processes, one_of_each_dies};
use super::{RECOVERY, away, databases, frozen, meanwhile};
use crate::context;
use crate::deployment::CaseDeployment;
use crate::proof::Proof;
use crate::proxy::ProxyMode;
use crate::service::TestedService;
use crate::start::CATALOGUE;

/// The shards that there are afterwards.
pub(crate) const SHARDS: u16 = 8;
/// The rows that move in a second: so few that what happens half-way does.
const RATE: u32 = 400;
/// The time that a process or a server stays away.
const AWAY: Duration = Duration::from_secs(5);
/// The longest that rows may take to move.
const MOVED: Duration = Duration::from_secs(150);
/// Between a table that a batch of rows has left and the one that it goes to.
const POINT: &str = "after-leave";
/// Between the time that a version of the layout is given and the moment at which the gate hears of it.
const ANNOUNCING: &str = "while-announcing";
/// The grabs that a process is frozen with.
const LATE: usize = 4;
/// The time from which on a version is in force by every process's clock.
const IN_FORCE: Duration = Duration::from_secs(1);
/// The time within which what was granted is stored.
const STORED: Duration = Duration::from_secs(3);
/// Users who ask a process beside the load, so many that some of their results belong elsewhere from then on, and their
/// coupon, which does not sell out.
const ASKING: std::ops::RangeInclusive<u64> = 201..=240;
const COUPON: u64 = CATALOGUE.coupons();

/// The process that moves rows is killed with some that are in no table: the first that leave, however fast they move.
pub(crate) fn mover_killed(deployment: &CaseDeployment<'_>) -> Result<Proof> {
    deployment.fault_begins();
    deployment.processes().try_for_each(|process| process.arm(POINT, "kill"))?;
    at_once(&deployment.services, begin)?;
    one_of_each_dies(deployment, POINT)?;
    let gone = dead(deployment);
    // None had arrived when it died: another process goes on before it is back.
    let goes_on = at_once(&deployment.services, |service| {
        if service.answering().is_err() {
            // It came by as well, before it could be kept from that.
            return Ok(());
        }
        until("another process moves rows", RECOVERY, || Ok(movement(service)?.moved > 0))
    });
    deployment
        .processes()
        .filter(|process| !process.is_running())
        .try_for_each(|process| process.start_again())?;
    goes_on?;
    ensure!(gone >= deployment.services.len(), "{gone} processes died where they moved rows");
    moved(deployment, &format!("{gone} processes died where they came by {POINT}, and others went on"))
}

/// The process that takes grabs and moves no rows is killed.
pub(crate) fn other_killed(deployment: &CaseDeployment<'_>) -> Result<Proof> {
    grown(deployment, || {
        let others = || deployment.services.iter().filter_map(|service| service.processes.last());
        others().try_for_each(|process| process.kill())?;
        std::thread::sleep(AWAY);
        let gone = dead(deployment);
        others().try_for_each(|process| process.start_again())?;
        ensure!(gone == deployment.services.len(), "{gone} processes were gone");
        Ok(format!("{gone} processes were gone"))
    })
}

/// The server of two shards is killed, one of which has rows that move.
pub(crate) fn shard_killed(deployment: &CaseDeployment<'_>) -> Result<Proof> {
    grown(deployment, || {
        let shard = databases::todays_shard(deployment)?;
        let server = Server::Shard(shard.number());
        away(deployment, server, AWAY, Stack::kill, Stack::restart, || Ok(())).map(|proof| proof.to_string())
    })
}

/// A process is frozen with grabs that the gate has granted before the layout changed, and hands them over once all rows have
/// moved.
pub(crate) fn frozen_across(deployment: &CaseDeployment<'_>) -> Result<Proof> {
    let mut moved = Vec::new();
    let frozen = frozen::frozen_with_grabs(deployment, moving_users, || {
        moved = at_once(&deployment.services, |service| {
            begin(service)?;
            until_moved(deployment, service)
        })?;
        Ok(())
    })?;
    Proof::when(
        frozen == deployment.services.len() && moved.iter().all(|rows| *rows > 0),
        format!(
            "{frozen} processes were frozen with grabs that the gate had granted, until so many rows had moved: {}",
            listed(&moved)
        ),
    )
}

/// Users whose results of a coupon are elsewhere once there are more shards, where any are, so that what is handed over late has
/// another place by then.
fn moving_users(service: &TestedService) -> Result<Vec<(u64, u64)>> {
    let (now, grown) =
        (&service.strategy, service.strategy.changed(&LayoutChange::Shards(SHARDS.try_into()?))?);
    let row = |user| {
        let (user, room) = (UserId::new(user)?, RoomId::new(CATALOGUE.room_of(COUPON))?);
        anyhow::Ok(RowKey { user, room, time: context::now() })
    };
    let mut users: Vec<(bool, u64)> = Vec::new();
    for user in ASKING {
        let row = row(user)?;
        users.push((now.place(&row)? == grown.place(&row)?, user));
    }
    users.sort_unstable();
    Ok(users.into_iter().take(LATE).map(|(_, user)| (user, COUPON)).collect())
}

/// The process that announces a version of the layout is frozen before the gate or main has heard of it, while the
/// other one grants what it places by the version before.
pub(crate) fn announced_late(deployment: &CaseDeployment<'_>) -> Result<Proof> {
    deployment.fault_begins();
    first_processes(deployment).try_for_each(|process| process.arm(ANNOUNCING, "pause"))?;
    let frozen = std::thread::scope(|scope| {
        let announcing: Vec<_> = deployment
            .services
            .iter()
            .map(|service| {
                scope.spawn(|| {
                    let process = service.processes.first().context("it has no process")?;
                    announce(&process.target(service.name), LayoutStep::Shards(SHARDS.try_into()?))
                })
            })
            .collect();
        let frozen = frozen::while_frozen(deployment, ANNOUNCING, || {
            std::thread::sleep(AWAY);
            Ok(())
        });
        for announced in announcing {
            coupon_stack::joined(announced)?;
        }
        frozen
    })?;
    at_once(&deployment.services, have_rows_moved)?;
    moved(
        deployment,
        &format!(
            "{frozen} processes were frozen before the gate had heard of the version that they announced"
        ),
    )
}

/// The only process that stores is cut off from main while the layout changes, and is asked for coupons by users beside
/// the load once the version is in force. What it would grant, it would place by the version before, and store there.
pub(crate) fn cut_off_across(deployment: &CaseDeployment<'_>) -> Result<Proof> {
    deployment.fault_begins();
    let set = |mode| deployment.proxies.iter().for_each(|proxy| proxy.set(mode));
    let asked = meanwhile(
        || {
            set(ProxyMode::Swallow);
            Ok(())
        },
        || {
            let asked = at_once(&deployment.services, |service| {
                let version = announce(&service.answering()?, LayoutStep::Shards(SHARDS.try_into()?))?;
                std::thread::sleep(version.in_force.saturating_duration_since(Instant::now()) + IN_FORCE);
                ask_the_first(deployment, service)
            })?;
            std::thread::sleep(STORED);
            Ok(asked)
        },
        || {
            set(ProxyMode::Pass);
            Ok(())
        },
    )?;
    deployment.fault_ends();
    let held: u64 = deployment.proxies.iter().map(|proxy| proxy.harm().held).sum();
    Proof::when(
        held > 0,
        format!(
            "{held} packets were held back between main and the only process that stores; so many users asked it once the layout \
             over {SHARDS} shards was in force: {}",
            asked.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and ")
        ),
    )
}

/// Users beside the load ask the first process of a service, all at once. Returns how many did.
fn ask_the_first(deployment: &CaseDeployment<'_>, service: &TestedService) -> Result<u64> {
    let target = service.processes.first().context("it has no process")?.target(service.name);
    let asked = at_once(ASKING, |user| {
        deployment.record.grab(service.name, &target, user, COUPON);
        Ok(())
    })?;
    Ok(asked.len() as u64)
}

/// Rows move to eight shards, and something happens half-way.
fn grown(deployment: &CaseDeployment<'_>, half_way: impl FnOnce() -> Result<String>) -> Result<Proof> {
    deployment.fault_begins();
    at_once(&deployment.services, |service| {
        begin(service)?;
        until_half_way(service)
    })?;
    let seen = half_way()?;
    moved(deployment, &seen)
}

/// Waits until all rows have moved, and ends the fault.
fn moved(deployment: &CaseDeployment<'_>, seen: &str) -> Result<Proof> {
    let moved = at_once(&deployment.services, |service| until_moved(deployment, service))?;
    deployment.fault_ends();
    Proof::when(
        moved.iter().all(|rows| *rows > 0),
        format!("{seen}; rows that moved to {SHARDS} shards: {}", listed(&moved)),
    )
}

fn listed(moved: &[u64]) -> String {
    moved.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and ")
}

/// Announces the layout over more shards and, once it is in force, has earlier rows move to where it says.
fn begin(service: &TestedService) -> Result<()> {
    announce(&service.answering()?, LayoutStep::Shards(SHARDS.try_into()?))?;
    have_rows_moved(service)
}

/// Has earlier rows move to where the layout says that was announced, once it is in force.
fn have_rows_moved(service: &TestedService) -> Result<()> {
    let rate = json!({ "rows_per_s": RATE });
    until("the version is in force", RECOVERY, || {
        // The process that was asked may be gone since.
        let target = service.answering()?;
        let begun = post_json::<RebalanceView>(&target, "/admin/rebalance", &rate);
        Ok(begun.is_ok() || movement(service).is_ok())
    })
}

/// The movement of a service's rows, as any of its processes says.
fn movement(service: &TestedService) -> Result<RebalanceView> {
    let answer: Rebalance = get_json(&service.answering()?, "/admin/rebalance")?;
    answer.rebalance.with_context(|| format!("{}: no row was ever to move", service.name))
}

fn until_half_way(service: &TestedService) -> Result<()> {
    until("rows move", RECOVERY, || {
        let RebalanceView { runs, moved, rows, looked_at, .. } = movement(service)?;
        ensure!(runs, "{}: {moved} rows have moved already", service.name);
        Ok(moved > 0 && looked_at > rows / 8)
    })
}

/// Waits until no row is left where the layout before said. Returns how many have moved.
fn until_moved(deployment: &CaseDeployment<'_>, service: &TestedService) -> Result<u64> {
    let mut last = None;
    let ended = until("all rows have moved", MOVED, || {
        // A process that is asked may be the one that is just away.
        last = movement(service).ok().or(last.take());
        Ok(last.as_ref().is_some_and(|moving| !moving.runs))
    });
    ended.with_context(|| format!("{}: {last:?}", service.name))?;
    let LayoutView { shards, versions, .. } = get_json(&service.answering()?, "/admin/layout")?;
    let open = versions.iter().filter(|version| !version.closed).count();
    deployment.record.expect(
        (shards, open) == (SHARDS, 1),
        format!(
            "{}: rows have moved, and the layout is over {shards} shards in {open} versions",
            service.name
        ),
    );
    Ok(last.map_or(0, |moving| moving.moved))
}
