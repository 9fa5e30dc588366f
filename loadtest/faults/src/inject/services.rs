//! Service processes that die, freeze, or have a clock of their own.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use coupon_core::{ResultId, Timestamp};
use coupon_lab::wait::{at_once, until};
use coupon_loadgen::load::{GrabOutcome, GrabRecord};

use super::{RECOVERY, gate};
use crate::context::now;
use crate::deployment::CaseDeployment;
use crate::process::TestedProcess;
use crate::proof::Proof;
use crate::service::TestedService;
use crate::start::CATALOGUE;

/// The time that a process which was killed stays away.
const AWAY: Duration = Duration::from_secs(2);
/// The number of users that are tried for a grab that is granted.
const TRIES: usize = 40;
/// The time by which the clock is set back.
const BACK: Duration = Duration::from_secs(5);

pub(super) fn first_processes<'a>(
    deployment: &'a CaseDeployment<'_>,
) -> impl Iterator<Item = &'a TestedProcess> {
    deployment.services.iter().filter_map(|service| service.processes.first())
}

/// The first process of each service.
pub(crate) fn one_killed(deployment: &CaseDeployment<'_>) -> Result<Proof> {
    deployment.fault_begins();
    first_processes(deployment).try_for_each(|process| process.kill())?;
    std::thread::sleep(AWAY);
    let gone = dead(deployment);
    first_processes(deployment).try_for_each(|process| process.start_again())?;
    deployment.fault_ends();
    Proof::when(gone == deployment.services.len(), format!("{gone} processes were gone"))
}

/// The number of processes that do not run.
pub(super) fn dead(deployment: &CaseDeployment<'_>) -> usize {
    deployment.processes().filter(|process| !process.is_running()).count()
}

/// One process after the other is asked to end, and started again, as when a new version is rolled out.
pub(crate) fn restarted_in_turn(deployment: &CaseDeployment<'_>) -> Result<Proof> {
    let before: Vec<_> = deployment.processes().map(|process| process.pid()).collect();
    deployment.fault_begins();
    for process in deployment.processes() {
        process.stop().context("a process that was asked to end")?;
        process.start_again()?;
    }
    deployment.fault_ends();
    let after: Vec<_> = deployment.processes().map(|process| process.pid()).collect();
    let replaced = before.iter().zip(&after).filter(|(before, after)| before != after).count();
    Proof::when(
        replaced == after.len(),
        format!("{replaced} of {} processes ended in good order, and others took their place", after.len()),
    )
}

/// Every process is asked to end at once, and must do so in good order.
pub(crate) fn all_told_to_end(deployment: &CaseDeployment<'_>) -> Result<Proof> {
    deployment.fault_begins();
    at_once(deployment.processes(), |process| process.stop()).context("a process that was asked to end")?;
    let ended = dead(deployment);
    std::thread::sleep(AWAY);
    deployment.processes().try_for_each(|process| process.start_again())?;
    deployment.fault_ends();
    Proof::when(ended == deployment.processes().count(), format!("{ended} processes ended in good order"))
}

/// Every process of both.
pub(crate) fn all_killed(deployment: &CaseDeployment<'_>) -> Result<Proof> {
    deployment.fault_begins();
    deployment.processes().try_for_each(|process| process.kill())?;
    std::thread::sleep(AWAY);
    let gone = dead(deployment);
    deployment
        .processes()
        .try_for_each(|process| process.start_again())
        .context("a process that was killed")?;
    deployment.fault_ends();
    Proof::when(gone == deployment.processes().count(), format!("{gone} processes were gone"))
}

/// Granted by the gate, and never handed over by the process that asked for it.
pub(crate) fn killed_after_gate(deployment: &CaseDeployment<'_>) -> Result<Proof> {
    dies_at(deployment, "after-gate")
}

/// In the queue, and never answered.
pub(crate) fn killed_after_confirm(deployment: &CaseDeployment<'_>) -> Result<Proof> {
    dies_at(deployment, "after-confirm")
}

/// The pending marks go at the moment when one stands for a reservation that no process will hand over.
pub(crate) fn killed_after_gate_and_the_marks_lost(deployment: &CaseDeployment<'_>) -> Result<Proof> {
    let mut lost = 0;
    let proof = dies_at_and(deployment, "after-gate", || {
        lost = gate::lose_marks(deployment)?;
        Ok(())
    })?;
    Proof::when(
        lost == deployment.services.len(),
        format!("{proof}, and {lost} sets of pending marks were deleted"),
    )
}

fn dies_at(deployment: &CaseDeployment<'_>, point: &str) -> Result<Proof> {
    dies_at_and(deployment, point, || Ok(()))
}

fn dies_at_and(
    deployment: &CaseDeployment<'_>,
    point: &str,
    and: impl FnOnce() -> Result<()>,
) -> Result<Proof> {
    deployment.fault_begins();
    first_processes(deployment).try_for_each(|process| process.arm(point, "kill"))?;
    for process in first_processes(deployment) {
        process.reaches(point)?;
        until("a process dies at its fail point", RECOVERY, || Ok(!process.is_running()))?;
    }
    and()?;
    std::thread::sleep(AWAY);
    let gone = dead(deployment);
    first_processes(deployment).try_for_each(|process| process.start_again())?;
    deployment.fault_ends();
    Proof::when(
        gone == deployment.services.len(),
        format!("{gone} processes died where they came by {point}"),
    )
}

