//! A layout that changes while a service is under load: over more shards, hot rooms set apart; and a copy into another strategy.

mod copy;
mod grow;
mod lists;
mod split;

use std::num::NonZeroU32;

use anyhow::Result;

use crate::context::{Context, Store};
use crate::model::{Claim, Findings};
use crate::section::{Section, failed};

pub(super) const SECTION: Section = Section {
    name: "growth",
    family: "growth",
    what: "four shards become eight under load, hot rooms are set apart, a data set is copied into another strategy",
    servers: true,
    claims,
    run,
};

/// Rows move as fast as they go.
const UNTHROTTLED: NonZeroU32 = NonZeroU32::MAX;

const STORES: [Store; 2] = [Store::Servers, Store::Embedded];

fn claims() -> Vec<Claim> {
    let grown = STORES.into_iter().flat_map(grow::claims);
    grown.chain([split::claim(), copy::claim()]).collect()
}

fn run(context: &mut Context) -> Result<Findings> {
    let mut measured = Vec::new();
    for store in STORES {
        let found = grow::measure(context, store);
        measured.extend(found.unwrap_or_else(|error| failed(grow::claims(store), &error)));
    }
    measured.extend(split::measure(context).unwrap_or_else(|error| failed(vec![split::claim()], &error)));
    measured.extend(copy::measure(context).unwrap_or_else(|error| failed(vec![copy::claim()], &error)));
    Ok(measured.into())
}
