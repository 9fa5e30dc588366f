//! Processes that are frozen while the gate is lost, and wake up too late.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use anyhow::{Context, Result};
use coupon_lab::wait::{at_once, joined, until};
use coupon_loadgen::http::{ask, get_json};
use coupon_service::api::StockView;
use coupon_stack::Server;

use super::services::firsts;
use super::{broker, databases, gate, regulars};
use crate::cast::CATALOGUE;
use crate::process::TestedProcess;
use crate::proof::Proof;
use crate::scene::Scene;
use crate::service::Subject;

/// How long results wait that nobody stores, before the gate is lost and after.
const WAITING: Duration = Duration::from_secs(1);
/// How long one who asks for a result waits.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long things that depend on a restarted server may take.
const SLOW: Duration = Duration::from_secs(60);
/// Users and coupons of the grabs that a process is frozen with: the coupons are those that sell out first.
const FROZEN: std::ops::RangeInclusive<u64> = 1..=4;
/// Another one, of a grab before that.
const WARM: u64 = 5;
/// Users who take what is left, and how many do before it is looked whether anything is.
const BUYERS: std::ops::RangeInclusive<u64> = 1_001..=CATALOGUE.users;
const AT_A_TIME: usize = 20;

/// The only process that stores is frozen, so that results wait in their queues, and the gate is lost.
pub(crate) fn the_consumer(scene: &Scene<'_>) -> Result<Proof> {
    scene.begins();
    firsts(scene).try_for_each(|process| process.pause())?;
    let frozen = firsts(scene).filter(|process| process.is_paused()).count();
    let done = (|| {
        regulars::grab(scene)?;
        let waiting = granted(scene);
        std::thread::sleep(WAITING);
        gate::emptied(scene)?;
        std::thread::sleep(WAITING);
        gate::grabs_are_refused(scene, "a grab without a gate while results wait to be stored")?;
        regulars::grab(scene)?;
        anyhow::Ok(waiting)
    })();
    // Whatever went wrong, nobody waits for a frozen process.
    firsts(scene).try_for_each(|process| process.resume())?;
    scene.lifted();
    let waiting = done?;
    gate::grabs_are_taken(scene)?;
    Proof::when(
        frozen == scene.subjects.len() && waiting > 0,
        format!(
            "{frozen} processes were frozen, so that {waiting} results beside the load waited in their queues while Redis was \
             emptied"
        ),
    )
}

/// How many acknowledged results there are of this row's own.
fn granted(scene: &Scene<'_>) -> usize {
    scene.subjects.iter().map(|subject| regulars::results(scene, subject.name).len()).sum()
}

/// The only process that stores is frozen, so that results wait in their queues; the queues are deleted, and the process is
/// killed with what it had been given. The results are acknowledged, and pending until they are handed over again.
pub(crate) fn the_consumer_whose_queues_are_deleted(scene: &Scene<'_>) -> Result<Proof> {
    scene.begins();
    firsts(scene).try_for_each(|process| process.pause())?;
    regulars::grab(scene)?;
    let waiting = granted(scene);
    for subject in &scene.subjects {
        let names = subject.names()?;
        subject.shards().try_for_each(|shard| broker::delete_queue(scene, names.queue(shard)))?;
    }
    firsts(scene).try_for_each(|process| process.kill())?;
    // From before anything is stored again: what came later is stored before what is handed over again.
    let not_now = std::thread::scope(|scope| {
        let asking: Vec<_> =
            scene.subjects.iter().map(|subject| scope.spawn(|| until_shown(scene, subject))).collect();
        let started = firsts(scene).try_for_each(|process| process.start_again());
        let asked: Vec<Result<u64>> = asking.into_iter().map(joined).collect();
        started.and_then(|()| asked.into_iter().sum::<Result<u64>>())
    })?;
    scene.lifted();
    Proof::when(
        waiting > 0 && not_now > 0,
        format!(
            "{waiting} results beside the load went with their queues; {not_now} times they could not be shown"
        ),
    )
}

/// Asks a process that goes on for the results of this row's own until each of them is shown, and expects none to be unknown.
/// Says how often one could not be shown.
fn until_shown(scene: &Scene<'_>, subject: &Subject) -> Result<u64> {
    let process = subject.processes.last().context("it has no process")?;
    let target = process.target(subject.name);
    let left = RefCell::new(regulars::results(scene, subject.name));
    let (pending, unknown) = (Cell::new(0), Cell::new(0));
    until("acknowledged results are shown", SLOW, || {
        left.borrow_mut().retain(|id| {
            match ask(&target, "GET", &format!("/api/result/{id}"), &[], PATIENCE) {
                Ok((200, _)) => return false,
                Ok((404, _)) => unknown.set(unknown.get() + 1),
                _ => pending.set(pending.get() + 1),
            }
            true
        });
        Ok(left.borrow().is_empty())
    })?;
    let (name, unknown) = (subject.name, unknown.get());
    scene.expect(
        unknown == 0,
        format!("{name}: {unknown} answers said that there is no such result, of acknowledged ones"),
    );
    Ok(pending.get() + unknown)
}

