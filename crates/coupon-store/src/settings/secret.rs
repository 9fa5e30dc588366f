//! A secret: shown in no log, in no debug output, in no error.

use std::fmt;

use serde::Deserialize;

/// A setting whose value is never shown; empty when none was set.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// A secret of this text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself: to compare and to sign with, never to show.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// True if none was set.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_empty() { "none" } else { "(hidden)" })
    }
}
