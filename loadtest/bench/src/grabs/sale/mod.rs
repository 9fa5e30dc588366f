//! A sale that lives: what a hold costs a grab, and how holds that are due give way to grabs.

mod change;
mod expiry;
mod shards;

use anyhow::Result;
use coupon_loadgen::workload::CatalogueSpec;

use super::load_kind::LoadKind;
use super::measured::{Measured, PLENTY, Plan, What};
use super::top_rate::{problems, warm_up};
use super::turns::take_turns_each;
use crate::context::{Context, Store};
use crate::model::{Bound, Claim, Findings, Measurement, NamedFigure};
use crate::section::Section;

pub(super) const SECTION: Section = Section {
    name: "sale",
    family: "sale",
    what: "grabs with a hold against grabs without, 100,000 holds that are due at once, changes by an operator",
    servers: true,
    claims,
    run,
};

const CONNECTIONS: usize = 256;
/// Longer than any round.
const HOLD_S: u32 = 3_600;
const STORES: [Store; 2] = [Store::Servers, Store::Embedded];

const fn place(store: Store) -> &'static str {
    match store {
        Store::Servers => "on servers",
        Store::Embedded => "on files",
    }
}

fn claims() -> Vec<Claim> {
    let of = |store: Store| {
        let (name, place) = (store.name(), place(store));
        [
            Claim::ratio(
                format!("sale-hold-{name}"),
                format!(
                    "grabs granted a second {place} that are held and name their requests, {CONNECTIONS} connections"
                ),
                "grabs that are final and name none",
                Bound::AtLeast(0.8),
            ),
            Claim::new(
                format!("sale-expiry-{name}"),
                format!(
                    "time in which 100,000 holds expire {place} that are due at once, with 1,000 grabs a second beside"
                ),
                Bound::AtMost(10.0),
                "s",
            ),
            Claim::ratio(
                format!("sale-expiry-p99-{name}"),
                format!("p99 of those grabs {place}"),
                "before the holds were due",
                Bound::AtMost(2.0),
            ),
        ]
    };
    STORES.into_iter().flat_map(of).chain([change::claim()]).collect()
}

fn run(context: &mut Context) -> Result<Findings> {
    let mut measured = Vec::new();
    for store in STORES {
        let (hold, held) = hold(context, store)?;
        measured.push(hold);
        measured.extend(expiry::measure(context, store, held)?);
    }
    let changed = change::measure(context);
    measured.push(changed.unwrap_or_else(|error| Measurement::failed(change::ID, format!("{error:#}"))));
    Ok(measured.into())
}

/// Grabs that are held and grabs that are final, in turns. Returns the service of those that are held.
fn hold(context: &Context, store: Store) -> Result<(Measurement, Measured)> {
    let plan = |name, hold_s| Plan {
        name,
        store,
        catalogue: CatalogueSpec::default(),
        stock: PLENTY,
        hold_s,
        settings: &[],
    };
    let mut services =
        [Measured::start(context, &plan("held", HOLD_S))?, Measured::start(context, &plan("final", 0))?];
    let kinds = [What::GrabNamed { rooms: 100 }, What::Grab { rooms: 100 }]
        .map(|what| LoadKind::closed(what, CONNECTIONS));
    for (service, kind) in services.iter_mut().zip(kinds) {
        warm_up(context, service, &[kind])?;
    }
    let rounds = take_turns_each(context, context.rounds(), &mut services, &kinds)?;
    let [held, finals] = services;
    let audit = finals.finish(context)?;
    let [own, other] = kinds;
    let figures: Vec<NamedFigure> = kinds
        .into_iter()
        .flat_map(|kind| rounds.figures(kind).into_iter().chain(rounds.profile(kind)))
        .collect();
    let samples = rounds.ratios(own, other, |sample| sample.per_s);
    let measured = Measurement::new(format!("sale-hold-{}", store.name()), samples)
        .figures(figures)
        .problems(problems(&rounds, &kinds, audit.as_ref()));
    Ok((measured, held))
}
