//! Flags that say where MySQL, Redis and RabbitMQ are.

use std::path::PathBuf;

use anyhow::{Result, ensure};
use coupon_service::settings::{ServersSettings, Sources};

/// Where servers are: as the services take it, from a file, the environment and flags.
#[derive(Debug, Clone, Default, clap::Args)]
pub(super) struct ServersArgs {
    /// A settings file, as the services take it, whose [servers] section says where the servers are. COUPON__SERVERS__…
    /// in the environment goes before it
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// A setting of that section, such as servers.main=mysql://user:password@host:3306; may be given several times
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
}

impl ServersArgs {
    /// The `[servers]` section.
    ///
    /// # Errors
    /// When a setting cannot be read; the error names it.
    pub(super) fn settings(&self) -> Result<ServersSettings> {
        let other = self.set.iter().find(|set| !set.trim_start().starts_with("servers."));
        if let Some(other) = other {
            anyhow::bail!("--set {other}: only settings of [servers] count here");
        }
        let sources = Sources {
            file: self.config.clone(),
            environment: true,
            flags: self.set.clone(),
            ..Sources::default()
        };
        Ok(sources.read_storage()?.servers)
    }

    /// Refuses them where they would mean nothing.
    pub(super) fn refuse(&self, why: &str) -> Result<()> {
        ensure!(self.config.is_none(), "--config {why}");
        ensure!(self.set.is_empty(), "--set {why}");
        Ok(())
    }
}
