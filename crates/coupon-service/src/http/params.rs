//! Numbers, ids and query parameters, parsed the same way wherever they come from.
//!
//! A number is whole if it has no fraction, however it is written: `5`, `5.0` and `5e0` are the same. What is no
//! whole number is malformed (400); a whole number that cannot be meant is out of range (422), and so is one whose
//! fraction is too fine to be kept.

use std::fmt;
use std::ops::RangeInclusive;

use actix_web::{HttpRequest, web};
use coupon_core::after_grab::UnknownState;
use coupon_core::{IdError, MAX_ID, Money, ResultId, ResultState};
use serde::Deserialize;
use serde::de::{Deserializer, Error, Unexpected, Visitor};

use super::number;
use super::problem::{Kind, Problem};

/// A whole number; `None` for one that is negative or far too large.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Whole(Option<u64>);

impl Whole {
    /// The id that the number is.
    pub(super) fn id<T>(
        self,
        field: impl fmt::Display,
        id: impl Fn(u64) -> Result<T, IdError>,
    ) -> Result<T, Problem> {
        self.0.and_then(|number| id(number).ok()).ok_or_else(|| {
            let detail = format!("{field} must be a whole number from 1 to {MAX_ID}");
            Problem::new(Kind::OutOfRange, detail).field(field.to_string())
        })
    }

    /// The number, if it is within a range.
    pub(super) fn within(self, field: &'static str, range: &RangeInclusive<u64>) -> Result<u64, Problem> {
        self.0.filter(|number| range.contains(number)).ok_or_else(|| {
            let detail = format!("{field} must be a whole number from {} to {}", range.start(), range.end());
            Problem::new(Kind::OutOfRange, detail).field(field)
        })
    }

    /// The number as a smaller type holds it, or `beyond` in place of one that it does not hold.
    pub(super) fn or<T: TryFrom<u64>>(self, beyond: T) -> T {
        self.0.and_then(|number| T::try_from(number).ok()).unwrap_or(beyond)
    }

    /// Text as JSON spells numbers.
    fn from_text(text: &str, field: &'static str) -> Result<Self, Problem> {
        let number = text.starts_with(|c: char| c == '-' || c.is_ascii_digit());
        let end = text.ends_with(|c: char| c.is_ascii_digit());
        if number && end && number::is_finer_than_kept(text.as_bytes()) {
            let detail = format!("{field} must be a whole number, and has a fraction");
            return Err(Problem::new(Kind::OutOfRange, detail).field(field));
        }
        let parsed = (number && end).then(|| serde_json::from_str(text).ok()).flatten();
        parsed.ok_or_else(|| {
            Problem::new(Kind::Malformed, format!("{field} must be a whole number")).field(field)
        })
    }
}

impl<'de> Deserialize<'de> for Whole {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(WholeVisitor)
    }
}

struct WholeVisitor;

impl Visitor<'_> for WholeVisitor {
    type Value = Whole;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a whole number")
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Whole, E> {
        Ok(Whole(Some(number)))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Whole, E> {
        Ok(Whole(u64::try_from(number).ok()))
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a whole number from 0 to 2^53 - 1 is the same as a float"
    )]
    fn visit_f64<E: Error>(self, number: f64) -> Result<Whole, E> {
        if number.fract() != 0.0 {
            return Err(E::invalid_type(Unexpected::Float(number), &self));
        }
        Ok(Whole((0.0..=MAX_ID as f64).contains(&number).then_some(number as u64)))
    }
}

/// A small whole number, as the type holds it.
pub(super) fn small<T: TryFrom<u64>>(
    number: Whole,
    field: &'static str,
    range: RangeInclusive<u64>,
) -> Result<T, Problem> {
    let number = number.within(field, &range)?;
    T::try_from(number)
        .map_err(|_| Problem::new(Kind::OutOfRange, format!("{field} is too large")).field(field))
}

/// The largest amount that can be meant.
const AMOUNT_MAX: f64 = 1e9;

