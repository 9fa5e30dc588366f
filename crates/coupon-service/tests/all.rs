//! The service: its API, and every backend under it.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests may panic")]

mod api;
mod backends;
#[path = "backends/bench/mod.rs"]
mod bench;
#[path = "api/client.rs"]
mod client;
#[path = "api/fixture.rs"]
mod fixture;
#[path = "api/running.rs"]
mod running;
#[path = "backends/served.rs"]
#[allow(dead_code, reason = "each suite that shares this uses its own part of it")]
mod served;
