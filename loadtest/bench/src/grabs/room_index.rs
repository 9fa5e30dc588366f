//! A room index: what its upkeep costs a grab, and what it saves a reader of a room's orders.

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroU16;

use anyhow::{Context as _, Result, ensure};
use coupon_loadgen::workload::CatalogueSpec;
use coupon_measure::Turns;
use coupon_measure::random::Random;
use coupon_seeding::SeedOptions;
use coupon_service::api::ResultPage;
use coupon_strategies::Spec;
use hdrhistogram::Histogram;

use super::load_kind::LoadKind;
use super::measured::{Measured, PLENTY, What};
use super::sample::Sample;
use super::turns::{Rounds, take_turns};
use crate::client::Client;
use crate::context::{Context, HISTORY, Store};
use crate::model::{Bound, Claim, Findings, Measurement, NamedFigure};
use crate::section::{Section, failed};

pub(super) const SECTION: Section = Section {
    name: "room-index",
    family: "room-index",
    what: "grabs and a room's orders with a room index and without",
    servers: true,
    claims,
    run,
};

/// The stores, and the shards that are measured there.
const SHARDS: [(Store, &[u16]); 2] = [(Store::Embedded, &[4, 16]), (Store::Servers, &[4])];
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
    places().flat_map(claims_of).collect()
}

/// Each store with each number of shards.
fn places() -> impl Iterator<Item = (Store, u16)> {
    SHARDS.into_iter().flat_map(|(store, shards)| shards.iter().map(move |shards| (store, *shards)))
}

fn claims_of((store, shards): (Store, u16)) -> [Claim; 4] {
    let without = "the same service without a room index";
    let (place, cpu) = match store {
        Store::Embedded => ("on files", "the service's CPU a grab, told to the index included"),
        Store::Servers => {
            ("on servers", "CPU a grab of the service and all servers, told to the index included")
        }
    };
    let row = |what: &str, said: &str| {
        let said = format!("{said}, {shards} shards {place}, with a room index");
        // What the index costs a grab and what it saves a reader: which of the two weighs more is for its user to say.
        Claim::ratio(id((store, shards), what), said, without, Bound::Free)
    };
    [
        row("rate", "grabs stored a second"),
        row("cpu", cpu),
        row("p50", "a room's orders: p50"),
        row("p99", "a room's orders: p99"),
    ]
}

fn id((store, shards): (Store, u16), what: &str) -> String {
    format!("room-index-{shards}-{what}-{}", store.name())
}

fn run(context: &mut Context) -> Result<Findings> {
    let mut measured = Vec::new();
    for place in places() {
        match measured_at(context, place) {
            Ok(found) => measured.extend(found),
            Err(error) => measured.extend(failed(claims_of(place), &error)),
        }
    }
    Ok(measured.into())
}

fn measured_at(context: &Context, place: (Store, u16)) -> Result<[Measurement; 4]> {
    let mut services = WAYS.iter().map(|way| start(context, *way, place)).collect::<Result<Vec<_>>>()?;
    // Before any grab: the faster service has more of them afterwards.
    let times = read(context, &services, place.0)?;
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
        Measurement::new(id(place, "rate"), rate).figures(figures(&rounds)).problems(problems.clone()),
        Measurement::new(id(place, "cpu"), cpu).figures(profile(&rounds)).problems(problems.clone()),
        of_reads(id(place, "p50"), "p50", &p50).problems(problems.clone()),
        of_reads(id(place, "p99"), "p99", &p99).problems(problems),
    ])
}

fn start(context: &Context, way: Way, (store, shards): (Store, u16)) -> Result<Measured> {
    let catalogue = CatalogueSpec::default();
    let shards = NonZeroU16::new(shards).context("there is a shard at least")?;
    let spec = Spec::parse(way.name(), shards, &catalogue)?;
    // On servers a million results twice would take longer than all that is measured.
    let history = if context.quick || store == Store::Servers { HISTORY / 10 } else { HISTORY };
    let seed = SeedOptions { stock: Some(PLENTY), history, seed: context.seed, ..SeedOptions::default() };
    Measured::of(context.start(&spec, store, seed)?, catalogue, context.seed)
}

/// CPU a grab of the service and of its servers, in microseconds; not a number where the system does not say.
fn cpu(sample: &Sample) -> f64 {
    let serving = sample.cpu_us.iter().filter(|(process, _)| *process != "generator");
    serving.map(|(_, read)| read.value().unwrap_or(f64::NAN)).sum()
}

/// The times of a room's orders in nanoseconds, round by round, without the index and with it.
fn read(context: &Context, services: &[Measured], store: Store) -> Result<[Vec<Histogram<u64>>; 2]> {
    let mut clients = services
        .iter()
        .map(|service| Client::connect(&service.running.target))
        .collect::<Result<Vec<_>>>()?;
    let (mut random, mut turns) = (Random::new(context.seed, STREAM), Turns::new(context.seed));
    let asked = if context.quick || store == Store::Servers { 200 } else { 1_000 };
    // Before any grab both have the same rows: an index that gave less would be measured as quick.
    let mut of_rooms = BTreeMap::new();
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
                let (took, answer) = client.get(&format!("/api/room/{room}/orders"))?;
                let shown = shown(answer)?;
                let first = of_rooms.entry(room).or_insert_with(|| shown.clone());
                ensure!(
                    *first == shown,
                    "room {room}: of two answers about the same rows one is {first:?}, and one {shown:?}"
                );
                let nanos = u64::try_from(took.as_nanos()).unwrap_or(LONGEST);
                rounds.last_mut().into_iter().for_each(|round| round.saturating_record(nanos));
            }
        }
    }
    Ok(times)
}

/// The users and coupons of a page, and whether it says that some are missing.
fn shown(answer: &[u8]) -> Result<(Vec<(u64, u64)>, bool)> {
    let page: ResultPage = serde_json::from_slice(answer)?;
    Ok((page.items.iter().map(|row| (row.user_id, row.coupon_id)).collect(), page.partial))
}

fn at_quantile(rounds: &[Histogram<u64>], at: f64) -> Vec<f64> {
    rounds.iter().map(|round| round.value_at_quantile(at) as f64 / 1e6).collect()
}

fn of_reads(id: String, quantile: &str, [without, with]: &[Vec<f64>; 2]) -> Measurement {
    let ratios = with.iter().zip(without).map(|(with, without)| with / without).collect();
    let figures = WAYS.iter().zip([without, with]);
    let figure = |(way, times): (&Way, &Vec<f64>)| {
        NamedFigure::of(format!("{way}: {quantile} of a room's orders"), "ms", times)
    };
    Measurement::new(id, ratios).figures(figures.map(figure).collect())
}

fn figures(rounds: &Rounds<Way>) -> Vec<NamedFigure> {
    WAYS.into_iter().flat_map(|way| rounds.figures(way)).collect()
}

fn profile(rounds: &Rounds<Way>) -> Vec<NamedFigure> {
    WAYS.into_iter().flat_map(|way| rounds.profile(way)).collect()
}
