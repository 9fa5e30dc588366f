//! The changes that main applied and has forgotten, since it was put back to an earlier state.
//!
//! Their entries are gone from the outboxes; the rows are not. So what is missing is found by counting: a shard's
//! live rows of a coupon, less those that main has counted.

use super::{Delta, Movement};
use crate::ShardId;

/// A shard's live rows of one coupon, and main's count of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LiveCount {
    /// The shard.
    pub shard: ShardId,
    /// The last entry that there ever was in its outbox.
    pub last: i64,
    /// Live rows that it has.
    pub rows: i64,
    /// Live rows of its by what main has applied, or parked.
    pub known: i64,
    /// The change of live rows by the entries in its outbox that main has not applied; `None` when entries between main's
    /// position and `last` are gone.
    pub untold: Option<i64>,
}

impl LiveCount {
    /// Rows that no entry covers, or none that is left.
    fn unexplained(&self) -> i64 {
        self.rows - self.known - self.untold.unwrap_or(0)
    }

    /// The change by as many live rows, up to its last entry; none where there are none.
    fn lacks(&self, live: i64) -> Option<Delta> {
        let movement = if live < 0 { Movement::Retired } else { Movement::Stored };
        let delta = Delta { shard: self.shard, entry: self.last, movement, rows: live.abs() };
        (live != 0).then_some(delta)
    }
}

/// The rows of a coupon that main has forgotten, by shard. `before` is the number of its rows from before there was
/// any outbox: no entry explains those either, and main has counted them. `moved` says that rows have moved between shards.
///
/// A row that has moved is in the entries of the shard that stored it, and another shard has it. Where any has moved, the shards
/// are judged together, and what is missing is taken to lie on the first that lacks entries: the sum over the shards is right.
///
/// Main has their number and not their shards. Where a coupon has such rows and several shards lack entries, they are
/// taken to lie on the first of these that has room for them: the sum over the shards is right in any case. Rows that
/// came and rows that went in the time that main has forgotten cannot be separated any more, and cancel out; nor can
/// rows that were retired and rows that gave their stock back: where fewer live rows are left than main knows, they
/// count as retired, so that nothing is sold on a guess.
#[must_use]
pub fn forgotten(before: i64, shards: &[LiveCount], moved: bool) -> Vec<Delta> {
    let (whole, lacking): (Vec<&LiveCount>, Vec<&LiveCount>) =
        shards.iter().partition(|held| held.untold.is_some());
    if moved {
        let unexplained: i64 = shards.iter().map(LiveCount::unexplained).sum();
        return lacking.first().and_then(|held| held.lacks(unexplained - before)).into_iter().collect();
    }
    let elsewhere: i64 = whole.iter().map(|held| held.unexplained()).sum();
    let mut before = (before - elsewhere).max(0);
    let mut found: Vec<(&LiveCount, i64)> = Vec::new();
    for held in lacking {
        let unexplained = held.unexplained();
        let of_before = unexplained.clamp(0, before);
        before -= of_before;
        found.push((held, unexplained - of_before));
    }
    // There are fewer rows than there were before any outbox: some of those were retired.
    if let Some((_, last)) = found.last_mut() {
        *last -= before;
    }
    found.into_iter().filter_map(|(held, live)| held.lacks(live)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(shard: u16, rows: i64, known: i64, untold: Option<i64>) -> LiveCount {
        LiveCount { shard: ShardId::new(shard), last: 9, rows, known, untold }
    }

    fn found(before: i64, shards: &[LiveCount]) -> Vec<(u16, i64)> {
        forgotten(before, shards, false).iter().map(|delta| (delta.shard.number(), delta.live())).collect()
    }

    #[test]
    fn what_a_shard_has_and_main_does_not_know_is_forgotten() {
        assert_eq!(found(0, &[held(0, 7, 4, None), held(1, 3, 3, None)]), [(0, 3)]);
        assert_eq!(forgotten(0, &[held(2, 1, 0, None)], false)[0].entry, 9, "up to the last entry there was");
    }

    #[test]
    fn what_an_outbox_still_tells_is_not() {
        assert_eq!(found(0, &[held(0, 7, 4, Some(3)), held(1, 3, 1, None)]), [(1, 2)]);
        assert!(found(0, &[held(0, 7, 4, Some(3))]).is_empty());
    }

    #[test]
    fn rows_from_before_there_was_an_outbox_are_not_either() {
        assert!(found(5, &[held(0, 3, 0, None), held(1, 2, 0, None)]).is_empty());
        assert!(found(5, &[held(0, 3, 0, Some(0)), held(1, 2, 0, None)]).is_empty());
        assert_eq!(found(5, &[held(0, 3, 0, Some(0)), held(1, 6, 1, None)]), [(1, 3)]);
        let several: i64 = found(5, &[held(0, 4, 0, None), held(1, 4, 0, None)]).iter().map(|(_, n)| n).sum();
        assert_eq!(several, 3, "whichever shards they are of");
    }

    #[test]
    fn rows_that_went_are_forgotten_too() {
        assert_eq!(found(0, &[held(0, 2, 6, None)]), [(0, -4)]);
        assert_eq!(found(6, &[held(0, 0, 0, None), held(1, 1, 0, None)]), [(1, -5)]);
    }

    #[test]
    fn rows_that_no_entry_explains_are_laid_to_no_other_shard() {
        assert!(found(0, &[held(0, 9, 4, Some(0)), held(1, 1, 1, None)]).is_empty());
    }

    #[test]
    fn rows_that_moved_are_forgotten_on_no_shard() {
        let found = |before, shards: &[LiveCount]| {
            let found = forgotten(before, shards, true);
            found.iter().map(|delta| (delta.shard.number(), delta.live())).collect::<Vec<_>>()
        };
        let nothing: [(u16, i64); 0] = [];
        // Four went from shard 0 to shard 1, and both lack entries, or one of them does.
        let (from, to) = (held(0, 0, 4, None), held(1, 4, 0, None));
        assert_eq!(found(0, &[from, to]), nothing);
        for (one, other) in [(None, Some(0)), (Some(0), None)] {
            assert_eq!(
                found(0, &[LiveCount { untold: one, ..from }, LiveCount { untold: other, ..to }]),
                nothing
            );
        }
        assert_eq!(found(0, &[held(0, 1, 4, None), held(1, 6, 0, Some(1))]), [(0, 2)], "beside what is told");
        assert_eq!(found(2, &[held(0, 0, 4, Some(0)), held(1, 9, 0, None)]), [(1, 3)]);
        assert_eq!(found(2, &[held(0, 0, 4, None), held(1, 3, 0, None)]), [(0, -3)]);
        assert_eq!(found(0, &[held(0, 0, 4, Some(0)), held(1, 9, 0, Some(0))]), nothing, "none lacks any");
    }
}
