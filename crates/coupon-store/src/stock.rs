//! Grabs that a database decides: what is asked of it is the same in SQLite and MySQL.
//!
//! A user's rows of the coupon say whether they have a slot left, and a conditional UPDATE of the coupon's row of stock
//! whether there is one left for them; the result is stored in the same transaction. All rows are in one table of one
//! shard, whose unique index of user, coupon and slot has the last word.

use anyhow::ensure;
use coupon_core::{Placement, ShardId, ShardingStrategy, TableId, TimeRange, Timestamp};

use crate::gate::REMEMBERED_MS;
use crate::holders::{Holder, Holders};
use crate::statements::{self, Numbers, PARKED};
use crate::{Attempt, Decision, GateStock, Reservation};

/// The refusal of a data set whose stock would not be kept any more.
pub const KEPT: &str = "setting `grab.decided_by` must be database here: this data set's database keeps the stock of grabs, and \
     what a gate granted beside it would be sold twice";

/// The refusal of a data set that a gate has granted results of.
pub const HAD_A_GATE: &str = "setting `grab.decided_by` must be gate here: what this data set's gate granted may still wait in \
     queues, where no database that decides looks; `seeder copy` makes a data set of it that a database can decide";

/// The shard of all results.
pub const SHARD: ShardId = ShardId::new(0);
/// The table of all results.
pub const TABLE: TableId = TableId::Single;

/// Sells so many of a coupon, if there are as many left and it is on offer at those times. The numbers, in order: how many of a
/// coupon, how many of them no outbox entry counts yet, the coupon, how many, the first and the last time, the epoch.
pub const SELL: &str = "UPDATE stock SET sold = sold + ?, untold = untold + ? \
     WHERE coupon_id = ? AND sold + ? <= total AND start_time <= ? AND end_time > ? AND epoch = ?";

/// Takes back so many that were sold of a coupon. Its numbers are how many, and the coupon.
pub const TAKE_BACK: &str = "UPDATE stock SET sold = sold - ? WHERE coupon_id = ?";

/// A coupon's row, by its number.
pub const OF_COUPON: &str = "SELECT total, sold, start_time, end_time, epoch FROM stock WHERE coupon_id = ?";

/// Counts what takes stock, by coupon: all of it, or that of coupons which a condition names.
pub fn counted(condition: &str) -> String {
    let live = statements::LIVE;
    format!(
        "SELECT coupon_id, COUNT(*) FROM (SELECT coupon_id FROM {TABLE} WHERE {live} \
         UNION ALL SELECT coupon_id FROM parked_results) taken {condition} GROUP BY coupon_id"
    )
}

/// Makes sure that all rows of a layout are in the one table, and will be: no shard is prepared beside theirs.
///
/// # Errors
/// When they are not; the message names the setting.
pub fn ensure_one_table(strategy: &dyn ShardingStrategy, prepared: u16) -> anyhow::Result<()> {
    let moment = Timestamp::from_millis(0);
    let tables = strategy.tables(TimeRange::new(moment, moment.plus_millis(1)));
    ensure!(
        tables == [Placement::new(SHARD, TABLE)],
        "setting `grab.decided_by`: a database decides grabs where one shard has all results in one table, by hash of the user \
         with `shards` = 1, and not where they are laid out as: {}",
        strategy.layout()
    );
    ensure!(
        prepared == 1,
        "setting `grab.decided_by`: a database decides grabs of one shard, and {prepared} are prepared (`shards_prepared`)"
    );
    Ok(())
}

/// A coupon's row of stock, in the order of [`OF_COUPON`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StockRow {
    /// The number that there is of it in all.
    pub total: i64,
    /// The number that is taken.
    pub sold: i64,
    /// The beginning of its window, in milliseconds since 1970.
    pub start: i64,
    /// The end of its window, in milliseconds since 1970.
    pub end: i64,
    /// The epoch in which it was filled.
    pub epoch: u64,
}

impl StockRow {
    /// True if it is on offer at that time.
    pub fn is_on_offer(&self, time: Timestamp) -> bool {
        (self.start..self.end).contains(&time.millis())
    }

    /// The number that are left.
    pub fn left(&self) -> usize {
        usize::try_from(self.total - self.sold).unwrap_or(0)
    }

    /// The counts, as a gate states them.
    pub fn counts(&self) -> GateStock {
        let count = |number: i64| u32::try_from(number.max(0)).unwrap_or(u32::MAX);
        GateStock { total: count(self.total), sold: count(self.sold) }
    }
}

