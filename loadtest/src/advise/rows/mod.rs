//! Candidate keys of a table's rows, judged by the rows alone: how many values, how frequent the most frequent, how far they
//! ascend with time, and what shards would get of them, hashed and in ranges.
//!
//! [`Study`] takes rows in bounded memory, [`KeyFindings`] is what follows from it, and [`text`] shows it.

mod heat;
mod needs;
mod order;
mod prefix;
mod render;
mod spread;
mod study;

use std::num::NonZeroU16;

use coupon_core::ShardingStats;
use serde::Serialize;

pub use heat::Heat;
pub use needs::{Need, Needs, SHARD_WRITES};
pub use prefix::Prefix;
pub use render::text;
pub use study::Study;

use crate::replay::KeyColumns;
use order::{Ordered, Row};
use spread::{Ranges, ascent, halves, hashed};
use study::Seen;

/// So many of the most frequent values are named.
const NAMED: usize = 5;
/// Fewer rows say nothing of shards.
const FEW: usize = 100;
/// Equal parts of the time between the first row and the last.
const PARTS: i64 = 24;

/// A value, and its part of all rows.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Share {
    /// The value.
    pub value: String,
    /// Its part of all rows.
    pub share: f64,
}

/// The shards that queries with these columns visit, on average.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FanOut {
    /// The columns that a query gives values for.
    pub query: KeyColumns,
    /// Where the key is hashed.
    pub hashed: f64,
    /// Where it is kept in ranges.
    pub ranges: f64,
}

/// What shards are worth by a key, hashed or in ranges.
#[derive(Debug, Clone, Serialize)]
pub struct Spread {
    /// Of all rows.
    pub all: ShardingStats,
    /// Of the busiest of 24 equal parts of the time; none without times.
    pub busiest: Option<ShardingStats>,
}

/// Findings about a key.
#[derive(Debug, Serialize)]
pub struct ByKey {
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
    /// The correlation of values with time, -1 to 1; none without times.
    pub ascent: Option<f64>,
    /// Where it is hashed.
    pub hashed: Option<Spread>,
    /// Where it is kept in ranges of equal work, fitted to one half of a sample and judged by the other.
    pub ranges: Option<Spread>,
    /// What queries visit.
    pub fan_out: Vec<FanOut>,
    /// The shards that the busiest second needs.
    pub needs: Option<Needs>,
    /// What texts have in common.
    pub prefix: Option<Prefix>,
    /// Rows by value and time.
    pub heat: Option<Heat>,
}

/// Everything that was found.
#[derive(Debug, Serialize)]
pub struct KeyFindings {
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
    /// True if rows came in another order than that of their times, so that there is no busiest second.
    pub mixed: bool,
    /// True if the rows are a sample of many: there are more values than these have.
    pub sampled: bool,
    /// Each key's findings.
    pub keys: Vec<ByKey>,
}

impl KeyFindings {
    /// What follows from the rows.
    #[must_use]
    pub fn of(source: String, mut study: Study, shards: NonZeroU16, shard_writes: f64) -> Self {
        study.end_second();
        let queries = queries(&study);
        let keys =
            study.keys.iter().map(|seen| by_key(&study, seen, &queries, shards, shard_writes)).collect();
        let (rows, timed, mixed, sampled) = (study.rows, study.timed, study.is_mixed(), study.is_sample);
        Self { source, rows, timed, shards, shard_writes, mixed, sampled, keys }
    }
}

/// The queries that are told of: by each column of any key, and by each compound key.
fn queries(study: &Study) -> Vec<KeyColumns> {
    let keys = || study.keys.iter().map(|seen| &seen.key);
    let columns = keys().flat_map(|key| key.columns()).filter_map(|column| column.parse().ok());
    let mut queries: Vec<KeyColumns> = Vec::new();
    for query in columns.chain(keys().filter(|key| key.columns().len() > 1).cloned()) {
        if !queries.contains(&query) {
            queries.push(query);
        }
    }
    queries
}

