//! What batches are worth: the pipeline against itself with batches of one.
//!
//! The design without batches is one script call and one confirmed publish a grab, as many of them in flight as there are
//! connections, so that no grab waits for another.

use anyhow::{Context as _, Result};

use super::kind::Kind;
use super::measured::{Measured, PLENTY, Plan, What};
use super::top::{problems, warm_up};
use super::turns::take_turns;
use crate::bench::context::{Context, Store};
use crate::bench::model::{Claim, Figure, Findings, Row, Target};
use crate::bench::section::Section;
use crate::workload::Catalogue;

pub(super) const SECTION: Section = Section {
    name: "batching",
    what: "the batched pipeline against itself with batches of one",
    servers: true,
    claims,
    run,
};

const CONNECTIONS: usize = 256;
/// As many in flight as connections: nothing ever waits for a batch to end.
const SINGLE: [&str; 2] = ["grab.batch_max=1", "grab.in_flight=256"];

fn claims() -> Vec<Claim> {
    vec![Claim {
        id: "batching".into(),
        what: "grabs granted a second on servers, in batches, 256 connections".into(),
        against: "the same pipeline with grab.batch_max=1 and grab.in_flight=256".into(),
        target: Target::AtLeast(5.0),
        unit: "×".into(),
    }]
}

fn run(context: &mut Context) -> Result<Findings> {
    let plan = |name, settings| Plan {
        name,
        store: Store::Servers,
        catalogue: Catalogue::default(),
        stock: PLENTY,
        settings,
    };
    let mut batched = Measured::start(context, &plan("batched", &[]))?;
    let mut single = Measured::start(context, &plan("single", &SINGLE))?;
    let grab = Kind::closed(What::Grab { rooms: 100 }, CONNECTIONS);
    let kinds = ["batched", "one at a time"].map(|service| grab.to(service));
    let [many, one] = kinds;
    warm_up(context, &mut batched, &[many])?;
    warm_up(context, &mut single, &[one])?;
    let duration = context.round();
    let rounds = take_turns(context, &kinds, |kind| {
        let service = if kind == one { &mut single } else { &mut batched };
        service.round(&kind.load(duration))
    })?;
    let audits = [batched.finish(context)?, single.finish(context)?];
    let mut figures = Vec::new();
    for kind in kinds {
        figures.extend(rounds.figures(kind));
        figures.extend(rounds.profile(kind));
        let batches = rounds.values(kind, |sample| sample.batch.unwrap_or(f64::NAN));
        figures.push(Figure::of(format!("{kind}: grabs a batch"), "", &batches));
    }
    let mut problems = problems(&rounds, &kinds, None);
    problems.extend(audits.into_iter().flatten());
    let samples = rounds.ratios(many, one, |sample| sample.per_s);
    let claim = claims().pop().context("there is one")?;
    Ok(Findings { rows: vec![Row::measured(claim, samples, figures, problems)], curves: Vec::new() })
}
