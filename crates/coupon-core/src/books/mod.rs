//! The law of the books: what a shard's new or retired rows make of main's stock and its logs.
//!
//! A shard's outbox says how many rows of which coupon the shard has stored, retired, or set free again. Rows that came
//! take stock. Rows that were released, returned or not confirmed in time give it back. Of rows that were retired the
//! coupon's total falls by as much as they give back, so that total − remaining is the number of live rows throughout.
//! Every step is a line in the coupon's log, and each line begins where the last one ended.
//!
//! Main is edited by people as well. Deltas that a coupon's row has no room for concern that coupon alone: they are
//! parked, in their order, and applied once the row makes sense again.
//!
//! An operator changes a total while services run, and what is left changes by as much. A total may thus fall below what is
//! sold: what is left is below zero then, by as much as operators have taken back at most ([`Stock::taken_back`]), and no row
//! that a service stores lacks room for it.

mod forgotten;
mod movement;
mod total;

use std::collections::{BTreeMap, VecDeque};
use std::fmt;

pub use forgotten::{LiveCount, forgotten};
pub use movement::{Moved, Movement};
pub use total::{TotalLine, retotal};

use crate::{CouponId, ShardId, StockOperation};

/// The operator of log lines about stored grabs.
pub const GRAB: &str = "grab";
/// The operator of log lines about retired rows.
pub const ARCHIVE: &str = "archive";
/// The operator of log lines of any kind when main had forgotten them, and they were made anew from the rows.
pub const REBUILD: &str = "rebuild";

/// The operator of log lines about rows that were there before there was any outbox.
pub const SEEDER: &str = "seeder";
/// The words by which the log names movements of rows. They are no operator's name.
pub const WORDS: [&str; 7] = [GRAB, ARCHIVE, REBUILD, SEEDER, "release", "return", "expire"];

/// An entry of a shard's outbox: its number, and the rows of each coupon that moved.
pub type Entry<'a> = (i64, &'a [Moved]);

/// Rows of one coupon on one shard, all of which moved alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delta {
    /// The shard that has them.
    pub shard: ShardId,
    /// The last entry of its outbox that speaks of them.
    pub entry: i64,
    /// The way in which they moved.
    pub movement: Movement,
    /// Their number.
    pub rows: i64,
}

impl Delta {
    /// The change of the number of live rows: below zero where they let go of their stock.
    #[must_use]
    pub const fn live(&self) -> i64 {
        self.movement.live(self.rows)
    }
}

/// Deltas by coupon, in their order.
pub type DeltasByCoupon = BTreeMap<CouponId, Vec<Delta>>;

/// The source of main's word on rows; the log names it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Word {
    /// The shards' outboxes', entry by entry.
    #[default]
    Outbox,
    /// The rows' own, since their entries are gone.
    Rows,
}

impl Word {
    /// The operator of the log lines of rows that moved.
    const fn operator(self, movement: Movement) -> &'static str {
        match (self, movement, movement.word()) {
            (Self::Rows, ..) => REBUILD,
            (Self::Outbox, _, Some(word)) => word,
            (Self::Outbox, Movement::Stored, None) => GRAB,
            (Self::Outbox, _, None) => ARCHIVE,
        }
    }
}

/// A coupon's stock as its row in main has it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stock {
    /// The number of coupons in all.
    pub total: i64,
    /// The number of them that are left: below zero where an operator took back what was sold by then.
    pub remaining: i64,
    /// The amount by which operators have made the total smaller than the largest that it was.
    pub taken_back: i64,
}

/// A line of a coupon's stock log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are the columns of `stock_logs`, described in schema/")]
pub struct StockLogLine {
    pub operation: StockOperation,
    pub operator: &'static str,
    pub shard: ShardId,
    pub entry: i64,
    pub before: i64,
    pub after: i64,
}

/// A contradiction in a coupon's row in main.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Nonsense {
    /// The row is missing, so its stock is unknown.
    #[error("main has no such coupon")]
    Missing,
    /// A stock that no column should hold.
    #[error("its total_stock is {0}")]
    Total(i64),
    /// Likewise.
    #[error("its remaining_stock is {0}")]
    Remaining(i64),
    /// A number that no column should hold.
    #[error("its taken_back is {0}")]
    TakenBack(i64),
    /// Fewer were sold than none.
    #[error("its remaining_stock is {remaining}, more than its total_stock, which is {total}")]
    MoreThanAll {
        /// The number of coupons in all.
        total: i64,
        /// The number of them that the row says are left.
        remaining: i64,
    },
    /// The stock that main says is left is less than what was sold.
    #[error("its remaining_stock is {remaining}, and {rows} more results of it are stored")]
    Short {
        /// The number that the row says are left.
        remaining: i64,
        /// The number of results that came.
        rows: i64,
    },
    /// Rows that went were more than there were.
    #[error(
        "its total_stock is {total} and its remaining_stock {remaining}, and {rows} results of it are retired"
    )]
    Retired {
        /// The number of coupons in all.
        total: i64,
        /// The number of them that are left.
        remaining: i64,
        /// The number of results that went.
        rows: i64,
    },
    /// Rows that gave their stock back were more than had taken any.
    #[error(
        "its total_stock is {total} and its remaining_stock {remaining}, and {rows} results of it gave theirs back"
    )]
    GivenBack {
        /// The number of coupons in all.
        total: i64,
        /// The number of them that are left.
        remaining: i64,
        /// The number of results that gave their stock back.
        rows: i64,
    },
}

