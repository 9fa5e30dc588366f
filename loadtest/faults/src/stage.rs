//! What a row is played on: servers, programs, and terms.

use std::collections::BTreeMap;
use std::num::NonZeroU16;
use std::path::PathBuf;

use anyhow::Result;
use coupon_lab::{Site, program};
use coupon_store::servers::mysql::Database;
use coupon_store::servers::names::Namespace;

use super::without::Without;

/// The shards of either service, each on a server of its own.
pub(super) const SHARDS: NonZeroU16 = NonZeroU16::new(4).unwrap();

/// What all rows are played by.
#[derive(Debug, Clone)]
pub struct Terms {
    /// Requests a second to each of the two services.
    pub rate: f64,
    /// What all random choices follow from.
    pub seed: u64,
    /// Where logs of services are kept.
    pub logs: PathBuf,
}

/// The programs that are broken: those with fail points, if they were built, or the plain ones.
#[derive(Debug)]
pub(super) struct Programs {
    pub(super) by_name: BTreeMap<&'static str, PathBuf>,
    /// Why there are no fail points, if there are none.
    pub(super) fail_points: Result<(), String>,
}

impl Programs {
    pub(super) fn find(plain: bool) -> Result<Self> {
        let services = ["hash-svc", "range-svc"];
        let built = |suffix: &str| -> Result<BTreeMap<_, _>> {
            services.into_iter().map(|name| Ok((name, program(&format!("{name}{suffix}"))?))).collect()
        };
        if !plain && let Ok(by_name) = built("-failpoints") {
            return Ok(Self { by_name, fail_points: Ok(()) });
        }
        let why =
            "it needs services with fail points: cargo build --package loadtest-faults --features failpoints";
        Ok(Self { by_name: built("")?, fail_points: Err(why.to_owned()) })
    }
}

/// What a row is played on.
#[derive(Debug)]
pub(super) struct Stage<'a> {
    pub(super) site: &'a Site,
    pub(super) programs: &'a Programs,
    pub(super) terms: &'a Terms,
    /// A mechanism that is left out; its absence must be found.
    pub(super) without: Option<&'static Without>,
}

impl Stage<'_> {
    /// The main database of a service's data.
    pub(super) fn main_of(&self, namespace: &str) -> Result<Database> {
        let main = Namespace::new(namespace, "")?.main_database();
        Database::new("servers.main", &self.site.settings().main, &main, 1)
    }
}
