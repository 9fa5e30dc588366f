//! The context that all cases of a run share: options, servers, programs, and the clock.

use std::num::NonZeroU16;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use coupon_core::Timestamp;
use coupon_lab::{ServiceCommand, SharedServers, program};
use coupon_servers::mysql::Database;
use coupon_servers::names::Namespace;
use coupon_stack::Stack;
use coupon_strategies::REGISTER;

use super::MatrixOptions;
use super::ablation::Ablation;

/// The shards of either service, each on its own server.
pub(super) const SHARDS: NonZeroU16 = NonZeroU16::new(4).unwrap();

/// The program that is any of the services, with fail points.
const WITH_FAIL_POINTS: &str = "service-failpoints";

/// The programs that are broken: the one with fail points, if it was built, or the plain ones.
#[derive(Debug)]
pub(super) struct ServicePrograms {
    /// The one with fail points, or the reason why there is none.
    fail_points: Result<PathBuf, String>,
}

impl ServicePrograms {
    pub(super) fn find(plain: bool) -> Result<Self> {
        let why =
            "it needs services with fail points: cargo build --package loadtest-faults --features failpoints";
        let built = if plain { None } else { program(WITH_FAIL_POINTS).ok() };
        if built.is_none() {
            REGISTER.programs().try_for_each(|name| program(name).map(drop))?;
        }
        Ok(Self { fail_points: built.ok_or_else(|| why.to_owned()) })
    }

    /// Checks that there are fail points.
    ///
    /// # Errors
    /// The reason why there are none.
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

/// Everything that a case shares with the others of the run, and the mechanism that is left out of it.
#[derive(Debug)]
pub(super) struct CaseContext<'a> {
    pub(super) site: &'a SharedServers,
    pub(super) programs: &'a ServicePrograms,
    pub(super) options: &'a MatrixOptions,
    /// A mechanism that is left out; its absence must be found.
    pub(super) ablation: Option<&'static Ablation>,
}

impl<'a> CaseContext<'a> {
    /// The servers.
    pub(super) fn stack(&self) -> Result<&'a Stack> {
        self.site.stack().context("these servers are not this run's own")
    }

    /// The main database of a service's data.
    pub(super) fn main_of(&self, namespace: &str) -> Result<Database> {
        let main = Namespace::new(namespace, "")?.main_database();
        Database::new("servers.main", &self.site.settings().main, &main, 1)
    }
}

/// The time by this machine's clock.
pub(super) fn now() -> Timestamp {
    Timestamp::from_millis(jiff::Timestamp::now().as_millisecond())
}
