//! A part of the benchmark that can be run by itself.

use anyhow::Result;

use super::context::Context;
use super::model::{Claim, Findings, Measurement};

/// A part of the benchmark.
#[derive(Debug, Clone, Copy)]
pub struct Section {
    /// Its name, which `--only` takes.
    pub name: &'static str,
    /// The heading of the document under which it stands, with others that measure the same subject.
    pub family: &'static str,
    /// Its subject, in a few words.
    pub what: &'static str,
    /// True when it needs MySQL, Redis and RabbitMQ. Then [`Context::site`] has them.
    pub servers: bool,
    /// The rows that it will give.
    pub claims: fn() -> Vec<Claim>,
    /// Measures. An error makes all its rows not valid, and the benchmark goes on with the next section.
    pub run: fn(&mut Context) -> Result<Findings>,
}

/// The measurements of a part of a section that could not be made: what one part cannot do leaves the figures of the others.
pub fn failed(claims: impl IntoIterator<Item = Claim>, error: &anyhow::Error) -> Vec<Measurement> {
    claims.into_iter().map(|claim| Measurement::failed(claim.id, format!("{error:#}"))).collect()
}
