//! Flags that say where MySQL, Redis and RabbitMQ are.

use std::num::NonZeroUsize;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, ensure};
use coupon_cli::duration::parse_duration;
use coupon_cli::numbers::nonzero;
use coupon_lab::Setup;
use coupon_seeding::SeedOptions;
use coupon_store::settings::{ServersSettings, Sources, shown};

use super::arguments::Backend;
use crate::compare::ServersChoice;

/// The servers' addresses: as the services take them, from a file, the environment and flags.
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
            anyhow::bail!("--set {}: only settings of [servers] count here", shown(other));
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

/// The contestants' backend, and its resources.
#[derive(Debug, clap::Args)]
pub(super) struct BackendArgs {
    /// Backend of the contestants: files, or MySQL, Redis and RabbitMQ. Without addresses (--config, --set,
    /// COUPON__SERVERS__… in the environment), this run starts servers for itself
    #[arg(long, value_enum, default_value_t = Backend::Embedded)]
    backend: Backend,
    #[command(flatten)]
    servers: ServersArgs,
    /// With --backend servers of this run's own: the cores that each shard's server may use, such as 0.2, so that a hot
    /// one saturates
    #[arg(long, value_name = "CORES", allow_negative_numbers = true)]
    pub(super) shard_cpu: Option<f64>,
    /// With --backend servers: the service processes of each contestant; connections go round them
    #[arg(long, value_name = "NUMBER", default_value = "1", value_parser = nonzero::<NonZeroUsize>)]
    processes: NonZeroUsize,
    /// A round trip to add before every call to a shard, such as 1ms: loopback makes many calls too cheap
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    shard_rtt: Option<Duration>,
    /// Keep the contestants' data in this folder
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
}

/// The least and the most cores that a quota may say.
const QUOTAS: RangeInclusive<f64> = 0.01..=1_024.0;
/// The most processes: more are a mistake.
const MOST_PROCESSES: usize = 64;

/// Longer round trips than this are no network's.
const LONGEST_RTT: Duration = Duration::from_secs(10);

impl BackendArgs {
    /// The setup of contestants with those rows to begin with, but for the servers, which [`Self::wanted`] names.
    pub(super) fn setup(&self, seed: SeedOptions) -> Setup {
        let shard_rtt = self.shard_rtt.unwrap_or_default();
        Setup { keep: self.keep.clone(), shard_rtt, processes: self.processes, ..Setup::embedded(seed) }
    }

    /// The flags that say how services are started, each with whether it is given.
    pub(super) fn of_started(&self) -> [(&'static str, bool); 4] {
        [
            ("--shard-cpu", self.shard_cpu.is_some()),
            ("--processes", self.processes.get() > 1),
            ("--shard-rtt", self.shard_rtt.is_some()),
            ("--keep", self.keep.is_some()),
        ]
    }

    /// Refuses a folder that keeps the contestants' data.
    pub(super) fn refuse_keep(&self, why: &str) -> Result<()> {
        ensure!(self.keep.is_none(), "--keep has no use {why}");
        Ok(())
    }

    /// The servers of contestants and of targets, if there are any.
    ///
    /// # Errors
    /// When the flags contradict each other; the error names one of them.
    pub(super) fn wanted(&self, with_targets: bool) -> Result<ServersChoice> {
        ensure!(
            self.shard_rtt.unwrap_or_default() <= LONGEST_RTT,
            "--shard-rtt must be {} s at most",
            LONGEST_RTT.as_secs()
        );
        let settings = self.servers.settings()?;
        let given = !settings.main.is_empty();
        if self.backend == Backend::Embedded {
            ensure!(
                self.shard_cpu.is_none(),
                "--shard-cpu needs --backend servers: files have no CPU to limit"
            );
            ensure!(
                self.processes.get() == 1,
                "--processes needs --backend servers: a data folder has one process"
            );
            if !with_targets {
                self.servers.refuse("has no effect on files: add --backend servers, or leave it out")?;
                return Ok(ServersChoice::None);
            }
            return Ok(if given { ServersChoice::ForTargets(settings) } else { ServersChoice::None });
        }
        ensure!(self.processes.get() <= MOST_PROCESSES, "--processes must be {MOST_PROCESSES} at most");
        if let Some(cores) = self.shard_cpu {
            let (least, most) = (QUOTAS.start(), QUOTAS.end());
            ensure!(QUOTAS.contains(&cores), "--shard-cpu must be {least} to {most} cores, not {cores}");
            ensure!(
                !given,
                "--shard-cpu is for servers of this run's own: these are given, limit them where they run"
            );
        }
        if !given {
            return Ok(ServersChoice::Private);
        }
        for (name, missing) in [
            ("servers.shards", settings.shards.is_empty()),
            ("servers.redis", settings.redis.is_empty()),
            ("servers.rabbitmq", settings.rabbitmq.is_empty()),
        ] {
            ensure!(!missing, "setting `{name}` is missing, and `servers.main` is given");
        }
        Ok(ServersChoice::Given(settings))
    }
}
