//! The names of a data set's databases and keys on servers.
//!
//! The services have names of their own. They are written down here a second time on purpose, and both are held to
//! the same golden file (`crates/coupon-core/golden/names.json`).

use anyhow::{Result, ensure};

/// The most letters of a namespace.
const LONGEST: usize = 40;

/// The address of the gate, in main's record of it, of a data set whose database decides grabs.
pub(super) const NO_GATE: &str = "the database of shard 0";

/// The prefix of every name of a data set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Namespace(String);

impl Namespace {
    pub(super) fn new(name: &str) -> Result<Self> {
        let plain = name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
        let fine = plain && name.starts_with(|c: char| c.is_ascii_lowercase()) && name.len() <= LONGEST;
        ensure!(
            fine,
            "setting `servers.namespace`: {name:?} must be 1 to {LONGEST} lower-case letters, digits and underscores, a \
             letter first"
        );
        Ok(Self(name.to_owned()))
    }

    pub(super) fn main_database(&self) -> String {
        format!("{}_main", self.0)
    }

    pub(super) fn shard_database(&self, shard: u16) -> String {
        format!("{}_shard_{shard}", self.0)
    }

    /// The hash of a coupon's holders, its total and its window.
    pub(super) fn holders(&self, dataset: &str, epoch: u64, coupon: i64) -> String {
        format!("{}.{dataset}.{epoch}.{coupon}.holders", self.0)
    }

    /// The sorted set of reservations that are not known to be stored.
    pub(super) fn pending(&self, dataset: &str, epoch: u64) -> String {
        format!("{}.{dataset}.{epoch}.pending", self.0)
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize)]
    struct Golden {
        namespace: String,
        dataset: String,
        epoch: u64,
        coupon: i64,
        main: String,
        shards: Vec<(u16, String)>,
        holders: String,
        pending: String,
        good: Vec<String>,
        bad: Vec<String>,
    }

    #[test]
    fn names_are_those_of_the_golden_file() {
        let golden: Golden =
            serde_json::from_str(include_str!("../../../coupon-core/golden/names.json")).unwrap();
        let names = Namespace::new(&golden.namespace).unwrap();
        assert_eq!(names.main_database(), golden.main);
        for (shard, name) in golden.shards {
            assert_eq!(names.shard_database(shard), name);
        }
        assert_eq!(names.holders(&golden.dataset, golden.epoch, golden.coupon), golden.holders);
        assert_eq!(names.pending(&golden.dataset, golden.epoch), golden.pending);
        assert!(golden.good.iter().all(|name| Namespace::new(name).is_ok()));
        for name in golden.bad {
            assert!(Namespace::new(&name).unwrap_err().to_string().contains("servers.namespace"), "{name}");
        }
    }
}
