//! Schedules of the services' own code: the pipeline and the tasks of the servers' backend run over servers in memory,
//! and a seed draws every delay, loss, crash, pause and clock. The same seed twice is the same history.
//!
//! They search; they replace no test on real servers. The servers in memory are held to the same laws as MariaDB, Redis and
//! RabbitMQ (`tests/laws`).

mod check;
mod inject;
pub mod memory;
mod no_reads;
mod plan;
mod process;
mod schedule;
mod search;
mod shrink;
mod user;
pub mod world;

pub use plan::{Altered, Fault, FaultKind, SeededSchedule, Wish};
pub use process::{ByUser, PROCESS_PART};
pub use schedule::{Played, play};
pub use search::{BrokenSeed, SearchedSeeds, search};
pub use shrink::shrink;

/// The mechanisms of docs/RELIABILITY.md that a schedule finds when they are left out.
pub const FOUND: [coupon_store::failpoints::Mechanism; 18] = {
    use coupon_store::failpoints::Mechanism as M;
    [
        M::Confirms,
        M::AckAfterCommit,
        M::Epoch,
        M::RecordedEpochs,
        M::ScriptFirst,
        M::WholeFill,
        M::Markers,
        M::Sentinel,
        M::OnePerUser,
        M::Reconciler,
        M::Pending,
        M::Conflicts,
        M::Repeats,
        M::Parking,
        M::Leases,
        M::Floors,
        M::Positions,
        M::RowFirst,
    ]
};
