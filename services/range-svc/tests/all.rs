//! The range strategies, held to their vectors and to the laws of sharding; their settings, and their changes.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic")]

mod golden;
mod growth;
mod laws;
mod settings;
