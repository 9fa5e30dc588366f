//! The way of one kind of rows from one data set to another: how far it has come, and what has come by.

use std::fmt;
use std::str::FromStr;

use anyhow::{Context as _, Result, bail, ensure};
use coupon_core::{CouponResult, Money, RequestKey, Timestamp};
use coupon_store::carried::{CarriedRow, Cell};
use xxhash_rust::xxh3::xxh3_128;

/// The number of rows, and a digest that does not depend on their order: the sum of each row's own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) rows: u64,
    pub(crate) digest: u128,
}

impl Tally {
    /// Takes in a row, by its text.
    pub(crate) fn add(&mut self, text: &str) {
        self.rows += 1;
        self.digest = self.digest.wrapping_add(xxh3_128(text.as_bytes()));
    }
}

/// The key of the last row that came by, and all rows until then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reached {
    pub(crate) last: i64,
    pub(crate) tally: Tally,
}

impl Reached {
    const NOTHING: Self = Self { last: i64::MIN, tally: Tally { rows: 0, digest: 0 } };
}

/// As it is noted in the copy.
impl fmt::Display for Reached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { last, tally: Tally { rows, digest } } = self;
        write!(f, "{last} {rows} {digest:032x}")
    }
}

impl FromStr for Reached {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let read = || {
            let mut parts = text.split(' ');
            let last = parts.next()?.parse().ok()?;
            let rows = parts.next()?.parse().ok()?;
            let digest = u128::from_str_radix(parts.next()?, 16).ok()?;
            Some(Self { last, tally: Tally { rows, digest } })
        };
        read().with_context(|| format!("{text:?} does not say how far a copy has come"))
    }
}

/// The way of one kind of rows, in the order of their keys.
///
/// What an earlier run has stored is read again, and held against what that run noted: a source that has changed since is
/// found here.
#[derive(Debug)]
pub(crate) struct Way {
    pub(crate) name: &'static str,
    /// The note of an earlier run, until the row is reached at which it was made.
    noted: Option<Reached>,
    pub(crate) reached: Reached,
}

impl Way {
    pub(crate) fn new(name: &'static str, noted: Option<&str>) -> Result<Self> {
        let noted = noted.map(str::parse::<Reached>).transpose().with_context(|| name.to_owned())?;
        let noted = noted.filter(|noted| noted.tally.rows > 0);
        Ok(Self { name, noted, reached: Reached::NOTHING })
    }

    /// Lets a row come by; true if it is one that no earlier run has stored.
    pub(crate) fn pass(&mut self, key: i64, text: &str) -> Result<bool> {
        let Self { name, noted, reached } = self;
        ensure!(key > reached.last, "{name}: the source has {key} twice, or not in the order of its keys");
        reached.last = key;
        reached.tally.add(text);
        match *noted {
            None => Ok(true),
            Some(noted) if key < noted.last => Ok(false),
            Some(noted) if noted == *reached => {
                self.noted = None;
                Ok(false)
            }
            Some(_) => bail!(self.changed()),
        }
    }

    /// Says that there are no more rows; returns what came by.
    pub(crate) fn end(self) -> Result<Tally> {
        ensure!(self.noted.is_none(), self.changed());
        Ok(self.reached.tally)
    }

    fn changed(&self) -> String {
        format!(
            "{}: the source is not what it was when this copy was begun: begin it anew, with --anew",
            self.name
        )
    }
}

/// The text of a row of main's, the same whichever database it is from.
pub(crate) fn text_of_carried(row: &CarriedRow) -> String {
    let mut text = String::new();
    for cell in row {
        match cell {
            Cell::Null => text.push('-'),
            Cell::Number(number) | Cell::Cents(number) => text.push_str(&number.to_string()),
            // With its length, so that no two rows have one text.
            Cell::Text(cell) => {
                text.push_str(&cell.len().to_string());
                text.push(':');
                text.push_str(cell);
            }
        }
        text.push('|');
    }
    text
}

/// The text of a result.
pub(crate) fn text_of_result(row: &CouponResult) -> String {
    let number = |number: Option<i64>| number.map_or_else(|| "-".to_owned(), |number| number.to_string());
    let CouponResult { result_id, user_id, coupon_id, room_id, .. } = row;
    let (granted, used, state) = (row.grab_status.code(), row.use_status.code(), row.state.code());
    let why = row.fail_reason.map_or("-", |reason| reason.as_str());
    let others = [
        row.use_time.map(Timestamp::millis),
        row.order_amount.map(Money::cents),
        row.slot.map(i64::from),
        row.hold_until.map(Timestamp::millis),
        row.request.map(RequestKey::number),
        row.state_time.map(Timestamp::millis),
    ];
    let grabbed = row.grab_time.millis();
    let own = format!("{result_id}|{user_id}|{coupon_id}|{room_id}|{granted}|{why}|{grabbed}|{used}|{state}");
    others.into_iter().fold(own, |text, other| text + "|" + &number(other))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passed(way: &mut Way, rows: &[(i64, &str)]) -> Result<Vec<bool>> {
        rows.iter().map(|(key, text)| way.pass(*key, text)).collect()
    }

    #[test]
    fn what_an_earlier_run_has_stored_comes_by_again_and_is_not_stored() {
        let rows = [(1, "a"), (5, "b"), (9, "c")];
        let mut first = Way::new("results", None).unwrap();
        assert_eq!(passed(&mut first, &rows[..2]).unwrap(), [true, true]);
        let noted = first.reached.to_string();
        let mut again = Way::new("results", Some(&noted)).unwrap();
        assert_eq!(passed(&mut again, &rows).unwrap(), [false, false, true]);
        let mut whole = Way::new("results", None).unwrap();
        passed(&mut whole, &rows).unwrap();
        assert_eq!(again.end().unwrap(), whole.end().unwrap());
    }

    #[test]
    fn a_source_that_has_changed_since_is_refused() {
        let mut first = Way::new("results", None).unwrap();
        passed(&mut first, &[(1, "a"), (5, "b")]).unwrap();
        let noted = first.reached.to_string();
        let again = |rows: &[(i64, &str)]| {
            let mut way = Way::new("results", Some(&noted)).unwrap();
            passed(&mut way, rows)?;
            way.end()
        };
        for changed in
            [&[(1, "x"), (5, "b")][..], &[(1, "a"), (3, "n"), (5, "b")], &[(1, "a"), (6, "c")], &[(1, "a")]]
        {
            let error = again(changed).unwrap_err().to_string();
            assert!(error.contains("results: ") && error.contains("--anew"), "{error}");
        }
        assert!(again(&[(1, "a"), (5, "b")]).is_ok());
        assert!(passed(&mut Way::new("users", None).unwrap(), &[(2, "a"), (2, "a")]).is_err());
    }

    #[test]
    fn no_two_rows_have_one_text() {
        let text = |cells: &[&str]| {
            text_of_carried(&cells.iter().map(|cell| Cell::Text((*cell).to_owned())).collect())
        };
        assert_ne!(text(&["a|1:b", "c"]), text(&["a", "b|1:c"]));
        assert_ne!(text_of_carried(&vec![Cell::Null]), text(&["-"]));
    }
}
