//! Fills a strategy's databases on servers.

use std::time::Instant;

use anyhow::{Result, ensure};
use coupon_core::ShardingStrategy;
use coupon_servers::bulk::Bulk;
use coupon_store::settings::ServersSettings;

use super::room_index::build;
use crate::seed::{NewDataSet, fill};
use crate::{Progress, SeedOptions, SeedReport, room_index};

/// Fills a strategy's databases on servers with the same data.
///
/// # Errors
/// When the options make no data, a setting cannot be used, a server does not answer, or there is data and `reset` is
/// not set.
pub fn seed_servers(
    settings: &ServersSettings,
    strategy: &dyn ShardingStrategy,
    options: &SeedOptions,
    reset: bool,
    progress: &mut dyn Progress,
) -> Result<SeedReport> {
    options.check()?;
    ensure!(
        !(options.room_index && strategy.whole().is_planned()),
        "setting `room_index` must be false where an engine has the shards: it finds a room on each by an index of theirs"
    );
    let began = Instant::now();
    let bulk = Bulk::begin(settings, strategy, reset)?;
    let new = NewDataSet { place: bulk.place(), dataset: bulk.dataset().to_owned(), began };
    let report = fill(bulk, new, strategy, options, progress)?;
    if options.room_index {
        room_index::on_stage(progress, |told| build(settings, Some(strategy.name()), told))?;
    }
    Ok(report)
}
