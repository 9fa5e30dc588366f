//! The places that are read: small ones all over a table, so that every row has about the same chance.

use anyhow::Result;
use coupon_measure::Random;

use super::key::Place;
use super::spans::{KeyBounds, Span};

/// Rows that are read together: the fewer, the less it matters that neighbours are alike; each costs a round trip.
pub(super) const TOGETHER: u64 = 100;
/// Within rows that the key's whole numbers cannot tell apart, no more than so many are passed over at a time.
const PASSED: u64 = 25_000;
/// The places within such rows: to pass rows over is to have the server read them.
const PASSES: u64 = 4;
/// The stream of places, apart from those of requests, rounds, moments, queries and samples.
const PLACES: u64 = 1 << 57;

/// Rows that are read by one question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Block {
    pub(super) first: Place,
    pub(super) last: Place,
    /// The rows that are passed over.
    pub(super) passed: u64,
    /// The rows that are wanted.
    pub(super) rows: u64,
}

/// The rows that may still be read. What a place turns out not to have, the next ones may have more.
#[derive(Debug)]
pub(super) struct Left {
    rows: u64,
    owed: u64,
}

impl Left {
    pub(super) const fn new(rows: u64) -> Self {
        Self { rows, owed: 0 }
    }

    /// The most rows to read of a place: its own and as many more, so that no place outweighs the others.
    pub(super) fn of(&self, block: &Block) -> u64 {
        // Places among the rows of one key lie side by side: more of one would be the next one's.
        let more = if block.first == block.last { 0 } else { self.owed.min(block.rows) };
        block.rows.saturating_add(more).min(self.rows)
    }

    /// Notes how many came.
    pub(super) fn came(&mut self, block: &Block, rows: u64) {
        self.rows = self.rows.saturating_sub(rows);
        self.owed = self.owed.saturating_add(block.rows).saturating_sub(rows);
    }
}

/// All rows.
pub(super) fn all(spans: &[Span]) -> Vec<Block> {
    let block = |span: &Span| Block { first: span.first, last: span.last, passed: 0, rows: u64::MAX };
    spans.iter().map(block).collect()
}

/// The places that have so many rows together: one by chance in each of as many parts with equal numbers of rows.
pub(super) async fn sampled(
    keys: &mut impl KeyBounds,
    spans: &[Span],
    shifts: &[u32],
    wanted: u64,
    seed: u64,
) -> Result<Vec<Block>> {
    let mut random = Random::new(seed, PLACES);
    let total = spans.iter().map(|span| span.rows as f64).sum::<f64>();
    let count = wanted.div_ceil(TOGETHER).max(1);
    // As far as it can begin without running into the next.
    let free = (1.0 - wanted as f64 / total).max(0.0);
    let drawn: Vec<(f64, u64)> = (0..count)
        .map(|number| {
            let rows = wanted * (number + 1) / count - wanted * number / count;
            ((number as f64 + random.unit() * free) * total / count as f64, rows)
        })
        .collect();
    let mut drawn = drawn.into_iter().peekable();
    let (mut blocks, mut before) = (Vec::with_capacity(count as usize), 0.0);
    for span in spans {
        let end = before + span.rows as f64;
        let mut within: Vec<(f64, u64)> = Vec::new();
        while let Some((at, rows)) = drawn.next_if(|(at, _)| *at < end) {
            within.push(((at - before) / span.rows as f64, rows));
        }
        before = end;
        if span.first == span.last {
            blocks.extend(of_one_key(*span, within.iter().map(|(_, rows)| rows).sum()));
            continue;
        }
        for (part, rows) in within {
            let first = somewhere(keys, *span, part, shifts, &mut random).await?;
            // It goes on beyond its span, as far as the next place.
            blocks.push(Block { first, last: Place::MAX, passed: 0, rows });
        }
    }
    let last = spans.last().map_or(0, |span| span.last);
    blocks.iter_mut().for_each(|block: &mut Block| block.last = block.last.min(last));
    Ok(apart(blocks))
}

/// The places in rows that have all whole numbers of the key in common.
fn of_one_key(span: Span, wanted: u64) -> Vec<Block> {
    let places = PASSES.min(wanted.div_ceil(TOGETHER));
    let each = wanted.checked_div(places).unwrap_or_default();
    let stride = (span.rows / places.max(1)).min(PASSED).max(each + 1);
    let rows = |number| wanted * (number + 1) / places - wanted * number / places;
    let block =
        |number| Block { first: span.first, last: span.last, passed: number * stride, rows: rows(number) };
    (0..places).map(block).collect()
}

/// A key at this part of a span. Of a compound key each column is drawn from the values that there are behind those before
/// it: to begin with whatever comes next would begin at the first row of a value, and never in the middle of its rows.
async fn somewhere(
    keys: &mut impl KeyBounds,
    span: Span,
    part: f64,
    shifts: &[u32],
    random: &mut Random,
) -> Result<Place> {
    let (mut first, mut last, mut part) = (span.first, span.last, part);
    for shift in shifts {
        let (from, to) = (first >> shift, last >> shift);
        if from == to {
            continue;
        }
        let value = along(from, to.saturating_add(1), part).min(to);
        let Some(found) = keys.least(first.max(value << shift), last).await? else { break };
        let group = (found >> shift) << shift;
        let (low, high) = (first.max(group), last.min(group | ((1 << shift) - 1)));
        let ends = (keys.least(low, high).await?, keys.greatest(low, high).await?);
        (first, last) = (ends.0.unwrap_or(found), ends.1.unwrap_or(found));
        part = random.unit();
    }
    Ok(along(first, last, part))
}