/// The changes to one coupon.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Posting {
    /// Its stock afterwards; meaningless when nothing was applied.
    pub after: Stock,
    /// The lines of its log.
    pub lines: Vec<StockLogLine>,
    /// The deltas that its row has no room for, in order.
    pub parked: Vec<Delta>,
    /// The reason for parking them.
    pub why: Option<Nonsense>,
}

/// Entries are numbered without gaps: what is missing was applied by a main that has been put back since.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("main has lost data: it knows change {position} of shard {shard}, and the next one there is {next}")]
pub struct Gap {
    /// The shard.
    pub shard: ShardId,
    /// The last entry that main has applied.
    pub position: i64,
    /// The next entry that the shard has.
    pub next: i64,
}

/// A shard was put back to a state without entries that main has applied: the stock of the rows that it has forgotten would be
/// sold again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "it has lost data: main was told of its change {told}, and it knows {has}; put back a later copy of it, or everything as it \
     was at one moment"
)]
pub struct Behind {
    /// The last entry that main has applied.
    pub told: i64,
    /// The last entry that the shard has written.
    pub has: i64,
}

impl Behind {
    /// Makes sure that a shard has written the entries that main has applied.
    ///
    /// # Errors
    /// When it has not.
    pub const fn refuse(told: i64, has: i64) -> Result<(), Self> {
        if has < told { Err(Self { told, has }) } else { Ok(()) }
    }
}

/// Deltas by coupon, and how far they bring main.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// The word that it is taken on.
    pub word: Word,
    /// The changes of each coupon, in order.
    pub coupons: DeltasByCoupon,
    /// The last entry of each shard that has been taken in.
    pub positions: BTreeMap<ShardId, i64>,
}

impl Changes {
    /// Takes in a shard's outbox; entries up to main's position have been applied already.
    ///
    /// # Errors
    /// [`Gap`] when entries are missing.
    pub fn take<'a>(
        &mut self,
        shard: ShardId,
        position: i64,
        entries: impl IntoIterator<Item = Entry<'a>>,
    ) -> Result<(), Gap> {
        let mut reached = position;
        for (id, deltas) in entries {
            if id <= reached {
                continue;
            }
            if id != reached + 1 {
                return Err(Gap { shard, position: reached, next: id });
            }
            reached = id;
            for Moved { coupon, movement, rows } in deltas {
                let delta = Delta { shard, entry: id, movement: *movement, rows: *rows };
                add(self.coupons.entry(*coupon).or_default(), delta);
            }
        }
        if reached > position {
            self.positions.insert(shard, reached);
        }
        Ok(())
    }

    /// Puts what was parked earlier before what has come since.
    pub fn put_before(&mut self, coupon: CouponId, parked: impl IntoIterator<Item = Delta>) {
        let since = self.coupons.remove(&coupon).unwrap_or_default();
        let mut all = Vec::new();
        parked.into_iter().chain(since).for_each(|delta| add(&mut all, delta));
        self.coupons.insert(coupon, all);
    }
}

/// Adds rows to those of the same shard that moved alike. Different movements are different stories: they do not cancel
/// out.
fn add(deltas: &mut Vec<Delta>, delta: Delta) {
    let alike = |known: &&mut Delta| known.shard == delta.shard && known.movement == delta.movement;
    match deltas.iter_mut().find(alike) {
        Some(known) => {
            known.rows += delta.rows;
            known.entry = known.entry.max(delta.entry);
        }
        None => deltas.push(delta),
    }
}

impl Stock {
    /// The largest stock that main's columns hold.
    pub const MAX: i64 = i32::MAX as i64;

    /// The stock of a coupon of which so many are left, and whose total was never made smaller.
    #[must_use]
    pub const fn of(total: i64, remaining: i64) -> Self {
        Self { total, remaining, taken_back: 0 }
    }

    /// Finds a contradiction within the row itself.
    #[must_use]
    pub fn nonsense(self) -> Option<Nonsense> {
        let Self { total, remaining, taken_back } = self;
        if !(0..=Self::MAX).contains(&total) {
            Some(Nonsense::Total(total))
        } else if !(0..=Self::MAX).contains(&taken_back) {
            Some(Nonsense::TakenBack(taken_back))
        } else if !(-taken_back..=Self::MAX).contains(&remaining) {
            Some(Nonsense::Remaining(remaining))
        } else if remaining > total {
            Some(Nonsense::MoreThanAll { total, remaining })
        } else {
            None
        }
    }

