//! All results of a data set in the order of their ids, whichever tables they are in: a table is opened when its first id
//! is reached, so that of many tables of days a few are open at a time.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use anyhow::Result;
use coupon_core::{CouponResult, Placement};

use super::ends::Source;

/// Rows of one table that are in memory at a time.
const PAGE: usize = 2_048;

/// A table, and the next of its rows.
struct Stream {
    at: Placement,
    rows: VecDeque<CouponResult>,
    /// The last id that was read.
    read: i64,
}

pub(crate) struct Merge {
    streams: Vec<Stream>,
    /// The next id of each stream that is not at its end, the least first.
    next: BinaryHeap<Reverse<(i64, usize)>>,
}

impl Merge {
    pub(crate) fn new(source: &mut dyn Source) -> Result<Self> {
        let (mut streams, mut next) = (Vec::new(), BinaryHeap::new());
        for at in source.places()? {
            if let Some(first) = source.first(at)? {
                next.push(Reverse((first, streams.len())));
                streams.push(Stream { at, rows: VecDeque::new(), read: first.saturating_sub(1) });
            }
        }
        Ok(Self { streams, next })
    }

    /// The next rows, at most so many; none when there are no more.
    pub(crate) fn chunk(&mut self, source: &mut dyn Source, most: usize) -> Result<Vec<CouponResult>> {
        let mut chunk = Vec::with_capacity(most);
        while chunk.len() < most
            && let Some(Reverse((_, index))) = self.next.pop()
        {
            let Some(stream) = self.streams.get_mut(index) else { continue };
            stream.fill(source)?;
            chunk.extend(stream.rows.pop_front());
            stream.fill(source)?;
            if let Some(row) = stream.rows.front() {
                self.next.push(Reverse((row.result_id.number(), index)));
            }
        }
        Ok(chunk)
    }
}

impl Stream {
    /// Reads on where nothing is in memory.
    fn fill(&mut self, source: &mut dyn Source) -> Result<()> {
        if self.rows.is_empty() {
            self.rows = source.results(self.at, self.read, PAGE)?.into();
            self.read = self.rows.back().map_or(i64::MAX, |row| row.result_id.number());
        }
        Ok(())
    }
}
