//! Service processes that die, freeze, or have a clock of their own.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use coupon_service::api::StockView;
use coupon_stack::Server;

use crate::faults::scene::Scene;
use crate::faults::service::{Process, Subject};
use crate::faults::wait::until;
use crate::http::{Target, get_json};

/// How long a process that was killed stays away.
const AWAY: Duration = Duration::from_secs(2);
/// How long things that depend on a restarted server may take.
const SLOW: Duration = Duration::from_secs(60);
/// How far the clock is set back.
const BACK: Duration = Duration::from_secs(5);
/// Users and coupons of the grabs that a process is frozen with: the coupons are those that sell out first.
const FROZEN: std::ops::RangeInclusive<u64> = 1..=4;
/// Another one, of a grab before that.
const WARM: u64 = 5;

fn firsts<'a>(scene: &'a Scene<'_>) -> impl Iterator<Item = &'a Process> {
    scene.subjects.iter().filter_map(|subject| subject.processes.first())
}

/// The first process of each service.
pub(in crate::faults) fn one_killed(scene: &Scene<'_>) -> Result<()> {
    scene.begins();
    firsts(scene).try_for_each(Process::kill)?;
    std::thread::sleep(AWAY);
    firsts(scene).try_for_each(Process::start_again)?;
    scene.lifted();
    Ok(())
}

/// Every process of both.
pub(in crate::faults) fn all_killed(scene: &Scene<'_>) -> Result<()> {
    scene.begins();
    scene.processes().try_for_each(Process::kill)?;
    std::thread::sleep(AWAY);
    scene.processes().try_for_each(Process::start_again).context("a process that was killed")?;
    scene.lifted();
    Ok(())
}

/// Granted by the gate, and never handed over by the process that asked for it.
pub(in crate::faults) fn killed_after_gate(scene: &Scene<'_>) -> Result<()> {
    dies_at(scene, "after-gate")
}

/// In the queue, and never answered.
pub(in crate::faults) fn killed_after_confirm(scene: &Scene<'_>) -> Result<()> {
    dies_at(scene, "after-confirm")
}

fn dies_at(scene: &Scene<'_>, point: &str) -> Result<()> {
    scene.begins();
    firsts(scene).try_for_each(|process| process.tell(point, "kill"))?;
    for process in firsts(scene) {
        process.has_found(point)?;
        until("a process dies at its fail point", SLOW, || Ok(!process.is_running()))?;
    }
    std::thread::sleep(AWAY);
    firsts(scene).try_for_each(Process::start_again)?;
    scene.lifted();
    Ok(())
}

/// Stored, and never acknowledged to the queue: whichever process of a service consumes.
pub(in crate::faults) fn killed_after_commit(scene: &Scene<'_>) -> Result<()> {
    const POINT: &str = "after-commit";
    scene.begins();
    scene.processes().try_for_each(|process| process.tell(POINT, "kill"))?;
    for Subject { processes, .. } in &scene.subjects {
        until("a consumer dies at its fail point", SLOW, || {
            Ok(processes.iter().any(|process| !process.is_running()))
        })?;
        for process in processes {
            process.take_back(POINT);
        }
    }
    std::thread::sleep(AWAY);
    let dead = || scene.processes().filter(|process| !process.is_running());
    scene.note(format!("{} processes died between their commit and their ack", dead().count()));
    dead().try_for_each(Process::start_again)?;
    scene.lifted();
    Ok(())
}

/// A process is frozen with grabs that the gate has granted. Meanwhile the gate is lost, filled anew, and sold out by the
/// other process; then the first wakes up and hands over what nobody remembers.
pub(in crate::faults) fn frozen_while_the_gate_is_lost(scene: &Scene<'_>) -> Result<()> {
    const POINT: &str = "after-gate";
    let stack = scene.stack()?;
    // Nobody else asks the first process: without this its connection to the queue would be made, and lost, on the way.
    for subject in &scene.subjects {
        let Some(process) = subject.processes.first() else { continue };
        scene.grab(subject.name, &Target::new(subject.name, process.address), WARM, WARM);
    }
    scene.begins();
    firsts(scene).try_for_each(|process| process.tell(POINT, "pause"))?;
    std::thread::scope(|scope| {
        // Clients that wait as long as it takes.
        for subject in &scene.subjects {
            let Some(process) = subject.processes.first() else { continue };
            let target = Target::new(subject.name, process.address);
            for number in FROZEN {
                let target = target.clone();
                scope.spawn(move || scene.grab(subject.name, &target, number, number));
            }
        }
        let done = (|| {
            for process in firsts(scene) {
                process.has_found(POINT)?;
                until("a process freezes at its fail point", SLOW, || Ok(process.is_paused()))?;
            }
            stack.kill(Server::Redis)?;
            stack.restart(Server::Redis)?;
            for subject in &scene.subjects {
                for coupon in FROZEN {
                    let path = format!("/api/coupon/{coupon}/stock");
                    until("the other process sells out", SLOW, || sold_out(&subject.one()?, &path))?;
                }
            }
            anyhow::Ok(())
        })();
        // Whatever went wrong, nobody waits for a frozen process.
        let woken = firsts(scene).try_for_each(Process::resume);
        done.and(woken)
    })?;
    scene.lifted();
    Ok(())
}

fn sold_out(target: &Target, path: &str) -> Result<bool> {
    // While the gate is being filled there is no answer.
    let Ok(stock) = get_json::<StockView>(target, path) else { return Ok(false) };
    Ok(stock.remaining_stock == 0)
}

/// The clock of every process shows less than before.
pub(in crate::faults) fn clock_set_back(scene: &Scene<'_>) -> Result<()> {
    scene.begins();
    let back = format!("-{}", BACK.as_millis());
    scene.processes().try_for_each(|process| process.tell("clock", &back))?;
    std::thread::sleep(BACK + AWAY);
    scene.lifted();
    Ok(())
}

/// The services were started some seconds before midnight, by their clocks.
pub(in crate::faults) fn midnight(scene: &Scene<'_>) -> Result<()> {
    scene.begins();
    let midnight = scene.midnight().context("no midnight was set")?;
    std::thread::sleep(midnight.saturating_duration_since(Instant::now()));
    scene.lifted();
    Ok(())
}

/// Where days lie on shards of their own, both days have results.
pub(in crate::faults) fn both_days_have_results(scene: &Scene<'_>) -> Result<()> {
    for subject in scene.subjects.iter().filter(|subject| subject.name == "range") {
        let counts = subject.data.kept_counts()?.unwrap_or_default();
        let days = counts.iter().filter(|count| **count > 0).count();
        scene.expect(
            days == 2,
            format!("{}: results lie on {days} days' shards, not 2: {counts:?}", subject.name),
        );
        scene.note(format!("results by shard, a day each: {counts:?}"));
    }
    Ok(())
}

/// A result that contradicts another is handed over with it.
pub(in crate::faults) fn contradicted(scene: &Scene<'_>) -> Result<()> {
    const SWITCH: &str = "contradict";
    scene.begins();
    for process in firsts(scene) {
        process.tell(SWITCH, "")?;
        process.has_found(SWITCH)?;
        scene.contradict();
    }
    scene.lifted();
    Ok(())
}
