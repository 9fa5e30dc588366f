//! A process that can be broken from within: by files that it looks for at its fail points.

use std::fs;
use std::net::SocketAddr;
use std::ops::Deref;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use coupon_lab::wait::until;
use coupon_lab::{ServiceCommand, ServiceProcess};

/// The time that a process may take to come by a fail point.
const REACHED: Duration = Duration::from_secs(20);

/// A process of a service under test, and the folder of the files that arm its fail points
/// (`coupon_store::failpoints`).
#[derive(Debug)]
pub(super) struct TestedProcess {
    process: ServiceProcess,
    fail_points: PathBuf,
    /// The address of the proxy in front of it, if clients are to reach it through one.
    pub(super) front: Option<SocketAddr>,
}

impl TestedProcess {
    /// Starts one. The files that are in the folder already hold from its first moment on.
    pub(super) fn start(command: ServiceCommand, fail_points: PathBuf, log: PathBuf) -> Result<Self> {
        let command = command.environment([("COUPON_FAILPOINTS", fail_points.display().to_string())]);
        Ok(Self { process: ServiceProcess::start(command, log)?, fail_points, front: None })
    }

    /// Arms a fail point. The process reads the file, and takes it away, before it goes on.
    pub(super) fn arm(&self, point: &str, effect: &str) -> Result<()> {
        // Never half-written where it is looked for.
        let draft = self.fail_points.join(format!(".{point}"));
        fs::write(&draft, effect)?;
        fs::rename(draft, self.fail_points.join(point)).with_context(|| format!("fail point {point}"))
    }

    /// Disarms a fail point that the process has not come by yet.
    pub(super) fn disarm(&self, point: &str) {
        // The process may have come by: then there is no file.
        let _ = fs::remove_file(self.fail_points.join(point));
    }

    /// Waits until it has come by an armed fail point.
    pub(super) fn reaches(&self, point: &str) -> Result<()> {
        let file = self.fail_points.join(point);
        until(&format!("a process comes by {point}"), REACHED, || Ok(!file.exists()))
    }
}

/// All that can be done to any process from outside.
impl Deref for TestedProcess {
    type Target = ServiceProcess;

    fn deref(&self) -> &ServiceProcess {
        &self.process
    }
}
