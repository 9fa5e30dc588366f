//! The growth of costs with the number of shards.

use std::num::NonZeroU16;

use anyhow::Result;
use coupon_measure::format::count;

use super::curve_points::{Gathered, Line, grab_in_turns};
use super::service::{GRABS, Point};
use super::single_user::{Ask, Asker};
use crate::context::Context;
use crate::grabs::Measured;
use crate::model::{AllowedGrowth, Findings};
use crate::section::Section;

pub(super) const SECTION: Section = Section {
    name: "scale-shards",
    family: "scale",
    what: "grabs and queries of hash-svc on files, from one shard to sixteen",
    servers: false,
    claims: Vec::new,
    run,
};

const SHARDS: [u16; 5] = [1, 2, 4, 8, 16];
const RESULTS: u64 = 300_000;
/// Results when a few minutes must do.
const QUICK: u64 = 50_000;
const DAYS: u64 = 30;
const USERS: u64 = 100_000;

const GRAB: Line = Line { name: "grab", unit: "/s", must: AllowedGrowth::Rate(0.0) };
/// A shard more has its own transactions: more of them for as many grabs.
const GRAB_CPU: Line = Line { name: "CPU a grab", unit: "µs", must: AllowedGrowth::Cost(0.0) };
const USER: Line = Line { name: "user, one shard, p50", unit: "ms", must: AllowedGrowth::Cost(0.0) };
/// Every shard is asked: on as many cores as ever, that is as much more work.
const ROOM: Line = Line { name: "room, all shards, p50", unit: "ms", must: AllowedGrowth::Cost(1.0) };
const ROOM_CPU: Line = Line { name: "CPU a room query", unit: "µs", must: AllowedGrowth::Cost(1.0) };
const RECENT: Line = Line { name: "recent, all shards, p50", unit: "ms", must: AllowedGrowth::Cost(1.0) };

fn run(context: &mut Context) -> Result<Findings> {
    let context = &*context;
    let results = if context.quick { QUICK } else { RESULTS };
    let point = |shards: u16| {
        let of = NonZeroU16::try_from(shards)?;
        let point = Point { contestant: "hash", shards: of, results, days: DAYS, users: USERS };
        anyhow::Ok((f64::from(shards), format!("hash of {shards} shards"), point))
    };
    let points = SHARDS.into_iter().map(point).collect::<Result<Vec<_>>>()?;
    let found = grab_in_turns(context, points, turn)?;
    let lines = [GRAB, GRAB_CPU, USER, ROOM, ROOM_CPU, RECENT];
    let what = format!("hash-svc on files with {} results, by its shards", count(results));
    Ok(found.curve("scale-shards", what, "shards", &lines).into())
}

fn turn(context: &Context, service: &mut Measured, at: usize, found: &mut Gathered) -> Result<()> {
    let grabs = service.round(&GRABS.load(context.round()))?;
    found.problem(at, grabs.problem.as_ref());
    found.add(at, GRAB.name, Some(grabs.per_s));
    found.add(at, GRAB_CPU.name, grabs.service_cpu_us());
    let catalogue = coupon_loadgen::workload::CatalogueSpec { users: USERS, ..Default::default() };
    let mut asker = Asker::new(&service.running.target, catalogue, context.seed)?;
    let times = if context.quick { 100 } else { 300 };
    let user = asker.ask(Ask::User, times)?;
    found.add(at, USER.name, Some(user.p50_ms));
    let room = asker.ask(Ask::Room(100), times)?;
    found.add(at, ROOM.name, Some(room.p50_ms));
    found.add(at, ROOM_CPU.name, room.cpu_us);
    let recent = asker.ask(Ask::Recent(24), times)?;
    found.add(at, RECENT.name, Some(recent.p50_ms));
    Ok(())
}
