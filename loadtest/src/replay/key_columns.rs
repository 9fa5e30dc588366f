//! A candidate for the key by which rows are put on shards.

use std::fmt;
use std::str::FromStr;

use anyhow::{Error, Result, bail, ensure};
use coupon_core::Mix;
use serde::{Serialize, Serializer};
use xxhash_rust::xxh3::xxh3_64;

/// Parts the columns of a compound value. No text that is read has one.
pub(crate) const PART: char = '\u{0}';

/// The hash of a value, its columns parted by [`PART`]: that of `hash-svc` where it is a number, and by the same function of its
/// bytes otherwise.
pub(crate) fn hash(value: &str) -> u64 {
    value.parse::<u64>().map_or_else(|_| xxh3_64(value.as_bytes()), |number| Mix::Xxh3.hash(number))
}

/// One column, or several in their order.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyColumns(Vec<String>);

impl KeyColumns {
    /// The most columns of a key.
    pub const COLUMNS: usize = 8;

    /// The names of its columns, as they were given.
    #[must_use]
    pub fn columns(&self) -> &[String] {
        &self.0
    }
}

impl FromStr for KeyColumns {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let columns: Vec<String> = text.split(',').map(|name| name.trim().to_owned()).collect();
        ensure!(
            columns.iter().all(|name| !name.is_empty()),
            "a column without a name: a key is COLUMN,COLUMN,…"
        );
        ensure!(
            columns.len() <= Self::COLUMNS,
            "{} columns, and {} are the most",
            columns.len(),
            Self::COLUMNS
        );
        for (at, name) in columns.iter().enumerate() {
            if columns.iter().take(at).any(|before| before.eq_ignore_ascii_case(name)) {
                bail!("column {name:?} twice");
            }
        }
        Ok(Self(columns))
    }
}

impl fmt::Display for KeyColumns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(","))
    }
}

impl Serialize for KeyColumns {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_one_column_or_several_that_differ() {
        let key: KeyColumns = "room_id, user_id".parse().unwrap();
        assert_eq!((key.columns().len(), key.to_string().as_str()), (2, "room_id,user_id"));
        for wrong in ["", "a,", "a,,b", "a,A", "a,b,c,d,e,f,g,h,i"] {
            assert!(wrong.parse::<KeyColumns>().is_err(), "{wrong}");
        }
    }
}
