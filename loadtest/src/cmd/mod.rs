//! The subcommands: each has its `Args` and a `run`.

mod arguments;
mod own_data;
mod recorded;
mod servers;
mod trace;

pub mod advise;
pub mod audit;
pub mod compare;
pub mod diff;
pub mod explain;
pub mod figures;
pub mod history;
pub mod replay;
pub mod run;
pub mod schema;
pub mod serve;
pub mod simulate;
pub mod size;
pub mod subprograms;
pub mod vertical;

use std::path::{Path, PathBuf};

/// The file that keeps the start of a run, beside its clients' answers.
fn recorded_start(acks: &Path) -> PathBuf {
    let mut path = acks.as_os_str().to_owned();
    path.push(".start");
    path.into()
}
