//! The options of a data folder.

use std::num::{NonZeroU16, NonZeroUsize};
use std::path::PathBuf;

use crate::settings::UnknownUsers;

/// The options for opening a data folder.
#[derive(Debug, Clone)]
pub struct Options {
    /// The folder.
    pub data: PathBuf,
    /// Reading threads a shard.
    pub readers: NonZeroUsize,
    /// The largest a shard's file may grow, in MiB; 0 sets no limit.
    pub max_file_mb: u32,
    /// The most results that wait for one shard's tables.
    pub shard_backlog: usize,
    /// The number of shards that have a file, at least, whether or not the layout uses them yet.
    pub shards_prepared: NonZeroU16,
    /// The treatment of users whom main does not know.
    pub unknown_users: UnknownUsers,
    /// True if the data set is to have a room index.
    pub room_index: bool,
}
