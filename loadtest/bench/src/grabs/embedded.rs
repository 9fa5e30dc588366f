//! Grabs on files.

use anyhow::Result;
use coupon_loadgen::workload::CatalogueSpec;

use super::load_kind::LoadKind;
use super::measured::{Measured, PLENTY, Plan, What};
use super::top_rate::{ratio, warm_up};
use super::turns::take_turns;
use crate::context::{Context, Store};
use crate::model::{Bound, Claim, Findings};
use crate::section::Section;

pub(super) const SECTION: Section = Section {
    name: "grab-embedded",
    family: "grab-embedded",
    what: "grabs on files against an echo of the same process",
    servers: false,
    claims,
    run,
};

const CONNECTIONS: [usize; 2] = [64, 256];

const GRAB: What = What::Grab { rooms: 100 };

fn claims() -> Vec<Claim> {
    let ratio = |connections| {
        let what = format!("grabs granted a second on files, {connections} connections");
        Claim::ratio(id(connections), what, "echo of the same process", Bound::AtLeast(0.6))
    };
    CONNECTIONS.into_iter().map(ratio).collect()
}

fn id(connections: usize) -> String {
    format!("grab-embedded-{connections}")
}

fn run(context: &mut Context) -> Result<Findings> {
    let catalogue = CatalogueSpec::default();
    let plan =
        Plan { name: "bench", store: Store::Embedded, catalogue, stock: PLENTY, hold_s: 0, settings: &[] };
    let mut service = Measured::start(context, &plan)?;
    let kinds: Vec<LoadKind> = CONNECTIONS
        .into_iter()
        .flat_map(|connections| [What::Echo, GRAB].map(|what| LoadKind::closed(what, connections)))
        .collect();
    warm_up(context, &mut service, &kinds)?;
    let duration = context.round();
    let rounds = take_turns(context, &kinds, |kind| service.round(&kind.load(duration)))?;
    let audit = service.finish(context)?;
    let ratio = |connections| ratio(id(connections), &rounds, connections, GRAB, audit.as_ref());
    Ok(CONNECTIONS.into_iter().map(ratio).collect::<Vec<_>>().into())
}
