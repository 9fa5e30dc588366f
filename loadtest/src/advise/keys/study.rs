//! Rows as they come, and what is kept of each candidate key: sketches and a sample, whose size does not depend on the
//! number of rows.

use std::collections::BTreeMap;
use std::num::NonZeroU16;

use coupon_core::{SLOTS, Timestamp};
use coupon_measure::Random;
use coupon_measure::sketch::{Distinct, Frequent, Often, Reservoir};

use super::evidence::{Evidence, Query, Second, Stretch};
use super::margin::margin;
use super::sampled::{Sampled, slot};
use super::{CommonFindings, KeyFindings, NAMED, Share};
use crate::replay::{KeyColumns, LONGEST, PART, hash};

/// Rows whose values are kept: what they say of a share is right to about half a percentage point.
const SAMPLED: usize = 20_000;
/// The stream of samples, apart from those of requests, rounds, moments and queries.
const SAMPLE: u64 = 1 << 58;
const DAY_MS: i64 = 86_400_000;
/// Equal parts of the time between the first row and the last.
const PARTS: i64 = 24;

/// The values that are kept of a key.
#[derive(Debug)]
struct Seen {
    key: KeyColumns,
    /// The places of its columns among those of a row.
    places: Vec<usize>,
    distinct: Distinct,
    frequent: Frequent,
    /// Rows by the hash's slot.
    slots: Vec<u64>,
    sample: Reservoir<Sampled>,
    /// Rows that lack a value.
    without: u64,
    /// Rows with a value that is too long to be kept.
    too_long: u64,
    /// The hashes of this second's rows, and of the busiest's.
    this_second: Vec<u64>,
    busiest: Vec<u64>,
}

/// The place of a row, in time and in the table.
#[derive(Debug, Clone, Copy)]
struct At {
    moment: i64,
    timed: bool,
    place: u32,
}

/// The busiest second.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Busiest {
    second: i64,
    rows: u64,
}

/// The seconds that rows are of.
#[derive(Debug)]
struct Seconds {
    now: Option<Busiest>,
    busiest: Option<Busiest>,
    last: Option<i64>,
    /// A row came that is older than the one before.
    mixed: bool,
    are_midnights: bool,
}

impl Default for Seconds {
    fn default() -> Self {
        Self { now: None, busiest: None, last: None, mixed: false, are_midnights: true }
    }
}

/// Takes rows.
#[derive(Debug)]
pub struct Study {
    keys: Vec<Seen>,
    rows: u64,
    timed: u64,
    /// The rows are some of many, so that seconds are not as busy as they were, nor values as many.
    is_sample: bool,
    seconds: Seconds,
    /// The place that rows are read at.
    place: u32,
    text: String,
}

impl Study {
    /// A study of keys over rows with these columns.
    ///
    /// # Errors
    /// Names a column that is not there.
    pub fn new(keys: &[KeyColumns], columns: &[String], seed: u64) -> Result<Self, String> {
        let place =
            |name: &String| columns.iter().position(|column| column == name).ok_or_else(|| name.clone());
        let seen = keys.iter().zip(0..).map(|(key, number)| {
            let places: Result<Vec<usize>, String> = key.columns().iter().map(place).collect();
            Ok(Seen {
                key: key.clone(),
                places: places?,
                distinct: Distinct::default(),
                frequent: Frequent::default(),
                slots: vec![0; usize::from(SLOTS)],
                sample: Reservoir::new(SAMPLED, Random::new(seed ^ number, SAMPLE)),
                without: 0,
                too_long: 0,
                this_second: Vec::new(),
                busiest: Vec::new(),
            })
        });
        let keys = seen.collect::<Result<_, String>>()?;
        Ok(Self {
            keys,
            rows: 0,
            timed: 0,
            is_sample: false,
            seconds: Seconds::default(),
            place: 0,
            text: String::new(),
        })
    }

    /// Says that the rows are a sample of many.
    pub const fn sampled(&mut self) {
        self.is_sample = true;
    }

    /// Says at which place of the table the rows that follow were read together.
    pub const fn place(&mut self, place: u32) {
        self.place = place;
    }