    /// It with a delta applied, unless there is no room for it.
    fn with(self, delta: &Delta) -> Result<Self, Nonsense> {
        let (Self { total, remaining, taken_back }, rows) = (self, delta.rows);
        let (after, otherwise) = match delta.movement {
            Movement::Stored => {
                (Self { remaining: remaining - rows, ..self }, Nonsense::Short { remaining, rows })
            }
            Movement::Retired => {
                // Rows beyond the total are of what was taken back.
                let beyond = (rows - total).max(0);
                let after = Self {
                    total: total - rows + beyond,
                    remaining: remaining + beyond,
                    taken_back: taken_back - beyond,
                };
                (after, Nonsense::Retired { total, remaining, rows })
            }
            Movement::Released | Movement::Returned | Movement::Expired => {
                let after = Self { remaining: remaining + rows, ..self };
                (after, Nonsense::GivenBack { total, remaining, rows })
            }
        };
        if after.nonsense().is_some() { Err(otherwise) } else { Ok(after) }
    }

    /// The most rows that it has room for to move in that way.
    const fn room(self, movement: Movement) -> i64 {
        match movement {
            Movement::Stored => self.remaining + self.taken_back,
            _ => self.total - self.remaining,
        }
    }
}

/// Applies deltas to a coupon's row as main has it, `None` when there is none. The first that there is no room for, and
/// all after it, stay parked.
///
/// Rows of several transactions, and of several shards, are posted together: between two grabs one may have given its stock back.
/// So where there is no room for a delta, what comes later and makes some is taken first, as far as need be.
#[must_use]
pub fn post(word: Word, before: Option<Stock>, deltas: &[Delta]) -> Posting {
    let mut posting = Posting { after: before.unwrap_or_default(), ..Posting::default() };
    posting.why = before.map_or(Some(Nonsense::Missing), Stock::nonsense);
    let mut waiting: VecDeque<Delta> = deltas.iter().copied().collect();
    while let (None, Some(first)) = (posting.why, waiting.front().copied()) {
        let next = match posting.after.with(&first) {
            Ok(_) => Some((0, first.rows)),
            Err(_) => room_for(posting.after, &waiting),
        };
        let taken = next.and_then(|(at, rows)| take(&mut waiting, at, rows));
        match taken.map(|delta| (delta, posting.after.with(&delta))) {
            Some((delta, Ok(after))) => {
                posting.lines.extend(lines(word, posting.after.remaining, after.remaining, &delta));
                posting.after = after;
            }
            Some((delta, Err(why))) => {
                waiting.push_front(delta);
                posting.why = Some(why);
            }
            None => posting.why = posting.after.with(&first).err(),
        }
    }
    posting.parked = waiting.into();
    posting
}

/// The place and the number of the rows to take next, where there is no room for the first delta: a later one that makes
/// room for it, or as many rows of either as fit.
fn room_for(stock: Stock, waiting: &VecDeque<Delta>) -> Option<(usize, i64)> {
    let first = waiting.front()?;
    let takes = |delta: &Delta| delta.movement == Movement::Stored;
    let mut others = waiting.iter().enumerate().filter(|(_, other)| takes(other) != takes(first));
    let (at, other) = others.next()?;
    let whole = std::iter::once((at, other)).chain(others).find(|(_, other)| stock.with(other).is_ok());
    let part = |at, delta: &Delta| (at, stock.room(delta.movement).min(delta.rows));
    let next = whole.map(|(at, other)| (at, other.rows));
    let parts = [part(0, first), part(at, other)].into_iter().find(|(_, rows)| *rows > 0);
    next.or(parts)
}

/// Takes so many rows of a delta that waits.
fn take(waiting: &mut VecDeque<Delta>, at: usize, rows: i64) -> Option<Delta> {
    let delta = waiting.get_mut(at)?;
    if rows < delta.rows {
        delta.rows -= rows;
        return Some(Delta { rows, ..*delta });
    }
    waiting.remove(at)
}

/// The log lines of a delta that leaves so many of those that were left.
fn lines(word: Word, before: i64, after: i64, delta: &Delta) -> Vec<StockLogLine> {
    let Delta { shard, entry, movement, rows } = *delta;
    let operator = word.operator(movement);
    let line = |operation, before, after| StockLogLine { operation, operator, shard, entry, before, after };
    match movement {
        Movement::Stored => vec![line(StockOperation::Deduct, before, after)],
        Movement::Retired => vec![
            line(StockOperation::RollBack, before, before + rows),
            line(StockOperation::Initialise, before + rows, after),
        ],
        Movement::Released | Movement::Returned | Movement::Expired => {
            vec![line(StockOperation::RollBack, before, after)]
        }
    }
}

impl fmt::Display for Delta {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { shard, entry, movement, rows } = self;
        let how = movement.word().map(|word| format!(" ({word})")).unwrap_or_default();
        let rows = if *movement == Movement::Retired { -rows } else { *rows };
        write!(f, "{rows} rows{how} of shard {shard}, up to change {entry}")
    }
}

#[cfg(test)]
mod tests;
