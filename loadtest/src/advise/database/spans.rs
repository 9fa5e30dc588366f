//! The parts of a primary key: each as narrow as its rows, and none with many more of them than another.

use std::collections::BinaryHeap;

use anyhow::Result;

use super::key::Place;

/// Fewer rows are not parted.
const FEW: u64 = 100;

/// The bounds of a table's keys, at the price of a row or of none.
pub(super) trait KeyBounds {
    /// The least key between these, with both.
    async fn least(&mut self, first: Place, last: Place) -> Result<Option<Place>>;
    /// The greatest.
    async fn greatest(&mut self, first: Place, last: Place) -> Result<Option<Place>>;
    /// The rows between these, as the server estimates them.
    async fn rows(&mut self, first: Place, last: Place) -> Result<u64>;
}

/// A part of the key, from a key that there is to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Span {
    /// The rows in it, about.
    pub(super) rows: u64,
    pub(super) first: Place,
    pub(super) last: Place,
}

impl Span {
    async fn new(keys: &mut impl KeyBounds, first: Place, last: Place) -> Result<Self> {
        Ok(Self { rows: keys.rows(first, last).await?.max(1), first, last })
    }

    /// Its two halves, each narrowed to the keys that it has: a gap between them belongs to neither.
    async fn halves(self, keys: &mut impl KeyBounds) -> Result<[Self; 2]> {
        let middle = self.first + (self.last - self.first) / 2;
        let below = keys.greatest(self.first, middle).await?.unwrap_or(self.first);
        let above = keys.least(middle + 1, self.last).await?.unwrap_or(self.last);
        Ok([Self::new(keys, self.first, below).await?, Self::new(keys, above, self.last).await?])
    }
}

/// Parts a table's key into so many spans, or fewer where it has few rows, in order. Always the fullest is halved, so that
/// neither gaps nor a hot value make one that has many times the rows of another.
pub(super) async fn spans(
    keys: &mut impl KeyBounds,
    greatest: Place,
    parts: usize,
    mut progress: impl FnMut(usize),
) -> Result<Vec<Span>> {
    let (Some(first), Some(last)) = (keys.least(0, greatest).await?, keys.greatest(0, greatest).await?)
    else {
        return Ok(Vec::new());
    };
    let (mut done, mut fullest) = (Vec::new(), BinaryHeap::from([Span::new(keys, first, last).await?]));
    while let Some(span) = fullest.pop() {
        let found = done.len() + fullest.len() + 1;
        if span.first == span.last || span.rows <= FEW || found >= parts {
            done.push(span);
            continue;
        }
        fullest.extend(span.halves(keys).await?);
        progress(found + 1);
    }
    done.sort_unstable_by_key(|span| span.first);
    Ok(done)
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// Keys in memory, with the number of rows that each has, and the questions that were asked of them.
    #[derive(Debug, Default)]
    pub(in crate::advise::database) struct Memory {
        pub(in crate::advise::database) rows: BTreeMap<Place, u64>,
        pub(in crate::advise::database) asked: usize,
    }

    impl KeyBounds for Memory {
        async fn least(&mut self, first: Place, last: Place) -> Result<Option<Place>> {
            self.asked += 1;
            Ok(self.rows.range(first..=last).next().map(|(place, _)| *place))
        }

        async fn greatest(&mut self, first: Place, last: Place) -> Result<Option<Place>> {
            self.asked += 1;
            Ok(self.rows.range(first..=last).next_back().map(|(place, _)| *place))
        }

        async fn rows(&mut self, first: Place, last: Place) -> Result<u64> {
            self.asked += 1;
            Ok(self.rows.range(first..=last).map(|(_, rows)| rows).sum())
        }
    }

    pub(in crate::advise::database) fn answered<T>(question: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(question)
    }

    fn parted(rows: impl Iterator<Item = Place>, parts: usize) -> (Vec<Span>, usize) {
        let mut keys = Memory { rows: rows.map(|place| (place, 1)).collect(), asked: 0 };
        let spans = answered(spans(&mut keys, Place::MAX, parts, |_| ())).unwrap();
        (spans, keys.asked)
    }

    #[test]
    fn a_stray_key_far_off_and_gaps_cost_no_span_its_rows() {
        let ids = (1..=100_000).map(|id| id + id / 500 * 1_000_000).chain([9_000_000_000_000]);
        let (spans, asked) = parted(ids, 200);
        assert_eq!((spans.len(), spans.iter().map(|span| span.rows).sum::<u64>()), (200, 100_001));
        assert_eq!(spans.last().unwrap().rows, 1);
        assert!(spans.iter().all(|span| span.rows <= 1_000), "{spans:?}");
        assert!(spans.windows(2).all(|pair| pair[0].last < pair[1].first));
        assert!(asked < 5 * 200, "{asked}");
    }

    #[test]
    fn a_hot_first_column_is_parted_by_the_second() {
        // Shop 700 has 40 % of all rows.
        let hot = (0..40_000).map(|seq| (700 << 64) + seq);
        let others = (0..60_000).map(|n: u128| ((n % 300 + 1) << 64) + n / 300);
        let (spans, _) = parted(hot.chain(others), 200);
        let within: Vec<&Span> = spans.iter().filter(|span| span.first >> 64 == 700).collect();
        assert!((40..=130).contains(&within.len()), "{}", within.len());
        assert!(spans.iter().all(|span| span.rows <= 1_300), "{spans:?}");
    }

    #[test]
    fn few_rows_are_one_span_and_none_are_none() {
        assert_eq!(parted([5, 9].into_iter(), 100).0, [Span { rows: 2, first: 5, last: 9 }]);
        assert_eq!(parted([].into_iter(), 100).0, []);
    }
}
