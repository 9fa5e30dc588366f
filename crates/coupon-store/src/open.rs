//! Opens the backend that the settings name, if this program was built with it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use coupon_core::ShardingStrategy;

use crate::clock::Clock;
use crate::settings::{BackendKind, Settings};
use crate::{Backend, embedded};

/// The refusal of a program that was built without what it is to use (`--no-default-features`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "this program was built without {0} (--no-default-features): `cargo build --release` builds it with all it can have"
)]
pub struct BuiltWithout(&'static str);

impl BuiltWithout {
    /// The servers' backend.
    pub const SERVERS: Self = Self("servers");
    /// Traces for a collector.
    pub const TRACES: Self = Self("traces");
}

/// Opens the backend of a service.
///
/// # Errors
/// When it cannot be used, or this program was built without it; the message says why, and names the setting.
pub fn open(
    settings: &Settings,
    strategy: Arc<dyn ShardingStrategy>,
    clock: &Clock,
) -> anyhow::Result<Backend> {
    match settings.backend {
        BackendKind::Embedded => in_folder(settings, strategy, clock),
        BackendKind::Servers => on_servers(settings, strategy, clock),
    }
}

fn in_folder(
    settings: &Settings,
    strategy: Arc<dyn ShardingStrategy>,
    clock: &Clock,
) -> anyhow::Result<Backend> {
    let options = embedded::Options {
        data: data_folder(&settings.embedded.data, &*strategy),
        readers: settings.embedded.readers,
        max_file_mb: settings.embedded.max_file_mb,
        shard_backlog: settings.grab.shard_backlog.get(),
        shards_prepared: settings.shards_prepared(),
        unknown_users: settings.users.unknown,
        room_index: settings.room_index,
    };
    embedded::open_decided_by(settings.grab.decided_by, &options, strategy, clock)
}

fn data_folder(set: &Path, strategy: &dyn ShardingStrategy) -> PathBuf {
    if set.as_os_str().is_empty() { Path::new("data").join(strategy.name()) } else { set.to_owned() }
}

#[cfg(feature = "servers")]
fn on_servers(
    settings: &Settings,
    strategy: Arc<dyn ShardingStrategy>,
    clock: &Clock,
) -> anyhow::Result<Backend> {
    let options = crate::servers::Options {
        servers: settings.servers.clone(),
        workers: settings.workers.get(),
        shards_prepared: settings.shards_prepared(),
        shard_backlog: settings.grab.shard_backlog.get(),
        unknown_users: settings.users.unknown,
        room_index: settings.room_index,
    };
    crate::servers::open_decided_by(settings.grab.decided_by, &options, strategy, clock)
}

#[cfg(not(feature = "servers"))]
fn on_servers(_: &Settings, _: Arc<dyn ShardingStrategy>, _: &Clock) -> anyhow::Result<Backend> {
    Err(anyhow::Error::new(BuiltWithout::SERVERS).context("setting `backend`"))
}

#[cfg(all(test, not(feature = "servers")))]
mod tests {
    use super::*;
    use crate::embedded::tests::Parity;
    use crate::settings::{NoSettings, Sources};

    #[test]
    fn servers_are_refused_by_name() {
        let sources = Sources { flags: vec!["backend=servers".to_owned()], ..Sources::default() };
        let sources = Sources { service_defaults: "listen = \"127.0.0.1:0\"".to_owned(), ..sources };
        let (settings, _) = sources.read::<NoSettings>("own").unwrap();
        let error = open(&settings, Arc::new(Parity), &Clock::system()).unwrap_err();
        assert_eq!(format!("{error:#}"), format!("setting `backend`: {}", BuiltWithout::SERVERS));
    }
}
