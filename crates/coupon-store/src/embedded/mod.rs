//! The embedded backend: a folder of SQLite files, one for the main database and one a shard.
//!
//! Each shard has one writing thread, whose commits are the hand-over, and a few reading ones. The gate lives in
//! memory and is rebuilt from the files at start.

pub mod books;
pub mod bulk;
pub mod copied;
pub mod folder;
pub mod rooms;

mod answers;
mod applier;
mod archive;
mod bindings;
mod catalogue;
mod gate;
mod growth;
mod hand_over;
mod inbox;
mod late;
mod layouts;
mod live;
mod loading;
mod move_steps;
mod mover;
mod moves;
mod open;
mod options;
mod pressure;
mod reader;
mod recent;
mod settle;
mod shards;
mod sql;
mod state;
mod stock;
mod take_up;
#[cfg(test)]
pub(crate) mod tests;
mod transaction;
mod work;
mod writer;

pub use open::{decided_by_of, open, open_decided_by};
pub use options::Options;