/// Stored, and never acknowledged to the queue: whichever process of a service consumes.
pub(crate) fn killed_after_commit(deployment: &CaseDeployment<'_>) -> Result<Proof> {
    dies_where_it_stores(deployment, "after-commit", || Ok(()))
}

/// The same, and the gate's memory goes with it: results on their way are known to the queue alone.
pub(crate) fn killed_after_commit_and_the_gate_lost(deployment: &CaseDeployment<'_>) -> Result<Proof> {
    dies_where_it_stores(deployment, "after-commit", || gate::emptied(deployment).map(drop))
}

/// Waits until a process of each service has died at its fail point, and takes the fail point back from the others.
pub(super) fn one_of_each_dies(deployment: &CaseDeployment<'_>, point: &str) -> Result<()> {
    for TestedService { processes, .. } in &deployment.services {
        until("a process dies at its fail point", RECOVERY, || {
            Ok(processes.iter().any(|process| !process.is_running()))
        })?;
        for process in processes {
            process.disarm(point);
        }
    }
    Ok(())
}

/// Starts the processes that have died, once they have been away for a while, and ends the fault.
pub(super) fn start_the_dead(deployment: &CaseDeployment<'_>) -> Result<()> {
    std::thread::sleep(AWAY);
    deployment
        .processes()
        .filter(|process| !process.is_running())
        .try_for_each(|process| process.start_again())?;
    deployment.fault_ends();
    Ok(())
}

fn dies_where_it_stores(
    deployment: &CaseDeployment<'_>,
    point: &str,
    and: impl FnOnce() -> Result<()>,
) -> Result<Proof> {
    deployment.fault_begins();
    deployment.processes().try_for_each(|process| process.arm(point, "kill"))?;
    one_of_each_dies(deployment, point)?;
    let gone = dead(deployment);
    and()?;
    start_the_dead(deployment)?;
    Proof::when(
        gone >= deployment.services.len(),
        format!("{gone} processes died where they came by {point}"),
    )
}

/// The clock of every process shows less than before.
pub(crate) fn clock_set_back(deployment: &CaseDeployment<'_>) -> Result<Proof> {
    deployment.fault_begins();
    let back = format!("-{}", BACK.as_millis());
    deployment.processes().try_for_each(|process| process.arm("clock", &back))?;
    std::thread::sleep(AWAY);
    let behind = deployment
        .services
        .iter()
        .map(|service| behind(deployment, service))
        .collect::<Result<Vec<i64>>>()?;
    std::thread::sleep(BACK);
    deployment.fault_ends();
    let least = behind.iter().copied().min().unwrap_or_default();
    Proof::when(least >= 1_000, format!("{} s later ids were of {least} ms ago at least", AWAY.as_secs()))
}

/// The services were started some seconds before midnight, by their clocks.
pub(crate) fn midnight(deployment: &CaseDeployment<'_>) -> Result<Proof> {
    deployment.fault_begins();
    let midnight = deployment.midnight.context("no midnight was set")?;
    std::thread::sleep(midnight.saturating_duration_since(Instant::now()));
    std::thread::sleep(AWAY);
    deployment.fault_ends();
    let day = now().day();
    let tomorrow = deployment.services.iter().map(|service| Ok(a_grab(deployment, service)?.day() > day));
    let tomorrow = tomorrow.collect::<Result<Vec<bool>>>()?.into_iter().filter(|is| *is).count();
    Proof::when(
        tomorrow == deployment.services.len(),
        format!("{tomorrow} services grant grabs of the next day"),
    )
}

/// The milliseconds by which the time of a grab that is granted now lies behind.
fn behind(deployment: &CaseDeployment<'_>, service: &TestedService) -> Result<i64> {
    Ok(now().millis() - a_grab(deployment, service)?.millis())
}

/// The time of a grab that is granted now, beside the load.
fn a_grab(deployment: &CaseDeployment<'_>, service: &TestedService) -> Result<Timestamp> {
    // From the other end than those of other grabs beside the load; one that holds the coupon already is passed over.
    for user in (1..=CATALOGUE.users).rev().take(TRIES) {
        deployment.record.grab(service.name, &service.answering()?, user, CATALOGUE.coupons());
        if let Some(GrabRecord { outcome: GrabOutcome::Granted { result_id }, .. }) =
            deployment.record.grabs_of(service.name).last()
        {
            return Ok(ResultId::from_number(*result_id)?.time());
        }
    }
    bail!("{}: none of {TRIES} grabs was granted", service.name)
}

/// Both days have results, where days lie on different shards.
pub(crate) fn both_days_have_results(deployment: &CaseDeployment<'_>) -> Result<()> {
    for service in deployment.services.iter().filter(|service| service.name == "range") {
        let counts = service.data.kept_counts()?.unwrap_or_default();
        let days = counts.iter().filter(|count| **count > 0).count();
        deployment.record.expect(
            days == 2,
            format!("{}: results lie on {days} days' shards, not 2: {counts:?}", service.name),
        );
        deployment.record.note(format!("results by shard, a day each: {counts:?}"));
    }
    Ok(())
}

/// A result that contradicts another is handed over with it.
pub(crate) fn contradicted(deployment: &CaseDeployment<'_>) -> Result<Proof> {
    const SWITCH: &str = "contradict";
    deployment.fault_begins();
    for process in first_processes(deployment) {
        process.arm(SWITCH, "")?;
        process.reaches(SWITCH)?;
        deployment.record.contradicts();
    }
    deployment.fault_ends();
    let count = deployment.record.contradicted();
    Proof::when(count > 0, format!("{count} such results were handed over"))
}
