//! Candidate keys: the values that each row has in columns of the file, whatever these are.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::ops::RangeInclusive;

use anyhow::Result;
use coupon_cli::plain;
use xxhash_rust::xxh3::xxh3_64;

use super::columns::{Column, Header, Places};
use super::ids::{canonical, in_order};
use super::key_columns::KeyColumns;
use super::sampling::{Part, Sampling};
use crate::source::Record;

/// So many rows are kept with their texts: enough to tell an order from none, and a share to half a percentage point.
const KEPT: usize = 20_000;
/// So many values are counted by their names: each that has a larger part of the rows than one in so many is among them.
const NAMED: usize = 512;
/// Parts the columns of a compound value; no text has it.
const PART: char = '\u{1f}';

/// The meaning of a key's column, where it has one that queries know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    /// The user.
    User,
    /// The room.
    Room,
    /// The coupon.
    Coupon,
    /// The time.
    Time,
}

/// A candidate key, with what its rows have in it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct KeyValues {
    /// Its name: its columns, as they were asked for.
    pub name: String,
    /// The meaning of each of its columns.
    pub columns: Vec<Option<Meaning>>,
    /// The hash of each row's value, in the order of the recording's grabs.
    pub hashes: Vec<u64>,
    /// A sample of the rows: times and values.
    pub sample: Vec<(i64, KeyText)>,
    /// The names of the most frequent values, by their hashes.
    pub names: HashMap<u64, String>,
}

/// A value as it is written, in the order that a range of it would have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyText(Box<str>);

impl KeyText {
    /// The columns' texts.
    pub fn parts(&self) -> impl Iterator<Item = &str> {
        self.0.split(PART)
    }
}

impl PartialOrd for KeyText {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for KeyText {
    /// Column by column, as ids are ordered.
    fn cmp(&self, other: &Self) -> Ordering {
        let unequal =
            self.parts().zip(other.parts()).map(|(a, b)| in_order(a, b)).find(|order| order.is_ne());
        unequal.unwrap_or(Ordering::Equal)
    }
}

/// Collects the values of a candidate key as rows are read.
#[derive(Debug)]
pub(super) struct KeyReader {
    name: String,
    columns: Vec<(Column, Option<Meaning>)>,
    /// The hashes by row, in the order of reading.
    pub(super) hashes: Vec<u64>,
    sample: Vec<Sampled>,
    /// Decides which rows are in the sample.
    sampling: Sampling,
    frequent: Frequent,
}

/// A row of the sample.
#[derive(Debug)]
struct Sampled {
    user: u64,
    coupon: u64,
    millis: i64,
    text: KeyText,
}

impl KeyReader {
    pub(super) fn new(key: &KeyColumns, header: &Header, places: &Places) -> Result<Self> {
        let column = |name: &String| {
            let Places { user, room, coupon, time } = places;
            let meant = [
                ("user", user, Meaning::User),
                ("room", room, Meaning::Room),
                ("coupon", coupon, Meaning::Coupon),
                ("time", time, Meaning::Time),
            ];
            if let Some((_, column, meaning)) = meant.into_iter().find(|(word, ..)| word == name) {
                return Ok((column.clone(), Some(meaning)));
            }
            let column = header.find(name, "--key")?;
            let meaning = meant.into_iter().find(|(_, known, _)| known.place == column.place);
            Ok((column, meaning.map(|(.., meaning)| meaning)))
        };
        Ok(Self {
            name: plain::line(&key.to_string()).into_owned(),
            columns: key.columns().iter().map(column).collect::<Result<_>>()?,
            hashes: Vec::new(),
            sample: Vec::new(),
            sampling: Sampling::new(Part::default()),
            frequent: Frequent::default(),
        })
    }

    /// The value of a row, to be added if the row is kept.
    ///
    /// # Errors
    /// Says why one of its columns has no text that can be kept.
    pub(super) fn value(&self, record: &Record<'_>) -> Result<String, String> {
        let part = |(column, _): &(Column, Option<Meaning>)| {
            column.text(record).map(|text| canonical(text).into_owned())
        };
        let parts: Vec<String> = self.columns.iter().map(part).collect::<Result<_, _>>()?;
        Ok(parts.join(&PART.to_string()))
    }

    /// Adds the value of a grab that is kept, by this user and with this hash of a coupon.
    pub(super) fn add(&mut self, value: &str, user: u64, coupon: u64, millis: i64) {
        let hash = xxh3_64(value.as_bytes());
        self.hashes.push(hash);
        self.frequent.see(hash, value);
        if self.sampling.keeps(user, coupon) {
            self.sample.push(Sampled { user, coupon, millis, text: KeyText(value.into()) });
        }
        while self.sample.len() > KEPT {
            self.sampling.halve();
            let sampling = self.sampling;
            self.sample.retain(|row| sampling.keeps(row.user, row.coupon));
        }
    }

    /// Leaves rows out of the sample that are of another time than these.
    pub(super) fn within(&mut self, millis: &RangeInclusive<i64>) {
        self.sample.retain(|row| millis.contains(&row.millis));
    }

    /// Keeps only these of the rows, in this order.
    pub(super) fn select(&mut self, rows: impl Iterator<Item = usize>) {
        self.hashes = rows.filter_map(|row| self.hashes.get(row).copied()).collect();
    }

    pub(super) fn values(self) -> KeyValues {
        let shown = |text: Box<str>| plain::line(&text.replace(PART, ", ")).into_owned();
        KeyValues {
            name: self.name,
            columns: self.columns.into_iter().map(|(_, meaning)| meaning).collect(),
            hashes: self.hashes,
            sample: self.sample.into_iter().map(|row| (row.millis, row.text)).collect(),
            names: self.frequent.values.into_iter().map(|(hash, (_, text))| (hash, shown(text))).collect(),
        }
    }
}

/// The values that may be frequent, by the method of Misra and Gries: in bounded space.
#[derive(Debug, Default)]
struct Frequent {
    values: HashMap<u64, (u64, Box<str>)>,
}

impl Frequent {
    fn see(&mut self, hash: u64, text: &str) {
        if let Some((count, _)) = self.values.get_mut(&hash) {
            *count += 1;
        } else if self.values.len() < NAMED {
            self.values.insert(hash, (1, text.into()));
        } else {
            self.values.retain(|_, (count, _)| {
                *count -= 1;
                *count > 0
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_ordered_column_by_column_numbers_by_value() {
        let text = |text: &str| KeyText(text.replace('|', &PART.to_string()).into());
        assert!(text("9|b") < text("10|a") && text("9|a") < text("9|b") && text("x") > text("10"));
    }

    #[test]
    fn what_is_frequent_is_named_however_many_others_there_are() {
        let mut frequent = Frequent::default();
        for n in 0..100_000_u64 {
            let text = if n % 100 == 0 { "hot".to_owned() } else { n.to_string() };
            frequent.see(xxh3_64(text.as_bytes()), &text);
        }
        assert!(frequent.values.contains_key(&xxh3_64(b"hot")) && frequent.values.len() <= NAMED);
    }
}
