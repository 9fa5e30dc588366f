//! Checks of single fields, with what they must be.

use super::Refused;
use crate::{MAX_ID, Money};

/// The first amount, in cents, that main's columns do not hold.
const CENTS_END: i64 = 1_000_000_000_000_000;

pub(super) fn holds(field: &'static str, held: bool, why: impl FnOnce() -> String) -> Result<(), Refused> {
    if held { Ok(()) } else { Err(Refused::Invalid { field: field.to_owned(), why: why() }) }
}

/// A list of one element or more.
pub(super) fn count(field: &'static str, count: usize, most: usize) -> Result<(), Refused> {
    holds(field, (1..=most).contains(&count), || format!("must be from 1 to {most}"))
}

/// A name, which people must be able to see.
pub(super) fn name(field: &'static str, text: &str, longest: usize) -> Result<(), Refused> {
    holds(field, !text.trim().is_empty(), || "must not be empty".to_owned())?;
    self::text(field, text, longest)
}

/// A line of text, in characters.
pub(super) fn text(field: &'static str, text: &str, longest: usize) -> Result<(), Refused> {
    holds(field, text.chars().nth(longest).is_none(), || format!("must have at most {longest} characters"))?;
    holds(field, !text.chars().any(char::is_control), || "must not hold control characters".to_owned())
}

/// Text of any number of lines, in bytes, as a column of type TEXT holds it.
pub(super) fn long_text(field: &'static str, text: &str) -> Result<(), Refused> {
    const LONGEST: usize = 65_535;
    holds(field, text.len() <= LONGEST, || format!("must have at most {LONGEST} bytes"))?;
    holds(field, !text.contains('\0'), || "must not hold the character 0".to_owned())
}

pub(super) fn json(field: &'static str, text: &str) -> Result<(), Refused> {
    long_text(field, text)?;
    let parsed = serde_json::from_str::<serde::de::IgnoredAny>(text);
    let field = field.to_owned();
    parsed.map(drop).map_err(|error| Refused::Invalid { field, why: format!("must be JSON: {error}") })
}

/// Says whether two texts are the same JSON value: a column of type JSON keeps the value, and writes it in its own way.
pub(super) fn same_json(one: &str, other: &str) -> bool {
    let value = |text| serde_json::from_str::<serde_json::Value>(text).ok();
    one == other || value(one).is_some_and(|one| value(other) == Some(one))
}

pub(super) fn number(field: &'static str, number: u64) -> Result<(), Refused> {
    holds(field, (1..=MAX_ID).contains(&number), || format!("must be from 1 to {MAX_ID}"))
}

pub(super) fn money(field: &'static str, amount: Money) -> Result<(), Refused> {
    holds(field, (0..CENTS_END).contains(&amount.cents()), || "must be from 0 to 9999999999999.99".to_owned())
}
