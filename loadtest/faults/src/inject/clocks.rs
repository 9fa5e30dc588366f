//! Clocks that are wrong by themselves, while everybody else's are right.

use std::time::Duration;

use anyhow::{Context, Result};
use coupon_lab::wait::until;
use coupon_loadgen::http::ask;
use serde_json::json;

use super::services::firsts;
use crate::process::TestedProcess;
use crate::proof::Proof;
use crate::scene::Scene;
use crate::service::Subject;

/// The file that makes a process's clock wrong for as long as it is there.
const SWITCH: &str = "clock-wrong";
const HOUR_MS: i64 = 3_600_000;
/// How long a clock stays wrong: longer than a consumer waits for its queue before it starts over.
const WRONG: Duration = Duration::from_secs(8);
/// How long a process may take to notice that its clock was set.
const NOTICED: Duration = Duration::from_secs(15);
/// How long a single answer may take.
const ANSWER: Duration = Duration::from_secs(5);
/// What a process says when it finds that its clock is not main's.
const SAID: &str = "the clock is wrong";
/// What a consumer says that has got nothing for too long.
const TORN_DOWN: &str = "asking for it anew";

/// The clock of the first process of each service is an hour ahead.
pub(crate) fn ahead(scene: &Scene<'_>) -> Result<Proof> {
    wrong(scene, HOUR_MS, "ahead of")
}

/// The clock of the first process of each service is an hour behind.
pub(crate) fn behind(scene: &Scene<'_>) -> Result<Proof> {
    wrong(scene, -HOUR_MS, "behind")
}

fn wrong(scene: &Scene<'_>, by_ms: i64, side: &str) -> Result<Proof> {
    scene.begins();
    firsts(scene).try_for_each(|process| process.arm(SWITCH, &by_ms.to_string()))?;
    let noticed = scene.subjects.iter().map(|subject| notices(scene, subject)).collect::<Result<Vec<_>>>();
    std::thread::sleep(WRONG);
    for process in firsts(scene) {
        process.disarm(SWITCH);
    }
    let noticed = noticed?;
    for process in firsts(scene) {
        until("a process takes grabs again once its clock is right", NOTICED, || Ok(is_ready(process)?.0))?;
    }
    scene.lifted();
    for process in scene.processes() {
        let torn_down = process.logged(TORN_DOWN)?;
        scene.expect(torn_down.is_none(), "a consumer that had nothing to do was torn down");
    }
    let all = noticed.iter().all(|(_, said)| said.contains(side) && by_an_hour(said));
    let told = noticed.iter().map(|(service, said)| format!("{service}: {said}"));
    Proof::when(all, told.collect::<Vec<_>>().join("; "))
}

/// Waits until the first process of a service refuses grabs and has logged why, while the others take them. Says what it
/// logged.
fn notices(scene: &Scene<'_>, subject: &Subject) -> Result<(&'static str, String)> {
    let (wrong, right) = subject.processes.split_first().context("it has no process")?;
    until("a process says that its clock is wrong", NOTICED, || Ok(wrong.logged(SAID)?.is_some()))?;
    let said = wrong.logged(SAID)?.unwrap_or_default();
    let (ready, answer) = is_ready(wrong)?;
    scene.expect(!ready, format!("{}: with its clock wrong a process is ready: {answer}", subject.name));
    let body = serde_json::to_vec(&json!({ "user_id": 1, "coupon_id": 1 }))?;
    let target = wrong.target(subject.name);
    let (status, _) = ask(&target, "POST", "/api/coupon/grab", &body, ANSWER)?;
    scene.expect(
        status == 503,
        format!("{}: with its clock wrong a process answered a grab with {status}", subject.name),
    );
    for process in right {
        let (ready, answer) = is_ready(process)?;
        scene.expect(
            ready,
            format!("{}: the process whose clock is right is not ready: {answer}", subject.name),
        );
    }
    let why = said.split_once("error=").map_or(&*said, |(_, why)| why);
    Ok((subject.name, why.trim().to_owned()))
}

/// Says whether a text tells of an hour: what passes between two looks at two clocks is part of it.
fn by_an_hour(text: &str) -> bool {
    ["3600.", "3599."].iter().any(|seconds| text.contains(seconds))
}

/// Whether a process takes grabs, and what it says of it.
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
