//! How a contestant's processes are started, so that they can be started again.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use coupon_loadgen::http::{Target, get_ok};

use super::Service;

/// How long a service that listens may take until it is ready.
const READY: Duration = Duration::from_secs(60);
/// How often it is asked: this much its time to start is told too long, at most.
const ASK: Duration = Duration::from_millis(5);

/// What it takes to start them.
#[derive(Debug)]
pub(super) struct Launch {
    pub(super) program: PathBuf,
    pub(super) arguments: Vec<String>,
    pub(super) environment: Vec<(&'static str, String)>,
    /// The folder of their logs.
    pub(super) logs: PathBuf,
    pub(super) processes: NonZeroUsize,
}

impl Launch {
    pub(super) fn start(&self) -> Result<Vec<Service>> {
        let start = |number: usize| {
            let log = self.logs.join(format!("service{}.log", numbered(number)));
            Service::start_in(&self.program, &self.arguments, &self.environment, log)
        };
        (0..self.processes.get()).map(start).collect()
    }

    /// One more, with more settings.
    pub(super) fn one_more(&self, settings: &[&str]) -> Result<Service> {
        let more = settings.iter().flat_map(|setting| ["--set".to_owned(), (*setting).to_owned()]);
        let arguments: Vec<String> = self.arguments.iter().cloned().chain(more).collect();
        let log = self.logs.join("service-beside.log");
        Service::start_in(&self.program, &arguments, &self.environment, log)
    }
}

/// Only a second log needs a number.
fn numbered(number: usize) -> String {
    if number == 0 { String::new() } else { format!("-{}", number + 1) }
}

/// The first of some processes, with the others behind it.
pub(super) fn target(name: &str, services: &[Service]) -> Result<Target> {
    let targets = services.iter().map(|service| Target::from_url(name, service.url()));
    let mut targets = targets.collect::<Result<Vec<_>>>()?.into_iter();
    let first = targets.next().context("it has no process")?;
    Ok(Target { more: targets.map(|target| target.addr).collect(), ..first })
}

/// Waits until every process says that it is ready.
pub(super) fn wait_until_ready(target: &Target) -> Result<()> {
    let patience = Instant::now() + READY;
    for addr in std::iter::once(target.addr).chain(target.more.iter().copied()) {
        let one = Target { addr, more: Vec::new(), ..target.clone() };
        while let Err(error) = get_ok(&one, "/readyz") {
            if Instant::now() >= patience {
                return Err(error.context(format!("it was not ready within {} s", READY.as_secs())));
            }
            std::thread::sleep(ASK);
        }
    }
    Ok(())
}