/// The reservation of a user's row of a coupon, and the time at which it gave its stock back, if it has.
pub type Mine = (Reservation, Option<Timestamp>);

/// The moment from which on rows that gave their stock back still answer an attempt's request.
pub const fn remembered_since(attempt: &Attempt) -> Timestamp {
    attempt.id.time().plus_millis(-REMEMBERED_MS)
}

/// The statement for the rows that users have of coupons, in the order of [`statements::RESERVED`], by a condition on both ids
/// that it has twice: parked results, which take their slots too, and then rows, which count where both are in one slot.
pub fn mine(numbers: Numbers, since: Timestamp, condition: &str) -> String {
    let reserved = statements::reserved(TABLE, numbers, since);
    format!("{PARKED} WHERE {condition} UNION ALL {reserved} AND {condition}")
}

/// The slot of an attempt, by the rows that its user has of the coupon; or what is decided already.
pub fn free_slot(attempt: &Attempt, mine: &[Mine]) -> Result<u8, Decision> {
    let mut holders = Holders::default();
    for (reserved, _) in mine.iter().filter(|(_, given_back)| given_back.is_none()) {
        holders.take(attempt.user, *reserved, false);
    }
    let answered = |(reserved, _): &&Mine| attempt.request.is_some() && reserved.request == attempt.request;
    let first_what_is_held = |(_, given_back): &&Mine| given_back.is_some();
    if let Some((reserved, _)) = mine.iter().filter(answered).min_by_key(first_what_is_held) {
        return Err(Decision::Repeated(reserved.grant()));
    }
    holders.free_slot(attempt.user, attempt.limit).map_err(|lowest: Holder| lowest.refused())
}

#[cfg(test)]
mod tests {
    use coupon_core::{CouponId, RequestKey, ResultId, UserId};

    use super::*;

    fn reserved(number: i64, slot: u8, request: &str) -> Reservation {
        let id = ResultId::from_number(number).unwrap();
        Reservation { slot, request: Some(RequestKey::of(request)), ..Reservation::plain(id) }
    }

    fn attempt(limit: u8, request: Option<&str>) -> Attempt {
        let (user, coupon) = (UserId::new(1).unwrap(), CouponId::new(1).unwrap());
        let plain = Attempt::plain(user, coupon, ResultId::from_number(99).unwrap());
        Attempt { limit, request: request.map(RequestKey::of), ..plain }
    }

    #[test]
    fn an_attempt_gets_the_lowest_slot_that_the_rows_leave_or_the_answer_of_its_request() {
        let gone = Some(Timestamp::from_millis(5));
        let mine = [(reserved(7, 0, "a"), None), (reserved(8, 2, "b"), None), (reserved(6, 0, "c"), gone)];
        let free = |limit, request| free_slot(&attempt(limit, request), &mine);
        assert_eq!(free(3, None), Ok(1));
        assert_eq!(free(2, None), Err(Decision::Duplicate(reserved(7, 0, "a").id)));
        assert_eq!(free(1, Some("b")), Err(Decision::Repeated(reserved(8, 2, "b").grant())));
        assert_eq!(free(3, Some("c")), Err(Decision::Repeated(reserved(6, 0, "c").grant())));
        assert_eq!(free_slot(&attempt(1, Some("d")), &[]), Ok(0));
        let parked = (Reservation { request: None, ..reserved(9, 0, "") }, None);
        assert_eq!(free_slot(&attempt(1, None), &[parked]), Err(Decision::Duplicate(parked.0.id)));
        let both = [parked, mine[0]];
        let again = free_slot(&attempt(2, Some("a")), &both);
        assert_eq!(again, Err(Decision::Repeated(mine[0].0.grant())), "the row in its slot has the answer");
        assert_eq!(free_slot(&attempt(1, None), &both), Err(Decision::Duplicate(mine[0].0.id)));
    }

    #[test]
    fn an_operator_who_took_stock_back_leaves_none_rather_than_less() {
        let row = StockRow { total: 3, sold: 5, start: 10, end: 20, epoch: 0 };
        assert_eq!((row.left(), row.counts()), (0, GateStock { total: 3, sold: 5 }));
        assert_eq!(
            [9, 10, 19, 20].map(|ms| row.is_on_offer(Timestamp::from_millis(ms))),
            [false, true, true, false]
        );
    }
}
