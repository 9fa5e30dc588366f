//! Which requests come when: pure, decided by a seed, and the same for every contestant.

mod check;
mod endpoint;
mod file;
mod model;
mod schedule;
mod trace;

pub use endpoint::Endpoint;
pub use file::BUILT_IN;
pub use model::{Action, Catalogue, Requests, Rooms, Scenario, Workload};
pub use schedule::{ArrivalTimes, Request, Schedule};
pub use trace::Trace;
