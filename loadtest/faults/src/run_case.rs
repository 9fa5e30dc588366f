//! The run of one case: start, load, fault, ask again, settle, audit.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use coupon_audit::{AuditReport, Claims, Kind, Scope, StartState};
use coupon_lab::settle::{self, Patience};
use coupon_lab::wait::at_once;
use coupon_loadgen::load::Outcome;

use super::ablation::AskingAgain;
use super::ask_again::ask_again;
use super::case_result::{CaseResult, CaseVerdict};
use super::cases::FaultCase;
use super::context::CaseContext;
use super::deployment::{CaseDeployment, LoadResult};
use super::inject;
use super::load::ServiceLoad;
use super::proof::NotInjected;
use super::service::TestedService;
use super::service_result::{ServiceResult, Timeline};
use super::steps;

/// The time that a service may take to settle once the fault is lifted.
const SETTLE: Duration = Duration::from_secs(120);
/// The time for which a client goes on asking.
const ASKING: Duration = Duration::from_secs(90);
/// Either, where a mechanism is left out, so that it may never come to that.
const WITHOUT_A_MECHANISM: Duration = Duration::from_secs(30);

/// Runs a case. A reason why it cannot be run is its verdict.
pub(super) fn run_case(context: &CaseContext<'_>, case: &FaultCase) -> CaseResult {
    let started = Instant::now();
    let mut result = CaseResult::of(case, context.ablation);
    result.verdict = run_through(context, case, &mut result).unwrap_or_else(|error| {
        let why = format!("{error:#}");
        let impossible = error.downcast_ref::<NotInjected>().is_some();
        if impossible || !result.injected { CaseVerdict::NotRun(why) } else { CaseVerdict::Broken(vec![why]) }
    });
    result.found = context.ablation.and_then(|ablation| ablation.found_by(&result));
    result.took_s = started.elapsed().as_secs_f64();
    result
}

fn run_through(context: &CaseContext<'_>, case: &FaultCase, result: &mut CaseResult) -> Result<CaseVerdict> {
    let folder = tempfile::Builder::new().prefix("loadtest-faults-").tempdir()?;
    let deployment =
        CaseDeployment::start(context, case, folder.path()).context("the services do not start")?;
    let ran = break_and_audit(&deployment, case, result);
    result.injected = deployment.record.fault_times().began.is_some();
    result.notes = deployment.record.notes();
    // The servers must be whole again, however the case ended: others are to come.
    deployment.drop_kept();
    let mended = inject::mend(context);
    let stopped = deployment.stop().context("the services do not end in good order");
    let failures = ran?;
    mended.context("a server does not come back")?;
    stopped?;
    Ok(if failures.is_empty() { CaseVerdict::Held } else { CaseVerdict::Broken(failures) })
}

/// Injects the fault under load, and returns everything that was not as promised.
fn break_and_audit(
    deployment: &CaseDeployment<'_>,
    case: &FaultCase,
    result: &mut CaseResult,
) -> Result<Vec<String>> {
    let services = &deployment.services;
    let starts: Vec<StartState> =
        services.iter().map(|service| service.data.remember()).collect::<Result<_>>()?;
    let LoadResult { outcomes, began, proof } =
        deployment.under_load(&case.plan, || (case.inject)(deployment))?;
    result.proof = Some(proof);
    let each = services.iter().zip(&deployment.loads).zip(&outcomes).zip(&starts);
    result.observed = at_once(each, |(((service, load), outcome), start)| {
        settle_and_audit(deployment, (service, load), outcome, began, start).context(service.name)
    })?;
    (case.afterwards)(deployment)?;
    Ok(broken(deployment, case, &result.observed))
}

fn settle_and_audit(
    deployment: &CaseDeployment<'_>,
    (service, load): (&TestedService, &ServiceLoad),
    outcome: &Outcome,
    began: Instant,
    start: &StartState,
) -> Result<ServiceResult> {
    let (name, record) = (service.name, &deployment.record);
    let mut claims = Claims::default();
    let grabs = [&*outcome.grabs, &record.grabs_of(name)].concat();
    let ablation = deployment.context.ablation;
    let asking = ablation.map_or(AskingAgain::EverySecond, |ablation| ablation.asking);
    let limit = if ablation.is_some() { WITHOUT_A_MECHANISM } else { ASKING };
    let (asked_again, unanswered) = ask_again(service, &grabs, (asking, limit), &mut claims)?;
    if let Some(unanswered) = unanswered {
        record.expect(false, format!("{name}: {unanswered}, and {} more", asked_again.unanswered - 1));
    }
    let steps = [&*outcome.steps, &record.steps_of(name)].concat();
    let steps = steps::ask_again(service, steps, (asking, limit))?;
    let settled = settle(deployment, service);
    if let Err(error) = &settled {
        record.expect(false, format!("{name}: {error:#}"));
    }
    let timeline = Timeline { fault: record.fault_times(), began, settled: Instant::now() };
    load.customers.claim(&mut claims);
    steps.claim(&mut claims);
    let mut audit = audit(service, &claims, start)?;
    // A gate that was being filled at that moment could not be looked at; nor could a read that was refused.
    if settled.is_ok() && !audit.not_checked.is_empty() {
        settle(deployment, service)?;
        audit = self::audit(service, &claims, start)?;
    }
    for broken in load.customers.check_again(service)?.into_iter().chain(steps.check(service)?) {
        record.expect(false, format!("{name}: {broken}"));
    }
    Ok(ServiceResult {
        pressed: load.at_fault(),
        asked: load.customers.counts(),
        steps: steps.counts(),
        ..ServiceResult::new(name, outcome, &timeline, asked_again, &audit)
    })
}

