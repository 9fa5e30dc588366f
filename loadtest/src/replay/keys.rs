//! Candidate keys: the values that each row has in columns of the file, whatever these are.

use std::collections::HashMap;
use std::ops::RangeInclusive;

use anyhow::Result;
use coupon_cli::plain;

use super::columns::{Column, Header, Places};
use super::ids::canonical;
use super::key_columns::{KeyColumns, PART, hash};
use super::sampling::{RowShare, Sampling};
use crate::source::Record;

/// The rows that are kept with their texts: enough to see whether they have an order, and a share to half a percentage point.
const KEPT: usize = 20_000;
/// The values that are counted by their names: each that has a larger part of the rows than one in so many is among them.
const NAMED: usize = 512;

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
#[derive(Debug, Clone, PartialEq)]
pub struct KeyValues {
    /// Its columns, as they were asked for.
    pub key: KeyColumns,
    /// The meaning of each of its columns.
    pub columns: Vec<Option<Meaning>>,
    /// The hash of each row's value, in the order of the recording's grabs.
    pub hashes: Vec<u64>,
    /// A sample of the rows: times and values, whose columns are parted.
    pub sample: Vec<(i64, Box<str>)>,
    /// The names of the most frequent values, by their hashes.
    pub names: HashMap<u64, String>,
}

/// Collects the values of a candidate key as rows are read.
#[derive(Debug)]
pub(super) struct KeyReader {
    key: KeyColumns,
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
    text: Box<str>,
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
            key: key.clone(),
            columns: key.columns().iter().map(column).collect::<Result<_>>()?,
            hashes: Vec::new(),
            sample: Vec::new(),
            sampling: Sampling::new(RowShare::default()),
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
        let hash = hash(value);
        self.hashes.push(hash);
        self.frequent.see(hash, value);
        if self.sampling.keeps(user, coupon) {
            self.sample.push(Sampled { user, coupon, millis, text: value.into() });
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
            key: self.key,
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
    fn what_is_frequent_is_named_however_many_others_there_are() {
        let mut frequent = Frequent::default();
        for n in 0..100_000_u64 {
            let text = if n % 100 == 0 { "hot".to_owned() } else { n.to_string() };
            frequent.see(hash(&text), &text);
        }
        assert!(frequent.values.contains_key(&hash("hot")) && frequent.values.len() <= NAMED);
    }
}