    /// Takes a row: a value for each column, and its time in milliseconds.
    pub fn add<'v>(&mut self, value: impl Fn(usize) -> Option<&'v str>, time: Option<i64>) {
        self.rows += 1;
        self.timed += u64::from(time.is_some());
        if time.is_some_and(|time| self.seconds.is_over(time)) {
            self.end_second();
        }
        if let Some(time) = time {
            self.seconds.add(time);
        }
        let moment = time.unwrap_or(i64::try_from(self.rows).unwrap_or(i64::MAX));
        for seen in &mut self.keys {
            let at = At { moment, timed: time.is_some(), place: self.place };
            seen.add(&value, at, &mut self.text);
        }
    }

    /// Keeps the second that is over, if it is the busiest so far. After the last row, it is over as well.
    fn end_second(&mut self) {
        let best = self.seconds.end();
        for seen in &mut self.keys {
            if best {
                std::mem::swap(&mut seen.busiest, &mut seen.this_second);
            }
            seen.this_second.clear();
        }
    }

    /// The busiest second; none where rows have no times or days alone, are a sample, or came in no order, so that
    /// seconds cannot be told apart in bounded memory.
    fn busiest(&self) -> Option<Busiest> {
        self.busiest_moment().filter(|_| !self.are_days())
    }

    /// The busiest of the moments that are told apart: a second, or a midnight that stands for its day.
    fn busiest_moment(&self) -> Option<Busiest> {
        self.seconds.busiest.filter(|_| !self.seconds.mixed && !self.is_sample)
    }

    /// True where every time is a midnight: these are days, and no row is known to be of that second.
    const fn are_days(&self) -> bool {
        self.timed > 0 && self.seconds.are_midnights
    }

    fn busiest_day(&self) -> Option<(String, u64)> {
        let day = self.busiest_moment().filter(|_| self.are_days())?;
        let day_of = Timestamp::from_millis(day.second.saturating_mul(1_000)).day();
        Some((day_of.to_string(), day.rows))
    }

    /// The queries that each key is judged by: by each column of any key, and by each compound key.
    fn queries(&self) -> Vec<KeyColumns> {
        let keys = || self.keys.iter().map(|seen| &seen.key);
        let columns = keys().flat_map(KeyColumns::columns).filter_map(|column| column.parse().ok());
        let mut queries: Vec<KeyColumns> = Vec::new();
        for query in columns.chain(keys().filter(|key| key.columns().len() > 1).cloned()) {
            if !queries.contains(&query) {
                queries.push(query);
            }
        }
        queries
    }

    fn evidence<'s>(&self, seen: &'s Seen, queries: &[KeyColumns]) -> Evidence<'s> {
        let rows = seen.frequent.total();
        Evidence {
            key: seen.key.clone(),
            rows,
            without: seen.without,
            too_long: seen.too_long,
            values: seen.distinct.estimate(),
            values_between: seen.distinct.bounds(),
            top: seen.top(rows),
            margin: self.is_sample.then(|| seen.margin()).flatten(),
            slots: seen.slots.as_slice().into(),
            sample: seen.sample.kept().into(),
            busiest: busiest_part(seen.sample.kept()),
            second: self.busiest().map(|busiest| Second {
                second: busiest.second,
                rows: seen.busiest.len() as u64,
                hashes: seen.busiest.clone(),
            }),
            queries: queries.iter().map(|query| given(query, &seen.key)).collect(),
        }
    }
}

impl KeyFindings {
    /// The findings from the rows of a table.
    #[must_use]
    pub fn of_rows(source: String, mut study: Study, shards: NonZeroU16, shard_writes: f64) -> Self {
        study.end_second();
        let queries = study.queries();
        let evidence: Vec<Evidence<'_>> =
            study.keys.iter().map(|seen| study.evidence(seen, &queries)).collect();
        let conditions = CommonFindings {
            source,
            rows: study.rows,
            timed: study.timed,
            shards,
            shard_writes,
            period: "24th of the time",
            mixed: study.seconds.mixed,
            known: study.are_days().then_some("day"),
            busiest_day: study.busiest_day(),
            sampled: study.is_sample,
            at_most: false,
        };
        Self::judged(conditions, &evidence)
    }
}

/// The columns of a key that a query gives values for.
fn given(query: &KeyColumns, key: &KeyColumns) -> Query {
    let gives = key.columns().iter().map(|column| query.columns().contains(column)).collect();
    Query { name: query.to_string(), gives }
}

/// The busiest of equal parts of the time, by a sample; none without times.
fn busiest_part(sample: &[Sampled]) -> Option<Stretch> {
    let moments = || sample.iter().filter(|row| row.timed).map(|row| row.moment);
    let (first, last) = (moments().min()?, moments().max()?);
    let width = (last.saturating_sub(first) / PARTS + 1).max(1);
    let mut counts = BTreeMap::<i64, usize>::new();
    moments().for_each(|moment| *counts.entry((moment - first) / width).or_default() += 1);
    let (busiest, _) = counts.into_iter().max_by_key(|(part, rows)| (*rows, -part))?;
    let start = first.saturating_add(busiest.saturating_mul(width));
    Some(Stretch { moments: start..start.saturating_add(width), slots: None })
}

