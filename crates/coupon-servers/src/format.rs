//! The format of a data set on servers.

use coupon_core::GateCount;

/// The version of the tables' contents, and of the gate's scripts, that this code writes and reads.
///
/// It is also the key of the rows that every transaction of a shard's and every epoch of the gate begins with, in
/// `shard_state` and `gate_state`. So a process of an earlier format that was frozen while the data set was brought up to
/// date finds neither when it goes on: it stores nothing, and fills and opens no gate.
pub(super) const FORMAT: &str = "8";

/// The same of a data set that has several gates: versions that know one gate alone refuse it, and find none of its rows of
/// state. Nor does a process that was frozen while the data set got several gates, or one again.
pub(super) const SEVERAL_GATES: &str = "108";

/// The versions before, whose tables a service brings up to date when it opens them.
pub(super) const FORMATS_BEFORE: [&str; 8] = ["1", "2", "3", "4", "5", "6", "7", SEVERAL_BEFORE];

/// The one of them whose data sets have several gates.
const SEVERAL_BEFORE: &str = "107";

/// The format of a data set with so many gates.
pub(super) const fn of(gates: GateCount) -> &'static str {
    if gates.is_several() { SEVERAL_GATES } else { FORMAT }
}

/// The statement that gives a table of one row of state the key by which this format finds it. Running it again does no harm.
pub(super) fn take_over(table: &str) -> String {
    format!(
        "UPDATE {table} SET id = IF(id IN ({SEVERAL_BEFORE}, {SEVERAL_GATES}), {SEVERAL_GATES}, {FORMAT})"
    )
}
