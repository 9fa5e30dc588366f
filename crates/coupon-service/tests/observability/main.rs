//! A service's metrics, logs and traces, held against what is written of them: docs/OBSERVABILITY.md, the dashboard,
//! the alerts.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests may panic")]

#[path = "../api/client.rs"]
#[allow(dead_code, reason = "each suite that shares this uses its own part of it")]
mod client;
mod document;
mod exposition;
#[path = "../api/fixture.rs"]
#[allow(dead_code, reason = "each suite that shares this uses its own part of it")]
mod fixture;
mod lines;
mod logs;
mod queries;
#[path = "../api/running.rs"]
mod running;
mod servers;
mod traces;

use std::path::{Path, PathBuf};

/// A file of the repository.
fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

fn read(path: &str) -> String {
    std::fs::read_to_string(repository(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}
