//! The HTTP API over real sockets, on the embedded backend, in a folder of each test's own.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic")]

mod admin;
mod bad_input;
mod catalogue;
mod client;
mod fixture;
mod grabs;
mod hostile;
mod identity;
mod limits;
mod lists;
mod operation;
mod outages;
mod requests;
mod results;
mod wire;
