//! Stock that comes back while something between its row and the gate breaks.

use anyhow::{Context, Result};
use coupon_lab::wait::{at_once, until};
use coupon_loadgen::http::{Target, ask};
use coupon_loadgen::load::{GrabOutcome, GrabRecord};
use coupon_loadgen::workload::Endpoint;

use super::services::{dead, first_processes};
use super::{RECOVERY, frozen, gate};
use crate::deployment::CaseDeployment;
use crate::load::ANSWER;
use crate::process::TestedProcess;
use crate::proof::Proof;
use crate::service::TestedService;
use crate::steps::Step;

/// Between the row that gave its stock back and the gate.
const POINT: &str = "after-give-back";
/// Users who hand back what they own, and its coupon: one that sells out, and whose results the load leaves alone.
const OWNERS: std::ops::RangeInclusive<u64> = 201..=220;
const COUPON: u64 = 6;

/// A process is killed after it has changed the row of a result, and before the gate lets go of it; then the coupon is sold
/// out.
pub(crate) fn killed_between(deployment: &CaseDeployment<'_>) -> Result<Proof> {
    let owned = grabbed(deployment)?;
    deployment.fault_begins();
    first_processes(deployment).try_for_each(|process| process.arm(POINT, "kill"))?;
    at_once(owned.iter().flatten(), |owner| {
        owner.hands_back(deployment);
        Ok(())
    })?;
    for process in first_processes(deployment) {
        process.reaches(POINT)?;
        until("a process dies at its fail point", RECOVERY, || Ok(!process.is_running()))?;
    }
    let gone = dead(deployment);
    at_once(&deployment.services, |service| frozen::sell(deployment, service, COUPON))?;
    first_processes(deployment).try_for_each(|process| process.start_again())?;
    deployment.fault_ends();
    Proof::when(
        gone == deployment.services.len(),
        format!(
            "{gone} processes died between a row and the gate, with {} results on their way back",
            count(&owned)
        ),
    )
}

/// The gate loses its memory while a process is frozen that has changed a row which the gate has not let go of.
pub(crate) fn lost_between(deployment: &CaseDeployment<'_>) -> Result<Proof> {
    let owned = grabbed(deployment)?;
    deployment.fault_begins();
    first_processes(deployment).try_for_each(|process| process.arm(POINT, "pause"))?;
    let frozen = std::thread::scope(|scope| {
        // A client that gets no answer while its process is frozen. A second one might be frozen within a transaction, and
        // keep the shard's row of state for a minute.
        for owner in owned.iter().filter_map(|owners| owners.first()) {
            scope.spawn(move || owner.hands_back(deployment));
        }
        frozen::while_frozen(deployment, POINT, || {
            gate::emptied(deployment)?;
            gate::grabs_are_taken(deployment)
        })
    })?;
    deployment.fault_ends();
    Proof::when(
        frozen == deployment.services.len(),
        format!(
            "{frozen} processes were frozen between a row and the gate, each with a result on its way back, until the gate was \
             filled anew"
        ),
    )
}

/// A user who owns a result, and the process of its service that is asked.
struct Owner<'a> {
    service: &'static str,
    process: &'a TestedProcess,
    user: u64,
    result: i64,
}

impl Owner<'_> {
    fn hands_back(&self, deployment: &CaseDeployment<'_>) {
        let Self { service, process, user, result } = *self;
        let step = Step { user, result, endpoint: Endpoint::Return };
        deployment.record.step(service, &process.target(service), step);
    }
}

/// The results that each service's owners are granted beside the load, once all of it is stored.
fn grabbed<'a>(deployment: &'a CaseDeployment<'_>) -> Result<Vec<Vec<Owner<'a>>>> {
    at_once(&deployment.services, |service| {
        let process = service.processes.first().context("it has no process")?;
        let target = process.target(service.name);
        OWNERS.for_each(|user| deployment.record.grab(service.name, &target, user, COUPON));
        let owned = owners(deployment, service, process);
        for owner in &owned {
            is_shown(&target, owner.result)?;
        }
        Ok(owned)
    })
}

fn owners<'a>(
    deployment: &CaseDeployment<'_>,
    service: &TestedService,
    process: &'a TestedProcess,
) -> Vec<Owner<'a>> {
    let theirs = |grab: GrabRecord| match grab.outcome {
        GrabOutcome::Granted { result_id: result } if grab.coupon_id == COUPON => {
            Some(Owner { service: service.name, process, user: grab.user_id, result })
        }
        _ => None,
    };
    deployment.record.grabs_of(service.name).into_iter().filter_map(theirs).collect()
}

fn is_shown(target: &Target, result: i64) -> Result<()> {
    let path = format!("/api/result/{result}");
    let shown = || Ok(matches!(ask(target, "GET", &path, &[], ANSWER), Ok((200, _))));
    until("an acknowledged result is stored", RECOVERY, shown)
}

fn count(owned: &[Vec<Owner<'_>>]) -> usize {
    owned.iter().map(Vec::len).sum()
}
