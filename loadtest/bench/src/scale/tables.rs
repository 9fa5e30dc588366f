//! The growth of costs with the number of daily tables, over which the same results spread.

use anyhow::Result;
use coupon_measure::format::count;

use super::curve_points::{Gathered, Line, grab_in_turns};
use super::service::{GRABS, Point};
use super::single_user::{Ask, Asker};
use crate::context::{Context, SHARDS};
use crate::grabs::Measured;
use crate::model::{AllowedGrowth, Findings};
use crate::section::Section;

pub(super) const SECTION: Section = Section {
    name: "scale-tables",
    family: "scale",
    what: "grabs and queries of range-svc by time on files, from one day's table to a year's",
    servers: false,
    claims: Vec::new,
    run,
};

const DAYS: [u64; 5] = [1, 7, 30, 90, 365];
const RESULTS: u64 = 365_000;
/// Results when a few minutes must do.
const QUICK: u64 = 73_000;
const USERS: u64 = 100_000;

const GRAB: Line = Line { name: "grab", unit: "/s", must: AllowedGrowth::Rate(0.0) };
/// Every day's table may hold some: each is asked.
const USER: Line = Line { name: "user, all tables, p50", unit: "ms", must: AllowedGrowth::Cost(1.0) };
const USER_CPU: Line = Line { name: "CPU a user query", unit: "µs", must: AllowedGrowth::Cost(1.0) };
/// A window of a day lies in two tables, and an id in one, however many there are.
const RECENT: Line = Line { name: "latest of a day, p50", unit: "ms", must: AllowedGrowth::Cost(0.0) };
const RESULT: Line = Line { name: "one result, p50", unit: "ms", must: AllowedGrowth::Cost(0.0) };
/// Kept by shard, and not by table.
const KEPT: Line = Line { name: "kept sums, p50", unit: "ms", must: AllowedGrowth::Cost(0.0) };

fn run(context: &mut Context) -> Result<Findings> {
    let context = &*context;
    let results = if context.quick { QUICK } else { RESULTS };
    let point = |days: u64| {
        let point = Point { contestant: "range-time", shards: SHARDS, results, days, users: USERS };
        (days as f64, format!("range-time of {days} days"), point)
    };
    let found = grab_in_turns(context, DAYS.map(point).into(), turn)?;
    let lines = [GRAB, USER, USER_CPU, RECENT, RESULT, KEPT];
    let what = format!(
        "range-svc by time on files, four shards, {} results, by the days over which they spread",
        count(results)
    );
    Ok(found.curve("scale-tables", what, "daily tables", &lines).into())
}

fn turn(context: &Context, service: &mut Measured, at: usize, found: &mut Gathered) -> Result<()> {
    let grabs = service.round(&GRABS.load(context.round()))?;
    found.problem(at, grabs.problem.as_ref());
    found.add(at, GRAB.name, Some(grabs.per_s));
    let catalogue = coupon_loadgen::workload::CatalogueSpec { users: USERS, ..Default::default() };
    let mut asker = Asker::new(&service.running.target, catalogue, context.seed)?;
    let times = if context.quick { 60 } else { 200 };
    let user = asker.ask(Ask::User, times)?;
    found.add(at, USER.name, Some(user.p50_ms));
    found.add(at, USER_CPU.name, user.cpu_us);
    for (line, ask) in [(RECENT, Ask::Recent(24)), (RESULT, Ask::Result), (KEPT, Ask::Kept)] {
        found.add(at, line.name, Some(asker.ask(ask, times)?.p50_ms));
    }
    Ok(())
}
