//! More grabs than can be taken: whether the service keeps its pace, and its memory.

use std::time::Duration;

use anyhow::{Result, ensure};
use coupon_loadgen::workload::CatalogueSpec;

use super::load_kind::LoadKind;
use super::measured::{Measured, PLENTY, Plan, What};
use super::top_rate::{problems, warm_up};
use super::turns::{Rounds, take_turns};
use crate::context::{Context, Store};
use crate::model::{Bound, Claim, Findings, Measurement, NamedFigure};
use crate::section::Section;

pub(super) const SECTION: Section = Section {
    name: "overload",
    family: "grab",
    what: "grabs at four times the rate that can be taken",
    servers: true,
    claims,
    run,
};

/// Grabs wait in the service only while there are connections to wait on. So the bound is set low enough to be met.
const FULL: [&str; 1] = ["grab.waiting_max=512"];
/// The same, slowed down by a setting: four times its rate is then not more than the machine can send and refuse.
const SLOWED: [&str; 3] = ["grab.waiting_max=512", "grab.batch_max=1", "grab.in_flight=1"];
const CONNECTIONS: usize = 256;
const OVERLOADED: usize = 4_096;
const TIMES: f64 = 4.0;
/// The time that the overload lasts in total, over all rounds, in a full run.
const IN_TOTAL: Duration = Duration::from_secs(60);

const GRAB: What = What::Grab { rooms: 100 };
const OVERLOAD: What = What::Overload { rooms: 100 };

fn claims() -> Vec<Claim> {
    let pace = |id, what| Claim::ratio(id, what, "its top rate, over 256 connections", Bound::AtLeast(0.9));
    vec![
        pace("overload", "grabs granted a second on servers at 4 × the top rate, 4,096 connections"),
        pace("overload-slowed", "grabs granted a second on servers with grab.batch_max=1, overloaded 4×"),
        Claim::ratio(
            "overload-memory",
            "resident memory of a service in the last of an overload's rounds",
            "in the first of them",
            Bound::AtMost(1.1),
        ),
    ]
}

fn run(context: &mut Context) -> Result<Findings> {
    let (full, audit) = overloaded(context, "full", &FULL)?;
    let (slowed, slowed_audit) = overloaded(context, "slowed", &SLOWED)?;
    Ok(vec![
        full.pace("overload", audit.as_ref()),
        slowed.pace("overload-slowed", slowed_audit.as_ref()),
        full.memory("overload-memory", audit.as_ref()),
    ]
    .into())
}

struct Overload {
    rounds: Rounds<LoadKind>,
    top: LoadKind,
    over: LoadKind,
}

/// Top rate and overload in turns.
fn overloaded(
    context: &Context,
    name: &'static str,
    settings: &'static [&'static str],
) -> Result<(Overload, Option<String>)> {
    let catalogue = CatalogueSpec::default();
    let plan = Plan { name, store: Store::Servers, catalogue, stock: PLENTY, hold_s: 0, settings };
    let mut service = Measured::start(context, &plan)?;
    let top = LoadKind::closed(GRAB, CONNECTIONS);
    warm_up(context, &mut service, &[top])?;
    context.progress("looking for the top rate");
    let rate = service.round(&top.load(context.round()))?.per_s;
    ensure!(rate > 0.0, "no grab was granted");
    let over = LoadKind { rate: Some(rate * TIMES), ..LoadKind::closed(OVERLOAD, OVERLOADED) };
    warm_up(context, &mut service, &[over])?;
    let lasts = if context.quick { context.round() } else { IN_TOTAL / context.rounds() };
    let rounds = take_turns(context, &[top, over], |kind| {
        service.round(&kind.load(if kind == over { lasts } else { context.round() }))
    })?;
    let audit = service.finish(context)?;
    Ok((Overload { rounds, top, over }, audit))
}

impl Overload {
    fn pace(&self, id: &'static str, audit: Option<&String>) -> Measurement {
        let Self { rounds, top, over } = self;
        let refused = rounds.values(*over, |sample| sample.refused_per_s);
        let mut figures = rounds.figures(*over);
        figures.push(NamedFigure::of(format!("{over}: answered 503"), "/s", &refused));
        let unsent = rounds.values(*over, |sample| sample.unsent_per_s);
        figures.push(NamedFigure::of(
            format!("{over}: not sent, for want of a free connection"),
            "/s",
            &unsent,
        ));
        figures.extend(rounds.figures(*top));
        figures.extend(rounds.profile(*over));
        figures.extend(rounds.profile(*top));
        let samples = rounds.ratios(*over, *top, |sample| sample.per_s);
        let mut problems = problems(rounds, &[*top, *over], audit);
        if refused.iter().all(|per_s| *per_s == 0.0) {
            problems.push("nothing was refused: it was not overloaded".to_owned());
        }
        Measurement::new(id, samples).figures(figures).problems(problems)
    }

    /// Memory that grows with how long an overload lasts is not bounded.
    fn memory(&self, id: &'static str, audit: Option<&String>) -> Measurement {
        let Self { rounds, over, .. } = self;
        let most = rounds.values(*over, |sample| sample.memory_mb.unwrap_or(f64::NAN));
        let ratio = most.first().zip(most.last()).map(|(first, last)| last / first);
        match ratio.filter(|ratio| ratio.is_finite()) {
            Some(ratio) => {
                let figures = vec![NamedFigure::of(format!("{over}: memory"), "MB", &most)];
                let problems = problems(rounds, &[*over], audit);
                Measurement::new(id, vec![ratio]).figures(figures).problems(problems)
            }
            None => Measurement::not_run(id, "the system does not tell a process's memory"),
        }
    }
}
