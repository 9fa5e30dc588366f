//! Candidate keys, judged by rows: how many values, how frequent the most frequent, how far they ascend with time, and what
//! shards would get of them, hashed and in ranges.
//!
//! [`Study`] takes the rows of a table in bounded memory, and a [`Recording`](crate::replay::Recording) has those of a
//! trace. What either knows of a key is its evidence; [`KeyFindings`] is what follows from it, by the same rules, and
//! [`text`] shows it.

mod display;
mod evidence;
mod heat;
mod margin;
mod needs;
mod order;
mod page;
mod prefix;
mod render;
mod sampled;
mod spread;
mod study;
mod trace;

use std::num::NonZeroU16;

use coupon_core::ShardingStats;
use serde::Serialize;

pub use heat::RowHeat;
pub use needs::{BusiestSecond, SHARD_WRITES, ShardsNeeded};
pub use page::page;
pub(super) use page::{maps, points, tables};
pub use prefix::Prefix;
pub use render::text;
pub use study::Study;

use crate::replay::KeyColumns;
use evidence::{Evidence, Query};
use order::Ordered;
use spread::{Ranges, ascent, halves, hashed};

/// The most frequent values that are named.
const NAMED: usize = 5;
/// Fewer rows say nothing of shards.
const FEW: usize = 100;

/// A value, and its part of all rows.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Share {
    /// The value.
    pub value: String,
    /// Its part of all rows.
    pub share: f64,
}

/// The shards that queries of one kind visit, on average.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct KeyFanOut {
    /// The columns that they give values for, or the endpoint that they ask.
    pub query: String,
    /// The number where the key is hashed.
    pub hashed: f64,
    /// The number where it is kept in ranges.
    pub ranges: f64,
}

/// The worth of shards by a key, hashed or in ranges.
#[derive(Debug, Clone, Serialize)]
pub struct KeySpread {
    /// Of all rows.
    pub all: ShardingStats,
    /// Of the busiest stretch of the time; none without times.
    pub busiest: Option<ShardingStats>,
}

/// Findings about a key.
#[derive(Debug, Serialize)]
pub struct JudgedKey {
    /// The key.
    pub key: KeyColumns,
    /// The rows that have a value for it.
    pub rows: u64,
    /// The rows that lack one.
    pub without: u64,
    /// The rows with one of more than 1,024 bytes in a column, which is not kept.
    pub too_long: u64,
    /// The number of different values, and its bounds.
    pub values: f64,
    /// The number of values is between these, in 997 of 1,000 cases.
    pub values_between: (f64, f64),
    /// The most frequent values.
    pub top: Vec<Share>,
    /// The widest distance of their shares in a sample from those in the table, in 95 of 100 cases. None of a trace, or where all
    /// rows were read.
    pub margin: Option<f64>,
    /// The correlation of values with time, -1 to 1; none without times.
    pub ascent: Option<f64>,
    /// The spread where it is hashed.
    pub hashed: Option<KeySpread>,
    /// The spread where it is kept in ranges of equal work, fitted to one half of a sample and judged by the other.
    pub ranges: Option<KeySpread>,
    /// The shards that queries visit.
    pub fan_out: Vec<KeyFanOut>,
    /// The shards that the busiest second needs.
    pub needs: Option<BusiestSecond>,
    /// The prefix that texts have in common.
    pub prefix: Option<Prefix>,
    /// Rows by value and time.
    pub heat: Option<RowHeat>,
}

/// The findings that hold for all keys alike.
#[derive(Debug, Serialize)]
pub struct CommonFindings {
    /// The rows.
    pub source: String,
    /// Their number.
    pub rows: u64,
    /// Those that have a time.
    pub timed: u64,
    /// The number of shards that is judged by.
    pub shards: NonZeroU16,
    /// Writes a second that a shard takes.
    pub shard_writes: f64,
    /// The length of the busiest stretch, in words.
    pub period: &'static str,
    /// True if rows came in another order than that of their times, so that there is no busiest second.
    pub mixed: bool,
    /// The coarsest part of time that is known of some rows, where it is no moment: there is no busiest second then.
    pub known: Option<&'static str>,
    /// The day with the most rows and their number, where days are all that is known.
    pub busiest_day: Option<(String, u64)>,
    /// True if the rows are a sample of many: there are more values than these have.
    pub sampled: bool,
    /// True if the rows of the busiest second are so many at most, since there are more seconds than can be counted. There is no
    /// such second where that may be more than a tenth too many.
    pub at_most: bool,
}

