//! The forecast for more shards: routing alone, by the grabs of the workload just measured.

use std::collections::BTreeMap;
use std::num::NonZeroU16;

use anyhow::Result;
use coupon_core::{RoomId, UserId};
use coupon_loadgen::workload::{Endpoint, Schedule, Workload};
use coupon_report::model::{Figure, Outlook, OutlookCase, Reading};
use coupon_strategies::Spec;

use super::options::CompareOptions;
use crate::simulate::Forecast;

/// Numbers of shards to which a system with a handful may grow.
const SHARDS: [u16; 3] = [16, 64, 1_024];
/// Enough that 1,024 shards get some 200 rows each; all of it takes a second or two.
const GRABS: usize = 200_000;
/// Workloads with fewer grabs than one in so many requests are not looked through for longer.
const REQUESTS: usize = 20 * GRABS;

/// The endpoint that asks what a simulated query asks.
const ASKED_BY: [(&str, &str); 4] = [
    ("a user's coupons", "user_coupons"),
    ("a room's orders", "room_orders"),
    ("recent, 1 h", "recent"),
    ("global", "global"),
];

/// Routes the same grabs by every contestant that was started here, at its own number of shards and at larger ones.
pub(super) fn of(options: &CompareOptions) -> Reading<Outlook> {
    let grabs = grabs(&options.load.workload, options.load.seed);
    if grabs.is_empty() {
        return Reading::unknown("the workload has no grabs to route");
    }
    let sharded: Vec<&Spec> = options.contestants.iter().filter(|spec| spec.shards.get() > 1).collect();
    if sharded.is_empty() {
        return Reading::unknown("no contestant with shards was started here");
    }
    let days = u32::try_from(options.setup.seed.days.max(1)).unwrap_or(u32::MAX);
    let cases = sharded.iter().map(|spec| cases(spec, options, &grabs, days)).collect::<Result<Vec<_>>>();
    match cases {
        Ok(cases) => Reading::Known(Outlook { grabs: grabs.len() as u64, days, cases: cases.concat() }),
        Err(error) => Reading::unknown(format!("{error:#}")),
    }
}

/// The users and rooms of grabs, drawn as in a round.
fn grabs(workload: &Workload, seed: u64) -> Vec<(UserId, RoomId)> {
    let requests = Schedule::new(workload, seed).take(REQUESTS);
    let grabs = requests.filter(|request| request.endpoint == Endpoint::Grab).take(GRABS);
    grabs
        .filter_map(|grab| Some((UserId::new(grab.user_id).ok()?, RoomId::new(grab.room_id).ok()?)))
        .collect()
}

fn cases(
    spec: &Spec,
    options: &CompareOptions,
    grabs: &[(UserId, RoomId)],
    days: u32,
) -> Result<Vec<OutlookCase>> {
    let catalogue = &options.load.workload.catalogue;
    let own = spec.shards.get();
    let more = SHARDS.into_iter().filter(|shards| *shards > own);
    let numbers = std::iter::once(own).chain(more).filter_map(NonZeroU16::new);
    numbers
        .map(|shards| {
            let strategy = Spec::parse(&spec.name, shards, catalogue)?.strategy()?;
            let found = Forecast::of(&*strategy, grabs, days, options.load.seed)?;
            Ok(case(&spec.name, shards.get(), &found))
        })
        .collect()
}

fn case(contestant: &str, shards: u16, found: &Forecast) -> OutlookCase {
    let figure = |value: Option<f64>| value.map_or_else(|| Figure::unknown("nothing is written"), Figure::of);
    let visits = ASKED_BY.iter().filter_map(|(query, endpoint)| {
        let visited = found.fan_out.iter().find(|of| of.query == *query)?;
        Some(((*endpoint).to_owned(), visited.shards))
    });
    OutlookCase {
        contestant: contestant.to_owned(),
        shards,
        effective_shards: figure(found.written.effective_shards),
        skew: figure(found.written.skew),
        idle_shards: found.written.idle_shards as u64,
        visits: visits.collect::<BTreeMap<_, _>>(),
    }
}
