//! Clocks that are wrong by themselves, while all others are right.

use std::time::Duration;

use anyhow::{Context, Result};
use coupon_lab::wait::until;
use coupon_loadgen::http::ask;
use serde_json::json;

use super::services::first_processes;
use crate::deployment::CaseDeployment;
use crate::load::ANSWER;
use crate::process::TestedProcess;
use crate::proof::Proof;
use crate::service::TestedService;

/// The file that makes a process's clock wrong for as long as it is there.
const SWITCH: &str = "clock-wrong";
const HOUR_MS: i64 = 3_600_000;
/// The time that a clock stays wrong: longer than a consumer waits for its queue before it starts over.
const WRONG: Duration = Duration::from_secs(8);
/// The time that a process may take to notice that its clock was set.
const NOTICED: Duration = Duration::from_secs(15);
/// The words that a process logs when it finds that its clock is not main's.
const SAID: &str = "the clock is wrong";
/// The words that a consumer logs that has got nothing for too long.
const TORN_DOWN: &str = "asking for it anew";

/// The clock of the first process of each service is an hour ahead.
pub(crate) fn ahead(deployment: &CaseDeployment<'_>) -> Result<Proof> {
    wrong(deployment, HOUR_MS, "ahead of")
}

/// The clock of the first process of each service is an hour behind.
pub(crate) fn behind(deployment: &CaseDeployment<'_>) -> Result<Proof> {
    wrong(deployment, -HOUR_MS, "behind")
}

fn wrong(deployment: &CaseDeployment<'_>, by_ms: i64, side: &str) -> Result<Proof> {
    deployment.fault_begins();
    first_processes(deployment).try_for_each(|process| process.arm(SWITCH, &by_ms.to_string()))?;
    let noticed =
        deployment.services.iter().map(|service| notices(deployment, service)).collect::<Result<Vec<_>>>();
    std::thread::sleep(WRONG);
    for process in first_processes(deployment) {
        process.disarm(SWITCH);
    }
    let noticed = noticed?;
    for process in first_processes(deployment) {
        until("a process takes grabs again once its clock is right", NOTICED, || Ok(is_ready(process)?.0))?;
    }
    deployment.fault_ends();
    for process in deployment.processes() {
        let torn_down = process.logged(TORN_DOWN)?;
        deployment.record.expect(torn_down.is_none(), "a consumer that had nothing to do was torn down");
    }
    let all = noticed.iter().all(|(_, said)| said.contains(side) && by_an_hour(said));
    let seen = noticed.iter().map(|(service, said)| format!("{service}: {said}"));
    Proof::when(all, seen.collect::<Vec<_>>().join("; "))
}

/// Waits until the first process of a service refuses grabs and has logged why, while the others take them. Returns the
/// line that it logged.
fn notices(deployment: &CaseDeployment<'_>, service: &TestedService) -> Result<(&'static str, String)> {
    let (wrong, right) = service.processes.split_first().context("it has no process")?;
    until("a process says that its clock is wrong", NOTICED, || Ok(wrong.logged(SAID)?.is_some()))?;
    let said = wrong.logged(SAID)?.unwrap_or_default();
    let (ready, answer) = is_ready(wrong)?;
    deployment
        .record
        .expect(!ready, format!("{}: with its clock wrong a process is ready: {answer}", service.name));
    let body = serde_json::to_vec(&json!({ "user_id": 1, "coupon_id": 1 }))?;
    let target = wrong.target(service.name);
    let (status, _) = ask(&target, "POST", "/api/coupon/grab", &body, ANSWER)?;
    deployment.record.expect(
        status == 503,
        format!("{}: with its clock wrong a process answered a grab with {status}", service.name),
    );
    for process in right {
        let (ready, answer) = is_ready(process)?;
        deployment.record.expect(
            ready,
            format!("{}: the process whose clock is right is not ready: {answer}", service.name),
        );
    }
    let why = said.split_once("error=").map_or(&*said, |(_, why)| why);
    Ok((service.name, why.trim().to_owned()))
}

/// Says whether a text names an hour: the time between two looks at two clocks is part of it.
fn by_an_hour(text: &str) -> bool {
    ["3600.", "3599."].iter().any(|seconds| text.contains(seconds))
}

/// Asks whether a process takes grabs; returns its words as well.
fn is_ready(process: &TestedProcess) -> Result<(bool, String)> {
    let (status, body) = ask(&process.target("service"), "GET", "/readyz", &[], ANSWER)?;
    Ok((status == 200, String::from_utf8_lossy(&body).trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_is_told_within_a_second() {
        assert!(by_an_hour("it is 3600.0 s ahead of the main database's"));
        assert!(by_an_hour("it is 3599.9 s behind"));
        assert!(!by_an_hour("it is 36.0 s behind"));
    }
}