impl Seen {
    fn add<'v>(&mut self, value: impl Fn(usize) -> Option<&'v str>, at: At, text: &mut String) {
        text.clear();
        for (number, place) in self.places.iter().enumerate() {
            let Some(value) = value(*place) else {
                self.without += 1;
                return;
            };
            if value.len() > LONGEST {
                self.too_long += 1;
                return;
            }
            if number > 0 {
                text.push(PART);
            }
            text.push_str(value);
        }
        let hash = hash(text);
        self.distinct.add(text);
        self.frequent.add(text);
        if let Some(rows) = self.slots.get_mut(usize::from(slot(hash))) {
            *rows += 1;
        }
        let At { moment, timed, place } = at;
        if timed {
            self.this_second.push(hash);
        }
        self.sample.add(|| Sampled { value: text.as_str().into(), timed, moment, place });
    }

    /// The widest margin of the shares of the most frequent values.
    fn margin(&self) -> Option<f64> {
        let of = |often: &Often| margin(self.sample.kept(), &often.value);
        self.frequent.most(NAMED).iter().filter_map(of).max_by(f64::total_cmp)
    }

    fn top(&self, rows: u64) -> Vec<Share> {
        // Half way between the bounds.
        let share = |often: &Often| (often.least + often.most) as f64 / 2.0 / rows.max(1) as f64;
        let named = self.frequent.most(NAMED);
        named
            .iter()
            .map(|often| Share { value: often.value.replace(PART, ","), share: share(often) })
            .collect()
    }
}

impl Seconds {
    /// True if a row of that time is of another second than those before it.
    fn is_over(&self, time: i64) -> bool {
        self.now.is_some_and(|now| now.second != time.div_euclid(1_000))
    }

    fn add(&mut self, time: i64) {
        let second = time.div_euclid(1_000);
        self.are_midnights &= time.rem_euclid(DAY_MS) == 0;
        self.mixed |= self.last.is_some_and(|last| last > second);
        self.last = Some(second);
        self.now.get_or_insert(Busiest { second, rows: 0 }).rows += 1;
    }

    /// Ends the second. True if it is the busiest so far.
    fn end(&mut self) -> bool {
        let Some(ended) = self.now.take() else { return false };
        let best = self.busiest.is_none_or(|busiest| ended.rows > busiest.rows);
        if best {
            self.busiest = Some(ended);
        }
        best
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_busiest_second_is_found_where_rows_are_in_order() {
        let key: KeyColumns = "a".parse().unwrap();
        let study = |times: &[i64]| {
            let mut study = Study::new(std::slice::from_ref(&key), &["a".to_owned()], 1).unwrap();
            times.iter().for_each(|time| study.add(|_| Some("x"), Some(*time)));
            study.end_second();
            study
        };
        let ordered = study(&[0, 1_000, 1_400, 1_999, 2_000, 3_000, 3_001]);
        assert_eq!(ordered.busiest(), Some(Busiest { second: 1, rows: 3 }));
        assert_eq!(ordered.keys[0].busiest.len(), 3);
        assert!(study(&[2_000, 1_000]).busiest().is_none() && study(&[2_000, 1_000]).seconds.mixed);
        assert!(study(&[]).busiest().is_none());
        // A midnight stands for its day.
        let days = study(&[0, DAY_MS, DAY_MS, DAY_MS, 2 * DAY_MS]);
        assert_eq!((days.busiest(), days.busiest_day()), (None, Some(("1970-01-02".to_owned(), 3))));
        assert_eq!(study(&[0, DAY_MS, DAY_MS + 1]).busiest_day(), None);
    }

    #[test]
    fn rows_with_a_value_that_is_too_long_are_counted_and_not_kept() {
        let mut study = Study::new(&["a".parse().unwrap()], &["a".to_owned()], 1).unwrap();
        let texts = [LONGEST, LONGEST + 1].map(|length| "x".repeat(length));
        texts.iter().for_each(|text| study.add(|_| Some(text.as_str()), None));
        let [seen] = &*study.keys else { panic!() };
        assert_eq!((study.rows, seen.too_long, seen.sample.kept().len()), (2, 1, 1));
    }

    #[test]
    fn rows_that_lack_a_value_are_counted_and_a_column_that_is_not_there_is_named() {
        let columns = ["a", "b"].map(str::to_owned);
        let keys: Vec<KeyColumns> = ["a", "b,a"].iter().map(|key| key.parse().unwrap()).collect();
        let mut study = Study::new(&keys, &columns, 1).unwrap();
        study.add(|place| [Some("1"), None].get(place).copied().flatten(), None);
        study.add(|_| Some("1"), None);
        let without: Vec<u64> = study.keys.iter().map(|seen| seen.without).collect();
        assert_eq!((study.rows, study.timed, without), (2, 0, vec![0, 1]));
        assert_eq!(Study::new(&["c".parse().unwrap()], &columns, 1).unwrap_err(), "c");
    }
}
