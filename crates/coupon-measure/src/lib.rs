//! Figures and what they are worth.
//!
//! - [`reading`]: a value that was read, or the reason why it was not.
//! - [`turns`]: the order in which those that are compared take turns, drawn from one seed.
//! - [`endpoint`]: the endpoints that figures are kept apart by.
//! - [`stats`]: estimates over rounds, and whether a difference is one.
//! - [`mod@format`]: numbers and lists as people read them.
//! - [`table`]: tables for terminals and documents.
//! - [`grid`]: counts by range of a key and by time.
//! - [`machine`]: the machine that figures were measured on.
//! - [`sketch`]: figures of streams that are too long to be kept.
//! - [`recent`]: the frequent values of the last minute.
//! - [`random`] and [`zipf`]: numbers that a seed repeats.

pub mod endpoint;
pub mod format;
pub mod grid;
pub mod machine;
pub mod random;
pub mod reading;
pub mod recent;
pub mod sketch;
pub mod stats;
pub mod table;
pub mod turns;
pub mod zipf;

pub use endpoint::Endpoint;
pub use machine::Machine;
pub use random::Random;
pub use reading::{Figure, Reading};
pub use stats::Estimate;
pub use table::Table;
pub use turns::Turns;
