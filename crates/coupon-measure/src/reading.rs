//! Readings: a value that was read, or the reason why it could not be.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A value that was read, or the reason why it was not. In JSON: `{"value": 1.5}`, or
/// `{"value": null, "reason": "no /proc on this system"}`.
///
/// A figure that is missing must never look like a zero, so there is no way to have neither.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(from = "Raw<T>", into = "Raw<T>")]
#[serde(bound(serialize = "T: Clone + Serialize", deserialize = "T: Deserialize<'de>"))]
#[schemars(inline, title = "reading")]
pub enum Reading<T> {
    /// The value.
    Known(T),
    /// The reason, in a few words.
    Unknown(String),
}

/// A number that was read, or the reason why it was not.
pub type Figure = Reading<f64>;

#[derive(Serialize, Deserialize, JsonSchema)]
struct Raw<T> {
    value: Option<T>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

impl<T> Reading<T> {
    /// A reading that is missing, with the reason.
    pub fn unknown(reason: impl Into<String>) -> Self {
        Self::Unknown(reason.into())
    }

    /// The value, if it was read.
    pub fn known(&self) -> Option<&T> {
        match self {
            Self::Known(value) => Some(value),
            Self::Unknown(_) => None,
        }
    }

    /// The reason why nothing was read.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Known(_) => None,
            Self::Unknown(reason) => Some(reason),
        }
    }

    /// Takes a value, or the reason for a `None`.
    pub fn or_because(value: Option<T>, reason: impl Into<String>) -> Self {
        value.map_or_else(|| Self::unknown(reason), Self::Known)
    }

    /// Shows a value with `show`, and a missing one as `n/a: why`.
    pub fn show(&self, show: impl FnOnce(&T) -> String) -> String {
        match self {
            Self::Known(value) => show(value),
            Self::Unknown(reason) => format!("n/a: {reason}"),
        }
    }
}

impl Figure {
    /// A number; one that is not finite has no place in JSON and counts as unknown.
    #[must_use]
    pub fn of(value: f64) -> Self {
        if value.is_finite() { Self::Known(value) } else { Self::unknown("not a finite number") }
    }

    /// The number, if it was read.
    #[must_use]
    pub fn value(&self) -> Option<f64> {
        self.known().copied()
    }
}

impl<T> Default for Reading<T> {
    fn default() -> Self {
        Self::unknown("not measured")
    }
}

impl<T, E: std::fmt::Display> From<Result<T, E>> for Reading<T> {
    fn from(result: Result<T, E>) -> Self {
        match result {
            Ok(value) => Self::Known(value),
            Err(error) => Self::unknown(error.to_string()),
        }
    }
}

impl<T> From<Raw<T>> for Reading<T> {
    fn from(raw: Raw<T>) -> Self {
        Self::or_because(raw.value, raw.reason.unwrap_or_else(|| "no reason given".into()))
    }
}

impl<T> From<Reading<T>> for Raw<T> {
    fn from(reading: Reading<T>) -> Self {
        match reading {
            Reading::Known(value) => Self { value: Some(value), reason: None },
            Reading::Unknown(reason) => Self { value: None, reason: Some(reason) },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_figure_is_null_with_its_reason() {
        let json = serde_json::to_string(&Figure::unknown("no cgroup")).unwrap();
        assert_eq!(json, r#"{"value":null,"reason":"no cgroup"}"#);
        assert_eq!(serde_json::from_str::<Figure>(&json).unwrap(), Figure::unknown("no cgroup"));
    }

    #[test]
    fn a_figure_survives_json() {
        let json = serde_json::to_string(&Figure::of(2.5)).unwrap();
        assert_eq!(json, r#"{"value":2.5}"#);
        assert_eq!(serde_json::from_str::<Figure>(&json).unwrap(), Figure::of(2.5));
    }

    #[test]
    fn infinity_is_no_figure() {
        assert_eq!(Figure::of(f64::INFINITY).value(), None);
        assert!(Figure::of(f64::NAN).show(f64::to_string).starts_with("n/a: "));
    }
}
