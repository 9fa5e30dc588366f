//! Hot rooms that are set apart while the shard that has them all is the limit: each shard's server has a quota of CPU.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use coupon_audit::{Claims, Scope};
use coupon_lab::growth::{LayoutStep, announce, move_all};
use coupon_lab::{Deployment, acks, seed_of};
use coupon_loadgen::load::{Arrivals, LoadSpec, Outcome, run_load};
use coupon_loadgen::workload::{CatalogueSpec, Workload};
use coupon_seeding::SeedOptions;
use coupon_stack::joined;
use coupon_strategies::Spec;

use super::UNTHROTTLED;
use crate::context::{Context, SHARDS, Store};
use crate::grabs::PLENTY;
use crate::model::{Bound, Claim, Measurement, NamedFigure};

const ID: &str = "growth-split";
/// The cores that each shard's server may use: so few that one of them is the limit at a rate that this machine can send.
const CORES: f64 = 0.02;
/// A quota of more than any server uses: none.
const ALL: f64 = 1_024.0;
/// The rooms that are grabbed from, all within one range.
const HOT: u64 = 8;
const RATE: f64 = 6_000.0;
const CONNECTIONS: usize = 256;
/// The load before the change, of which the first part is left out: a server that was idle has CPU time to spare.
const BEFORE: Duration = Duration::from_secs(14);
const SETTLES: Duration = Duration::from_secs(4);
/// On servers a version is in force ten seconds after it was announced; within ten more its worth is to show.
const LEAD: Duration = Duration::from_secs(11);
const WITHIN: Duration = Duration::from_secs(10);
/// Shards need a moment until they are busy: what is left of the ten seconds is measured.
const STARTS: Duration = Duration::from_secs(2);

pub(super) fn claim() -> Claim {
    Claim::ratio(
        ID,
        "rows stored a second on servers with 0.02 cores for each of four shards, within 10 s of hot rooms being set apart",
        "all rooms in one range",
        Bound::AtLeast(2.5),
    )
}

pub(super) fn measure(context: &Context) -> Result<Vec<Measurement>> {
    let site = context.site()?;
    let running = start(context)?;
    let since = running.newest_result()?;
    if let Err(why) = site.limit_cpu(CORES) {
        running.stop()?;
        return Ok(vec![Measurement::not_run(ID, format!("not measured here: {why}"))]);
    }
    let loaded = load(context, &running);
    // Whatever is left is stored without a quota.
    site.limit_cpu(ALL).map_err(anyhow::Error::msg)?;
    let (outcome, Rates { before, after }) = loaded?;
    running.drain()?;
    context.progress("earlier rows of hot rooms are moved");
    let moved = move_all(&running.target, UNTHROTTLED)?;
    let mut claims = Claims::default();
    acks::claim_all(&outcome, &mut claims);
    let report = running.audit(&Scope { claims: Some(&claims), since: Some(since), ..Scope::default() })?;
    running.stop()?;
    let found = report.violations();
    let problems = (found > 0).then(|| format!("the audit found {found} violations")).into_iter().collect();
    let figures = vec![
        NamedFigure::of("before", "/s", &[before]),
        NamedFigure::of("after", "/s", &[after]),
        NamedFigure::of("grabs granted", "/s", &[outcome.granted_per_second()]),
        NamedFigure::of("rows moved afterwards, before the audit", "", &[moved as f64]),
    ];
    Ok(vec![Measurement::new(ID, vec![after / before]).figures(figures).problems(problems)])
}

/// Rows stored a second.
struct Rates {
    before: f64,
    after: f64,
}

fn start(context: &Context) -> Result<Deployment> {
    let catalogue = CatalogueSpec::default();
    let mut spec = Spec::parse("range-room", SHARDS, &catalogue)?;
    spec.name = "splitting".to_owned();
    let seed = SeedOptions { stock: Some(PLENTY), seed: context.seed, ..seed_of(&catalogue) };
    context.start(&spec, Store::Servers, seed)
}

/// The load, with the change in it.
fn load(context: &Context, running: &Deployment) -> Result<(Outcome, Rates)> {
    let catalogue = CatalogueSpec::default();
    let load = LoadSpec {
        workload: Workload::distinct_grabs(CatalogueSpec { rooms: HOT, hot_rooms: 0, ..catalogue }, 0),
        connections: CONNECTIONS,
        duration: BEFORE + LEAD + WITHIN + Duration::from_secs(1),
        seed: context.seed,
        ..LoadSpec::new(Arrivals::Open { rate: RATE })
    };
    context.progress("hot rooms are set apart");
    let began = Instant::now();
    let (outcome, rates) = std::thread::scope(|scope| {
        let rates = scope.spawn(|| split(running, began, catalogue.rooms));
        (run_load(&running.target, &load), joined(rates))
    });
    Ok((outcome?, rates?))
}

/// Counts what is stored before, has the rooms set apart, and counts after.
fn split(running: &Deployment, began: Instant, rooms: u64) -> Result<Rates> {
    let until = |moment: Instant| std::thread::sleep(moment.saturating_duration_since(Instant::now()));
    until(began + SETTLES);
    let before = (stored(running)?, {
        until(began + BEFORE);
        stored(running)?
    });
    let version = announce(&running.target, LayoutStep::SplitHot { rooms })?;
    until(version.in_force + STARTS);
    let after = (stored(running)?, {
        until(version.in_force + WITHIN);
        stored(running)?
    });
    Ok(Rates { before: rate(before), after: rate(after) })
}

/// The rows that all shards hold, and the middle of the time that it took to ask them.
fn stored(running: &Deployment) -> Result<(Instant, u64)> {
    let asked = Instant::now();
    let rows = running.kept_counts()?.context("only shards on servers count their rows")?.iter().sum();
    Ok((asked + asked.elapsed() / 2, rows))
}

fn rate(((from, before), (until, after)): ((Instant, u64), (Instant, u64))) -> f64 {
    after.saturating_sub(before) as f64 / (until - from).as_secs_f64()
}
