//! From the start of a service to its first answer, on a long history.

use anyhow::Result;
use coupon_measure::Turns;
use coupon_measure::format::count;

use crate::context::{Context, HISTORY, Store};
use crate::model::{Bound, Claim, Findings, Measurement};
use crate::section::Section;

pub(super) const SECTION: Section = Section {
    name: "start",
    family: "start",
    what: "from the start of a service to ready, on a million results",
    servers: true,
    claims,
    run,
};

const STORES: [Store; 2] = [Store::Servers, Store::Embedded];

fn claims() -> Vec<Claim> {
    let claim = |store: Store| {
        let what = format!("from spawn to ready (/readyz) with {} results, {}", count(HISTORY), store.name());
        Claim::new(id(store), what, Bound::AtMost(2.0), "s")
    };
    STORES.into_iter().map(claim).collect()
}

fn id(store: Store) -> String {
    format!("start-{}", store.name())
}

fn run(context: &mut Context) -> Result<Findings> {
    for store in STORES {
        context.history("hash", store)?;
    }
    let mut took: [Vec<f64>; STORES.len()] = Default::default();
    let mut turns = Turns::new(context.seed);
    let rounds = context.rounds();
    for round in 1..=rounds {
        for at in turns.next_order(STORES.len()) {
            let (Some(store), Some(took)) = (STORES.get(at), took.get_mut(at)) else { continue };
            context.progress(format!("round {round} of {rounds}: {}", store.name()));
            took.push(context.history("hash", *store)?.restart()?.as_secs_f64());
        }
    }
    let measured = STORES.into_iter().zip(took).map(|(store, took)| Measurement::new(id(store), took));
    Ok(measured.collect::<Vec<_>>().into())
}
