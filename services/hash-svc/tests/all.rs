//! The hash strategy, held to its vectors and to the laws of sharding; and its service, frozen, and killed.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests may panic")]

mod archiving;
#[cfg(feature = "servers")]
mod cluster;
#[cfg(feature = "servers")]
mod frozen;
mod golden;
mod growing;
#[cfg(feature = "servers")]
mod growing_servers;
mod laws;
mod process;
