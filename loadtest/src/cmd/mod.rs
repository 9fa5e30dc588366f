//! The subcommands: each has its `Args` and a `run`.

mod arguments;
mod servers;

pub mod audit;
pub mod bench;
pub mod compare;
pub mod explain;
pub mod faults;
pub mod run;
pub mod serve;
pub mod simulate;
pub mod vertical;
