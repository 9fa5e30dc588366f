//! The conditions of a comparison.

use std::collections::BTreeMap;

use coupon_lab::Site;
use coupon_lab::conditions;
use coupon_loadgen::load::Arrivals;
use coupon_loadgen::workload::{Catalogue, Requests, Rooms, Scenario, Workload};
use model::{Machine, Meta, MixPart};

use super::round::Entrant;
use super::servers::Servers;
use super::{Options, model};

/// Enough to run the comparison again.
pub(super) fn meta(
    options: &Options,
    date: String,
    servers: &Servers,
    entrants: &[Entrant],
    warnings: Vec<String>,
) -> Meta {
    let names: Vec<&str> = entrants.iter().map(Entrant::name).collect();
    Meta {
        title: format!("Sharding strategies compared: {}", names.join(", ")),
        date,
        command: conditions::command(std::env::args()),
        machine: Machine::this(),
        versions: versions(servers.site.as_deref()),
        seed: options.load.seed,
        backend: entrants.first().map(|entrant| entrant.backend().to_owned()).unwrap_or_default(),
        workload: options.workload.clone(),
        mix: mix(&options.load.workload),
        catalogue: catalogue(options.load.workload.catalogue),
        curve_percentiles: model::CURVE_PERCENTILES.into(),
        rounds: options.rounds,
        rate: match options.load.arrivals {
            Arrivals::Open { rate } => Some(rate),
            Arrivals::Closed => None,
        },
        connections: u32::try_from(options.load.connections).unwrap_or(u32::MAX),
        seconds_per_round: options.load.duration.as_secs_f64(),
        history_rows: entrants.iter().map(Entrant::history).max().unwrap_or(0),
        shard_rtt_ms: options.setup.shard_rtt.as_secs_f64() * 1e3,
        processes: u32::try_from(options.setup.processes.get()).unwrap_or(u32::MAX),
        shard_cpu: servers.quota,
        shards_elsewhere: servers.site.as_ref().is_some_and(|site| site.is_elsewhere()),
        warnings,
    }
}

/// The workload's requests by scenario, as parts of all of them.
fn mix(workload: &Workload) -> Vec<MixPart> {
    let Requests::Scenarios(scenarios) = &workload.requests else { return Vec::new() };
    let all: f64 = scenarios.iter().map(Scenario::rate).sum();
    let part = |scenario: &Scenario| {
        let weights: f64 = scenario.actions.iter().map(|action| action.weight).sum();
        let mut endpoints = BTreeMap::new();
        for action in &scenario.actions {
            let share = scenario.rate() / all * action.weight / weights;
            *endpoints.entry(action.endpoint.key().to_owned()).or_insert(0.0) += share;
        }
        let rooms = if scenario.rooms == Rooms::Hot { "hot" } else { "any" };
        MixPart { scenario: scenario.name.clone(), rooms: rooms.to_owned(), endpoints }
    };
    scenarios.iter().map(part).collect()
}

fn catalogue(catalogue: Catalogue) -> BTreeMap<String, u64> {
    let Catalogue { users, rooms, hot_rooms, coupons_per_room } = catalogue;
    let numbers = [
        ("users", users),
        ("rooms", rooms),
        ("hot_rooms", hot_rooms),
        ("coupons_per_room", coupons_per_room),
    ];
    numbers.map(|(name, number)| (name.to_owned(), number)).into()
}

fn versions(site: Option<&Site>) -> BTreeMap<String, String> {
    let stores = site.map_or_else(|| vec![("sqlite", rusqlite::version().to_owned())], Site::versions);
    let own = ("loadtest", env!("CARGO_PKG_VERSION").to_owned());
    stores.into_iter().chain([own]).map(|(name, version)| (name.to_owned(), version)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_a_mix_are_the_whole_workload() {
        let workload = Workload::default();
        let mix = mix(&workload);
        assert_eq!((mix.len(), mix[1].scenario.as_str(), mix[1].rooms.as_str()), (4, "hot room", "hot"));
        for (endpoint, share) in workload.shares() {
            let parts: f64 = mix.iter().filter_map(|part| part.endpoints.get(endpoint.key())).sum();
            assert!((parts - share).abs() < 1e-12, "{endpoint:?}: {parts} not {share}");
        }
    }
}
