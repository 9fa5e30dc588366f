//! What an engine that shards by itself (Vitess) asks of those who store in it, beyond what a shard that is run by hand does.
//!
//! A lane has a connection of its own, to the address `keyspace[20]`: whatever is sent there goes as it is to the MySQL server of
//! the shard that has the keyspace id 20 now. The engine looks neither at where a row belongs nor at what a transaction has seen,
//! so each module here minds something that would go unnoticed.

mod address;
mod all_lanes;
mod ask;
mod bounds;
mod errors;
mod keyspace;
mod open;
mod rows;
mod start;
mod turn;
mod vschema;

pub(super) use all_lanes::AllLanes;
pub(super) use bounds::Bounds;
pub(super) use errors::is_away;
pub(super) use keyspace::cluster;
pub(super) use open::Engine;

pub use address::{keyspace_in, lane_database, shard_database};
pub use errors::{is_switch, past_switches};
pub use open::open;
pub use rows::insert;
pub use start::{EngineAnswers, RefusedEngine, check};
pub use turn::{Begins, Ends, TurnError, begin, commit};
pub use vschema::{Sharded, differences, made_by, wanted};
