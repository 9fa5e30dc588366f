//! Ids of any kind become 1 to n.

use std::cmp::Ordering;
use std::collections::HashMap;

use coupon_cli::plain;

/// The ids of one kind seen so far, each with a number in the order of its first appearance, from 0.
#[derive(Debug, Default)]
pub(super) struct IdNumbers {
    numbers: HashMap<String, u32>,
}

impl IdNumbers {
    /// The number of an id; a new one if it is new.
    pub(super) fn number(&mut self, id: &str) -> u32 {
        if let Some(number) = self.numbers.get(id) {
            return *number;
        }
        let number = u32::try_from(self.numbers.len()).unwrap_or(u32::MAX);
        self.numbers.insert(id.to_owned(), number);
        number
    }

    /// Puts the ids in their own order: by value when all are numbers, as text otherwise. With ranges of ids,
    /// neighbours must stay neighbours.
    pub(super) fn sorted(self) -> Sorted {
        let mut ids: Vec<(String, u32)> = self.numbers.into_iter().collect();
        let numeric = ids.iter().all(|(id, _)| id.parse::<f64>().is_ok_and(f64::is_finite));
        ids.sort_unstable_by(|(a, _), (b, _)| if numeric { by_value(a, b) } else { a.cmp(b) });
        let mut ranks = vec![0; ids.len()];
        for (rank, (_, number)) in ids.iter().enumerate() {
            if let Some(place) = usize::try_from(*number).ok().and_then(|number| ranks.get_mut(number)) {
                *place = rank as u64 + 1;
            }
        }
        Sorted { labels: ids.into_iter().map(|(id, _)| plain::line(&id).into_owned()).collect(), ranks }
    }
}

/// Whole numbers beyond a double's precision still differ by their text.
fn by_value(a: &str, b: &str) -> Ordering {
    let value = |id: &str| id.parse::<f64>().unwrap_or_default();
    value(a).total_cmp(&value(b)).then_with(|| a.len().cmp(&b.len())).then_with(|| a.cmp(b))
}

/// All ids of one kind.
#[derive(Debug, Default)]
pub(super) struct Sorted {
    /// The name that each had in the file: that of id 1 first.
    pub(super) labels: Vec<String>,
    ranks: Vec<u64>,
}

impl Sorted {
    /// The new id, from 1, of what had this number when it was seen.
    pub(super) fn id(&self, number: u32) -> u64 {
        usize::try_from(number).ok().and_then(|number| self.ranks.get(number)).copied().unwrap_or(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(ids: &[&str]) -> (Vec<String>, Vec<u64>) {
        let mut seen = IdNumbers::default();
        let numbers: Vec<u32> = ids.iter().map(|id| seen.number(id)).collect();
        let sorted = seen.sorted();
        let new = numbers.into_iter().map(|number| sorted.id(number)).collect();
        (sorted.labels, new)
    }

    #[test]
    fn numbers_keep_the_order_of_their_values() {
        let (labels, new) = order(&["7399999", "12", "900", "12"]);
        assert_eq!(
            (labels.as_slice(), new.as_slice()),
            (&["12", "900", "7399999"].map(str::to_owned)[..], &[3, 1, 2, 1][..])
        );
        let (labels, _) = order(&["18446744073709551615", "18446744073709551614"]);
        assert_eq!(labels, ["18446744073709551614", "18446744073709551615"]);
    }

    #[test]
    fn what_would_command_a_terminal_is_not_told() {
        assert_eq!(order(&["\u{1b}[31mroom\u{7}"]).0, [r"\u{1b}[31mroom\u{7}"]);
    }

    #[test]
    fn other_ids_are_in_the_order_of_their_text() {
        assert_eq!(order(&["b-2", "a", "10"]).1, [3, 2, 1]);
    }
}