fn along(first: Place, last: Place, part: f64) -> Place {
    first.saturating_add(((last - first) as f64 * part) as Place).min(last)
}

/// Ends each place where the next begins, so that no row is read twice. Where two begin at the same key, the one takes the
/// rows of both.
fn apart(mut blocks: Vec<Block>) -> Vec<Block> {
    blocks.sort_by_key(|block| (block.first, block.passed));
    let mut parted: Vec<Block> = Vec::with_capacity(blocks.len());
    for block in blocks {
        match parted.last_mut() {
            Some(before) if before.first == block.first && block.passed == 0 => before.rows += block.rows,
            Some(before) if before.first < block.first => {
                before.last = before.last.min(block.first - 1);
                parted.push(block);
            }
            _ => parted.push(block),
        }
    }
    parted
}

#[cfg(test)]
mod tests {
    use super::super::spans::spans;
    use super::super::spans::tests::{Memory, answered};
    use super::*;

    /// The keys that are read, as the reader does it.
    fn read(rows: impl Iterator<Item = (Place, u64)>, shifts: &[u32], wanted: u64) -> Vec<Place> {
        let mut keys = Memory { rows: rows.collect(), asked: 0 };
        let found = answered(async {
            let spans = spans(&mut keys, Place::MAX, 1_000, |_| ()).await.unwrap();
            sampled(&mut keys, &spans, shifts, wanted, 1).await.unwrap()
        });
        let mut left = Left::new(wanted);
        let of_block = |block: &Block| {
            let rows = keys.rows.range(block.first..=block.last);
            let rows = rows.flat_map(|(place, rows)| std::iter::repeat_n(*place, *rows as usize));
            let rows: Vec<Place> = rows.skip(block.passed as usize).take(left.of(block) as usize).collect();
            left.came(block, rows.len() as u64);
            rows
        };
        found.iter().flat_map(of_block).collect()
    }

    fn share(read: &[Place], of: impl Fn(Place) -> bool) -> f64 {
        read.iter().filter(|place| of(**place)).count() as f64 / read.len() as f64
    }

    #[test]
    fn a_shop_with_two_fifths_of_the_rows_has_two_fifths_of_the_sample() {
        let hot = (0..240_000).map(|seq| (700 << 64) + seq);
        let others = (0..360_000_u128).map(|n| ((n % 1_000 + 1_000) << 64) + n / 1_000);
        for wanted in [20_000, 100_000, 220_000] {
            let read = read(hot.clone().chain(others.clone()).map(|place| (place, 1)), &[64], wanted);
            let found = share(&read, |place| place >> 64 == 700);
            assert!((found - 0.4).abs() < 0.01, "{wanted}: {found}");
            assert!(read.len() as u64 <= wanted && read.len() as u64 > wanted * 9 / 10, "{}", read.len());
            assert!(read.is_sorted_by(|a, b| a < b), "a row was read twice");
            // Nor are the first rows of each shop read alone.
            let late = share(&read, |place| place >> 64 != 700 && place & 0xFFFF >= 180);
            assert!((late - 0.3).abs() < 0.04, "{wanted}: {late}");
        }
    }

    #[test]
    fn gaps_between_ids_and_a_stray_one_change_no_chance() {
        // Half of the rows are close together, half have a thousand ids for each.
        let close = 1..=150_000_u128;
        let sparse = (1..=150_000_u128).map(|n| 1_000_000 + n * 1_000);
        let ids = close.chain(sparse).chain([9_000_000_000_000]).map(|id| (id, 1));
        let read = read(ids, &[], 20_000);
        assert!(read.len() > 18_000, "{}", read.len());
        let found = share(&read, |place| place <= 150_000);
        assert!((found - 0.5).abs() < 0.02, "{found}");
    }

    #[test]
    fn what_repeats_at_the_distance_of_the_places_is_seen_all_the_same() {
        // Each 500 ids are of fifty shops in turn, and followed by a gap.
        let ids = (0..30_000_u128).map(|n| (n + n / 500 * 2_000, 1));
        let read = read(ids, &[], 6_000);
        assert!(read.len() > 5_700, "{}", read.len());
        for shop in 0..50 {
            let found = share(&read, |id| id % 500 % 50 == shop);
            assert!((found - 0.02).abs() < 0.01, "{shop}: {found}");
        }
    }

    #[test]
    fn rows_that_no_whole_number_tells_apart_have_their_share_as_well() {
        let rows = (1..=60_u128).map(|shop| (shop, if shop == 7 { 40_000 } else { 1_000 }));
        let read = read(rows, &[], 10_000);
        let found = share(&read, |shop| shop == 7);
        assert!((found - 40.0 / 99.0).abs() < 0.02, "{found}");
        assert!(read.len() <= 10_000 && read.len() > 9_000, "{}", read.len());
    }
}
