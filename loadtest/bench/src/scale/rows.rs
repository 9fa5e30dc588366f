//! The growth of costs with the number of results.
//!
//! There are ten results a user at every point, so that what is answered stays as long: only where it has to be found
//! grows.

use anyhow::{Context as _, Result};
use coupon_lab::Deployment;
use coupon_loadgen::workload::CatalogueSpec;
use coupon_measure::format::count;

use super::curve_points::{Gathered, Line, each_round};
use super::service::Point;
use super::single_user::{Ask, Asker};
use crate::context::{Context, SHARDS};
use crate::disk;
use crate::model::{AllowedGrowth, Findings};
use crate::section::Section;

pub(super) const SECTION: Section = Section {
    name: "scale-rows",
    family: "scale",
    what: "queries, memory and start of hash-svc on files, over two powers of ten of results",
    servers: false,
    claims: Vec::new,
    run,
};

const RESULTS: [u64; 3] = [100_000, 1_000_000, 10_000_000];
/// Results when a few minutes must do.
const QUICK: [u64; 3] = [10_000, 100_000, 1_000_000];
const RESULTS_A_USER: u64 = 10;
const DAYS: u64 = 30;
/// The bytes that a result takes on disk with its indexes, rounded up, and those that sorting them takes meanwhile.
const BYTES_A_RESULT: u64 = 200;
/// Of a room: fewer than any has at the smallest point.
const ORDERS: u32 = 20;
/// The window of the latest orders: a whole day of the past lies in it at any time of day.
const RECENT_HOURS: u32 = 48;

/// An answer's cost must not depend on how much lies beside it, but for the depth of an index.
const QUERIES: [(Ask, [Line; 2]); 4] = [
    (Ask::User, [cost("user p50"), cost("user p99")]),
    (Ask::Room(ORDERS), [cost("room p50"), cost("room p99")]),
    (Ask::Recent(RECENT_HOURS), [cost("recent p50"), cost("recent p99")]),
    (Ask::Kept, [cost("kept sums p50"), cost("kept sums p99")]),
];
const MEMORY: Line = Line { name: "memory", unit: "MB", must: AllowedGrowth::Cost(0.0) };
/// The line of starts, which read every row for the holders of coupons.
const START: Line = Line { name: "start to ready", unit: "s", must: AllowedGrowth::Cost(1.0) };

const fn cost(name: &'static str) -> Line {
    Line { name, unit: "ms", must: AllowedGrowth::Cost(0.0) }
}

fn run(context: &mut Context) -> Result<Findings> {
    let context = &*context;
    let sizes = if context.quick { QUICK } else { RESULTS };
    let mut found = Gathered::new(sizes.map(|results| results as f64));
    let mut services = Vec::new();
    for (at, results) in sizes.into_iter().enumerate() {
        match disk::room_for(results * BYTES_A_RESULT)? {
            Ok(()) => services.push((at, start(context, results)?)),
            Err(why) => found.leave_out(at, why),
        }
    }
    each_round(context, services.len(), |round, number| {
        let (at, (running, catalogue)) = services.get_mut(number).context("there is one for each turn")?;
        context.progress(format!("round {round}: {}", running.name));
        turn(context, running, *catalogue, *at, &mut found)
    })?;
    services.into_iter().try_for_each(|(_, (running, _))| running.stop())?;
    let queries = QUERIES.into_iter().flat_map(|(_, lines)| lines);
    let lines: Vec<Line> = queries.chain([MEMORY, START]).collect();
    let what = format!("hash-svc on files, four shards, {RESULTS_A_USER} results a user, by its results");
    Ok(found.curve("scale-rows", what, "results", &lines).into())
}

fn start(context: &Context, results: u64) -> Result<(Deployment, CatalogueSpec)> {
    let users = results / RESULTS_A_USER;
    let point = Point { contestant: "hash", shards: SHARDS, results, days: DAYS, users };
    Ok((point.start(context, format!("hash of {} results", count(results)))?, point.catalogue()))
}

fn turn(
    context: &Context,
    running: &mut Deployment,
    catalogue: CatalogueSpec,
    at: usize,
    found: &mut Gathered,
) -> Result<()> {
    found.add(at, START.name, Some(running.restart()?.as_secs_f64()));
    let mut asker = Asker::new(&running.target, catalogue, context.seed)?;
    let times = if context.quick { 200 } else { 500 };
    for (ask, [p50, p99]) in QUERIES {
        let asked = asker.ask(ask, times)?;
        found.add(at, p50.name, Some(asked.p50_ms));
        found.add(at, p99.name, Some(asked.p99_ms));
    }
    // After the questions: what they left in the caches belongs to it.
    found.add(at, MEMORY.name, asker.stats()?.memory_bytes.map(|bytes| bytes as f64 / 1e6));
    Ok(())
}
