//! The names of databases, keys, exchanges and queues.
//!
//! A namespace keeps strategies apart on the same servers. Below it, keys and queues carry the data set's id, so that
//! those of a data set that was replaced are never taken for the new one's.

use coupon_core::{CouponId, RequestKey, ShardId, UserId};
use coupon_store::failpoints::{self, Mechanism};

/// MySQL takes names of 64 characters; `_shard_65535` needs twelve of them.
const LONGEST: usize = 40;

/// A namespace: the beginning of every name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Namespace(String);

/// A namespace that cannot be one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "setting `servers.namespace`: {0:?} must be 1 to {LONGEST} lower-case letters, digits and underscores, a letter first"
)]
pub struct NamespaceError(String);

impl Namespace {
    /// The namespace of that name; without one, `coupon_` and the name of the strategy.
    ///
    /// # Errors
    /// [`NamespaceError`] for a name that MySQL, or people, would have to quote.
    pub fn new(name: &str, strategy: &str) -> Result<Self, NamespaceError> {
        let name =
            if name.is_empty() { format!("coupon_{}", strategy.replace('-', "_")) } else { name.to_owned() };
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        let fine = name.starts_with(|c: char| c.is_ascii_lowercase())
            && name.chars().all(plain)
            && name.len() <= LONGEST;
        if fine { Ok(Self(name)) } else { Err(NamespaceError(name)) }
    }

    /// The name itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The main database.
    #[must_use]
    pub fn main_database(&self) -> String {
        format!("{}_main", self.0)
    }

    /// A shard's database.
    #[must_use]
    pub fn shard_database(&self, shard: ShardId) -> String {
        format!("{}_shard_{shard}", self.0)
    }

    /// The names that belong to one data set.
    #[must_use]
    pub fn dataset(&self, dataset: &str) -> Names {
        Names { prefix: format!("{}.{dataset}", self.0) }
    }
}

/// The names of one data set's keys, exchange and queues.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    prefix: String,
}

impl Names {
    /// The exchange that results are handed over to.
    #[must_use]
    pub fn exchange(&self) -> String {
        self.prefix.clone()
    }

    /// A shard's queue.
    #[must_use]
    pub fn queue(&self, shard: ShardId) -> String {
        format!("{}.shard.{shard}", self.prefix)
    }

    /// The queue for messages that can never be stored.
    #[must_use]
    pub fn parking(&self) -> String {
        format!("{}.parked", self.prefix)
    }

    /// The key by which a shard's results of an epoch are routed.
    #[must_use]
    pub fn route(epoch: u64, shard: ShardId) -> String {
        let epoch = if failpoints::is_off(Mechanism::Epoch) { 0 } else { epoch };
        format!("{epoch}.{shard}")
    }

    /// The key of a coupon's holders and stock.
    #[must_use]
    pub fn holders(&self, epoch: u64, coupon: CouponId) -> String {
        format!("{}.{epoch}.{coupon}.holders", self.prefix)
    }

    /// The key of the reservations that are not known to be stored.
    #[must_use]
    pub fn pending(&self, epoch: u64) -> String {
        format!("{}.{epoch}.pending", self.prefix)
    }

    /// The key of the versions of the catalogue by which coupons were put on offer.
    #[must_use]
    pub fn versions(&self, epoch: u64) -> String {
        format!("{}.{epoch}.versions", self.prefix)
    }

    /// The key of the rows that the gate was given, and that are to be looked at again.
    #[must_use]
    pub fn unchecked(&self, epoch: u64) -> String {
        format!("{}.{epoch}.unchecked", self.prefix)
    }

    /// The key of the answer to a request whose result gave its stock back.
    #[must_use]
    pub fn answer(&self, epoch: u64, coupon: CouponId, user: UserId, request: RequestKey) -> String {
        format!("{}.{epoch}.{coupon}.answered.{user}.{}", self.prefix, request.number())
    }

    /// The beginning of the keys of the users who have such answers about a coupon: one for each hour (the time for
    /// which a request is remembered) of Redis' own clock, which is counted behind a dot.
    #[must_use]
    pub fn answered(&self, epoch: u64, coupon: CouponId) -> String {
        format!("{}.{epoch}.{coupon}.answered", self.prefix)
    }

    /// A key that says nothing: it is written to see whether it can be.
    #[must_use]
    pub fn probe(&self) -> String {
        format!("{}.probe", self.prefix)
    }

    /// Every key of the data set.
    #[must_use]
    pub fn every_key(&self) -> String {
        format!("{}.*", self.prefix)
    }

    /// The epoch of one of those keys.
    #[must_use]
    pub fn epoch_of(&self, key: &str) -> Option<u64> {
        key.strip_prefix(&self.prefix)?.strip_prefix('.')?.split('.').next()?.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_strategy_has_databases_of_its_own() {
        let names = Namespace::new("", "range-time").unwrap();
        assert_eq!(names.main_database(), "coupon_range_time_main");
        assert_eq!(names.shard_database(ShardId::new(3)), "coupon_range_time_shard_3");
    }

    #[test]
    fn a_name_that_would_need_quotes_is_refused() {
        for name in ["Coupon", "a-b", "a`b", "1a", "_a", &"a".repeat(LONGEST + 1)] {
            assert!(Namespace::new(name, "hash").is_err(), "{name}");
        }
    }

    /// The auditor has its own names, and is held to the same file.
    #[test]
    fn names_are_those_of_the_golden_file() {
        let golden: serde_json::Value =
            serde_json::from_str(include_str!("../../coupon-core/golden/names.json")).unwrap();
        let text = |name: &str| golden[name].as_str().unwrap();
        let namespace = Namespace::new(text("namespace"), "").unwrap();
        assert_eq!(namespace.main_database(), text("main"));
        for shard in golden["shards"].as_array().unwrap() {
            let number = u16::try_from(shard[0].as_u64().unwrap()).unwrap();
            assert_eq!(namespace.shard_database(ShardId::new(number)), shard[1].as_str().unwrap());
        }
        let (names, epoch) = (namespace.dataset(text("dataset")), golden["epoch"].as_u64().unwrap());
        let coupon = CouponId::new(golden["coupon"].as_u64().unwrap()).unwrap();
        assert_eq!(names.holders(epoch, coupon), text("holders"));
        assert_eq!(names.pending(epoch), text("pending"));
        let all = |name: &str| golden[name].as_array().unwrap().iter().map(|name| name.as_str().unwrap());
        assert!(all("good").all(|name| Namespace::new(name, "").is_ok()));
        // Without a name, a namespace is called by its strategy.
        for name in all("bad").filter(|name| !name.is_empty()) {
            assert!(Namespace::new(name, "").is_err(), "{name}");
        }
    }

    #[test]
    fn keys_tell_their_epoch() {
        let names = Namespace::new("", "hash").unwrap().dataset("d1");
        assert_eq!(names.holders(3, CouponId::new(7).unwrap()), "coupon_hash.d1.3.7.holders");
        assert_eq!(names.pending(3), "coupon_hash.d1.3.pending");
        assert_eq!(names.epoch_of(&names.pending(3)), Some(3));
        assert_eq!(names.epoch_of("coupon_hash.d2.3.pending"), None);
    }
}
