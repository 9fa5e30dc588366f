//! What happens to a gate while it is being filled.

use std::time::Duration;

use anyhow::{Context, Result};
use coupon_lab::wait::until;
use coupon_loadgen::http::ask;
use coupon_stack::{Server, Status};

use super::databases::todays_shard;
use super::services::{dead, one_of_each_dies};
use super::{gate, regulars, state};
use crate::process::TestedProcess;
use crate::proof::Proof;
use crate::scene::Scene;
use crate::service::Subject;

/// Where a process comes by that fills a gate: totals and windows are written, and no holder is.
const POINT: &str = "while-filling";
/// How long a process that was killed stays away, or the gate is left alone once it is filled again.
const AWAY: Duration = Duration::from_secs(2);
/// How long a shard stays down.
const DOWN: Duration = Duration::from_secs(4);
/// How long a process may take to begin to fill the gate.
const SLOW: Duration = Duration::from_secs(60);
/// How long one may take to tell its metrics.
const PATIENCE: Duration = Duration::from_secs(5);

/// The process that fills a gate that was lost dies while it does.
pub(crate) fn killed(scene: &Scene<'_>) -> Result<Proof> {
    scene.begins();
    scene.processes().try_for_each(|process| process.arm(POINT, "kill"))?;
    gate::emptied(scene)?;
    one_of_each_dies(scene, POINT)?;
    let gone = dead(scene);
    std::thread::sleep(AWAY);
    scene
        .processes()
        .filter(|process| !process.is_running())
        .try_for_each(|process| process.start_again())?;
    scene.lifted();
    Proof::when(gone == scene.subjects.len(), format!("{gone} processes died while they filled a gate"))
}

/// The gate is lost once more while it is filled, at a moment when the process that fills it is frozen.
pub(crate) fn lost_again(scene: &Scene<'_>) -> Result<Proof> {
    let frozen = in_the_middle(scene, || gate::emptied(scene).map(drop))?;
    std::thread::sleep(AWAY);
    scene.lifted();
    Proof::when(
        frozen == scene.subjects.len(),
        format!("{frozen} processes were frozen while they filled a gate that was lost again"),
    )
}

/// A gate that is lost twice before it opens opens once: whoever opened it in between opened a part of it.
pub(crate) fn never_opened_half_full(scene: &Scene<'_>) -> Result<()> {
    /// At the start, and after the fault.
    const OPENED: u64 = 2;
    for Subject { name, processes, .. } in &scene.subjects {
        let opened: u64 = processes.iter().map(|process| fills(name, process)).sum::<Result<u64>>()?;
        scene.expect(
            opened == OPENED,
            format!("{name}: the gate was opened {opened} times, not {OPENED}: one was opened half-full"),
        );
    }
    Ok(())
}

/// How often a process has filled the gate to its end.
fn fills(service: &str, process: &TestedProcess) -> Result<u64> {
    const METRIC: &str = "coupon_gate_fills_total ";
    let (_, page) = ask(&process.target(service), "GET", "/metrics", &[], PATIENCE)?;
    let page = String::from_utf8(page)?;
    let told = page.lines().find_map(|line| line.strip_prefix(METRIC));
    Ok(told.with_context(|| format!("{service} has no metric {METRIC}"))?.trim().parse()?)
}

/// A shard is killed while the gate is filled, between the moment when it was found to be there and the one when it is read.
pub(crate) fn shard_lost(scene: &Scene<'_>) -> Result<Proof> {
    let (stack, shard) = (scene.stack()?, Server::Shard(todays_shard(scene)?.number()));
    regulars::grab(scene)?;
    let frozen = in_the_middle(scene, || stack.kill(shard))?;
    std::thread::sleep(DOWN);
    gate::grabs_are_refused(scene, "a grab without a gate and a shard")?;
    regulars::grab(scene)?;
    let still = stack.status(shard)?;
    stack.restart(shard)?;
    scene.lifted();
    gate::grabs_are_taken(scene)?;
    Proof::when(
        frozen == scene.subjects.len() && still == Status::Down,
        format!(
            "{frozen} processes were filling a gate when {shard} was killed, and it was {}",
            state(still)
        ),
    )
}

/// Empties the gate, freezes the process of each service that fills it, and does something meanwhile. Says how many
/// processes that were.
fn in_the_middle(scene: &Scene<'_>, meanwhile: impl FnOnce() -> Result<()>) -> Result<usize> {
    scene.begins();
    scene.processes().try_for_each(|process| process.arm(POINT, "pause"))?;
    gate::emptied(scene)?;
    let freezing = scene.subjects.iter().try_for_each(|Subject { processes, .. }| {
        until("a process freezes while it fills a gate", SLOW, || {
            Ok(processes.iter().any(|process| process.is_paused()))
        })
    });
    let frozen: Vec<&TestedProcess> = scene.processes().filter(|process| process.is_paused()).collect();
    for process in scene.processes() {
        process.disarm(POINT);
    }
    let done = freezing.and_then(|()| meanwhile());
    // Whatever went wrong, nobody waits for a frozen process.
    frozen.iter().try_for_each(|process| process.resume())?;
    done.map(|()| frozen.len())
}
