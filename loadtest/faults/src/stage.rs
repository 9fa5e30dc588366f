//! What a row is played on: servers, programs, and terms.

use std::num::NonZeroU16;
use std::path::PathBuf;

use anyhow::Result;
use coupon_lab::{ServiceCommand, Site, program};
use coupon_store::servers::mysql::Database;
use coupon_store::servers::names::Namespace;
use coupon_strategies::REGISTER;

use super::without::Without;

/// The shards of either service, each on a server of its own.
pub(super) const SHARDS: NonZeroU16 = NonZeroU16::new(4).unwrap();

/// What all rows are played by.
#[derive(Debug, Clone)]
pub struct Terms {
    /// Requests a second to each service.
    pub rate: f64,
    /// What all random choices follow from.
    pub seed: u64,
    /// Where logs of services are kept.
    pub logs: PathBuf,
}

/// The program that is any of the services, with fail points.
const WITH_FAIL_POINTS: &str = "service-failpoints";

/// The programs that are broken: the one with fail points, if it was built, or the plain ones.
#[derive(Debug)]
pub(super) struct Programs {
    /// The one with fail points, or the reason why there is none.
    fail_points: Result<PathBuf, String>,
}

impl Programs {
    pub(super) fn find(plain: bool) -> Result<Self> {
        let why =
            "it needs services with fail points: cargo build --package loadtest-faults --features failpoints";
        let built = if plain { None } else { program(WITH_FAIL_POINTS).ok() };
        if built.is_none() {
            REGISTER.programs().try_for_each(|name| program(name).map(drop))?;
        }
        Ok(Self { fail_points: built.ok_or_else(|| why.to_owned()) })
    }

    /// The reason why there are no fail points, if there are none.
    pub(super) fn have_fail_points(&self) -> Result<(), String> {
        self.fail_points.as_ref().map(drop).map_err(Clone::clone)
    }

    /// The command line of a service, still without arguments of the service's own.
    pub(super) fn command(&self, service: &str) -> Result<ServiceCommand> {
        match &self.fail_points {
            Ok(any) => Ok(ServiceCommand::new(any.clone()).arguments([service])),
            Err(_) => Ok(ServiceCommand::new(program(service)?)),
        }
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
