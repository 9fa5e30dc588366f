//! Evidence that a fault took effect.

use std::fmt;

use anyhow::{Result, bail};
use serde::Serialize;

/// Evidence that a fault took effect: no case is run without any, since every injection ends with one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Proof(String);

impl Proof {
    /// An observation of the fault, if it shows that the fault took effect; otherwise the case was not run.
    pub(super) fn when(took_effect: bool, seen: impl Into<String>) -> Result<Self> {
        let seen = seen.into();
        if took_effect {
            return Ok(Self(seen));
        }
        bail!(NotInjected(format!("the fault did not take effect: {seen}")))
    }
}

impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A fault that cannot be brought about here, or took no effect.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct NotInjected(pub(super) String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_took_no_effect_is_no_proof() {
        assert_eq!(Proof::when(true, "3 messages went").unwrap().to_string(), "3 messages went");
        let error = Proof::when(false, "0 messages went").unwrap_err();
        assert!(error.downcast_ref::<NotInjected>().is_some(), "{error}");
        assert!(error.to_string().contains("0 messages went"), "{error}");
    }
}
