//! Rows as they come, and what is kept of each candidate key: sketches and a sample, whose size does not depend on the
//! number of rows.

use coupon_core::{Mix, SLOTS};
use coupon_measure::Random;
use coupon_measure::sketch::{Distinct, Frequent, Sample};
use xxhash_rust::xxh3::xxh3_64;

use crate::replay::{KeyColumns, LONGEST};

/// Rows whose values are kept: what they say of a share is right to about half a percentage point.
pub(super) const SAMPLED: usize = 20_000;
/// Apart from the streams of requests, rounds, moments and queries.
const SAMPLE: u64 = 1 << 58;
/// Between the columns of a compound key. No value that is read has one.
pub(super) const SEPARATOR: char = '\u{0}';

/// A row of the sample.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sampled {
    /// The columns' values, with separators.
    pub(super) value: Box<str>,
    pub(super) slot: u16,
    /// True if the row has a time.
    pub(super) timed: bool,
    /// Milliseconds, or the row's number where there is no time.
    pub(super) moment: i64,
}

/// What is kept of a key.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) key: KeyColumns,
    /// The places of its columns among those of a row.
    places: Vec<usize>,
    pub(super) distinct: Distinct,
    pub(super) frequent: Frequent,
    /// Rows by the hash's slot.
    pub(super) slots: Vec<u64>,
    pub(super) sample: Sample<Sampled>,
    /// Rows that lack a value.
    pub(super) without: u64,
    /// Rows with a value that is too long to be kept.
    pub(super) too_long: u64,
    /// The slots of this second's rows, and of the busiest's.
    this_second: Vec<u16>,
    pub(super) busiest: Vec<u16>,
}

/// The busiest second.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Busiest {
    pub(super) second: i64,
    pub(super) rows: u64,
}

/// The seconds that rows are of.
#[derive(Debug, Default)]
struct Seconds {
    now: Option<Busiest>,
    busiest: Option<Busiest>,
    last: Option<i64>,
    /// A row came that is older than the one before.
    mixed: bool,
}

/// Takes rows.
#[derive(Debug)]
pub struct Study {
    pub(super) keys: Vec<Seen>,
    pub(super) rows: u64,
    pub(super) timed: u64,
    /// The rows are some of many, so that seconds are not as busy as they were, nor values as many.
    pub(super) is_sample: bool,
    seconds: Seconds,
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
                sample: Sample::new(SAMPLED, Random::new(seed ^ number, SAMPLE)),
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
            text: String::new(),
        })
    }

    /// Says that the rows are a sample of many.
    pub const fn sampled(&mut self) {
        self.is_sample = true;
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
            seen.add(&value, moment, &mut self.text, time.is_some());
        }
    }

    /// Keeps the second that is over, if it is the busiest so far. After the last row, it is over as well.
    pub(super) fn end_second(&mut self) {
        let best = self.seconds.end();
        for seen in &mut self.keys {
            if best {
                std::mem::swap(&mut seen.busiest, &mut seen.this_second);
            }
            seen.this_second.clear();
        }
    }

    /// The busiest second; none where rows have no times, are a sample, or came in no order, so that seconds cannot be told apart in
    /// bounded memory.
    pub(super) fn busiest(&self) -> Option<Busiest> {
        self.seconds.busiest.filter(|_| !self.seconds.mixed && !self.is_sample)
    }

    /// Rows came in another order than that of their times.
    pub(super) const fn is_mixed(&self) -> bool {
        self.seconds.mixed
    }
}

impl Seen {
    fn add<'v>(
        &mut self,
        value: impl Fn(usize) -> Option<&'v str>,
        moment: i64,
        text: &mut String,
        timed: bool,
    ) {
        text.clear();
        for (at, place) in self.places.iter().enumerate() {
            let Some(value) = value(*place) else {
                self.without += 1;
                return;
            };
            if value.len() > LONGEST {
                self.too_long += 1;
                return;
            }
            if at > 0 {
                text.push(SEPARATOR);
            }
            text.push_str(value);
        }
        let slot = slot(text);
        self.distinct.add(text);
        self.frequent.add(text);
        if let Some(rows) = self.slots.get_mut(usize::from(slot)) {
            *rows += 1;
        }
        if timed {
            self.this_second.push(slot);
        }
        self.sample.add(|| Sampled { value: text.as_str().into(), slot, timed, moment });
    }
}

/// The slot of a value: that of `hash-svc` where it is a number, and by the same function of its bytes otherwise.
fn slot(value: &str) -> u16 {
    let hash =
        value.parse::<u64>().map_or_else(|_| xxh3_64(value.as_bytes()), |number| Mix::Xxh3.hash(number));
    u16::try_from(hash % u64::from(SLOTS)).unwrap_or_default()
}

impl Seconds {
    /// True if a row of that time is of another second than those before it.
    fn is_over(&self, time: i64) -> bool {
        self.now.is_some_and(|now| now.second != time.div_euclid(1_000))
    }

    fn add(&mut self, time: i64) {
        let second = time.div_euclid(1_000);
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
    use coupon_core::SlotTable;

    use super::*;

    #[test]
    fn numbers_have_the_slots_that_the_service_gives_them() {
        let table = SlotTable::new(Mix::Xxh3, std::num::NonZeroU16::MIN);
        for number in [0, 1, 77, 1 << 52] {
            assert_eq!(slot(&number.to_string()), table.slot(number));
        }
        assert_ne!(slot("a"), slot("b"));
    }

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
        assert!(study(&[2_000, 1_000]).busiest().is_none() && study(&[2_000, 1_000]).is_mixed());
        assert!(study(&[]).busiest().is_none());
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
