//! A load generator: workloads that a seed repeats, sent to services, and the answers measured.
//!
//! - [`workload`] decides *which* requests come *when*: pure, and the same for every service.
//! - [`http`] speaks to a service over HTTP/1.1.
//! - [`load`] sends the requests, each at its time, and measures the answers from the time at which they were due.

pub mod http;
pub mod load;
pub mod workload;

pub use http::Target;
pub use load::{
    Arrivals, EndpointOutcome, GeneratorCost, GrabOutcome, GrabRecord, LoadSpec, Outcome, Refusal, Unknown,
    run_load,
};
pub use workload::{Endpoint, Workload};
