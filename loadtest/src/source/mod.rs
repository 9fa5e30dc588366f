//! Tables as others write them: a file, a pipe or the standard input, packed or not, in any common encoding and with
//! any common separator, read once and in bounded memory.
//!
//! [`open`] finds out how the bytes are packed (`packed`), how the text is encoded (`encoded`) and what parts its
//! columns (`dialect`); [`SourceTable`] then hands out one [`Record`] after the other.

mod dialect;
mod encoded;
mod open;
mod packed;
mod peek;
mod progress;
mod records;

pub use dialect::Separator;
pub use encoded::TextEncoding;
pub use open::{Format, SourceTable, open};
pub(crate) use packed::unpacked;
pub use records::{Next, Record};
