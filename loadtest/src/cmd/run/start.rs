//! The state of the data before a run, kept beside its clients' answers.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use coupon_audit::StartState;
use coupon_cli::output::Output;
use coupon_cli::terminal;
use coupon_lab::{Deployment, SharedServers};
use coupon_loadgen::http::Target;

use crate::cmd::recorded_start;
use crate::cmd::servers::ServersArgs;

/// Writes it beside the file of acknowledgements. Data that cannot be read here is no error: an audit then checks
/// less, and says so. A start that an earlier run left there is not this one's, and goes.
///
/// # Errors
/// When the file cannot be written, or the servers' settings make no sense.
pub(super) fn record(target: &Target, servers: &ServersArgs, acks: &Path) -> Result<()> {
    let path = recorded_start(acks);
    let settings = servers.settings()?;
    let site = (!settings.main.is_empty()).then(|| Arc::new(SharedServers::given(settings)));
    match remember(target, site) {
        Ok(start) => Output::create("--acks", &path)?.write(|file| start.write(file)),
        Err(why) => {
            terminal::note(format!("what the data is like before the run is not recorded: {why:#}"));
            match std::fs::remove_file(&path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    Err(error).with_context(|| format!("--acks: cannot remove {}", path.display()))
                }
                _ => Ok(()),
            }
        }
    }
}

fn remember(target: &Target, site: Option<Arc<SharedServers>>) -> Result<StartState> {
    let running = Deployment::attach(target.clone(), site)?;
    running.can_be_audited().map_err(anyhow::Error::msg)?;
    // What earlier clients were granted and is still on its way is none of this run's.
    running.drain()?;
    running.remember()?.context("its data cannot be read here")
}
