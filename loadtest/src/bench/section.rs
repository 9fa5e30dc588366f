//! A part of the benchmark that can be run by itself.

use anyhow::Result;

use super::context::Context;
use super::model::{Claim, Findings};

/// A part of the benchmark.
#[derive(Debug, Clone, Copy)]
pub struct Section {
    /// What `--only` calls it.
    pub name: &'static str,
    /// What it is about, in a few words.
    pub what: &'static str,
    /// Whether it needs MySQL, Redis and RabbitMQ. Then [`Context::site`] has them.
    pub servers: bool,
    /// The rows that it will give.
    pub claims: fn() -> Vec<Claim>,
    /// Measures. An error makes all its rows not valid, and the benchmark goes on with the next section.
    pub run: fn(&mut Context) -> Result<Findings>,
}
