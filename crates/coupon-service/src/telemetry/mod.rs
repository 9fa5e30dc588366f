//! A service's logs and traces. docs/OBSERVABILITY.md is for their readers.

#[cfg(feature = "traces")]
mod collector;
pub mod context;
mod logs;
#[cfg(feature = "traces")]
pub mod traces;
#[cfg(not(feature = "traces"))]
#[path = "without_traces.rs"]
pub mod traces;

pub use logs::{start_logging, subscriber};
