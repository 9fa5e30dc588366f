//! A room index on files: what its upkeep costs a grab, and what it saves a reader of a room's orders.

use std::fmt;
use std::num::NonZeroU16;

use anyhow::{Context as _, Result};
use coupon_loadgen::workload::CatalogueSpec;
use coupon_measure::Turns;
use coupon_measure::random::Random;
use coupon_seeding::SeedOptions;
use coupon_strategies::Spec;
use hdrhistogram::Histogram;

use super::load_kind::LoadKind;
use super::measured::{Measured, PLENTY, What};
use super::sample::Sample;
use super::turns::{Rounds, take_turns};
use crate::client::Client;
use crate::context::{Context, HISTORY, Store};
use crate::model::{Bound, Claim, Findings, Measurement, NamedFigure};
use crate::section::Section;

pub(super) const SECTION: Section = Section {
    name: "room-index",
    family: "room-index",
    what: "grabs and a room's orders with a room index and without, on files",
    servers: false,
    claims,
    run,
};

const SHARDS: [u16; 2] = [4, 16];
const CONNECTIONS: usize = 256;
/// The longest time recorded, in nanoseconds.
const LONGEST: u64 = 60_000_000_000;
/// The stream of random numbers that rooms are drawn from.
const STREAM: u64 = 0x7003;

/// A service, with the index or without.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Way {
    indexed: bool,
}

const WAYS: [Way; 2] = [Way { indexed: false }, Way { indexed: true }];

impl Way {
    const fn name(self) -> &'static str {
        if self.indexed { "hash+room-index" } else { "hash" }
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

fn claims() -> Vec<Claim> {
    SHARDS.into_iter().flat_map(claims_of).collect()
}

fn claims_of(shards: u16) -> [Claim; 4] {
    let without = "the same service without a room index";
    let row = |what: &str, said: &str| {
        let said = format!("{said}, {shards} shards, with a room index");
        // What the index costs a grab and what it saves a reader: which of the two weighs more is for its user to say.
        Claim::ratio(id(shards, what), said, without, Bound::Free)
    };
    [
        row("rate", "grabs stored a second"),
        row("cpu", "the service's CPU a grab, told to the index included"),
        row("p50", "a room's orders: p50"),
        row("p99", "a room's orders: p99"),
    ]
}

fn id(shards: u16, what: &str) -> String {
    format!("room-index-{shards}-{what}")
}

fn run(context: &mut Context) -> Result<Findings> {
    let mut measured = Vec::new();
    for shards in SHARDS {
        measured.extend(measured_over(context, shards)?);
    }
    Ok(measured.into())
}

fn measured_over(context: &Context, shards: u16) -> Result<[Measurement; 4]> {
    let mut services = WAYS.iter().map(|way| start(context, *way, shards)).collect::<Result<Vec<_>>>()?;
    // Before any grab: the faster service has more of them afterwards.
    let times = read(context, &services)?;
    let load = LoadKind::closed(What::Grab { rooms: CatalogueSpec::default().rooms }, CONNECTIONS);
    let duration = context.round();
    let rounds = take_turns(context, &WAYS, |way| {
        let service = services.get_mut(usize::from(way.indexed)).context("it was started")?;
        service.round(&load.load(duration))
    })?;
    let audits = services.into_iter().map(|service| service.finish(context)).collect::<Result<Vec<_>>>()?;
    let problems: Vec<String> =
        rounds.problems(&WAYS).into_iter().chain(audits.into_iter().flatten()).collect();
    let [without, with] = WAYS;
    let rate = rounds.ratios(with, without, |sample| sample.per_s);
    let cpu = rounds.ratios(with, without, cpu);
    let [p50, p99] = [0.5, 0.99].map(|at| times.each_ref().map(|rounds| at_quantile(rounds, at)));
    Ok([
        Measurement::new(id(shards, "rate"), rate).figures(figures(&rounds)).problems(problems.clone()),
        Measurement::new(id(shards, "cpu"), cpu).figures(profile(&rounds)).problems(problems.clone()),
        of_reads(id(shards, "p50"), &p50).problems(problems.clone()),
        of_reads(id(shards, "p99"), &p99).problems(problems),
    ])
}

fn start(context: &Context, way: Way, shards: u16) -> Result<Measured> {
    let catalogue = CatalogueSpec::default();
    let shards = NonZeroU16::new(shards).context("there is a shard at least")?;
    let spec = Spec::parse(way.name(), shards, &catalogue)?;
    let history = if context.quick { HISTORY / 10 } else { HISTORY };
    let seed = SeedOptions { stock: Some(PLENTY), history, seed: context.seed, ..SeedOptions::default() };
    Measured::of(context.start(&spec, Store::Embedded, seed)?, catalogue, context.seed)
}

/// The service's CPU a grab, in microseconds; not a number where the system does not say.
fn cpu(sample: &Sample) -> f64 {
    sample.cpu_us.get("service").and_then(|read| read.value()).unwrap_or(f64::NAN)
}

/// The times of a room's orders in nanoseconds, round by round, without the index and with it.
fn read(context: &Context, services: &[Measured]) -> Result<[Vec<Histogram<u64>>; 2]> {
    let mut clients = services
        .iter()
        .map(|service| Client::connect(&service.running.target))
        .collect::<Result<Vec<_>>>()?;
    let (mut random, mut turns) = (Random::new(context.seed, STREAM), Turns::new(context.seed));
    let asked = if context.quick { 200 } else { 1_000 };
    let mut times = [Vec::new(), Vec::new()];
    for round in 1..=context.rounds() {
        context.progress(format!("a room's orders, round {round}"));
        for rounds in &mut times {
            rounds.push(Histogram::new_with_max(LONGEST, 3)?);
        }
        for _ in 0..asked {
            let room = random.below(CatalogueSpec::default().rooms) + 1;
            for at in turns.next_order(clients.len()) {
                let (Some(client), Some(rounds)) = (clients.get_mut(at), times.get_mut(at)) else { continue };
                let took = client.get(&format!("/api/room/{room}/orders"))?.0;
                let nanos = u64::try_from(took.as_nanos()).unwrap_or(LONGEST);
                rounds.last_mut().into_iter().for_each(|round| round.saturating_record(nanos));
            }
        }
    }
    Ok(times)
}

fn at_quantile(rounds: &[Histogram<u64>], at: f64) -> Vec<f64> {
    rounds.iter().map(|round| round.value_at_quantile(at) as f64 / 1e6).collect()
}

fn of_reads(id: String, [without, with]: &[Vec<f64>; 2]) -> Measurement {
    let ratios = with.iter().zip(without).map(|(with, without)| with / without).collect();
    let figures = WAYS.iter().zip([without, with]);
    Measurement::new(id, ratios)
        .figures(figures.map(|(way, times)| NamedFigure::of(way.name(), "ms", times)).collect())
}

fn figures(rounds: &Rounds<Way>) -> Vec<NamedFigure> {
    WAYS.into_iter().flat_map(|way| rounds.figures(way)).collect()
}

fn profile(rounds: &Rounds<Way>) -> Vec<NamedFigure> {
    WAYS.into_iter().flat_map(|way| rounds.profile(way)).collect()
}
