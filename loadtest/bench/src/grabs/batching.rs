//! The gain from batches: the pipeline against itself with batches of one, and against the most that can be had without
//! batches, which is one script call and one confirmed publish a grab, as many in flight as there are connections.

use anyhow::Result;
use coupon_loadgen::workload::CatalogueSpec;

use super::load_kind::LoadKind;
use super::measured::{Measured, PLENTY, Plan, What};
use super::top_rate::{problems, warm_up};
use super::turns::{Rounds, take_turns_each};
use crate::context::{Context, Store};
use crate::model::{Bound, Claim, Findings, Measurement, NamedFigure};
use crate::section::Section;

pub(super) const SECTION: Section = Section {
    name: "batching",
    family: "grab",
    what: "the batched pipeline against itself with batches of one",
    servers: true,
    claims,
    run,
};

const CONNECTIONS: usize = 256;
/// Nothing but the size of a batch differs.
const ONE: [&str; 1] = ["grab.batch_max=1"];
/// Settings for as many grabs in flight as connections: none ever waits for a batch to end.
const AT_ONCE: [&str; 2] = ["grab.batch_max=1", "grab.in_flight=256"];

fn claims() -> Vec<Claim> {
    let claim = |id, against, least| {
        let what = "grabs granted a second on servers, in batches, 256 connections";
        Claim::ratio(id, what, against, Bound::AtLeast(least))
    };
    vec![
        claim("batching", "the same pipeline with grab.batch_max=1", 5.0),
        claim("batching-at-once", "the same pipeline with grab.batch_max=1 and grab.in_flight=256", 1.0),
    ]
}

fn run(context: &mut Context) -> Result<Findings> {
    let plan = |name, settings| Plan {
        name,
        store: Store::Servers,
        catalogue: CatalogueSpec::default(),
        stock: PLENTY,
        hold_s: 0,
        settings,
    };
    let mut services = [
        Measured::start(context, &plan("batched", &[]))?,
        Measured::start(context, &plan("one", &ONE))?,
        Measured::start(context, &plan("at once", &AT_ONCE))?,
    ];
    let grab = LoadKind::closed(What::Grab { rooms: 100 }, CONNECTIONS);
    let kinds = ["batched", "one at a time", "one each, all at once"].map(|service| grab.to(service));
    for (service, kind) in services.iter_mut().zip(kinds) {
        warm_up(context, service, &[kind])?;
    }
    let rounds = take_turns_each(context, context.rounds(), &mut services, &kinds)?;
    let audits: Vec<Option<String>> =
        services.into_iter().map(|service| service.finish(context)).collect::<Result<_>>()?;
    let [batched, one, at_once] = kinds;
    let measured = [("batching", one), ("batching-at-once", at_once)].map(|(id, other)| {
        let pair = [batched, other];
        let mut problems = problems(&rounds, &pair, None);
        problems.extend(audits.iter().flatten().cloned());
        let figures = pair.into_iter().flat_map(|kind| figures(&rounds, kind)).collect();
        let samples = rounds.ratios(batched, other, |sample| sample.per_s);
        Measurement::new(id, samples).figures(figures).problems(problems)
    });
    Ok(Vec::from(measured).into())
}

/// Rates, CPU by process and batches of a kind.
pub(super) fn figures(rounds: &Rounds<LoadKind>, kind: LoadKind) -> Vec<NamedFigure> {
    let batches = rounds.values(kind, |sample| sample.batch.unwrap_or(f64::NAN));
    let batch = NamedFigure::of(format!("{kind}: grabs a batch"), "", &batches);
    rounds.figures(kind).into_iter().chain(rounds.profile(kind)).chain([batch]).collect()
}
