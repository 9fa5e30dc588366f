//! Processes that are frozen while the gate is lost, and wake up too late.

use std::time::Duration;

use anyhow::{Context, Result};
use coupon_lab::wait::{at_once, until};
use coupon_loadgen::http::{ask, get_json};
use coupon_service::api::StockView;

use super::services::first_processes;
use super::{RECOVERY, broker, databases, gate, repeat_users};
use crate::deployment::CaseDeployment;
use crate::load::ANSWER;
use crate::process::TestedProcess;
use crate::proof::Proof;
use crate::service::TestedService;
use crate::start::CATALOGUE;

/// The time that results wait which no process stores, before the gate is lost and after.
const WAITING: Duration = Duration::from_secs(1);
/// Users of the grabs that a process is frozen with, each with the coupon of that number: those that sell out first.
const FROZEN: std::ops::RangeInclusive<u64> = 1..=4;
/// Another one, of a grab before that.
const WARM: u64 = 5;
/// Users who take what is left, and how many do before it is looked whether anything is.
const BUYERS: std::ops::RangeInclusive<u64> = 1_001..=CATALOGUE.users;
const AT_A_TIME: usize = 20;

/// The only process that stores is frozen, so that results wait in their queues, and the gate is lost.
pub(crate) fn the_consumer(deployment: &CaseDeployment<'_>) -> Result<Proof> {
    deployment.fault_begins();
    first_processes(deployment).try_for_each(|process| process.pause())?;
    let frozen = first_processes(deployment).filter(|process| process.is_paused()).count();
    let done = (|| {
        repeat_users::grab(deployment)?;
        let waiting = granted(deployment);
        std::thread::sleep(WAITING);
        gate::emptied(deployment)?;
        std::thread::sleep(WAITING);
        gate::grabs_are_refused(deployment, "a grab without a gate while results wait to be stored")?;
        repeat_users::grab(deployment)?;
        anyhow::Ok(waiting)
    })();
    // Even after an error, no request must wait for a frozen process.
    first_processes(deployment).try_for_each(|process| process.resume())?;
    deployment.fault_ends();
    let waiting = done?;
    gate::grabs_are_taken(deployment)?;
    Proof::when(
        frozen == deployment.services.len() && waiting > 0,
        format!(
            "{frozen} processes were frozen, so that {waiting} results beside the load waited in their queues while Redis was \
             emptied"
        ),
    )
}

/// The number of acknowledged results of grabs beside the load.
fn granted(deployment: &CaseDeployment<'_>) -> usize {
    deployment.services.iter().map(|service| repeat_users::results(deployment, service.name).len()).sum()
}

/// The only process that stores is frozen, so that results wait in their queues; the queues are deleted, and the
/// process is killed with what it had been given. The results are acknowledged, and pending until they are handed over
/// again.
pub(crate) fn the_consumer_whose_queues_are_deleted(deployment: &CaseDeployment<'_>) -> Result<Proof> {
    deployment.fault_begins();
    first_processes(deployment).try_for_each(|process| process.pause())?;
    repeat_users::grab(deployment)?;
    let waiting = granted(deployment);
    for service in &deployment.services {
        let names = service.names()?;
        service.shards().try_for_each(|shard| broker::delete_queue(deployment, names.queue(shard)))?;
    }
    first_processes(deployment).try_for_each(|process| process.kill())?;
    // From before anything is stored again: what came later is stored before what is handed over again.
    let not_now = std::thread::scope(|scope| {
        let asking: Vec<_> = deployment
            .services
            .iter()
            .map(|service| scope.spawn(|| until_shown(deployment, service)))
            .collect();
        let started = first_processes(deployment).try_for_each(|process| process.start_again());
        let asked: Vec<Result<u64>> = asking.into_iter().map(coupon_stack::joined).collect();
        started.and_then(|()| asked.into_iter().sum::<Result<u64>>())
    })?;
    deployment.fault_ends();
    Proof::when(
        waiting > 0 && not_now > 0,
        format!(
            "{waiting} results beside the load went with their queues; {not_now} times they could not be shown"
        ),
    )
}

/// Asks a process that goes on for the results of this case's own until each of them is shown, and expects none to be
/// unknown. Says how often one could not be shown.
fn until_shown(deployment: &CaseDeployment<'_>, service: &TestedService) -> Result<u64> {
    let process = service.processes.last().context("it has no process")?;
    let target = process.target(service.name);
    let mut left = repeat_users::results(deployment, service.name);
    let (mut pending, mut unknown) = (0, 0);
    until("acknowledged results are shown", RECOVERY, || {
        left.retain(|id| {
            match ask(&target, "GET", &format!("/api/result/{id}"), &[], ANSWER) {
                Ok((200, _)) => return false,
                Ok((404, _)) => unknown += 1,
                _ => pending += 1,
            }
            true
        });
        Ok(left.is_empty())
    })?;
    deployment.record.expect(
        unknown == 0,
        format!(
            "{}: {unknown} answers said that there is no such result, of acknowledged ones",
            service.name
        ),
    );
    Ok(pending + unknown)
}