/// Meanwhile the gate is lost.
pub(crate) fn while_the_gate_is_lost(scene: &Scene<'_>) -> Result<Proof> {
    frozen_while(scene, || {
        let stack = scene.stack()?;
        stack.kill(Server::Redis)?;
        stack.restart(Server::Redis)
    })
}

/// Meanwhile the gate is lost, and so is what main knows of its epoch: by main's word it is the next to be given out.
pub(crate) fn while_main_forgets_the_epoch(scene: &Scene<'_>) -> Result<Proof> {
    let mut back = 0;
    let proof = frozen_while(scene, || {
        let awake: Vec<&TestedProcess> = scene.processes().filter(|process| !process.is_paused()).collect();
        // Both at once, as far as anybody can tell.
        awake.iter().try_for_each(|process| process.pause())?;
        let done = gate::emptied(scene).and_then(|_| {
            scene.subjects.iter().try_for_each(|subject| {
                back += databases::put_back_the_epoch(scene, subject)?;
                anyhow::Ok(())
            })
        });
        awake.iter().try_for_each(|process| process.resume())?;
        done
    })?;
    Proof::when(
        back == scene.subjects.len() as u64,
        format!("{proof}; {back} main databases were put back by an epoch"),
    )
}

/// A process is frozen with grabs that the gate has granted. Meanwhile the gate is lost, filled anew, and sold out by the
/// other process; then the first wakes up and hands over what nobody remembers.
fn frozen_while(scene: &Scene<'_>, lose: impl FnOnce() -> Result<()>) -> Result<Proof> {
    const POINT: &str = "after-gate";
    // Nobody else asks the first process: without this its connection to the queue would be made, and lost, on the way.
    for subject in &scene.subjects {
        let Some(process) = subject.processes.first() else { continue };
        scene.grab(subject.name, &process.target(subject.name), WARM, WARM);
    }
    scene.begins();
    firsts(scene).try_for_each(|process| process.arm(POINT, "pause"))?;
    let mut frozen = 0;
    std::thread::scope(|scope| {
        // Clients that wait as long as it takes.
        for subject in &scene.subjects {
            let Some(process) = subject.processes.first() else { continue };
            let target = process.target(subject.name);
            for number in FROZEN {
                let target = target.clone();
                scope.spawn(move || scene.grab(subject.name, &target, number, number));
            }
        }
        let done = (|| {
            for process in firsts(scene) {
                process.reaches(POINT)?;
                until("a process freezes at its fail point", SLOW, || Ok(process.is_paused()))?;
                frozen += 1;
            }
            lose()?;
            sell_out(scene)?;
            anyhow::Ok(())
        })();
        // Whatever went wrong, nobody waits for a frozen process.
        let woken = firsts(scene).try_for_each(|process| process.resume());
        done.and(woken)
    })?;
    scene.lifted();
    Proof::when(
        frozen == scene.subjects.len(),
        format!(
            "{frozen} processes were frozen with grabs that the gate had granted, until all else was sold out"
        ),
    )
}

/// Users beside the load take what is left of the coupons, so that it does not depend on the load how long that takes.
fn sell_out(scene: &Scene<'_>) -> Result<()> {
    let coupons = scene.subjects.iter().flat_map(|subject| FROZEN.map(move |coupon| (subject, coupon)));
    at_once(coupons, |(subject, coupon)| sell(scene, subject, coupon)).map(drop)
}

fn sell(scene: &Scene<'_>, subject: &Subject, coupon: u64) -> Result<()> {
    let buyers = RefCell::new(BUYERS);
    until("the other process sells out", SLOW, || {
        let target = subject.one()?;
        // While the gate is being filled there is no answer.
        let Ok(stock) = get_json::<StockView>(&target, &format!("/api/coupon/{coupon}/stock")) else {
            return Ok(false);
        };
        let left = usize::try_from(stock.remaining_stock)?;
        for user in buyers.borrow_mut().by_ref().take(left.min(AT_A_TIME)) {
            scene.grab(subject.name, &target, user, coupon);
        }
        Ok(left == 0)
    })
}
