//! The order of a key's values: ranges of them, whether they ascend with time, what their texts share.

use std::num::NonZeroU16;

use coupon_core::{ShardingStats, TimeRange, Timestamp};
use serde::Serialize;

use super::Spread;
use crate::replay::{KeyText, KeyValues};

/// Columns of the heat map.
const MAP_COLUMNS: usize = 60;
/// The least part of the texts that share a prefix which is told.
const SHARED: f64 = 0.9;
/// A shorter prefix is none.
const LEAST_PREFIX: usize = 3;

/// Ranges of a key, as many as shards and as even as its values allow, by a sample of the rows.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Ordered {
    /// Rows by range.
    pub spread: Spread,
    /// The correlation of the value's rank with that of the time: 1 ascends, 0 has no order in time.
    pub ascends: Option<f64>,
    /// What most of its texts begin with.
    pub prefix: Option<Prefix>,
    /// Rows by range, the first first, in equal stretches of the trace's time.
    pub heat: Vec<Vec<u32>>,
}

/// A prefix that texts share.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Prefix {
    /// Its text.
    pub text: String,
    /// The part of the rows whose values begin with it.
    pub part: f64,
}

pub(super) fn judged(key: &KeyValues, busiest: &TimeRange, shards: NonZeroU16) -> Ordered {
    let mut by_value: Vec<&(i64, KeyText)> = key.sample.iter().collect();
    by_value.sort_by(|(_, a), (_, b)| a.cmp(b));
    let ranges = ranges(&by_value, shards);
    let rows = || by_value.iter().zip(&ranges).map(|((millis, _), range)| (*millis, *range));
    let within = |(millis, _): &(i64, usize)| busiest.contains(Timestamp::from_millis(*millis));
    Ordered {
        spread: Spread {
            all: counted(rows().map(|(_, range)| range), shards),
            busiest: counted(rows().filter(within).map(|(_, range)| range), shards),
        },
        ascends: correlation(&by_value),
        prefix: prefix(&by_value),
        heat: heat(rows(), usize::from(shards.get())),
    }
}

fn counted(ranges: impl Iterator<Item = usize>, shards: NonZeroU16) -> ShardingStats {
    let mut rows = vec![0_u64; usize::from(shards.get())];
    for range in ranges {
        if let Some(rows) = rows.get_mut(range) {
            *rows += 1;
        }
    }
    ShardingStats::of_counts(&rows)
}

/// The range of each row, in the order of values: as many rows in each as can be, and a value in one of them.
fn ranges(by_value: &[&(i64, KeyText)], shards: NonZeroU16) -> Vec<usize> {
    let (total, shards) = (by_value.len(), usize::from(shards.get()));
    let (mut range, mut before, mut of_rows) = (0, 0, Vec::with_capacity(total));
    for same in by_value.chunk_by(|(_, a), (_, b)| a == b) {
        // A value goes where the middle of its rows falls.
        let wanted = (before + same.len() / 2) * shards / total.max(1);
        range = wanted.clamp(range, shards - 1);
        of_rows.extend(std::iter::repeat_n(range, same.len()));
        before += same.len();
    }
    of_rows
}

/// Spearman's correlation of value and time; none where one of them is always the same.
fn correlation(by_value: &[&(i64, KeyText)]) -> Option<f64> {
    let values = ranks(by_value.chunk_by(|(_, a), (_, b)| a == b).map(<[_]>::len));
    let mut by_time: Vec<(i64, f64)> = by_value.iter().map(|(millis, _)| *millis).zip(values).collect();
    by_time.sort_unstable_by(|(a, x), (b, y)| a.cmp(b).then(x.total_cmp(y)));
    let times = ranks(by_time.chunk_by(|(a, _), (b, _)| a == b).map(<[_]>::len));
    let mean = (by_value.len() as f64 - 1.0) / 2.0;
    let (mut both, mut value, mut time) = (0.0, 0.0, 0.0);
    for (t, (_, v)) in times.into_iter().zip(by_time) {
        both += (t - mean) * (v - mean);
        time += (t - mean).powi(2);
        value += (v - mean).powi(2);
    }
    let correlation = both / (value * time).sqrt();
    correlation.is_finite().then_some(correlation)
}

/// The rank of each of several that come in groups of equals: the middle of their group's.
fn ranks(groups: impl Iterator<Item = usize>) -> Vec<f64> {
    let (mut before, mut ranks) = (0.0, Vec::new());
    for equals in groups {
        ranks.extend(std::iter::repeat_n(before + (equals as f64 - 1.0) / 2.0, equals));
        before += equals as f64;
    }
    ranks
}

/// What the values begin with that lie between the first and the last twentieth of them, if that is most of what they are.
fn prefix(by_value: &[&(i64, KeyText)]) -> Option<Prefix> {
    let first = |(_, text): &(i64, KeyText)| text.parts().next().unwrap_or_default().to_owned();
    let texts: Vec<String> = by_value.iter().map(|row| first(row)).collect();
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
    let low = texts.get(texts.len() / 20)?;
    let high = texts.get((texts.len() * 19 / 20).min(texts.len() - 1))?;
    let shared: String = low.chars().zip(high.chars()).take_while(|(a, b)| a == b).map(|(a, _)| a).collect();
    let begin = texts.iter().filter(|text| text.starts_with(&shared)).count();
    let part = begin as f64 / texts.len().max(1) as f64;
    let tells =
        shared.chars().count() >= LEAST_PREFIX && low != high && !is_number(&shared) && part >= SHARED;
    tells.then(|| Prefix { text: coupon_cli::plain::line(&shared).into_owned(), part })
}

/// Rows by range and time.
fn heat(rows: impl Iterator<Item = (i64, usize)> + Clone, shards: usize) -> Vec<Vec<u32>> {
    let times = || rows.clone().map(|(millis, _)| millis);
    let (first, last) = (times().min().unwrap_or(0), times().max().unwrap_or(0));
    let mut heat = vec![vec![0; MAP_COLUMNS]; shards];
    for (millis, range) in rows {
        let part = (millis - first) as f64 / ((last - first) as f64 + 1.0);
        let column = (part * MAP_COLUMNS as f64) as usize;
        if let Some(count) = heat.get_mut(range).and_then(|row| row.get_mut(column)) {
            *count += 1;
        }
    }
    heat
}
