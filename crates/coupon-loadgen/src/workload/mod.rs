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
pub use model::{CatalogueSpec, Checkout, Course, Requests, RoomChoice, Scenario, ScenarioAction, Workload};
pub use schedule::{CheckoutPart, Request, RequestName, Schedule, order_of};
pub use shape::{ArrivalShape, Phase, Step};
pub use trace::Trace;
