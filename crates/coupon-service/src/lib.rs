//! What every strategy's service shares: settings, HTTP API, grab pipeline, backends.
//!
//! Data flows one way: HTTP → pipeline → strategy → store. A service is its strategy and one call of [`main`].

mod answers;
pub mod api;
pub mod app;
pub mod backend;
mod cli;
pub mod clock;
pub mod failpoints;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod http;
pub mod ids;
pub mod limits;
pub mod loopback;
pub mod manager;
mod outage;
pub mod pipeline;
mod room_cache;
pub mod service;
pub mod settings;
pub mod telemetry;
pub mod timekeeping;
mod unavailable;
pub mod user_token;

pub use cli::main;
pub use settings::NoSettings;