/// Everything that was found.
#[derive(Debug, Serialize)]
pub struct KeyFindings {
    /// The findings that hold for all keys alike.
    #[serde(flatten)]
    pub of: CommonFindings,
    /// Each key's findings.
    pub keys: Vec<JudgedKey>,
}

impl KeyFindings {
    /// The conclusions from the evidence, key by key.
    fn judged(of: CommonFindings, evidence: &[Evidence<'_>]) -> Self {
        let keys = evidence.iter().map(|key| by_key(key, of.shards, of.shard_writes)).collect();
        Self { of, keys }
    }
}

fn by_key(of: &Evidence<'_>, shards: NonZeroU16, shard_writes: f64) -> JudgedKey {
    let ordered = Ordered::of(&of.sample, of.key.columns().len());
    let enough = ordered.rows.len() >= FEW;
    let ranges = Ranges::fitted(halves(&ordered).0, shards);
    let stretch = of.busiest.as_ref();
    let part = stretch.map(|stretch| stretch.rows(&ordered)).filter(|part| part.len() >= FEW);
    let counted = stretch.and_then(|stretch| stretch.slots.as_ref());
    let of_part = part.as_ref().map(|part| match counted {
        Some(slots) => hashed((0..).zip(slots.iter().copied()), shards),
        None => hashed(part.iter().map(|row| (row.of.slot(), 1)), shards),
    });
    JudgedKey {
        key: of.key.clone(),
        rows: of.rows,
        without: of.without,
        too_long: of.too_long,
        values: of.values,
        values_between: of.values_between,
        top: of.top.clone(),
        margin: of.margin,
        ascent: enough.then(|| ascent(&ordered)).flatten(),
        hashed: enough.then(|| KeySpread {
            all: hashed((0..).zip(of.slots.iter().copied()), shards),
            busiest: of_part,
        }),
        ranges: enough.then(|| KeySpread {
            all: ranges.stats(halves(&ordered).1),
            busiest: part.as_ref().map(|part| ranges.stats(part.iter().copied())),
        }),
        fan_out: of.queries.iter().map(|query| fan_out(query, &ranges, &ordered, shards)).collect(),
        needs: of
            .second
            .as_ref()
            .map(|second| BusiestSecond::of(second, part.as_deref(), &ordered, shard_writes)),
        prefix: (!ordered.is_numeric).then(|| Prefix::of(&ordered, shards)).flatten(),
        heat: RowHeat::of(&ordered),
    }
}

/// The shards that a query visits.
fn fan_out(query: &Query, ranges: &Ranges, ordered: &Ordered<'_>, shards: NonZeroU16) -> KeyFanOut {
    let all = f64::from(shards.get());
    let (hashed, in_ranges) = if query.gives.iter().all(|given| *given) {
        (1.0, 1.0)
    } else if query.gives.first() == Some(&true) {
        (all, ranges.of_prefix(ordered))
    } else {
        (all, all)
    };
    KeyFanOut { query: query.name.clone(), hashed, ranges: in_ranges }
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::LazyLock;

    use super::*;

    /// Rows of users, shops and times: shop 7 has half of all, and orders are numbered as they come.
    pub(in crate::advise::keys) static FINDINGS: LazyLock<KeyFindings> = LazyLock::new(findings);

    fn findings() -> KeyFindings {
        let columns = ["user", "shop", "order", "name"].map(str::to_owned);
        let keys = ["user", "shop", "order", "shop,user", "name"].map(|key| key.parse().unwrap());
        let mut study = Study::new(&keys, &columns, 1).unwrap();
        for n in 0..40_000_u64 {
            let user = n * 7_919 % 10_007;
            let shop = if n % 2 == 0 { 7 } else { n / 2 % 500 };
            let row = [user.to_string(), shop.to_string(), n.to_string(), format!("user_{user:05}")];
            // Two rows each hundredth of a second.
            study.add(|place| row.get(place).map(String::as_str), Some(1_000_000 + n as i64 * 5));
        }
        KeyFindings::of_rows("x.csv".to_owned(), study, NonZeroU16::new(4).unwrap(), 60.0)
    }

    fn effective(spread: Option<&KeySpread>) -> [f64; 2] {
        let spread = spread.unwrap();
        [&spread.all, spread.busiest.as_ref().unwrap()].map(|stats| stats.effective_shards.unwrap())
    }

    #[test]
    fn keys_differ_in_values_heat_and_ascent() {
        let found = &*FINDINGS;
        let [user, shop, order, both, name] = &*found.keys else { panic!() };
        assert!((user.values / 10_007.0 - 1.0).abs() < 0.04 && (shop.values - 500.0).abs() < 10.0);
        assert!((shop.top[0].share - 0.501).abs() < 0.002 && shop.top[0].value == "7", "{:?}", shop.top);
        assert!(order.ascent.unwrap() > 0.999 && user.ascent.unwrap().abs() < 0.05);
        assert!(both.top[0].value.starts_with("7,") || both.top[0].share < 0.001, "{:?}", both.top);
        let [all, busiest] = effective(user.hashed.as_ref());
        assert!(all > 3.8 && busiest > 3.3, "{all} {busiest}");
        // Shop 7's half is on one shard, however it is done.
        for spread in [shop.hashed.as_ref(), shop.ranges.as_ref()] {
            let [all, busiest] = effective(spread);
            assert!((1.4..2.1).contains(&all) && (1.3..2.3).contains(&busiest), "{all} {busiest}");
        }
        // Whatever ascends is even in the end, and on one shard at any time.
        let [all, busiest] = effective(order.ranges.as_ref());
        assert!(all > 3.8 && busiest < 1.1, "{all} {busiest}");
        assert!(name.prefix.is_some() && user.prefix.is_none());
    }

    #[test]
    fn queries_visit_one_shard_some_or_all() {
        let found = &*FINDINGS;
        let visits = |key: usize, query: &str| {
            let found = found.keys[key].fan_out.iter().find(|fan_out| fan_out.query == query).unwrap();
            (found.hashed, found.ranges)
        };
        assert_eq!(
            (visits(0, "user"), visits(0, "shop"), visits(0, "shop,user")),
            ((1.0, 1.0), (4.0, 4.0), (1.0, 1.0))
        );
        assert_eq!((visits(3, "user"), visits(3, "shop,user")), ((4.0, 4.0), (1.0, 1.0)));
        let (hashed, ranges) = visits(3, "shop");
        // Half of the rows are of the shop that is in several ranges.
        assert!(hashed == 4.0 && (1.3..3.0).contains(&ranges), "{ranges}");
    }

    #[test]
    fn rows_without_a_time_are_at_no_time() {
        let mut study = Study::new(&["a".parse().unwrap()], &["a".to_owned()], 1).unwrap();
        for n in 0..2_000_i64 {
            // Every second row lacks a time, and has the values that those with one do not have.
            let (value, time) = if n % 2 == 0 { (n, Some(1_700_000_000_000 + n)) } else { (-n, None) };
            let value = value.to_string();
            study.add(|_| Some(value.as_str()), time);
        }
        let found = KeyFindings::of_rows("x".to_owned(), study, NonZeroU16::new(4).unwrap(), 1.0);
        let [key] = &*found.keys else { panic!() };
        assert_eq!((found.of.rows, found.of.timed, key.rows), (2_000, 1_000, 2_000));
        assert!(key.ascent.unwrap() > 0.999, "{:?}", key.ascent);
        let heat = key.heat.as_ref().unwrap();
        assert!(heat.times.0.starts_with("2023-11-14"), "{:?}", heat.times);
        assert_eq!(heat.rows.iter().flatten().sum::<u64>(), 1_000);
        // No 24th of the time has enough rows to be judged by.
        assert!(key.hashed.as_ref().unwrap().busiest.is_none());
    }

    #[test]
    fn a_few_rows_say_nothing_of_shards() {
        let key: KeyColumns = "a".parse().unwrap();
        let mut study = Study::new(&[key], &["a".to_owned()], 1).unwrap();
        study.add(|_| Some("1"), Some(0));
        let found = KeyFindings::of_rows("x".to_owned(), study, NonZeroU16::MIN, 1.0);
        assert!(found.keys[0].hashed.is_none() && found.keys[0].ranges.is_none());
    }
}
