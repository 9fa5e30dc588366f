//! Batches of rows: which rows of a slice go, and whether they have come to where they went.

use std::collections::{BTreeMap, HashMap};

use coupon_core::after_grab::Action;
use coupon_core::{CouponResult, Money, Placement, ResultId, ResultState, ShardId, TableId, Versioned};

use super::{Key, MoveError};
use crate::PlacedResult;

/// Rows that are to leave a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Departure {
    /// The number of the batch.
    pub number: u64,
    /// The table.
    pub table: TableId,
    /// Each with the place that it goes to.
    pub rows: Vec<(ResultId, Placement)>,
}

/// Rows that are on their way.
#[derive(Debug, Clone)]
pub struct Batch {
    /// The number of the batch.
    pub number: u64,
    /// Each with the place that it goes to.
    pub rows: Vec<PlacedResult>,
}

impl Batch {
    /// Its rows by the shard that they go to.
    pub fn by_shard(&self) -> BTreeMap<ShardId, Vec<PlacedResult>> {
        let mut by_shard: BTreeMap<ShardId, Vec<PlacedResult>> = BTreeMap::new();
        for row in &self.rows {
            by_shard.entry(row.placement.shard).or_default().push(*row);
        }
        by_shard
    }
}

/// The rows of a slice that do not belong where they are, each with the place that it goes to.
pub fn slice_of(
    versions: &Versioned,
    here: Placement,
    rows: &[Key],
) -> Result<Vec<(ResultId, Placement)>, MoveError> {
    let mut going = Vec::new();
    for Key { id, row } in rows {
        let home = versions.home(row).map_err(|error| MoveError::NoPlace(*id, error))?;
        if home != here {
            going.push((*id, home));
        }
    }
    Ok(going)
}

/// Compares rows that have arrived with what they were when they left. Since then each may have taken steps of its life.
pub fn check_arrived(
    from: ShardId,
    left: &[PlacedResult],
    arrived: &[CouponResult],
) -> Result<(), MoveError> {
    let there: HashMap<ResultId, &CouponResult> = arrived.iter().map(|row| (row.result_id, row)).collect();
    let came = |row: &&PlacedResult| {
        there.get(&row.result.result_id).is_some_and(|there| has_become(&row.result, there))
    };
    match left.iter().find(|row| !came(row)) {
        None => Ok(()),
        Some(row) => Err(MoveError::Differs { id: row.result.result_id, from, to: row.placement.shard }),
    }
}

/// The rows that have left, and were not found where they go.
pub fn not_there(left: &[PlacedResult], found: &[CouponResult]) -> Vec<CouponResult> {
    let found: HashMap<ResultId, &CouponResult> = found.iter().map(|row| (row.result_id, row)).collect();
    let is_there = |row: &CouponResult| found.get(&row.result_id).is_some_and(|there| same_grab(there, row));
    left.iter().map(|row| row.result).filter(|row| !is_there(row)).collect()
}

/// True if two rows of one id are of one grab, whatever became of it.
pub fn same_grab(one: &CouponResult, other: &CouponResult) -> bool {
    (one.user_id, one.coupon_id, one.room_id) == (other.user_id, other.coupon_id, other.room_id)
}

/// True if a row is another, or that one after steps that it could take.
fn has_become(before: &CouponResult, after: &CouponResult) -> bool {
    if before.state == after.state {
        return before == after;
    }
    let unchanged = |row: &CouponResult| {
        let CouponResult { result_id, user_id, coupon_id, room_id, grab_status, hold_until, request, .. } =
            *row;
        (result_id, user_id, coupon_id, room_id, grab_status, hold_until, request)
    };
    unchanged(before) == unchanged(after) && leads(before.state, after.state)
}

/// True if steps lead from one state to the other.
fn leads(from: ResultState, to: ResultState) -> bool {
    let steps =
        [Action::Confirm, Action::Use(Money::default()), Action::Release, Action::Return, Action::Expire];
    let mut next = steps.iter().map(|step| step.transition()).filter(|step| step.from == from);
    next.any(|step| step.to == to || leads(step.to, to))
}

#[cfg(test)]
mod tests {
    use coupon_core::{CouponId, RoomId, Timestamp, UserId};

    use super::*;

    fn row(state: ResultState) -> CouponResult {
        let time = Timestamp::from_millis(1_795_000_000_000);
        let id = ResultId::from_parts(time, 0, 0).unwrap();
        let (user, coupon, room) = (UserId::new(1), CouponId::new(2), RoomId::new(3));
        let granted = CouponResult::granted(id, user.unwrap(), coupon.unwrap(), room.unwrap());
        let slot = state.is_live().then_some(0);
        CouponResult { state, slot, hold_until: Some(time.plus_millis(9)), ..granted }
    }

    #[test]
    fn a_row_may_have_taken_steps_since_it_left_and_nothing_else() {
        use ResultState::{Expired, Held, Owned, Returned, Used};
        let is = |before: &CouponResult, after: &CouponResult| {
            let placement = Placement::single(ShardId::new(1));
            let left = [PlacedResult { placement, result: *before }];
            check_arrived(ShardId::new(0), &left, &[*after]).is_ok()
        };
        for (before, after) in [(Held, Held), (Held, Used), (Held, Returned), (Held, Expired), (Owned, Used)]
        {
            assert!(is(&row(before), &row(after)), "{before} {after}");
        }
        for (before, after) in [(Used, Owned), (Owned, Expired), (Expired, Held)] {
            assert!(!is(&row(before), &row(after)), "{before} {after}");
        }
        let other = CouponResult { user_id: UserId::new(7).unwrap(), ..row(Owned) };
        assert!(!is(&row(Owned), &other) && !is(&row(Held), &other));
    }

    #[test]
    fn a_row_that_is_missing_is_named() {
        let placement = Placement::single(ShardId::new(1));
        let left = [PlacedResult { placement, result: row(ResultState::Owned) }];
        let id = left[0].result.result_id;
        let missing = check_arrived(ShardId::new(0), &left, &[]).unwrap_err();
        assert_eq!(missing, MoveError::Differs { id, from: ShardId::new(0), to: ShardId::new(1) });
    }
}