/// An amount of money. Amounts are exact: what is no whole number of cents is not rounded to one.
pub(super) fn amount(units: f64, field: &'static str) -> Result<Money, Problem> {
    let meant = (0.0..=AMOUNT_MAX).contains(&units);
    let amount = meant.then(|| Money::from_units(units)).flatten();
    amount.filter(|amount| amount.units() == units).ok_or_else(|| {
        let detail = format!("{field} must be from 0 to {AMOUNT_MAX}, with two decimals at most");
        Problem::new(Kind::OutOfRange, detail).field(field)
    })
}

/// The id at that place of the path.
pub(super) fn path_id<T>(
    req: &HttpRequest,
    field: &'static str,
    id: impl Fn(u64) -> Result<T, IdError>,
) -> Result<T, Problem> {
    Whole::from_text(req.match_info().get(field).unwrap_or_default(), field)?.id(field, id)
}

/// A result's id. It has more bits than a JSON number keeps, so bodies carry it as text too.
pub(super) fn result_id(text: &str) -> Result<ResultId, Problem> {
    const FIELD: &str = "result_id";
    let range = 0..=i64::MAX.unsigned_abs();
    let number = Whole::from_text(text, FIELD)?.within(FIELD, &range)?.cast_signed();
    ResultId::from_number(number)
        .map_err(|error| Problem::new(Kind::OutOfRange, error.to_string()).field(FIELD))
}

/// A query's parameters: each known, and there at most once.
#[derive(Debug)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    pub(super) fn of(req: &HttpRequest, known: &[&str]) -> Result<Self, Problem> {
        Self::parse(req.query_string(), known)
    }

    /// Refuses every parameter.
    pub(super) fn none(req: &HttpRequest) -> Result<(), Problem> {
        if req.query_string().is_empty() { Ok(()) } else { Self::of(req, &[]).map(|_| ()) }
    }

    fn parse(text: &str, known: &[&str]) -> Result<Self, Problem> {
        let malformed = |detail: String, name: &str| Problem::new(Kind::Malformed, detail).field(name);
        let pairs = web::Query::<Vec<(String, String)>>::from_query(text)
            .map_err(|error| Problem::new(Kind::Malformed, format!("the query cannot be read: {error}")))?
            .into_inner();
        for (at, (name, _)) in pairs.iter().enumerate() {
            let shown: String = name.chars().take(40).collect();
            if !known.contains(&name.as_str()) {
                let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
                return Err(malformed(format!("no such parameter: {shown}; known here: {known}"), &shown));
            }
            if pairs.iter().take(at).any(|(earlier, _)| earlier == name) {
                return Err(malformed(format!("{shown} is given twice"), &shown));
            }
        }
        Ok(Self(pairs))
    }

    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// A whole number within a range, if it is given.
    pub(super) fn whole(
        &self,
        name: &'static str,
        range: &RangeInclusive<u64>,
    ) -> Result<Option<u64>, Problem> {
        self.text(name).map(|text| Whole::from_text(text, name)?.within(name, range)).transpose()
    }

    /// The most items that a page may have.
    pub(super) fn limit(&self) -> Result<usize, Problem> {
        let limit = self.whole("limit", &(1..=1_000))?.unwrap_or(100);
        Ok(usize::try_from(limit).unwrap_or(usize::MAX))
    }

    /// The only state of results that is wanted, if one is given.
    pub(super) fn state(&self) -> Result<Option<ResultState>, Problem> {
        let read = |text: &str| {
            text.parse().map_err(|error: UnknownState| {
                Problem::new(Kind::Malformed, error.to_string()).field("state")
            })
        };
        self.text("state").map(read).transpose()
    }

    /// `true` or `false`.
    pub(super) fn flag(&self, name: &'static str, default: bool) -> Result<bool, Problem> {
        match self.text(name) {
            None => Ok(default),
            Some("true") => Ok(true),
            Some("false") => Ok(false),
            Some(_) => Err(Problem::new(Kind::Malformed, format!("{name} is true or false")).field(name)),
        }
    }
}

