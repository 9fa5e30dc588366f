//! Rows on their way to an engine: as one literal, since every value of a statement costs the engine more than MySQL.

use coupon_core::{CouponResult, GrabStatus, RequestKey, TableId, Timestamp, UseStatus};

use crate::lane::Lane;

/// The statement that stores fresh results in a lane, all or none; or, to see what comes of it, without a word of those that are
/// like what is there.
///
/// A row is a list in JSON: of what it may lack, a list of its own, which is empty then, so that the column is NULL by the rule
/// for a path that leads nowhere.
#[must_use]
pub fn insert(lane: Lane, results: &[&CouponResult], ignore: bool) -> String {
    /// Digits of a row's numbers, and what is between them, as they usually are.
    const ROW: usize = 80;
    let mut rows = String::with_capacity(results.len() * ROW);
    let mut digits = itoa::Buffer::new();
    for (number, result) in results.iter().enumerate() {
        let CouponResult { result_id, user_id, coupon_id, room_id, grab_time, state, .. } = result;
        rows.push_str(if number == 0 { "[" } else { ",[" });
        rows.push_str(digits.format(result_id.number()));
        for id in [user_id.get(), coupon_id.get(), room_id.get()] {
            rows.push(',');
            rows.push_str(digits.format(id));
        }
        for given in [grab_time.millis(), state.code()] {
            rows.push(',');
            rows.push_str(digits.format(given));
        }
        let (slot, hold_until) = (result.slot.map(i64::from), result.hold_until.map(Timestamp::millis));
        for may_lack in [slot, hold_until, result.request.map(RequestKey::number)] {
            rows.push_str(",[");
            rows.push_str(may_lack.map_or("", |value| digits.format(value)));
            rows.push(']');
        }
        rows.push(']');
    }
    let (granted, unused) = (GrabStatus::Granted.code(), UseStatus::Unused.code());
    let (insert, table) = (if ignore { "INSERT IGNORE" } else { "INSERT" }, TableId::Single);
    lane.named(format!(
        "{insert} INTO {table} (result_id, user_id, coupon_id, room_id, grab_time, state, slot, hold_until, request, \
         grab_status, use_status) SELECT j.*, {granted}, {unused} FROM JSON_TABLE('[{rows}]', '$[*]' COLUMNS (\
         result_id BIGINT PATH '$[0]', user_id BIGINT PATH '$[1]', coupon_id BIGINT PATH '$[2]', room_id BIGINT PATH '$[3]', \
         grab_time BIGINT PATH '$[4]', state SMALLINT PATH '$[5]', slot SMALLINT PATH '$[6][0]', \
         hold_until BIGINT PATH '$[7][0]', request BIGINT PATH '$[8][0]')) AS j"
    ))
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU16;

    use coupon_core::{CouponId, Lanes, ResultId, ResultState, RoomId, ShardId, UserId};

    use super::*;

    fn result(user: u64, hold_until: Option<i64>, request: Option<i64>) -> CouponResult {
        let time = Timestamp::from_millis(1_795_000_000_000);
        let id = ResultId::from_parts(time, 0, 1).unwrap();
        let ids = (UserId::new(user).unwrap(), CouponId::new(7).unwrap(), RoomId::new(3).unwrap());
        CouponResult {
            hold_until: hold_until.map(Timestamp::from_millis),
            request: request.and_then(RequestKey::from_number),
            state: if hold_until.is_some() { ResultState::Held } else { ResultState::Owned },
            ..CouponResult::granted(id, ids.0, ids.1, ids.2)
        }
    }

    #[test]
    fn rows_are_one_literal_and_what_they_lack_is_an_empty_list() {
        let lanes = Lanes::new(NonZeroU16::new(8).unwrap()).unwrap();
        let lane = Lane::among(lanes, ShardId::new(6)).unwrap();
        let (plain, held) = (result(1, None, None), result(2, Some(1_795_000_060_000), Some(5)));
        let sql = insert(lane, &[&plain, &held], false);
        assert!(sql.starts_with("INSERT /* lane c0 */ INTO coupon_results (result_id, "), "{sql}");
        let id = plain.result_id.number();
        let rows = format!(
            "JSON_TABLE('[[{id},1,7,3,1795000000000,1,[0],[],[]],[{id},2,7,3,1795000000000,0,[0],[1795000060000],[5]]]', "
        );
        assert!(sql.contains(&rows), "{sql}");
        // The literal is all that text is made of, and it has numbers only.
        assert_eq!(sql.matches('\'').count(), 2 * (2 + 9), "{sql}");
        let literal = sql.split('\'').nth(1).unwrap();
        assert!(serde_json::from_str::<Vec<Vec<serde_json::Value>>>(literal).unwrap().len() == 2);
    }

    #[test]
    fn rows_may_be_ignored_that_are_there() {
        let sql = insert(Lane::ONLY, &[&result(1, None, None)], true);
        assert!(sql.starts_with("INSERT IGNORE INTO coupon_results ("), "{sql}");
    }
}
