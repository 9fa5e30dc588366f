//! The beginning that texts have in common: ranges by the first letters would put them all on one shard.

use std::collections::HashMap;
use std::num::NonZeroU16;

use serde::Serialize;

use super::order::{Ordered, part};

/// A shorter beginning is no matter.
const SHORTEST: usize = 2;

/// A beginning of many values.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Prefix {
    /// The beginning.
    pub text: String,
    /// The part of all rows whose values begin so.
    pub share: f64,
}

impl Prefix {
    /// The longest beginning that more rows have than are fair for a shard, and more than half of them.
    pub(super) fn of(ordered: &Ordered<'_>, shards: NonZeroU16) -> Option<Self> {
        let values: Vec<&str> = ordered.rows.iter().map(|row| part(&row.of.value, 0)).collect();
        let least = (1.0 / f64::from(shards.get())).max(0.5);
        let (mut text, mut share) = (String::new(), 1.0);
        let mut alike = values.clone();
        loop {
            let mut next = HashMap::<char, usize>::new();
            let letters = alike.iter().filter_map(|value| value.get(text.len()..)?.chars().next());
            letters.for_each(|letter| *next.entry(letter).or_default() += 1);
            let Some((letter, rows)) = next.into_iter().max_by_key(|(letter, rows)| (*rows, *letter)) else {
                break;
            };
            let of_all = rows as f64 / values.len() as f64;
            if of_all <= least {
                break;
            }
            text.push(letter);
            share = of_all;
            alike.retain(|value| value.starts_with(&text));
        }
        // A value that is frequent by itself is a matter of its own.
        let differ = alike.windows(2).any(|pair| pair.first() != pair.last());
        (differ && text.chars().count() >= SHORTEST).then_some(Self { text, share })
    }
}

#[cfg(test)]
mod tests {
    use super::super::sampled::Sampled;
    use super::*;

    fn prefix(values: &[&str]) -> Option<(String, f64)> {
        let row = |value: &&str| Sampled { value: (*value).into(), timed: true, moment: 0, place: 0 };
        let sample: Vec<Sampled> = values.iter().map(row).collect();
        let found = Prefix::of(&Ordered::of(&sample, 1), NonZeroU16::new(4).unwrap());
        found.map(|prefix| (prefix.text, prefix.share))
    }

    #[test]
    fn the_longest_beginning_that_most_have_is_found() {
        assert_eq!(prefix(&["user_1", "user_2", "user_3", "guest"]), Some(("user_".to_owned(), 0.75)));
        assert_eq!(prefix(&["größe1", "größe2"]), Some(("größe".to_owned(), 1.0)));
        assert_eq!(prefix(&["alpha", "beta", "gamma", "delta"]), None);
        assert_eq!(prefix(&["same", "same", "same"]), None);
        assert_eq!(prefix(&[]), None);
    }
}
