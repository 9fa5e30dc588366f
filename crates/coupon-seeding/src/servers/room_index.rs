//! The room index of a data set on servers.

use anyhow::Result;
use coupon_servers::rooms;
use coupon_store::settings::ServersSettings;

use super::databases::namespace;

/// Makes it, and calls `told` with how many rows of how many it has.
pub(crate) fn build(
    settings: &ServersSettings,
    strategy: Option<&str>,
    told: &mut dyn FnMut(u64, u64),
) -> Result<()> {
    rooms::build(settings, namespace(settings, strategy)?, told)
}

/// Takes it away.
pub(crate) fn drop_index(settings: &ServersSettings, strategy: Option<&str>) -> Result<()> {
    rooms::drop_index(settings, namespace(settings, strategy)?)
}
