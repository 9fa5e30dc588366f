//! The error of something needed that does not answer.

use std::fmt;

/// Something needed did not answer, or refused for now. The grab's outcome may be unknown; asking again is safe.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} is unavailable: {why}")]
pub struct Unavailable {
    /// The thing that did not answer.
    pub what: String,
    /// The reason, as far as it is known.
    pub why: String,
}

impl Unavailable {
    /// An error of that thing, for that reason.
    pub fn new(what: impl fmt::Display, why: impl fmt::Display) -> Self {
        Self { what: what.to_string(), why: why.to_string() }
    }
}
