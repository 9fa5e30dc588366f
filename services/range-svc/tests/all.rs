//! The range strategies, held to their vectors and to the laws of sharding; and their settings.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic")]

mod golden;
mod laws;
mod settings;
