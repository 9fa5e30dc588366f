//! Parts that every strategy's service shares: HTTP API, grab pipeline, queries. The storage below them is
//! `coupon-store`'s.
//!
//! Data flows one way: HTTP → pipeline → strategy → store. A service is its strategy and a [`Program`].

pub mod api;
pub mod app;
mod cli;
mod delayed;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
pub mod growth;
mod http;
pub mod limits;
pub mod loopback;
mod open;
pub mod pipeline;
pub mod queries;
mod room_cache;
mod route_metrics;
pub mod state;
pub mod telemetry;
pub mod user_token;
pub mod web_page;

pub use cli::{AnyProgram, Program};
pub use coupon_store::settings::{NoSettings, choice};
pub use open::{Open, open, open_in_engine};