/// Meanwhile the gate is lost.
pub(crate) fn while_the_gate_is_lost(deployment: &CaseDeployment<'_>) -> Result<Proof> {
    frozen_while(deployment, || {
        let stack = deployment.stack()?;
        let redis = stack.primary_redis()?;
        stack.kill(redis)?;
        stack.restart(redis)
    })
}

/// Meanwhile the gate is lost, and so is main's record of its epoch: by main's word it is the next to be given out.
pub(crate) fn while_main_forgets_the_epoch(deployment: &CaseDeployment<'_>) -> Result<Proof> {
    let mut back = 0;
    let proof = frozen_while(deployment, || {
        let awake: Vec<&TestedProcess> =
            deployment.processes().filter(|process| !process.is_paused()).collect();
        // Both at once, as far as the services can see.
        awake.iter().try_for_each(|process| process.pause())?;
        let done = gate::emptied(deployment).and_then(|_| {
            deployment.services.iter().try_for_each(|service| {
                back += databases::put_back_the_epoch(deployment, service)?;
                anyhow::Ok(())
            })
        });
        awake.iter().try_for_each(|process| process.resume())?;
        done
    })?;
    Proof::when(
        back == deployment.services.len() as u64,
        format!("{proof}; {back} main databases were put back by an epoch"),
    )
}

/// A process is frozen with grabs that the gate has granted. Meanwhile the gate is lost, filled anew, and sold out by
/// the other process; then the first wakes up and hands over grabs that no gate remembers.
fn frozen_while(deployment: &CaseDeployment<'_>, lose: impl FnOnce() -> Result<()>) -> Result<Proof> {
    let grabs = |_: &TestedService| Ok(FROZEN.map(|number| (number, number)).collect());
    let frozen = frozen_with_grabs(deployment, grabs, || {
        lose()?;
        sell_out(deployment)
    })?;
    Proof::when(
        frozen == deployment.services.len(),
        format!(
            "{frozen} processes were frozen with grabs that the gate had granted, until all else was sold out"
        ),
    )
}

/// The first process of each service is frozen with grabs that the gate has granted and no queue has, of these users
/// and coupons, and wakes up after something else. Returns how many were.
pub(super) fn frozen_with_grabs(
    deployment: &CaseDeployment<'_>,
    grabs: impl Fn(&TestedService) -> Result<Vec<(u64, u64)>>,
    meanwhile: impl FnOnce() -> Result<()>,
) -> Result<usize> {
    const POINT: &str = "after-gate";
    // No other client asks the first process: without this its connection to the queue would be made, and lost, on the
    // way.
    for service in &deployment.services {
        let Some(process) = service.processes.first() else { continue };
        deployment.record.grab(service.name, &process.target(service.name), WARM, WARM);
    }
    let grabs: Vec<Vec<(u64, u64)>> = deployment.services.iter().map(grabs).collect::<Result<_>>()?;
    deployment.fault_begins();
    first_processes(deployment).try_for_each(|process| process.arm(POINT, "pause"))?;
    let frozen = std::thread::scope(|scope| {
        // Clients that wait as long as it takes.
        for (service, grabs) in deployment.services.iter().zip(grabs) {
            let Some(process) = service.processes.first() else { continue };
            let target = process.target(service.name);
            for (user, coupon) in grabs {
                let target = target.clone();
                scope.spawn(move || deployment.record.grab(service.name, &target, user, coupon));
            }
        }
        while_frozen(deployment, POINT, meanwhile)
    })?;
    deployment.fault_ends();
    Ok(frozen)
}

/// The first process of each service freezes at a fail point that it comes by, and wakes up after something else.
/// Returns how many did.
pub(super) fn while_frozen(
    deployment: &CaseDeployment<'_>,
    point: &str,
    meanwhile: impl FnOnce() -> Result<()>,
) -> Result<usize> {
    let mut frozen = 0;
    let done = (|| {
        for process in first_processes(deployment) {
            process.reaches(point)?;
            until("a process freezes at its fail point", RECOVERY, || Ok(process.is_paused()))?;
            frozen += 1;
        }
        meanwhile()
    })();
    // Even after an error, no request must wait for a frozen process.
    let woken = first_processes(deployment).try_for_each(|process| process.resume());
    done.and(woken).map(|()| frozen)
}

/// Users beside the load take what is left of the coupons, so that it does not depend on the load how long that takes.
fn sell_out(deployment: &CaseDeployment<'_>) -> Result<()> {
    let coupons = deployment.services.iter().flat_map(|service| FROZEN.map(move |coupon| (service, coupon)));
    at_once(coupons, |(service, coupon)| sell(deployment, service, coupon)).map(drop)
}

/// Users beside the load take what is left of a coupon.
pub(super) fn sell(deployment: &CaseDeployment<'_>, service: &TestedService, coupon: u64) -> Result<()> {
    let mut buyers = BUYERS;
    until("the other process sells out", RECOVERY, || {
        let target = service.answering()?;
        // While the gate is being filled there is no answer.
        let Ok(stock) = get_json::<StockView>(&target, &format!("/api/coupon/{coupon}/stock")) else {
            return Ok(false);
        };
        let left = usize::try_from(stock.remaining_stock)?;
        for user in buyers.by_ref().take(left.min(AT_A_TIME)) {
            deployment.record.grab(service.name, &target, user, coupon);
        }
        Ok(left == 0)
    })
}
