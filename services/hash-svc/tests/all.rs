//! The hash strategy, held to its vectors and to the laws of sharding.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests may panic")]

mod golden;
mod laws;
