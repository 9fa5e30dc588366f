//! Rates by connections, by coupons, and by the heat of one coupon.

use anyhow::Result;
use coupon_loadgen::workload::CatalogueSpec;

use super::load_kind::LoadKind;
use super::measured::{Measured, PLENTY, Plan, What};
use super::sample::Sample;
use super::top_rate::warm_up;
use super::turns::{Rounds, take_turns};
use crate::context::{Context, Store};
use crate::model::{AllowedGrowth, Curve, Findings, Series, Text};
use crate::section::Section;

pub(super) const CONNECTIONS: Section = Section {
    name: "connections",
    family: "grab",
    what: "grabs and echoes over few and many connections",
    servers: true,
    claims: Vec::new,
    run: connections,
};

pub(super) const COUPONS: Section = Section {
    name: "coupons",
    family: "grab",
    what: "grabs of few and of many coupons, and of a single hot one",
    servers: true,
    claims: Vec::new,
    run: coupons,
};

const STEPS: [usize; 5] = [16, 64, 256, 1_024, 4_096];
const ROOMS: [u64; 3] = [100, 1_000, 10_000];
const COUPONS_PER_ROOM: u64 = 5;
/// Of the curves that are not about connections.
const USUAL: usize = 256;

fn connections(context: &mut Context) -> Result<Findings> {
    let catalogue = CatalogueSpec::default();
    let plan =
        Plan { name: "bench", store: Store::Servers, catalogue, stock: PLENTY, hold_s: 0, settings: &[] };
    let mut service = Measured::start(context, &plan)?;
    let grab = What::Grab { rooms: catalogue.rooms };
    let [grabs, echoes] = [grab, What::Echo].map(|what| STEPS.map(|number| LoadKind::closed(what, number)));
    let kinds: Vec<LoadKind> = grabs.into_iter().chain(echoes).collect();
    warm_up(context, &mut service, &kinds)?;
    let duration = context.round();
    let rounds = take_turns(context, &kinds, |kind| service.round(&kind.load(duration)))?;
    let audit = service.finish(context)?;
    let line = Line { rounds: &rounds, kinds: &grabs };
    let echo = Line { rounds: &rounds, kinds: &echoes };
    let x = STEPS.map(|step| step as f64);
    let series = vec![
        line.series("grab", "/s", AllowedGrowth::Rate(0.0), |sample| sample.per_s),
        echo.series("echo", "/s", AllowedGrowth::Rate(0.0), |sample| sample.per_s),
        line.ratio("grab ÷ echo", &echo),
        // In a closed loop, an answer waits for as many others as there are connections.
        line.series("grab p99", "ms", AllowedGrowth::Cost(1.0), |sample| sample.p99_ms),
        echo.series("echo p99", "ms", AllowedGrowth::Cost(1.0), |sample| sample.p99_ms),
        line.series("grabs a batch", "", AllowedGrowth::Free, |sample| sample.batch.unwrap_or(f64::NAN)),
    ];
    let problems = rounds.problems(&kinds).into_iter().chain(audit).collect();
    let curve = curve(
        "connections",
        "grabs and echoes on servers, by connections",
        "connections",
        &x,
        series,
        problems,
    );
    Ok(curve.into())
}

/// Everything is grabbed from services that have the most coupons, so that the curves show what it costs that many of
/// them are hot. The single hot coupon has a service to itself: each of its users can have it but once.
fn coupons(context: &mut Context) -> Result<Findings> {
    let most = ROOMS.iter().copied().max().unwrap_or(1);
    let catalogue =
        CatalogueSpec { rooms: most, coupons_per_room: COUPONS_PER_ROOM, ..CatalogueSpec::default() };
    let plan =
        Plan { name: "many", store: Store::Servers, catalogue, stock: PLENTY, hold_s: 0, settings: &[] };
    let mut many = Measured::start(context, &plan)?;
    let one = CatalogueSpec { users: users_of_one(context), rooms: 1, hot_rooms: 1, coupons_per_room: 1 };
    let mut hot = Measured::start(context, &Plan { name: "hot", catalogue: one, ..plan })?;
    let steps = ROOMS.map(|rooms| LoadKind::closed(What::Grab { rooms }, USUAL));
    let single = LoadKind::closed(What::Grab { rooms: 1 }, USUAL).to("one hot coupon");
    warm_up(context, &mut many, &steps)?;
    warm_up(context, &mut hot, &[single])?;
    let kinds: Vec<LoadKind> = steps.into_iter().chain([single]).collect();
    let duration = context.round();
    let rounds = take_turns(context, &kinds, |kind| {
        let service = if kind == single { &mut hot } else { &mut many };
        service.round(&kind.load(duration))
    })?;
    let audits = [many.finish(context)?, hot.finish(context)?];
    let audits: Vec<String> = audits.into_iter().flatten().collect();
    let curve = |id: &'static str, what: &'static str, kinds: &[LoadKind], x: &[f64]| {
        let line = Line { rounds: &rounds, kinds };
        let problems = rounds.problems(kinds).into_iter().chain(audits.iter().cloned()).collect();
        curve(id, what, "coupons", x, line.of_grabs(), problems)
    };
    let x = ROOMS.map(|rooms| (rooms * COUPONS_PER_ROOM) as f64);
    let [few, ..] = steps;
    Ok(Findings {
        measured: Vec::new(),
        curves: vec![
            curve(
                "coupons",
                "grabs on servers, by how many of 50,000 coupons are grabbed, 256 connections",
                &steps,
                &x,
            ),
            curve("hot-coupon", "one hot coupon against 500, 256 connections", &[single, few], &[1.0, 500.0]),
        ],
    })
}

/// The number of users, more than grabs in all rounds: none gets it twice.
fn users_of_one(context: &Context) -> u64 {
    const MOST_A_SECOND: u64 = 60_000;
    let seconds = context.round().as_secs() * (u64::from(context.rounds()) + 1);
    seconds * MOST_A_SECOND
}

/// One kind for each value of x.
struct Line<'a> {
    rounds: &'a Rounds<LoadKind>,
    kinds: &'a [LoadKind],
}

impl Line<'_> {
    fn series(
        &self,
        name: impl Into<Text>,
        unit: &'static str,
        must: AllowedGrowth,
        value: impl Fn(&Sample) -> f64,
    ) -> Series {
        let points = self.kinds.iter().map(|kind| self.rounds.spread(*kind, &value));
        Series { name: name.into(), unit: unit.into(), must, points: points.collect() }
    }

    /// This kind's rate ÷ another's, of the same round.
    fn ratio(&self, name: &'static str, other: &Self) -> Series {
        let pairs = self.kinds.iter().zip(other.kinds);
        let points = pairs.map(|(one, other)| self.rounds.ratio_spread(*one, *other, |sample| sample.per_s));
        Series { name: name.into(), unit: "×".into(), must: AllowedGrowth::Free, points: points.collect() }
    }

    fn of_grabs(&self) -> Vec<Series> {
        vec![
            self.series("grab", "/s", AllowedGrowth::Rate(0.0), |sample| sample.per_s),
            self.series("grab p99", "ms", AllowedGrowth::Cost(0.0), |sample| sample.p99_ms),
            self.series("grabs a batch", "", AllowedGrowth::Free, |sample| sample.batch.unwrap_or(f64::NAN)),
        ]
    }
}

fn curve(
    id: &'static str,
    what: &'static str,
    x_label: &'static str,
    x: &[f64],
    series: Vec<Series>,
    problems: Vec<String>,
) -> Curve {
    Curve { id: id.into(), what: what.into(), x_label: x_label.into(), x: x.to_vec(), series, problems }
}
