//! Service processes that die, freeze, or have a clock of their own.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use coupon_core::{ResultId, Timestamp};
use coupon_lab::wait::{at_once, until};
use coupon_loadgen::load::{GrabOutcome, GrabRecord};

use super::gate;
use crate::cast::CATALOGUE;
use crate::process::TestedProcess;
use crate::proof::Proof;
use crate::scene::Scene;
use crate::service::Subject;

/// How long a process that was killed stays away.
const AWAY: Duration = Duration::from_secs(2);
/// How long things that depend on a restarted server may take.
const SLOW: Duration = Duration::from_secs(60);
/// How many users are tried for a grab that is granted.
const TRIES: usize = 40;
/// How far the clock is set back.
const BACK: Duration = Duration::from_secs(5);

pub(super) fn firsts<'a>(scene: &'a Scene<'_>) -> impl Iterator<Item = &'a TestedProcess> {
    scene.subjects.iter().filter_map(|subject| subject.processes.first())
}

/// The first process of each service.
pub(crate) fn one_killed(scene: &Scene<'_>) -> Result<Proof> {
    scene.begins();
    firsts(scene).try_for_each(|process| process.kill())?;
    std::thread::sleep(AWAY);
    let gone = dead(scene);
    firsts(scene).try_for_each(|process| process.start_again())?;
    scene.lifted();
    Proof::when(gone == scene.subjects.len(), format!("{gone} processes were gone"))
}

/// How many processes do not run.
pub(super) fn dead(scene: &Scene<'_>) -> usize {
    scene.processes().filter(|process| !process.is_running()).count()
}

/// One process after the other is told to end, and started again, as when a new version is rolled out.
pub(crate) fn restarted_in_turn(scene: &Scene<'_>) -> Result<Proof> {
    let before: Vec<_> = scene.processes().map(|process| process.pid()).collect();
    scene.begins();
    for process in scene.processes() {
        process.stop().context("a process that was told to end")?;
        process.start_again()?;
    }
    scene.lifted();
    let after: Vec<_> = scene.processes().map(|process| process.pid()).collect();
    let replaced = before.iter().zip(&after).filter(|(before, after)| before != after).count();
    Proof::when(
        replaced == after.len(),
        format!("{replaced} of {} processes ended in good order, and others took their place", after.len()),
    )
}

/// Every process is told to end at once, and must do so in good order.
pub(crate) fn all_told_to_end(scene: &Scene<'_>) -> Result<Proof> {
    scene.begins();
    at_once(scene.processes(), |process| process.stop()).context("a process that was told to end")?;
    let ended = dead(scene);
    std::thread::sleep(AWAY);
    scene.processes().try_for_each(|process| process.start_again())?;
    scene.lifted();
    Proof::when(ended == scene.processes().count(), format!("{ended} processes ended in good order"))
}

/// Every process of both.
pub(crate) fn all_killed(scene: &Scene<'_>) -> Result<Proof> {
    scene.begins();
    scene.processes().try_for_each(|process| process.kill())?;
    std::thread::sleep(AWAY);
    let gone = dead(scene);
    scene.processes().try_for_each(|process| process.start_again()).context("a process that was killed")?;
    scene.lifted();
    Proof::when(gone == scene.processes().count(), format!("{gone} processes were gone"))
}

/// Granted by the gate, and never handed over by the process that asked for it.
pub(crate) fn killed_after_gate(scene: &Scene<'_>) -> Result<Proof> {
    dies_at(scene, "after-gate")
}

/// In the queue, and never answered.
pub(crate) fn killed_after_confirm(scene: &Scene<'_>) -> Result<Proof> {
    dies_at(scene, "after-confirm")
}

/// The pending marks go at the moment when one stands for a reservation that nobody will hand over.
pub(crate) fn killed_after_gate_and_the_marks_lost(scene: &Scene<'_>) -> Result<Proof> {
    let mut lost = 0;
    let proof = dies_at_and(scene, "after-gate", || {
        lost = gate::lose_marks(scene)?;
        Ok(())
    })?;
    Proof::when(
        lost == scene.subjects.len(),
        format!("{proof}, and {lost} sets of pending marks were deleted"),
    )
}

fn dies_at(scene: &Scene<'_>, point: &str) -> Result<Proof> {
    dies_at_and(scene, point, || Ok(()))
}

fn dies_at_and(scene: &Scene<'_>, point: &str, and: impl FnOnce() -> Result<()>) -> Result<Proof> {
    scene.begins();
    firsts(scene).try_for_each(|process| process.arm(point, "kill"))?;
    for process in firsts(scene) {
        process.reaches(point)?;
        until("a process dies at its fail point", SLOW, || Ok(!process.is_running()))?;
    }
    and()?;
    std::thread::sleep(AWAY);
    let gone = dead(scene);
    firsts(scene).try_for_each(|process| process.start_again())?;
    scene.lifted();
    Proof::when(gone == scene.subjects.len(), format!("{gone} processes died where they came by {point}"))
}

