//! A service's logs and traces. docs/OBSERVABILITY.md is for those who read them.

mod collector;
pub mod context;
mod logs;
pub mod traces;

pub use logs::{start_logging, subscriber};
