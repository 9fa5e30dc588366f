//! Traces recorded elsewhere: any column names, any ids, any pace.
//!
//! [`Recording`] is what could be read of a file: ids are those that a service will see, and lines that make no sense are
//! counted by reason rather than fatal, since real files have some. [`QueryMix`] adds the queries that a workload asks beside
//! each grab.

mod columns;
mod description;
mod ids;
mod key_columns;
mod keys;
mod left_out;
mod lines;
mod maps;
mod mix;
mod outliers;
mod public_data_sets;
mod ranges;
mod reader;
mod recording;
mod sampling;
mod seconds;
mod select;
mod times;

#[cfg(test)]
mod tests;

pub use columns::{Columns, Header, LONGEST};
pub use key_columns::KeyColumns;
pub(crate) use key_columns::{PART, hash};
pub use keys::{KeyValues, Meaning};
pub use left_out::LeftOut;
pub use maps::{write_rooms, write_users};
pub use mix::QueryMix;
pub use ranges::{equal_work, split};
pub use reader::{ReadOptions, read};
pub use recording::{RecordedRooms, RecordedRow, Recording, SpreadGrabs};
pub use sampling::RowShare;
pub use seconds::CountedSecond;
pub use select::{ColumnCondition, QueryRows};
pub use times::{TimeFormat, time_zone};
