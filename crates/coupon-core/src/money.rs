//! Amounts of money, exact to the cent.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An amount in the shop's currency, held in cents; JSON carries it as a number with two decimals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Money(i64);

impl Money {
    /// An amount of so many cents.
    #[must_use]
    pub const fn from_cents(cents: i64) -> Self {
        Self(cents)
    }

    /// The amount in cents.
    #[must_use]
    pub const fn cents(self) -> i64 {
        self.0
    }

    /// The nearest amount to a number of currency units; `None` when it is not finite or beyond ±10^13.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "the range is checked just before")]
    pub fn from_units(units: f64) -> Option<Self> {
        (units.is_finite() && units.abs() < 1e13).then(|| Self((units * 100.0).round() as i64))
    }

    /// The amount in currency units, for display and for databases without decimals.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "amounts stay below 2^53 cents")]
    pub fn units(self) -> f64 {
        self.0 as f64 / 100.0
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        write!(f, "{sign}{}.{:02}", self.0.unsigned_abs() / 100, self.0.unsigned_abs() % 100)
    }
}

impl Serialize for Money {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.units())
    }
}

impl<'de> Deserialize<'de> for Money {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let units = f64::deserialize(deserializer)?;
        Self::from_units(units).ok_or_else(|| serde::de::Error::custom("an amount must lie within ±10^13"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cents_survive_json() {
        let amount = Money::from_cents(5_990);
        let json = serde_json::to_string(&amount).unwrap();
        assert_eq!(json, "59.9");
        assert_eq!(serde_json::from_str::<Money>(&json).unwrap(), amount);
        assert_eq!(amount.to_string(), "59.90");
        assert_eq!(Money::from_cents(-5).to_string(), "-0.05");
    }

    #[test]
    fn an_amount_that_is_no_number_is_refused() {
        assert_eq!(Money::from_units(f64::NAN), None);
        assert_eq!(Money::from_units(1e300), None);
    }
}
