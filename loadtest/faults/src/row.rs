//! Plays one row: start, load, fault, ask again, settle, audit.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use coupon_audit::{AuditReport, Claims, Kind, Scope, Start};
use coupon_lab::settle::{self, Patience};
use coupon_lab::wait::at_once;
use coupon_loadgen::load::Outcome;

use super::inject;
use super::list::Fault;
use super::observe::{Observed, Seen};
use super::pressure::Pressure;
use super::proof::NotInjected;
use super::report::{Row, Verdict};
use super::resolve::resolve;
use super::scene::{Played, Scene};
use super::service::Subject;
use super::stage::Stage;
use super::without::Who;

/// How long a service may take to settle once the fault is lifted.
const SETTLE: Duration = Duration::from_secs(120);
/// How long a client goes on asking.
const ASKING: Duration = Duration::from_secs(90);
/// Either, where something is left out, so that it may never come to that.
const SETTLE_WITHOUT: Duration = Duration::from_secs(30);

/// Plays a row. Whatever keeps it from being played is its verdict.
pub(super) fn play(stage: &Stage<'_>, fault: &Fault) -> Row {
    let started = Instant::now();
    let mut row = Row::of(fault, stage.without);
    row.verdict = play_through(stage, fault, &mut row).unwrap_or_else(|error| {
        let why = format!("{error:#}");
        let impossible = error.downcast_ref::<NotInjected>().is_some();
        if impossible || !row.injected { Verdict::NotRun(why) } else { Verdict::Broken(vec![why]) }
    });
    row.found = stage.without.and_then(|without| without.found_by(&row));
    row.took_s = started.elapsed().as_secs_f64();
    row
}

fn play_through(stage: &Stage<'_>, fault: &Fault, row: &mut Row) -> Result<Verdict> {
    let folder = tempfile::Builder::new().prefix("loadtest-faults-").tempdir()?;
    let scene = Scene::set(stage, &fault.casting, folder.path()).context("the services do not start")?;
    let played = play_on(&scene, fault, row);
    row.injected = scene.moments().fault.is_some();
    row.notes = scene.notes();
    // The servers must be whole again, whatever became of the row: others are to come.
    scene.let_go();
    let mended = inject::mend(stage);
    let struck = scene.strike().context("the services do not end in good order");
    let failures = played?;
    mended.context("a server does not come back")?;
    struck?;
    Ok(if failures.is_empty() { Verdict::Held } else { Verdict::Broken(failures) })
}

/// What was not as promised.
fn play_on(scene: &Scene<'_>, fault: &Fault, row: &mut Row) -> Result<Vec<String>> {
    let starts: Vec<Start> =
        scene.subjects.iter().map(|subject| subject.data.remember()).collect::<Result<_>>()?;
    let Played { outcomes, began, proof } = scene.under_load(&fault.casting, || (fault.inject)(scene))?;
    row.proof = Some(proof);
    let services = scene.subjects.iter().zip(&scene.pressures).zip(&outcomes).zip(&starts);
    row.observed = at_once(services, |(((subject, pressure), outcome), start)| {
        settle_and_audit(scene, (subject, pressure), outcome, began, start).context(subject.name)
    })?;
    (fault.afterwards)(scene)?;
    Ok(broken(scene, fault, &row.observed))
}

fn settle_and_audit(
    scene: &Scene<'_>,
    (subject, pressure): (&Subject, &Pressure),
    outcome: &Outcome,
    began: Instant,
    start: &Start,
) -> Result<Observed> {
    let mut claims = Claims::default();
    let grabs = [&*outcome.grabs, &scene.grabs_of(subject.name)].concat();
    let who = scene.stage.without.map_or(Who::EverySecond, |without| without.who);
    let patience = if scene.stage.without.is_some() { SETTLE_WITHOUT } else { ASKING };
    let (resolved, unanswered) = resolve(subject, &grabs, (who, patience), &mut claims)?;
    if let Some(unanswered) = unanswered {
        scene.expect(false, format!("{}: {unanswered}, and {} more", subject.name, resolved.unanswered - 1));
    }
    let settled = settle(scene, subject);
    if let Err(error) = &settled {
        scene.expect(false, format!("{}: {error:#}", subject.name));
    }
    let seen = Seen { moments: scene.moments(), began, settled: Instant::now() };
    pressure.customers.claim(&mut claims);
    let mut audit = audit(subject, &claims, start)?;
    // When the gate was being filled at that moment, it could not be looked at; nor could a read that was refused.
    if settled.is_ok() && !audit.not_checked.is_empty() {
        settle(scene, subject)?;
        audit = self::audit(subject, &claims, start)?;
    }
    for broken in pressure.customers.ask_again(subject)? {
        scene.expect(false, format!("{}: {broken}", subject.name));
    }
    Ok(Observed {
        pressed: pressure.pressed(),
        asked: pressure.customers.asked(),
        ..Observed::new(subject.name, outcome, &seen, resolved, &audit)
    })
}

fn audit(subject: &Subject, claims: &Claims, start: &Start) -> Result<AuditReport> {
    let scope =
        Scope { claims: Some(claims), since: Some(start.newest()), start: Some(start), ..Scope::default() };
    settle::audit(&subject.data, &subject.one()?, &scope)
}

/// Waits until everything granted is stored, and main knows of it.
fn settle(scene: &Scene<'_>, subject: &Subject) -> Result<()> {
    let limit = if scene.stage.without.is_some() { SETTLE_WITHOUT } else { SETTLE };
    settle::settle(&subject.data, &|| subject.one(), Patience::AtMost(limit)).context("it does not settle")
}

/// Everything that is not as promised.
fn broken(scene: &Scene<'_>, fault: &Fault, observed: &[Observed]) -> Vec<String> {
    let mut found = scene.failures();
    for seen in observed {
        for kind in Kind::ALL.into_iter().filter(|kind| *kind != Kind::Parked) {
            if seen.count(kind) > 0 {
                found.push(format!("{}: {} {kind}", seen.service, seen.count(kind)));
            }
        }
        found.extend(
            seen.examples
                .iter()
                .filter(|_| seen.violations() > 0)
                .map(|text| format!("{}: {text}", seen.service)),
        );
        found.extend(seen.not_checked.iter().map(|why| format!("{}: not checked: {why}", seen.service)));
        if seen.granted == 0 || seen.granted_after == 0 {
            found
                .push(format!("{}: nothing was granted before the fault, or nothing after it", seen.service));
        }
        if fault.goes_on && seen.decided_during == 0 {
            found.push(format!("{}: no grab was decided while the fault was there", seen.service));
        }
    }
    let (parked, contradicted) =
        (observed.iter().map(|seen| seen.count(Kind::Parked)).sum::<u64>(), scene.contradicted());
    if parked != contradicted {
        found.push(format!("{parked} results are parked, and {contradicted} were contradicted"));
    }
    found
}
