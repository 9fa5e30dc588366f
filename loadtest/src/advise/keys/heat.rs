//! Rows by value and time, and the picture of them in letters.

use coupon_core::Timestamp;
use serde::Serialize;

use super::display::shortened;
use super::order::Ordered;
use crate::replay::PART;

/// The most ranges of values.
const RANGES: usize = 36;
const PARTS: usize = 56;
/// The most lines of the picture.
const LINES: usize = 12;
/// The characters of a value beside it.
const LABEL: usize = 18;
/// From none to the most.
const SHADES: [char; 10] = [' ', '.', ':', '-', '=', '+', '*', '#', '%', '@'];

/// The number of rows of each range of values at each time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RowHeat {
    /// The least value of each range, from the least.
    pub values: Vec<String>,
    /// The times of the first row and the last.
    pub times: (String, String),
    /// The sampled rows of each range, at each of as many equal parts of that time.
    pub rows: Vec<Vec<u64>>,
}

impl RowHeat {
    /// The picture of the rows of a sample that have a time: ranges have as many different values each. None where all are
    /// of one moment.
    pub(super) fn of(ordered: &Ordered<'_>) -> Option<Self> {
        let moments = || ordered.timed().map(|row| row.of.moment);
        let (first, last) = (moments().min()?, moments().max()?);
        let span = i128::from(last) - i128::from(first);
        if span == 0 {
            return None;
        }
        let ranges = RANGES.min(ordered.values);
        let mut heat = Self {
            values: vec![String::new(); ranges],
            times: (shown(first), shown(last)),
            rows: vec![vec![0; PARTS]; ranges],
        };
        for row in ordered.rows.iter().rev() {
            let range = row.rank * ranges / ordered.values;
            if row.of.timed {
                let part = (i128::from(row.of.moment) - i128::from(first)) * PARTS as i128 / (span + 1);
                let cell =
                    usize::try_from(part).ok().and_then(|part| heat.rows.get_mut(range)?.get_mut(part));
                cell.into_iter().for_each(|rows| *rows += 1);
            }
            if let Some(value) = heat.values.get_mut(range) {
                // The least of them comes last.
                *value = row.of.value.replace(PART, ",");
            }
        }
        Some(heat)
    }

    /// The picture, a line for each range, or for several that are neighbours.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let together = self.rows.len().div_ceil(LINES).max(1);
        let sum = |ranges: &[Vec<u64>]| -> Vec<u64> {
            (0..PARTS).map(|part| ranges.iter().filter_map(|rows| rows.get(part)).sum()).collect()
        };
        let joined: Vec<Vec<u64>> = self.rows.chunks(together).map(sum).collect();
        let most = joined.iter().flatten().max().copied().unwrap_or_default().max(1);
        let shade = |rows: &u64| {
            // Any row at all is seen.
            let at = (*rows as usize * (SHADES.len() - 1)).div_ceil(most as usize);
            SHADES.get(at).copied().unwrap_or('@')
        };
        let values: Vec<&str> = self.values.iter().step_by(together).map(String::as_str).collect();
        let line = |(value, rows): (&String, &Vec<u64>)| {
            format!("{value:>LABEL$} |{}|", rows.iter().map(shade).collect::<String>())
        };
        shortened(&values, LABEL).iter().zip(&joined).map(line).collect()
    }
}

fn shown(moment: i64) -> String {
    Timestamp::from_millis(moment).to_string()
}

#[cfg(test)]
mod tests {
    use super::super::sampled::Sampled;
    use super::*;

    #[test]
    fn what_ascends_with_time_is_a_line_across_and_fits_a_terminal() {
        let row = |n: i64| Sampled { value: n.to_string().into(), timed: true, moment: n * 1_000, place: 0 };
        let sample: Vec<Sampled> = (0..1_200).map(row).collect();
        let heat = RowHeat::of(&Ordered::of(&sample, 1)).unwrap();
        assert_eq!((heat.rows.len(), heat.values[3].as_str()), (RANGES, "100"));
        assert!(heat.rows.iter().all(|rows| (33..=34).contains(&rows.iter().sum::<u64>())), "{heat:?}");
        let lines = heat.lines();
        assert_eq!(lines.len(), LINES);
        assert!(lines[1].trim_start().starts_with("100 |"), "{lines:?}");
        for line in lines {
            assert!(line.contains('@') && line.matches(' ').count() > PARTS / 2, "{line}");
            assert!(line.chars().count() < 80, "{line}");
        }
        assert_eq!(heat.times.1, "1970-01-01T00:19:59.000Z");
    }

    #[test]
    fn one_moment_has_no_picture() {
        let sample =
            [1, 2].map(|n: i64| Sampled { value: n.to_string().into(), timed: true, moment: 5, place: 0 });
        assert_eq!(RowHeat::of(&Ordered::of(&sample, 1)), None);
        assert_eq!(RowHeat::of(&Ordered::of(&[], 1)), None);
    }
}