#[cfg(test)]
mod tests {
    use actix_web::ResponseError;
    use coupon_core::UserId;

    use super::*;

    fn user(json: &str) -> Result<u64, u16> {
        let malformed = Problem::new(Kind::Malformed, "");
        let whole = serde_json::from_str::<Whole>(json).map_err(|_| malformed.status_code().as_u16())?;
        whole.id("user_id", UserId::new).map(UserId::get).map_err(|problem| problem.status_code().as_u16())
    }

    fn in_path(text: &str) -> Result<u64, u16> {
        let whole = Whole::from_text(text, "user_id").map_err(|problem| problem.status_code().as_u16())?;
        whole.id("user_id", UserId::new).map(UserId::get).map_err(|problem| problem.status_code().as_u16())
    }

    #[test]
    fn a_whole_number_is_one_however_it_is_written() {
        for text in ["123", "123.0", "1.23e2"] {
            assert_eq!((user(text), in_path(text)), (Ok(123), Ok(123)), "{text}");
        }
        assert_eq!(user("9007199254740991"), Ok(MAX_ID));
    }

    #[test]
    fn a_whole_number_out_of_range_is_told_from_what_is_none() {
        for text in ["0", "-0", "-1", "-1e30", "1e30", "9007199254740992", "18446744073709551616"] {
            assert_eq!((user(text), in_path(text)), (Err(422), Err(422)), "{text}");
        }
        for text in
            ["1.5", "-0.1", "true", "null", "[]", "\"1\"", "\"\"", "NaN", "+1", "0x10", "007", "", "1e"]
        {
            assert_eq!((user(text), in_path(text)), (Err(400), Err(400)), "{text}");
        }
        assert_eq!(in_path("5.0000000000000001"), Err(422));
        for text in [" 1", "1 ", "1\n", "١", "abc", "inf", "1e400"] {
            assert_eq!(in_path(text), Err(400), "{text:?}");
        }
    }

    #[test]
    fn a_result_id_has_63_bits() {
        assert_eq!(result_id("9223372036854775807").unwrap().number(), i64::MAX);
        for (text, status) in [("9223372036854775808", 422), ("-1", 422), ("abc", 400), ("", 400)] {
            assert_eq!(result_id(text).unwrap_err().status_code().as_u16(), status, "{text}");
        }
    }

    #[test]
    fn a_parameter_that_is_unknown_or_given_twice_is_named() {
        for (text, named) in
            [("limt=5", "limt"), ("limit=5&limit=5", "limit"), ("limit=5&%6cimit=6", "limit"), ("a", "a")]
        {
            let problem = Query::parse(text, &["limit", "cursor"]).unwrap_err();
            assert_eq!(problem.status_code().as_u16(), 400);
            assert!(problem.to_string().contains(named), "{text}: {problem}");
        }
    }

    #[test]
    fn a_limit_is_from_1_to_1000_and_100_when_not_given() {
        let limit = |text: &str| {
            let query = Query::parse(text, &["limit"]).unwrap();
            query.limit().map_err(|problem| problem.status_code().as_u16())
        };
        assert_eq!((limit(""), limit("limit=1"), limit("limit=1000")), (Ok(100), Ok(1), Ok(1_000)));
        assert_eq!(
            (limit("limit=0"), limit("limit=1001"), limit("limit=1e9")),
            (Err(422), Err(422), Err(422))
        );
        assert_eq!((limit("limit="), limit("limit=ten"), limit("limit")), (Err(400), Err(400), Err(400)));
    }

    #[test]
    fn a_flag_is_true_or_false() {
        let flag = |text: &str| Query::parse(text, &["exact"]).unwrap().flag("exact", true).ok();
        assert_eq!(
            (flag(""), flag("exact=false"), flag("exact=true")),
            (Some(true), Some(false), Some(true))
        );
        assert_eq!((flag("exact=0"), flag("exact")), (None, None));
    }
}
