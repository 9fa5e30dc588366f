//! The ends of a copy that are on servers.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use coupon_core::{CouponResult, Placement, ShardingStrategy};
use coupon_servers::bulk::{self, Bulk};
use coupon_servers::cluster::Cluster;
use coupon_servers::copied::Reader;
use coupon_store::carried::{COPYING, CarriedRow, CarriedTable};
use coupon_store::settings::ServersSettings;

use super::databases::namespace;
use crate::copy::ends::{Indexed, Opening, Origin, Source, Target, source};

source!(Reader {
    fn keep(&mut self) -> Result<()> {
        Reader::keep(self)
    }

    fn ensure_unchanged(&mut self) -> Result<()> {
        Reader::ensure_unchanged(self)
    }
});

/// A data set on servers at rest, kept from services for as long as it is read.
pub(crate) fn of_servers(settings: &ServersSettings, strategy: Option<&str>) -> Result<Origin> {
    let mut reader = Reader::open(settings, namespace(settings, strategy)?)?;
    let (label, waits) = reader.at_rest()?;
    // The label's is that of the first version.
    let layout = reader.latest_layout()?.unwrap_or(label.layout);
    Ok(Origin { source: Box::new(reader), dataset: label.dataset, layout, waits })
}

/// Databases on servers that become a copy of the data set with that id.
pub(crate) fn into_servers(
    settings: &ServersSettings,
    strategy: &dyn ShardingStrategy,
    origin: &Origin,
    anew: bool,
) -> Result<impl Target + use<>> {
    let cluster = Cluster::new(settings, strategy)?;
    let place = format!("{} on {}", cluster.namespace.as_str(), cluster.main.host());
    ensure!(
        origin.source.place() != place,
        "{place} is to be copied into itself: choose another servers.namespace"
    );
    Ok(Databases(Bulk::begin_copy(settings, strategy, &origin.dataset, anew)?))
}

struct Databases(Bulk);

impl Target for Databases {
    type Indexed = bulk::Indexed;

    fn place(&self) -> String {
        self.0.place()
    }

    fn notes(&mut self) -> Result<BTreeMap<String, String>> {
        self.0.notes(COPYING)
    }

    fn carried(&mut self, table: &CarriedTable, rows: &[CarriedRow]) -> Result<()> {
        self.0.carried(table, rows)
    }

    fn results(&mut self, rows: Vec<(Placement, CouponResult)>) -> Result<()> {
        self.0.results(rows)
    }

    fn settle(&mut self, name: &str, reached: &str) -> Result<()> {
        self.0.settle(name, reached)
    }

    fn index(self, progress: &mut dyn FnMut(u64, u64)) -> Result<bulk::Indexed> {
        Ok(self.0.index(progress)?.0)
    }
}

impl Indexed for bulk::Indexed {
    fn reader(&self) -> Result<Box<dyn Source>> {
        Ok(Box::new(Reader::of(self.cluster())?))
    }

    fn room_index(self, told: &mut dyn FnMut(u64, u64)) -> Result<Self> {
        self.make_room_index(told)?;
        Ok(self)
    }

    fn open(self, opening: &Opening) -> Result<()> {
        let workers: Vec<_> = opening.workers.iter().map(|(worker, last)| (*worker, *last)).collect();
        Self::open(self, &opening.sums, &workers, &opening.notes)
    }
}
