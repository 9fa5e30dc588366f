//! A service for one point of a curve.

use std::num::NonZeroU16;

use anyhow::Result;
use coupon_lab::{Deployment, seed_of};
use coupon_loadgen::workload::CatalogueSpec;
use coupon_seeding::SeedOptions;
use coupon_strategies::Spec;

use crate::context::{Context, Store};
use crate::grabs::{LoadKind, Measured, PLENTY, What};

/// The settings that differ from point to point.
#[derive(Debug, Clone, Copy)]
pub(super) struct Point {
    /// The name in `loadtest compare`.
    pub(super) contestant: &'static str,
    pub(super) shards: NonZeroU16,
    /// Results of the past.
    pub(super) results: u64,
    /// The days over which they spread.
    pub(super) days: u64,
    pub(super) users: u64,
}

/// Grabs of all coupons, so many at a time that the answers keep both the service and the generator busy.
pub(super) const GRABS: LoadKind = LoadKind::closed(What::Grab { rooms: 100 }, 64);

impl Point {
    pub(super) fn catalogue(&self) -> CatalogueSpec {
        CatalogueSpec { users: self.users, ..CatalogueSpec::default() }
    }

    /// Seeds its data and starts it, on files.
    pub(super) fn start(&self, context: &Context, name: String) -> Result<Deployment> {
        let catalogue = self.catalogue();
        let mut spec = Spec::parse(self.contestant, self.shards, &catalogue)?;
        spec.name = name;
        let seed = SeedOptions {
            stock: Some(PLENTY),
            history: self.results,
            days: self.days,
            seed: context.seed,
            ..seed_of(&catalogue)
        };
        context.start(&spec, Store::Embedded, seed)
    }

    /// The same, to be grabbed from: what it grants is audited in the end. One short round fills its caches.
    pub(super) fn start_for_grabs(&self, context: &Context, name: String) -> Result<Measured> {
        let running = self.start(context, name)?;
        let mut service = Measured::of(running, self.catalogue(), context.seed)?;
        service.round(&GRABS.load(context.round() / 3))?;
        Ok(service)
    }
}
