//! What a service tells of itself: logs, metrics, traces. docs/OBSERVABILITY.md is for those who read them.

mod buckets;
mod collector;
pub mod context;
mod exposition;
mod logs;
pub mod traces;

pub use buckets::Buckets;
pub use exposition::{Exposition, Family};
pub use logs::{start_logging, subscriber};
