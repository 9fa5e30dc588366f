//! Fills data folders, or the databases of servers, with a catalogue and with past results, each placed by the strategy chosen.
//!
//! The same options give the same rows for every strategy, so that what differs between two data sets is only
//! where the rows live.

mod archive;
mod catalogue;
mod databases;
mod details;
mod grab_times;
mod history;
mod options;
mod progress;
mod random;
mod rebuild;
mod report;
mod seed;
mod sink;
mod verify;
mod words;

pub use archive::{ArchiveReport, archive, archive_servers};
pub use options::{OptionError, SeedOptions, now};
pub use progress::{Progress, Silent, on_stderr};
pub use rebuild::rebuild_servers;
pub use report::SeedReport;
pub use seed::{seed, seed_servers};
pub use verify::{audited, verify_servers};
