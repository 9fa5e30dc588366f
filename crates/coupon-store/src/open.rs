//! A data set in files as the settings describe it, and the refusal of what a program was built without.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use coupon_core::ShardingStrategy;

use crate::clock::Clock;
use crate::settings::Settings;
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

/// Opens the folder that the settings name.
///
/// # Errors
/// When it cannot be used; the message says why, and names the setting.
pub fn open_folder(
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
