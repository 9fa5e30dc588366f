//! The sampled values of a key in their own order: numbers by value, texts by their bytes, column by column.

use std::cmp::Ordering;

use super::sampled::Sampled;
use crate::replay::PART;

/// The sample, in the order of its values.
#[derive(Debug)]
pub(super) struct Ordered<'s> {
    /// The rows, from the least value.
    pub(super) rows: Vec<Row<'s>>,
    /// True where every value of the first column is a number.
    pub(super) is_numeric: bool,
    /// Different values among them.
    pub(super) values: usize,
}

/// A row, and the place of its value among the different ones, from 0.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row<'s> {
    pub(super) of: &'s Sampled,
    pub(super) rank: usize,
}

impl<'s> Ordered<'s> {
    pub(super) fn of(sample: &'s [Sampled], columns: usize) -> Self {
        let is_numeric = |column: usize| sample.iter().all(|row| is_number(part(&row.value, column)));
        let numeric: Vec<bool> = (0..columns).map(is_numeric).collect();
        let mut sorted: Vec<&Sampled> = sample.iter().collect();
        sorted.sort_by(|a, b| compare(&a.value, &b.value, &numeric).then_with(|| a.moment.cmp(&b.moment)));
        let (mut rows, mut values) = (Vec::<Row<'s>>::with_capacity(sorted.len()), 0);
        for of in sorted {
            if rows.last().is_none_or(|before| before.of.value != of.value) {
                values += 1;
            }
            rows.push(Row { of, rank: values - 1 });
        }
        Self { rows, is_numeric: numeric.first().copied().unwrap_or_default(), values }
    }

    /// The rows that have a time.
    pub(super) fn timed(&self) -> impl Iterator<Item = &Row<'s>> {
        self.rows.iter().filter(|row| row.of.timed)
    }
}

/// A column of a compound value.
pub(super) fn part(value: &str, column: usize) -> &str {
    value.split(PART).nth(column).unwrap_or_default()
}

fn is_number(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

fn compare(a: &str, b: &str, numeric: &[bool]) -> Ordering {
    let parts = a.split(PART).zip(b.split(PART)).zip(numeric);
    let compared = parts.map(|((a, b), numeric)| if *numeric { by_value(a, b) } else { a.cmp(b) });
    compared.fold(Ordering::Equal, Ordering::then)
}

/// Compares whole numbers of any size.
fn by_value(a: &str, b: &str) -> Ordering {
    match (a.strip_prefix('-'), b.strip_prefix('-')) {
        (None, None) => size(a).cmp(&size(b)),
        (Some(a), Some(b)) => size(b).cmp(&size(a)),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
    }
}

/// Digits without zeros before them: the longer number is the greater one.
fn size(digits: &str) -> (usize, &str) {
    let digits = digits.trim_start_matches('0');
    (digits.len(), digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(values: &[&str], columns: usize) -> (Vec<String>, Vec<usize>) {
        let row = |value: &&str| Sampled {
            value: value.replace(',', &PART.to_string()).into(),
            timed: true,
            moment: 0,
            place: 0,
        };
        let sample: Vec<Sampled> = values.iter().map(row).collect();
        let ordered = Ordered::of(&sample, columns);
        let shown = ordered.rows.iter().map(|row| row.of.value.replace(PART, ","));
        (shown.collect(), ordered.rows.iter().map(|row| row.rank).collect())
    }

    #[test]
    fn numbers_are_in_the_order_of_their_values_whatever_their_size() {
        let (values, ranks) = order(&["10", "9", "-2", "-10", "99999999999999999999", "9"], 1);
        assert_eq!(values, ["-10", "-2", "9", "9", "10", "99999999999999999999"]);
        assert_eq!(ranks, [0, 1, 2, 2, 3, 4]);
    }

    #[test]
    fn texts_are_in_the_order_of_their_bytes_and_columns_follow_each_other() {
        assert_eq!(order(&["b", "10", "9"], 1).0, ["10", "9", "b"]);
        assert_eq!(order(&["2,b", "10,a", "2,a"], 2).0, ["2,a", "2,b", "10,a"]);
    }
}
