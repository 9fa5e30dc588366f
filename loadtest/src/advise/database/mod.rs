//! The rows of a table of the user's, a sample of them: read in small places all over its primary key, at a pace, and never
//! written.
//!
//! [`Address`] says where it is, [`ReadTable::open`] looks at it and says what would be read, [`ReadTable::read`] reads it.

mod address;
mod key;
mod places;
mod reader;
mod spans;
mod table;

pub use address::Address;
pub use reader::{ReadTable, TableRequest};
