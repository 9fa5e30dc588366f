//! The keys of a recorded trace, whose rows are all at hand.

use std::collections::HashMap;
use std::num::NonZeroU16;

use coupon_core::{TimeRange, Timestamp};
use coupon_loadgen::workload::Endpoint;

use super::evidence::{Evidence, Query, Second, Stretch, by_slot};
use super::sampled::Sampled;
use super::{CommonFindings, FEW, KeyFindings, NAMED, Share};
use crate::replay::{KeyValues, Meaning, QueryMix, RecordedRow, Recording, SpreadGrabs};

#[cfg(test)]
mod tests;

const SECOND_MS: i64 = 1_000;
const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 86_400_000;

impl KeyFindings {
    /// The findings from a recording, whose rows come with queries of this mix.
    #[must_use]
    pub fn of_trace(recording: &Recording, mix: &QueryMix, shards: NonZeroU16, shard_writes: f64) -> Self {
        let (length, period) = if recording.days_only() { (DAY_MS, "day") } else { (HOUR_MS, "hour") };
        let stretch = busiest(recording, length);
        // A time that the seed made within a day or an hour is nothing that was counted.
        let SpreadGrabs { days, hours } = recording.spread;
        let known = (days + hours > 0).then_some(if days > 0 { "day" } else { "hour" });
        let second = match recording.busiest_second {
            _ if known.is_some() => None,
            Some(counted) if counted.is_known() => {
                Some((of_length(counted.second, SECOND_MS), Some(stored_of(recording, counted.most))))
            }
            Some(_) => None,
            None if recording.sampled.is_some() => None,
            None => Some((busiest(recording, SECOND_MS), None)),
        };
        let kinds = kinds(recording, mix);
        let evidence: Vec<Evidence<'_>> = recording
            .keys()
            .iter()
            .map(|key| evidence(key, recording, &stretch, second.as_ref(), &kinds))
            .collect();
        let rows = recording.stored().count() as u64;
        let conditions = CommonFindings {
            source: recording.file.clone(),
            rows,
            timed: rows,
            shards,
            shard_writes,
            period,
            mixed: false,
            known,
            busiest_day: (recording.sampled.is_none() && recording.days_only()).then(|| {
                let within = |row: &&RecordedRow| stretch.contains(row.time);
                (stretch.start.day().to_string(), recording.stored().filter(within).count() as u64)
            }),
            sampled: recording.sampled.is_some(),
            // Without one, every second of it lost all that it had.
            at_most: recording.sampled.is_some()
                && known.is_none()
                && recording.busiest_second.is_none_or(|counted| !counted.is_exact()),
        };
        Self::judged(conditions, &evidence)
    }
}

fn evidence<'s>(
    key: &'s KeyValues,
    recording: &Recording,
    busiest: &TimeRange,
    second: Option<&(TimeRange, Option<u64>)>,
    kinds: &[(Endpoint, &[Meaning])],
) -> Evidence<'s> {
    let rows = || recording.rows().iter().zip(&key.hashes).filter(|(row, _)| !row.repeats);
    let within = |range: &TimeRange| -> Vec<u64> {
        rows().filter(|(row, _)| range.contains(row.time)).map(|(_, hash)| *hash).collect()
    };
    let mut counts = HashMap::<u64, u64>::new();
    rows().for_each(|(_, hash)| *counts.entry(*hash).or_default() += 1);
    let total = counts.values().sum();
    let values = counts.len() as f64;
    Evidence {
        key: key.key.clone(),
        rows: total,
        without: 0,
        too_long: 0,
        values,
        values_between: (values, values),
        top: top(key, &counts, total),
        margin: None,
        slots: by_slot(rows().map(|(_, hash)| *hash)).into(),
        sample: key
            .sample
            .iter()
            .map(|(moment, value)| Sampled { value: value.clone(), timed: true, moment: *moment, place: 0 })
            .collect(),
        busiest: Some(Stretch {
            moments: busiest.start.millis()..busiest.end.millis(),
            slots: Some(by_slot(within(busiest).into_iter())),
        }),
        second: second.map(|(range, counted)| {
            let own = within(range);
            // Too few of a sample say nothing of how they spread.
            let of_more = counted.is_some() && own.len() < FEW;
            Second {
                second: range.start.millis().div_euclid(SECOND_MS),
                rows: counted.unwrap_or(own.len() as u64),
                hashes: if of_more { within(busiest) } else { own },
            }
        }),
        queries: kinds.iter().map(|(endpoint, named)| query(key, *endpoint, named)).collect(),
    }
}

/// The most frequent values that have a name.
fn top(key: &KeyValues, counts: &HashMap<u64, u64>, total: u64) -> Vec<Share> {
    let mut named: Vec<(u64, &String)> =
        key.names.iter().filter_map(|(hash, name)| Some((*counts.get(hash)?, name))).collect();
    named.sort_unstable_by(|a, b| b.cmp(a));
    let share = |(rows, name): (u64, &String)| Share {
        value: name.clone(),
        share: rows as f64 / total.max(1) as f64,
    };
    named.into_iter().take(NAMED).map(share).collect()
}

/// The kinds of queries that look results up, with the columns that each names.
fn kinds(recording: &Recording, mix: &QueryMix) -> Vec<(Endpoint, &'static [Meaning])> {
    let recorded = recording.asked().iter().map(|(endpoint, _)| *endpoint);
    let mut kinds: Vec<Endpoint> = mix.per_grab().map(|(endpoint, _)| endpoint).chain(recorded).collect();
    kinds.sort_unstable();
    kinds.dedup();
    kinds.into_iter().filter_map(|endpoint| Some((endpoint, known_by(endpoint)?))).collect()
}

fn query(key: &KeyValues, endpoint: Endpoint, named: &[Meaning]) -> Query {
    let gives = |column: &Option<Meaning>| column.is_some_and(|meaning| named.contains(&meaning));
    Query { name: endpoint.key().to_owned(), gives: key.columns.iter().map(gives).collect() }
}

/// The columns that a query names; none for one that asks no shard.
const fn known_by(endpoint: Endpoint) -> Option<&'static [Meaning]> {
    match endpoint {
        step if step.is_step() => Some(&[Meaning::User, Meaning::Time]),
        Endpoint::UserCoupons => Some(&[Meaning::User]),
        Endpoint::RoomOrders | Endpoint::RoomStats => Some(&[Meaning::Room]),
        Endpoint::Recent | Endpoint::Global => Some(&[]),
        _ => None,
    }
}

/// The busiest stretch of that length; rows are in the order of their times.
fn busiest(recording: &Recording, length: i64) -> TimeRange {
    let (mut best, mut current) = ((0, 0), (0_u64, i64::MIN));
    for row in recording.stored() {
        let number = row.time.millis().div_euclid(length);
        current = if current.1 == number { (current.0 + 1, number) } else { (1, number) };
        if current.0 > best.0 {
            best = current;
        }
    }
    of_length(best.1, length)
}

fn of_length(number: i64, length: i64) -> TimeRange {
    let start = Timestamp::from_millis(number.saturating_mul(length));
    TimeRange::new(start, start.plus_millis(length))
}

/// The rows that so many grabs would store, by the part of them that do in the sample.
fn stored_of(recording: &Recording, grabs: u64) -> u64 {
    let part = recording.stored().count() as f64 / recording.rows().len().max(1) as f64;
    (grabs as f64 * part).round() as u64
}