fn audit(service: &TestedService, claims: &Claims, start: &StartState) -> Result<AuditReport> {
    let scope =
        Scope { claims: Some(claims), since: Some(start.newest()), start: Some(start), ..Scope::default() };
    settle::audit(&service.data, &service.answering()?, &scope)
}

/// Waits until everything granted is stored, and main has applied it.
fn settle(deployment: &CaseDeployment<'_>, service: &TestedService) -> Result<()> {
    let limit = if deployment.context.ablation.is_some() { WITHOUT_A_MECHANISM } else { SETTLE };
    settle::settle(&service.data, &|| service.answering(), Patience::AtMost(limit))
        .context("it does not settle")
}

/// Everything that is not as promised.
fn broken(deployment: &CaseDeployment<'_>, case: &FaultCase, observed: &[ServiceResult]) -> Vec<String> {
    let mut found = deployment.record.failures();
    found.extend(observed.iter().flat_map(|service| broken_by(service, case)));
    let parked: u64 = observed.iter().map(|service| service.count(Kind::Parked)).sum();
    let contradicted = deployment.record.contradicted();
    if parked != contradicted {
        found.push(format!("{parked} results are parked, and {contradicted} were contradicted"));
    }
    found
}

/// Everything that is not as promised of one service.
fn broken_by(result: &ServiceResult, case: &FaultCase) -> Vec<String> {
    let mut found: Vec<String> = Kind::ALL
        .into_iter()
        .filter(|kind| *kind != Kind::Parked && result.count(*kind) > 0)
        .map(|kind| format!("{} {kind}", result.count(kind)))
        .collect();
    if result.violations() > 0 {
        found.extend(result.examples.iter().cloned());
    }
    found.extend(result.not_checked.iter().map(|why| format!("not checked: {why}")));
    if result.granted == 0 || result.granted_after == 0 {
        found.push("nothing was granted before the fault, or nothing after it".to_owned());
    }
    if case.goes_on && result.decided_during == 0 {
        found.push("no grab was decided while the fault was there".to_owned());
    }
    found.into_iter().map(|text| format!("{}: {text}", result.service)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cases::find_case;

    /// A service that kept every promise of a case in which grabs go on.
    fn kept() -> ServiceResult {
        ServiceResult {
            service: "hash",
            granted: 9,
            granted_after: 3,
            decided_during: 2,
            ..ServiceResult::default()
        }
    }

    #[test]
    fn a_service_that_keeps_every_promise_is_not_broken() {
        let (goes_on, held_up) = (find_case("1").unwrap(), find_case("9").unwrap());
        assert!(broken_by(&kept(), goes_on).is_empty());
        let silent = ServiceResult { decided_during: 0, ..kept() };
        assert!(broken_by(&silent, held_up).is_empty(), "all grabs may wait there");
        assert_eq!(broken_by(&silent, goes_on), ["hash: no grab was decided while the fault was there"]);
    }

    #[test]
    fn findings_are_named_and_parked_results_are_none() {
        let case = find_case("25").unwrap();
        let mut result = ServiceResult { examples: vec!["result 7".to_owned()], ..kept() };
        result.audit.insert(Kind::Parked, 2);
        assert!(broken_by(&result, case).is_empty());
        result.audit.insert(Kind::Lost, 1);
        assert_eq!(broken_by(&result, case), ["hash: 1 lost", "hash: result 7"]);
    }

    #[test]
    fn a_case_in_which_nothing_is_granted_or_looked_at_proves_nothing() {
        let case = find_case("9").unwrap();
        for result in [
            ServiceResult { granted: 0, ..kept() },
            ServiceResult { granted_after: 0, ..kept() },
            ServiceResult { not_checked: vec!["misread: a read was refused".to_owned()], ..kept() },
        ] {
            assert_eq!(broken_by(&result, case).len(), 1, "{result:?}");
        }
    }
}
