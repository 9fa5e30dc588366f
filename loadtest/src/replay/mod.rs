//! Traces recorded elsewhere: any column names, any ids, any pace.
//!
//! [`Recording`] is what could be read of a file: ids become 1 to n, and lines that make no sense are counted by reason
//! rather than fatal, since real files have some. [`QueryMix`] adds the queries that a workload asks beside each grab.

mod columns;
mod description;
mod ids;
mod left_out;
mod mix;
mod moments;
mod ranges;
mod reader;
mod recording;

pub use columns::Columns;
pub use left_out::LeftOut;
pub use mix::QueryMix;
pub use moments::TimeFormat;
pub use ranges::{equal_work, split};
pub use reader::{Reading, read};
pub use recording::{Recording, Rooms, Row};
