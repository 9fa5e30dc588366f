//! Fills data folders, or the databases of servers, with a catalogue and with past results, each placed by the strategy chosen.
//!
//! The same options give the same rows for every strategy, so that what differs between two data sets is only
//! where the rows live.

mod archive;
mod catalogue;
mod copy;
mod details;
mod grab_times;
mod history;
mod options;
mod progress;
mod random;
mod report;
mod room_index;
mod seed;
#[cfg(feature = "servers")]
mod servers;
#[cfg(not(feature = "servers"))]
#[path = "without_servers.rs"]
mod servers;
mod sink;
mod words;

pub use archive::{ArchiveReport, archive};
pub use copy::{CopiedKind, CopyOptions, CopyReport, Site, copy};
pub use history::history_keys;
pub use options::{GivenIds, OptionError, SeedOptions, now};
pub use progress::{Progress, Silent, on_stderr};
pub use report::SeedReport;
pub use room_index::{build_room_index, drop_room_index};
pub use seed::seed;
pub use servers::{
    Differences, Rebuilt, RefilledGates, archive_servers, audited, change_gates, rebuild_servers,
    seed_servers, verify_servers,
};
