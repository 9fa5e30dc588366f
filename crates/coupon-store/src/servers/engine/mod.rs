//! What an engine that shards by itself (Vitess) asks of those who store in it, beyond what a shard that is run by hand does.
//!
//! A lane has a connection of its own, to the address `keyspace[20]`: whatever is sent there goes as it is to the MySQL server of
//! the shard that has the keyspace id 20 now. The engine looks neither at where a row belongs nor at what a transaction has seen,
//! so each module here minds something that would go unnoticed.

mod address;
mod all_lanes;
mod ask;
mod bounds;
mod cluster;
mod errors;
mod open;
mod rows;
mod start;
mod turn;
mod vschema;

pub(super) use all_lanes::AllLanes;
pub(super) use bounds::Bounds;

pub use address::{keyspace, lane_database, shard_database};
pub use errors::{is_switch, past_switches};
pub use open::open;
pub use rows::insert;
pub use start::{EngineAnswers, RefusedEngine, check};
pub use turn::{Begins, Ends, TurnError, begin, commit};
pub use vschema::{Sharded, differences, made_by, wanted};

use std::sync::Arc;

use coupon_core::{Lanes, ShardId};

use super::lane::Lane;
use super::mysql::{Database, ShardDatabase};
use super::seam::ShardServer;
use crate::settings::ServersSettings;

/// The lanes of a data set, in their order, each with its own way to the engine that settings name.
///
/// # Errors
/// When the setting cannot be used.
pub fn lane_servers(
    settings: &ServersSettings,
    dataset: &str,
    lanes: Lanes,
) -> anyhow::Result<Vec<Box<dyn ShardServer>>> {
    let keyspace = keyspace(&settings.engine)?;
    let bounds = Arc::new(Bounds::new(keyspace, lanes));
    let lane = |shard| Some((shard, Lane::among(lanes, shard)?));
    let server = |(shard, lane): (ShardId, Lane)| {
        let name = lane_database(keyspace, lane.key());
        let database = Database::of_engine(&settings.engine, &name, settings.pool.get())?;
        let server = ShardDatabase::new(&database, shard, dataset).in_lane(lane, Some(&bounds));
        Ok(Box::new(server) as Box<dyn ShardServer>)
    };
    (0..lanes.count().get()).map(ShardId::new).filter_map(lane).map(server).collect()
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU16;

    use super::*;
    use crate::settings::{NoSettings, Sources};

    #[test]
    fn each_lane_has_an_address_of_its_own() {
        let flags = vec!["servers.engine=mysql://u:s3cret@gate:1/results".to_owned()];
        let service_defaults = "listen = \"127.0.0.1:0\"".to_owned();
        let sources = Sources { flags, service_defaults, ..Sources::default() };
        let (settings, NoSettings {}) = sources.read("own").unwrap();
        let lanes = Lanes::new(NonZeroU16::new(4).unwrap()).unwrap();
        let servers = lane_servers(&settings.servers, "d", lanes).unwrap();
        let names: Vec<String> = servers.iter().map(|server| server.name()).collect();
        assert_eq!(names[1], "setting `servers.engine`: MySQL at gate:1, database results[40]");
        assert_eq!(names.len(), 4);
    }
}
