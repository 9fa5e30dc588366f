//! The format of a data set on servers.

/// The version of the tables' contents, and of the gate's scripts, that this code writes and reads.
///
/// It is also the key of the rows that every transaction of a shard's and every epoch of the gate begins with, in
/// `shard_state` and `gate_state`. So a process of an earlier format that was frozen while the data set was brought up to
/// date finds neither when it goes on: it stores nothing, and fills and opens no gate.
pub(super) const FORMAT: &str = "8";

/// The versions before, whose tables a service brings up to date when it opens them.
pub(super) const FORMATS_BEFORE: [&str; 7] = ["1", "2", "3", "4", "5", "6", "7"];

/// The statement that gives a table of one row of state the key by which this format finds it. Running it again does no harm.
pub(super) fn take_over(table: &str) -> String {
    format!("UPDATE {table} SET id = {FORMAT}")
}
