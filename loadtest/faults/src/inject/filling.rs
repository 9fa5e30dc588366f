//! Faults of a gate that is being filled.

use std::time::Duration;

use anyhow::{Context, Result};
use coupon_lab::wait::until;
use coupon_loadgen::http::ask;
use coupon_stack::{Server, Status};

use super::databases::todays_shard;
use super::services::{dead, one_of_each_dies, start_the_dead};
use super::{RECOVERY, gate, repeat_users, state};
use crate::deployment::CaseDeployment;
use crate::load::ANSWER;
use crate::process::TestedProcess;
use crate::proof::Proof;
use crate::service::TestedService;

/// The fail point of a process that fills a gate: totals and windows are written, and no holder is.
const POINT: &str = "while-filling";
/// The time for which the gate is left alone once it is filled again.
const AWAY: Duration = Duration::from_secs(2);
/// The time that a shard stays down.
const DOWN: Duration = Duration::from_secs(4);

/// The process that fills a gate that was lost dies while it does.
pub(crate) fn killed(deployment: &CaseDeployment<'_>) -> Result<Proof> {
    deployment.fault_begins();
    deployment.processes().try_for_each(|process| process.arm(POINT, "kill"))?;
    gate::emptied(deployment)?;
    one_of_each_dies(deployment, POINT)?;
    let gone = dead(deployment);
    start_the_dead(deployment)?;
    // Where one dies another goes on at once, and may die as well.
    Proof::when(gone >= deployment.services.len(), format!("{gone} processes died while they filled a gate"))
}

/// The gate is lost once more while it is filled, at a moment when the process that fills it is frozen.
pub(crate) fn lost_again(deployment: &CaseDeployment<'_>) -> Result<Proof> {
    let frozen = in_the_middle(deployment, || gate::emptied(deployment).map(drop))?;
    std::thread::sleep(AWAY);
    deployment.fault_ends();
    Proof::when(
        frozen == deployment.services.len(),
        format!("{frozen} processes were frozen while they filled a gate that was lost again"),
    )
}

/// A gate that is lost twice before it opens opens once: a process that opened it in between opened a part of it.
pub(crate) fn never_opened_half_full(deployment: &CaseDeployment<'_>) -> Result<()> {
    /// At the start, and after the fault.
    const OPENED: u64 = 2;
    for TestedService { name, processes, .. } in &deployment.services {
        let opened: u64 = processes.iter().map(|process| fills(name, process)).sum::<Result<u64>>()?;
        deployment.record.expect(
            opened == OPENED,
            format!("{name}: the gate was opened {opened} times, not {OPENED}: one was opened half-full"),
        );
    }
    Ok(())
}

/// The number of times that a process has filled the gate to its end.
fn fills(service: &str, process: &TestedProcess) -> Result<u64> {
    const METRIC: &str = "coupon_gate_fills_total ";
    let (_, page) = ask(&process.target(service), "GET", "/metrics", &[], ANSWER)?;
    let page = String::from_utf8(page)?;
    let value = page.lines().find_map(|line| line.strip_prefix(METRIC));
    Ok(value.with_context(|| format!("{service} has no metric {METRIC}"))?.trim().parse()?)
}

/// A shard is killed while the gate is filled, between the moment when it was found to be there and the one when it is
/// read.
pub(crate) fn shard_lost(deployment: &CaseDeployment<'_>) -> Result<Proof> {
    let (stack, shard) = (deployment.stack()?, Server::Shard(todays_shard(deployment)?.number()));
    repeat_users::grab(deployment)?;
    let frozen = in_the_middle(deployment, || stack.kill(shard))?;
    std::thread::sleep(DOWN);
    gate::grabs_are_refused(deployment, "a grab without a gate and a shard")?;
    repeat_users::grab(deployment)?;
    let still = stack.status(shard)?;
    stack.restart(shard)?;
    deployment.fault_ends();
    gate::grabs_are_taken(deployment)?;
    Proof::when(
        frozen == deployment.services.len() && still == Status::Down,
        format!(
            "{frozen} processes were filling a gate when {shard} was killed, and it was {}",
            state(still)
        ),
    )
}

/// Empties the gate, freezes the process of each service that fills it, and does something meanwhile. Says how many
/// processes that were.
fn in_the_middle(deployment: &CaseDeployment<'_>, meanwhile: impl FnOnce() -> Result<()>) -> Result<usize> {
    deployment.fault_begins();
    deployment.processes().try_for_each(|process| process.arm(POINT, "pause"))?;
    gate::emptied(deployment)?;
    let freezing = deployment.services.iter().try_for_each(|TestedService { processes, .. }| {
        until("a process freezes while it fills a gate", RECOVERY, || {
            Ok(processes.iter().any(|process| process.is_paused()))
        })
    });
    let frozen: Vec<&TestedProcess> = deployment.processes().filter(|process| process.is_paused()).collect();
    for process in deployment.processes() {
        process.disarm(POINT);
    }
    let done = freezing.and_then(|()| meanwhile());
    // Even after an error, no request must wait for a frozen process.
    frozen.iter().try_for_each(|process| process.resume())?;
    done.map(|()| frozen.len())
}
