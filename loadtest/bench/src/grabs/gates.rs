//! Several gates among which coupons are divided: the rate of grabs of many coupons, and the CPU that it takes.
//!
//! A gate is one thread of Redis, so that several decide more than one where there are cores for them, and for what they are
//! given to do. Where there are none, what is seen is their price: batches are smaller, since each is of one gate.

use anyhow::Result;
use coupon_loadgen::workload::CatalogueSpec;

use super::batching::figures;
use super::load_kind::LoadKind;
use super::measured::{Measured, PLENTY, Plan, What};
use super::top_rate::{problems, warm_up};
use super::turns::take_turns_each;
use crate::context::{Context, Store};
use crate::model::{Bound, Claim, Findings, Measurement};
use crate::section::Section;

pub(super) const SECTION: Section = Section {
    name: "gates",
    family: "grab",
    what: "grabs of many coupons with one, two and four gates",
    servers: true,
    claims,
    run,
};

const CONNECTIONS: usize = 256;
/// The services, by name and number of gates.
const SERVICES: [(&str, usize); 3] = [("one gate", 1), ("two gates", 2), ("four gates", 4)];

fn claims() -> Vec<Claim> {
    let claim = |id, what| Claim::ratio(id, what, "with one gate", Bound::Free);
    vec![
        claim("gates-2", "grabs granted a second on servers with two gates, 256 connections"),
        claim("gates-4", "grabs granted a second on servers with four gates, 256 connections"),
    ]
}

fn run(context: &mut Context) -> Result<Findings> {
    let start = |(name, gates): (&'static str, usize)| {
        let (store, catalogue) = (Store::Servers, CatalogueSpec::default());
        let plan = Plan { name, store, catalogue, stock: PLENTY, hold_s: 0, settings: &[] };
        Measured::start_with_gates(context, &plan, gates)
    };
    let mut services = SERVICES.into_iter().map(start).collect::<Result<Vec<_>>>()?;
    let grab = LoadKind::closed(What::Grab { rooms: 100 }, CONNECTIONS);
    let kinds = SERVICES.map(|(name, _)| grab.to(name));
    for (service, kind) in services.iter_mut().zip(kinds) {
        warm_up(context, service, &[kind])?;
    }
    let rounds = take_turns_each(context, context.rounds(), &mut services, &kinds)?;
    let audits: Vec<Option<String>> =
        services.into_iter().map(|service| service.finish(context)).collect::<Result<_>>()?;
    let [one, two, four] = kinds;
    let measured = [("gates-2", two), ("gates-4", four)].map(|(id, several)| {
        let pair = [several, one];
        let mut problems = problems(&rounds, &pair, None);
        problems.extend(audits.iter().flatten().cloned());
        let figures = pair.into_iter().flat_map(|kind| figures(&rounds, kind)).collect();
        let samples = rounds.ratios(several, one, |sample| sample.per_s);
        Measurement::new(id, samples).figures(figures).problems(problems)
    });
    Ok(Vec::from(measured).into())
}
