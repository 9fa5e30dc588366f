//! Stands in for the servers' drivers in a program that was built for files alone: each question is refused, by name.

use anyhow::{Result, bail};
use coupon_core::ShardingStrategy;
use coupon_store::BuiltWithout;
use coupon_store::settings::{ServerUrl, ServersSettings};

/// Refuses.
pub(super) fn ensure_built() -> Result<()> {
    bail!(BuiltWithout::SERVERS)
}

/// Refuses.
///
/// # Errors
/// Always.
pub fn namespace_of(_: &str) -> Result<String> {
    bail!(BuiltWithout::SERVERS)
}

/// Refuses.
pub(super) fn wipe(_: &ServersSettings, _: &dyn ShardingStrategy) -> Result<()> {
    bail!(BuiltWithout::SERVERS)
}

/// Refuses.
pub(super) fn ask(_: &ServerUrl, _: &str) -> Result<Vec<(String, String)>, String> {
    Err(BuiltWithout::SERVERS.to_string())
}

/// Refuses.
pub(super) fn redis_version(_: &ServersSettings) -> Result<String> {
    bail!(BuiltWithout::SERVERS)
}
