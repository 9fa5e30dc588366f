//! The same queries of ten times as many results: what a page or a sum costs must not be a matter of a small data set.

use std::time::Duration;

use anyhow::{Context as _, Result};
use coupon_lab::Deployment;
use coupon_loadgen::workload::CatalogueSpec;
use coupon_seeding::SeedOptions;
use coupon_strategies::Spec;

use super::super::context::{Context, SHARDS, Store};
use super::super::disk;
use super::super::model::{Claim, Findings, Measurement, NamedFigure};
use super::super::section::Section;
use super::queries::{CASES, Case, Effort, Scale, claims_of, measured_of};

pub(super) const SECTION: Section = Section {
    name: "queries-10m",
    family: "queries",
    what: "the same of 10 M results; not in a quick run",
    servers: true,
    claims,
    run,
};

const RESULTS: u64 = 10_000_000;
const SCALE: Scale = Scale { id: "query-10m", of: "10 M results" };
/// Counting ten million rows takes long, and each question counts them three times: by the API, and over bare
/// connections.
const EFFORT: Effort = Effort { rounds: 3, asked: 300, counted: 5 };
/// The bytes that a result takes on a server's disk with its indexes and logs, rounded up.
const BYTES_A_RESULT: u64 = 300;

fn claims() -> Vec<Claim> {
    CASES.iter().flat_map(|case| claims_of(case, &SCALE)).collect()
}

fn run(context: &mut Context) -> Result<Findings> {
    if context.quick {
        return Ok(all_not_run("seeding that much takes minutes: not in a quick run"));
    }
    if let Err(why) = disk::room_for(RESULTS * BYTES_A_RESULT)? {
        return Ok(all_not_run(&why));
    }
    let mut contestants: Vec<&str> = CASES.iter().map(|case| case.contestant).collect();
    contestants.sort_unstable();
    contestants.dedup();
    let mut measured = Vec::new();
    // One after the other: what the one stored goes before the next needs the room.
    for contestant in contestants {
        measured.extend(of_contestant(context, contestant)?);
    }
    Ok(measured.into())
}

fn all_not_run(why: &str) -> Findings {
    claims().into_iter().map(|claim| Measurement::not_run(claim.id, why)).collect::<Vec<_>>().into()
}

fn of_contestant(context: &Context, contestant: &str) -> Result<Vec<Measurement>> {
    let mut spec = Spec::parse(contestant, SHARDS, &CatalogueSpec::default())?;
    spec.name = format!("many {contestant}");
    let seed = SeedOptions { history: RESULTS, seed: context.seed, ..SeedOptions::default() };
    let running = context.start(&spec, Store::Servers, seed)?;
    let of_this = |case: &&Case| case.contestant == contestant;
    let mut measured = Vec::new();
    for case in CASES.iter().filter(of_this) {
        context.progress(case.id);
        measured.extend(measured_of(case, &SCALE, &running, EFFORT, context.seed));
    }
    let seeded = running.seeded.as_ref().map(Duration::as_secs_f64);
    let seeding = NamedFigure::of("seeding them", "s", seeded.as_slice());
    measured.iter_mut().for_each(|one| one.figures.push(seeding.clone()));
    remove(context, running, &spec)?;
    Ok(measured)
}

/// Stops it and frees the disk: a run's own servers keep a data set for as long as they live.
fn remove(context: &Context, running: Deployment, spec: &Spec) -> Result<()> {
    let namespace = running.storage().context("it is on servers")?.namespace;
    running.stop()?;
    context.site()?.wipe(&namespace, &*spec.strategy()?)
}
