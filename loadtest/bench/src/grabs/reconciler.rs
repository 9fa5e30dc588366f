//! The reconciler's cost to users who grab.

use anyhow::{Result, ensure};
use coupon_loadgen::workload::CatalogueSpec;

use super::load_kind::LoadKind;
use super::measured::{Measured, PLENTY, Plan, What};
use super::top_rate::{problems, warm_up};
use super::turns::take_turns_each;
use crate::context::{Context, Store};
use crate::model::{Bound, Claim, Findings, Measurement, NamedFigure};
use crate::section::Section;

pub(super) const SECTION: Section = Section {
    name: "reconciler",
    family: "grab",
    what: "grabs while the reconciler runs every second, against hardly ever",
    servers: true,
    claims,
    run,
};

/// Ten times as often as by default.
const OFTEN: [&str; 1] = ["servers.reconcile_ms=1000"];
const NEVER: [&str; 1] = ["servers.reconcile_ms=3600000"];
const CONNECTIONS: usize = 256;
/// The factor by which it has more rounds than others: at half the top rate the median of 3 s differs by half from
/// one round to the next, with or without the reconciler.
const ROUNDS: u32 = 5;

fn claims() -> Vec<Claim> {
    vec![Claim::ratio(
        "reconciler",
        "p50 of a grab on servers at half the top rate, the reconciler running every second",
        "running once an hour",
        Bound::AtMost(1.1),
    )]
}

fn run(context: &mut Context) -> Result<Findings> {
    let catalogue = CatalogueSpec::default();
    let plan =
        |name, settings| Plan { name, store: Store::Servers, catalogue, stock: PLENTY, hold_s: 0, settings };
    let mut services = [
        Measured::start(context, &plan("often", &OFTEN))?,
        Measured::start(context, &plan("hardly ever", &NEVER))?,
    ];
    let grab = LoadKind::closed(What::Grab { rooms: 100 }, CONNECTIONS);
    for service in &mut services {
        warm_up(context, service, &[grab])?;
    }
    let [often, _] = &mut services;
    let rate = often.round(&grab.load(context.round()))?.per_s / 2.0;
    ensure!(rate > 0.0, "no grab was granted");
    let kinds =
        ["every second", "hardly ever"].map(|service| LoadKind { rate: Some(rate), ..grab }.to(service));
    let rounds = take_turns_each(context, ROUNDS * context.rounds(), &mut services, &kinds)?;
    let audits: Vec<Option<String>> =
        services.into_iter().map(|service| service.finish(context)).collect::<Result<_>>()?;
    let [often, never] = kinds;
    let mut problems = problems(&rounds, &kinds, None);
    problems.extend(audits.into_iter().flatten());
    let mut figures: Vec<NamedFigure> = kinds
        .into_iter()
        .flat_map(|kind| rounds.figures(kind).into_iter().chain(rounds.profile(kind)))
        .collect();
    let p99 = rounds.ratios(often, never, |sample| sample.p99_ms);
    figures.push(NamedFigure::of("the same of p99", "×", &p99));
    let samples = rounds.ratios(often, never, |sample| sample.p50_ms);
    Ok(vec![Measurement::new("reconciler", samples).figures(figures).problems(problems)].into())
}
