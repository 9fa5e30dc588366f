//! The load generator's own cost, against wrk's: on one machine it takes its CPU from the service that it measures.

mod wrk;

use anyhow::Result;
use coupon_loadgen::workload::CatalogueSpec;

use super::load_kind::LoadKind;
use super::measured::{Measured, PLENTY, Plan, What};
use super::sample::Sample;
use super::top_rate::{problems, warm_up};
use super::turns::take_turns;
use crate::context::{Context, Store};
use crate::model::{Bound, Claim, Findings, Measurement};
use crate::section::Section;

pub(super) const SECTION: Section = Section {
    name: "generator",
    family: "generator",
    what: "the load generator's own CPU against wrk's",
    servers: false,
    claims,
    run,
};

const ID: &str = "generator-cpu";
const CONNECTIONS: usize = 64;
/// The service that both put under load, as the one or the other calls it.
const BY: [&str; 2] = ["loadtest", "wrk"];

fn claims() -> Vec<Claim> {
    vec![Claim::ratio(
        ID,
        "CPU of the load generator a request, echo on files, 64 connections, one thread",
        "wrk -t1 with one fixed body of the same size",
        Bound::AtMost(1.0),
    )]
}

fn run(context: &mut Context) -> Result<Findings> {
    let measured = match wrk::find() {
        Ok(program) => measure(context, &program)?,
        Err(why) => Measurement::not_run(ID, why),
    };
    Ok(vec![measured].into())
}

fn measure(context: &Context, program: &std::path::Path) -> Result<Measurement> {
    let catalogue = CatalogueSpec::default();
    let plan =
        Plan { name: "bench", store: Store::Embedded, catalogue, stock: PLENTY, hold_s: 0, settings: &[] };
    let mut service = Measured::start(context, &plan)?;
    let kinds = BY.map(|by| LoadKind::closed(What::Echo, CONNECTIONS).to(by));
    let [own, other] = kinds;
    warm_up(context, &mut service, &[own])?;
    let duration = context.round();
    let rounds = take_turns(context, &kinds, |kind| {
        if kind == other {
            return wrk::round(program, &service.running.target, CONNECTIONS, duration);
        }
        service.round(&kind.load(duration))
    })?;
    service.running.stop()?;
    let cpu = |sample: &Sample| {
        sample.cpu_us.get("generator").and_then(|figure| figure.value()).unwrap_or(f64::NAN)
    };
    let samples = rounds.ratios(own, other, cpu);
    if samples.iter().any(|sample| sample.is_nan()) {
        return Ok(Measurement::not_run(ID, "the system does not tell the CPU time of both"));
    }
    let mut figures = Vec::new();
    for kind in kinds {
        figures.extend(rounds.profile(kind));
        figures.extend(rounds.figures(kind).into_iter().take(1));
    }
    Ok(Measurement::new(ID, samples).figures(figures).problems(problems(&rounds, &kinds, None)))
}
