//! Requests and their times: pure, decided by a seed, and the same for every contestant.

mod arrivals;
mod check;
mod file;
mod keys;
mod model;
mod schedule;
mod shape;
mod trace;

pub use arrivals::ArrivalTimes;
pub use coupon_measure::Endpoint;
pub use file::BUILT_IN;
pub use keys::{Keys, Skew};
pub use model::{Action, Catalogue, Checkout, Course, Requests, Rooms, Scenario, Workload};
pub use schedule::{Part, Request, RequestName, Schedule, order_of};
pub use shape::{Phase, Shape, Step};
pub use trace::Trace;
