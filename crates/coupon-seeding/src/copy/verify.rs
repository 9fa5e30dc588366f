//! Reads a copy back, row by row, and holds it against what was read from the source.

use anyhow::{Result, ensure};
use coupon_core::ShardingStrategy;
use coupon_store::Totals;
use coupon_store::carried::{CARRIED, key_of};

use super::RESULTS;
use super::ends::{Opening, Source};
use super::report::CopiedKind;
use super::way::{Tally, text_of_carried, text_of_result};
use crate::Progress;
use crate::seed::place;

/// Rows that are read at a time.
const PAGE: usize = 8_192;

/// The tally of each kind of rows, in the order in which they are copied.
#[derive(Debug, Default)]
pub(crate) struct Tallies(Vec<(&'static str, Tally)>);

impl Tallies {
    pub(crate) fn push(&mut self, name: &'static str, tally: Tally) {
        self.0.push((name, tally));
    }

    /// The number and the digest of each kind.
    pub(crate) fn kinds(&self) -> Vec<CopiedKind> {
        let kind = |(name, Tally { rows, digest }): &(&'static str, Tally)| CopiedKind {
            name,
            rows: *rows,
            digest: *digest,
        };
        self.0.iter().map(kind).collect()
    }

    fn all(&self) -> u64 {
        self.0.iter().map(|(_, tally)| tally.rows).sum()
    }

    /// Describes every kind of rows that is not the same in both.
    pub(crate) fn differences(&self, read: &Self) -> Vec<String> {
        let pairs = self.0.iter().zip(&read.0).filter(|(back, read)| back != read);
        let described = |((name, back), (_, read)): (&(&str, Tally), &(&str, Tally))| {
            format!(
                "{name}: {} rows with digest {:032x}, and {} with {:032x} were read",
                back.rows, back.digest, read.rows, read.digest
            )
        };
        pairs.map(described).collect()
    }
}

/// Reads every row back. Results must be where the strategy looks for them; what of them is written when the copy is opened
/// goes to `opening`.
pub(crate) fn read_back(
    copy: &mut dyn Source,
    strategy: &dyn ShardingStrategy,
    read: &Tallies,
    opening: &mut Opening,
    progress: &mut dyn Progress,
) -> Result<Tallies> {
    progress.stage("verified", read.all());
    let (mut tallies, mut rows) = (Tallies::default(), 0);
    for table in &CARRIED {
        let (mut tally, mut last) = (Tally::default(), i64::MIN);
        loop {
            let page = copy.carried(table, last, PAGE.min(table.page))?;
            let Some(end) = page.last() else { break };
            last = key_of(end);
            page.iter().for_each(|row| tally.add(&text_of_carried(row)));
            progress.reached(rows + tally.rows);
        }
        rows += tally.rows;
        tallies.push(table.name, tally);
    }
    let mut tally = Tally::default();
    for at in copy.places()? {
        let mut last = i64::MIN;
        loop {
            let page = copy.results(at, last, PAGE)?;
            let Some(end) = page.last() else { break };
            last = end.result_id.number();
            for row in &page {
                let (id, right) = (row.result_id, place(strategy, &row.key())?);
                ensure!(right == at, "result {id} is in {at}, and belongs into {right}");
                tally.add(&text_of_result(row));
                if let Some(sums) = opening.sums.get_mut(at.shard.index()) {
                    *sums += Totals::of(row);
                }
                let latest = opening.workers.entry(id.worker()).or_insert(id.time());
                *latest = id.time().max(*latest);
            }
            progress.reached(rows + tally.rows);
        }
    }
    progress.done();
    tallies.push(RESULTS, tally);
    Ok(tallies)
}
