//! Answers from memory: that a coupon is sold out, that a user holds it.

use anyhow::{Result, bail};
use coupon_loadgen::workload::CatalogueSpec;

use super::load_kind::LoadKind;
use super::measured::{Measured, Plan, What};
use super::top_rate::ratio;
use super::turns::take_turns;
use crate::context::{Context, Store};
use crate::model::{Bound, Claim, Findings};
use crate::section::Section;

pub(super) const SECTION: Section = Section {
    name: "known-answers",
    family: "grab",
    what: "sold-out and duplicate answers against an echo of the same process",
    servers: true,
    claims,
    run,
};

const CONNECTIONS: usize = 256;
/// The users who buy all there is: as many of each coupon as there are of them.
const HOLDERS: u32 = 20;

/// The rounds that they may take for it.
const ROUNDS_TO_SELL_OUT: u32 = 5;

const AGAIN: What = What::Again { users: HOLDERS as u64 };

fn claims() -> Vec<Claim> {
    let claim = |id, what| Claim::ratio(id, what, "echo of the same process", Bound::AtLeast(0.85));
    vec![
        claim("sold-out", "sold-out answers a second on servers, 256 connections"),
        claim(
            "duplicate",
            "duplicate answers a second on servers to 20 users who hold all coupons, 256 connections",
        ),
    ]
}

fn run(context: &mut Context) -> Result<Findings> {
    let catalogue = CatalogueSpec::default();
    let plan =
        Plan { name: "bench", store: Store::Servers, catalogue, stock: HOLDERS, hold_s: 0, settings: &[] };
    let mut service = Measured::start(context, &plan)?;
    let kinds = [What::Echo, What::SoldOut, AGAIN].map(|what| LoadKind::closed(what, CONNECTIONS));
    sell_out(context, &mut service, u64::from(HOLDERS) * catalogue.coupons())?;
    for kind in kinds {
        context.progress(format!("warming up: {kind}"));
        service.round(&kind.load(context.round() / 3))?;
    }
    let duration = context.round();
    let rounds = take_turns(context, &kinds, |kind| service.round(&kind.load(duration)))?;
    let audit = service.finish(context)?;
    let measured = [("sold-out", What::SoldOut), ("duplicate", AGAIN)]
        .map(|(id, what)| ratio(id, &rounds, CONNECTIONS, what, audit.as_ref()));
    Ok(Vec::from(measured).into())
}

/// Lets the holders buy everything.
fn sell_out(context: &Context, service: &mut Measured, stock: u64) -> Result<()> {
    context.progress("selling out");
    let again = LoadKind::closed(AGAIN, CONNECTIONS);
    // They go round all coupons once in well under a second; the rest of each round are duplicates already.
    for _ in 0..ROUNDS_TO_SELL_OUT {
        service.round(&again.load(context.round()))?;
        if service.sold()? == stock {
            return Ok(());
        }
    }
    bail!("only {} of {stock} coupons were sold beforehand", service.sold()?)
}