fn by_key(
    study: &Study,
    seen: &Seen,
    queries: &[KeyColumns],
    shards: NonZeroU16,
    shard_writes: f64,
) -> ByKey {
    let ordered = Ordered::of(seen.sample.kept(), seen.key.columns().len());
    let rows = seen.frequent.total();
    let enough = ordered.rows.len() >= FEW;
    let timed = study.timed > 0;
    let ranges = Ranges::fitted(halves(&ordered).0, shards);
    let part = timed.then(|| busiest_part(&ordered)).flatten();
    ByKey {
        key: seen.key.clone(),
        rows,
        without: seen.without,
        too_long: seen.too_long,
        values: seen.distinct.estimate(),
        values_between: seen.distinct.bounds(),
        top: top(seen, rows),
        ascent: timed.then(|| ascent(&ordered)).flatten(),
        hashed: enough.then(|| Spread {
            all: hashed((0..).zip(seen.slots.iter().copied()), shards),
            busiest: part.as_ref().map(|part| hashed(part.iter().map(|row| (row.of.slot, 1)), shards)),
        }),
        ranges: enough.then(|| Spread {
            all: ranges.stats(halves(&ordered).1),
            busiest: part.as_ref().map(|part| ranges.stats(part.iter().copied())),
        }),
        fan_out: queries.iter().map(|query| fan_out(&seen.key, query, &ranges, &ordered, shards)).collect(),
        needs: study
            .busiest()
            .map(|busiest| Needs::of(busiest, seen, part.as_deref(), &ordered, shard_writes)),
        prefix: (!ordered.is_numeric).then(|| Prefix::of(&ordered, shards)).flatten(),
        heat: timed.then(|| Heat::of(&ordered)).flatten(),
    }
}

fn top(seen: &Seen, rows: u64) -> Vec<Share> {
    let most = seen.frequent.most(NAMED);
    // Half way between the bounds.
    let share =
        |often: &coupon_measure::sketch::Often| (often.least + often.most) as f64 / 2.0 / rows.max(1) as f64;
    let named = most
        .iter()
        .map(|often| Share { value: often.value.replace(study::SEPARATOR, ","), share: share(often) });
    named.collect()
}

/// The rows of the busiest part of the time, where there are enough of them; those without a time are in none.
fn busiest_part<'s>(ordered: &Ordered<'s>) -> Option<Vec<Row<'s>>> {
    let moments = || ordered.timed().map(|row| row.of.moment);
    let (first, last) = (moments().min()?, moments().max()?);
    let width = (last.saturating_sub(first) / PARTS + 1).max(1);
    let part = |row: &Row<'_>| (row.of.moment - first) / width;
    let mut counts = std::collections::BTreeMap::<i64, usize>::new();
    ordered.timed().for_each(|row| *counts.entry(part(row)).or_default() += 1);
    let (busiest, rows) = counts.into_iter().max_by_key(|(part, rows)| (*rows, -part))?;
    (rows >= FEW).then(|| ordered.timed().filter(|row| part(row) == busiest).copied().collect())
}

/// The shards that a query visits.
fn fan_out(
    key: &KeyColumns,
    query: &KeyColumns,
    ranges: &Ranges,
    ordered: &Ordered<'_>,
    shards: NonZeroU16,
) -> FanOut {
    let given = |column: &String| query.columns().contains(column);
    let all = f64::from(shards.get());
    let (hashed, in_ranges) = if key.columns().iter().all(given) {
        (1.0, 1.0)
    } else if key.columns().first().is_some_and(given) {
        (all, ranges.of_prefix(ordered))
    } else {
        (all, all)
    };
    FanOut { query: query.clone(), hashed, ranges: in_ranges }
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::LazyLock;

    use super::*;

    /// Rows of users, shops and times: shop 7 has half of all, and orders are numbered as they come.
    pub(in crate::advise::rows) static FINDINGS: LazyLock<KeyFindings> = LazyLock::new(findings);

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
        KeyFindings::of("x.csv".to_owned(), study, NonZeroU16::new(4).unwrap(), 60.0)
    }

    fn effective(spread: Option<&Spread>) -> [f64; 2] {
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
            let query: KeyColumns = query.parse().unwrap();
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
        let found = KeyFindings::of("x".to_owned(), study, NonZeroU16::new(4).unwrap(), 1.0);
        let [key] = &*found.keys else { panic!() };
        assert_eq!((found.rows, found.timed, key.rows), (2_000, 1_000, 2_000));
        assert!(key.ascent.unwrap() > 0.999, "{:?}", key.ascent);
        let heat = key.heat.as_ref().unwrap();
        assert!(heat.times.0.starts_with("2023-11-14"), "{:?}", heat.times);
        assert_eq!(heat.rows.iter().flatten().sum::<u32>(), 1_000);
        // No 24th of the time has enough rows to be judged by.
        assert!(key.hashed.as_ref().unwrap().busiest.is_none());
    }

    #[test]
    fn a_few_rows_say_nothing_of_shards() {
        let key: KeyColumns = "a".parse().unwrap();
        let mut study = Study::new(&[key], &["a".to_owned()], 1).unwrap();
        study.add(|_| Some("1"), Some(0));
        let found = KeyFindings::of("x".to_owned(), study, NonZeroU16::MIN, 1.0);
        assert!(found.keys[0].hashed.is_none() && found.keys[0].ranges.is_none());
    }
}