/// Stored, and never acknowledged to the queue: whichever process of a service consumes.
pub(crate) fn killed_after_commit(scene: &Scene<'_>) -> Result<Proof> {
    dies_where_it_stores(scene, "after-commit", || Ok(()))
}

/// The same, and the gate's memory goes with it: what was on its way is known to the queue alone.
pub(crate) fn killed_after_commit_and_the_gate_lost(scene: &Scene<'_>) -> Result<Proof> {
    dies_where_it_stores(scene, "after-commit", || gate::emptied(scene).map(drop))
}

/// Waits until a process of each service has died at its fail point, and takes the fail point back from the others.
pub(super) fn one_of_each_dies(scene: &Scene<'_>, point: &str) -> Result<()> {
    for Subject { processes, .. } in &scene.subjects {
        until("a process dies at its fail point", SLOW, || {
            Ok(processes.iter().any(|process| !process.is_running()))
        })?;
        for process in processes {
            process.disarm(point);
        }
    }
    Ok(())
}

fn dies_where_it_stores(scene: &Scene<'_>, point: &str, and: impl FnOnce() -> Result<()>) -> Result<Proof> {
    scene.begins();
    scene.processes().try_for_each(|process| process.arm(point, "kill"))?;
    one_of_each_dies(scene, point)?;
    let gone = dead(scene);
    and()?;
    std::thread::sleep(AWAY);
    scene
        .processes()
        .filter(|process| !process.is_running())
        .try_for_each(|process| process.start_again())?;
    scene.lifted();
    Proof::when(gone >= scene.subjects.len(), format!("{gone} processes died where they came by {point}"))
}

/// The clock of every process shows less than before.
pub(crate) fn clock_set_back(scene: &Scene<'_>) -> Result<Proof> {
    scene.begins();
    let back = format!("-{}", BACK.as_millis());
    scene.processes().try_for_each(|process| process.arm("clock", &back))?;
    std::thread::sleep(AWAY);
    let behind = scene.subjects.iter().map(|subject| behind(scene, subject)).collect::<Result<Vec<i64>>>()?;
    std::thread::sleep(BACK);
    scene.lifted();
    let least = behind.iter().copied().min().unwrap_or_default();
    Proof::when(least >= 1_000, format!("{} s later ids were of {least} ms ago at least", AWAY.as_secs()))
}

/// The services were started some seconds before midnight, by their clocks.
pub(crate) fn midnight(scene: &Scene<'_>) -> Result<Proof> {
    scene.begins();
    let midnight = scene.midnight().context("no midnight was set")?;
    std::thread::sleep(midnight.saturating_duration_since(Instant::now()));
    std::thread::sleep(AWAY);
    scene.lifted();
    let day = Timestamp::from_millis(jiff::Timestamp::now().as_millisecond()).day();
    let tomorrow = scene.subjects.iter().map(|subject| Ok(a_grab(scene, subject)?.day() > day));
    let tomorrow = tomorrow.collect::<Result<Vec<bool>>>()?.into_iter().filter(|is| *is).count();
    Proof::when(tomorrow == scene.subjects.len(), format!("{tomorrow} services grant grabs of the next day"))
}

/// By how many milliseconds the time of a grab that is granted now lies behind.
fn behind(scene: &Scene<'_>, subject: &Subject) -> Result<i64> {
    Ok(jiff::Timestamp::now().as_millisecond() - a_grab(scene, subject)?.millis())
}

/// The time of a grab that is granted now, beside the load.
fn a_grab(scene: &Scene<'_>, subject: &Subject) -> Result<Timestamp> {
    // From the other end than those of other grabs beside the load; one that holds the coupon already is passed over.
    for user in (1..=CATALOGUE.users).rev().take(TRIES) {
        scene.grab(subject.name, &subject.one()?, user, CATALOGUE.coupons());
        if let Some(GrabRecord { outcome: GrabOutcome::Granted { result_id }, .. }) =
            scene.grabs_of(subject.name).last()
        {
            return Ok(ResultId::from_number(*result_id)?.time());
        }
    }
    bail!("{}: none of {TRIES} grabs was granted", subject.name)
}

/// Where days lie on shards of their own, both days have results.
pub(crate) fn both_days_have_results(scene: &Scene<'_>) -> Result<()> {
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
pub(crate) fn contradicted(scene: &Scene<'_>) -> Result<Proof> {
    const SWITCH: &str = "contradict";
    scene.begins();
    for process in firsts(scene) {
        process.arm(SWITCH, "")?;
        process.reaches(SWITCH)?;
        scene.contradict();
    }
    scene.lifted();
    let count = scene.contradicted();
    Proof::when(count > 0, format!("{count} such results were handed over"))
}
