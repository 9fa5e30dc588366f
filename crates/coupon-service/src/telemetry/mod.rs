//! What a service tells of itself: logs, metrics, traces.

mod buckets;
pub mod context;
mod exposition;
mod logs;

pub use buckets::Buckets;
pub use exposition::{Exposition, Family};
pub use logs::{start_logging, subscriber};
