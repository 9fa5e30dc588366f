//! The conditions of a comparison.

use std::collections::BTreeMap;

use coupon_lab::SharedServers;
use coupon_report::model::Meta;

use super::loads;
use super::options::CompareOptions;
use super::round::Entrant;
use super::servers::Servers;
use crate::measured;

/// Enough to run the comparison again.
pub(super) fn meta(
    options: &CompareOptions,
    date: String,
    servers: &Servers,
    entrants: &[Entrant],
    warnings: Vec<String>,
) -> Meta {
    let names: Vec<&str> = entrants.iter().map(Entrant::name).collect();
    Meta {
        title: format!("Sharding strategies compared: {}", names.join(", ")),
        versions: versions(servers.site.as_deref()),
        backend: entrants.first().map(|entrant| entrant.backend().to_owned()).unwrap_or_default(),
        rounds: options.rounds,
        seconds_per_round: loads::longest_round(&options.load, options.rounds).as_secs_f64(),
        history_rows: entrants.iter().map(Entrant::history).max().unwrap_or(0),
        shard_rtt_ms: options.setup.shard_rtt.as_secs_f64() * 1e3,
        processes: u32::try_from(options.setup.processes.get()).unwrap_or(u32::MAX),
        shard_cpu: servers.quota,
        shards_elsewhere: servers.site.as_ref().is_some_and(|site| site.is_elsewhere()),
        warnings,
        ..measured::meta(&options.load, &options.workload, date)
    }
}

fn versions(site: Option<&SharedServers>) -> BTreeMap<String, String> {
    let stores =
        site.map_or_else(|| vec![("sqlite", rusqlite::version().to_owned())], SharedServers::versions);
    let own = ("loadtest", env!("CARGO_PKG_VERSION").to_owned());
    stores.into_iter().chain([own]).map(|(name, version)| (name.to_owned(), version)).collect()
}
