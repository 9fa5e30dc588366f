//! The texts in which Redis has holders, marks and rows that are to be looked at.
//!
//! A holder of a coupon's first slot is the field `user` of its hash, one of another slot `user.slot`. The value is the
//! result's `id`, or `id:hold_until:request` where it is held or names a request, with `-` for what it has not; before the
//! id of a parked one is an `x`. A second result in one slot, which should not be, is the field `+id`, its value the user.

use coupon_core::{CouponId, RequestKey, ResultId, ShardId, TableId, Timestamp, UserId};
use coupon_store::Reservation;

use super::PARKED;
use crate::seam::{Held, Hold, Mark, Release, Unchecked};

/// The field of a user's slot.
pub(super) fn field(user: u64, slot: u8) -> String {
    if slot == 0 { user.to_string() } else { format!("{user}.{slot}") }
}

/// The user whose slot a field is; `None` for a field that is none.
pub(super) fn field_user(field: &str) -> Option<UserId> {
    let user = field.split_once('.').map_or(field, |(user, _)| user);
    if !user.starts_with(|first: char| first.is_ascii_digit()) {
        return None;
    }
    UserId::new(user.parse().ok()?).ok()
}

/// The value of what is held.
pub(super) fn value(id: i64, hold_until: Option<Timestamp>, request: Option<RequestKey>) -> String {
    let shown = |number: Option<i64>| number.map_or_else(|| "-".to_owned(), |number| number.to_string());
    match (hold_until, request) {
        (None, None) => id.to_string(),
        _ => format!(
            "{id}:{}:{}",
            shown(hold_until.map(Timestamp::millis)),
            shown(request.map(RequestKey::number))
        ),
    }
}

/// The value of a row.
pub(super) fn value_of(hold: &Hold) -> String {
    value(hold.id, hold.hold_until, hold.request)
}

/// Reads a value back: what is held in that slot.
pub(super) fn read_value(text: &str, slot: u8) -> Option<Reservation> {
    let mut parts = text.split(':');
    let id: i64 = parts.next()?.parse().ok()?;
    let mut number = || match parts.next() {
        None | Some("-") => Some(None),
        Some(number) => number.parse::<i64>().ok().map(Some),
    };
    let (hold_until, request) = (number()?, number()?);
    Some(Reservation {
        id: ResultId::from_number(id).ok()?,
        slot,
        hold_until: hold_until.map(Timestamp::from_millis),
        request: request.and_then(RequestKey::from_number),
    })
}

/// Reads the script's word for what is held: a value, and the slot behind an `@` if it is not the first.
pub(super) fn read_answer(text: &str) -> Option<Reservation> {
    match text.split_once('@') {
        Some((value, slot)) => read_value(value, slot.parse().ok()?),
        None => read_value(text, 0),
    }
}

/// Reads a holder's value.
pub(super) fn read_held(text: &str, slot: u8) -> Option<Held> {
    match text.strip_prefix(PARKED) {
        Some(value) => read_value(value, slot).map(|held| Held::Parked(held.id.number())),
        None => read_value(text, slot).map(Held::Result),
    }
}

/// A mark's member among the pending reservations, whose score is the time of the grab. It names the reservation: what
/// takes the mark of one away leaves that of a later one in the same slot.
pub(super) fn member(mark: &Mark) -> String {
    let Mark { user, coupon, slot, id } = mark;
    if *slot == 0 { format!("{user}:{coupon}:{id}") } else { format!("{user}:{coupon}:{id}:{slot}") }
}

/// Reads a mark back from its member.
pub(super) fn read_mark(member: &str) -> Option<Mark> {
    let mut parts = member.split(':');
    let user = UserId::new(parts.next()?.parse().ok()?).ok()?;
    let coupon = CouponId::new(parts.next()?.parse().ok()?).ok()?;
    let id = ResultId::from_number(parts.next()?.parse().ok()?).ok()?;
    let slot = parts.next().map_or(Some(0), |slot| slot.parse().ok())?;
    parts.next().is_none().then_some(Mark { user, coupon, slot, id })
}

/// The member of a row that is to be looked at.
pub(super) fn unchecked(row: &Unchecked) -> String {
    let Unchecked { shard, table, release: Release { coupon, user, id, slot, request } } = row;
    let request = request.map_or(0, RequestKey::number);
    format!("{shard}/{table}/{coupon}/{user}/{id}/{slot}/{request}")
}

/// Reads it back.
pub(super) fn read_unchecked(member: &str) -> Option<Unchecked> {
    let mut parts = member.split('/');
    let shard = ShardId::new(parts.next()?.parse().ok()?);
    let table = TableId::parse(parts.next()?)?;
    let release = Release {
        coupon: CouponId::new(parts.next()?.parse().ok()?).ok()?,
        user: UserId::new(parts.next()?.parse().ok()?).ok()?,
        id: ResultId::from_number(parts.next()?.parse().ok()?).ok()?,
        slot: parts.next()?.parse().ok()?,
        request: RequestKey::from_number(parts.next()?.parse().ok()?),
    };
    Some(Unchecked { shard, table, release })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: i64) -> ResultId {
        ResultId::from_number(number).unwrap()
    }

    #[test]
    fn a_holders_record_is_read_for_what_it_is() {
        let (until, request) = (Some(Timestamp::from_millis(9)), RequestKey::from_number(5));
        for (slot, hold_until, request, text) in [
            (0, None, None, "12"),
            (2, until, None, "12:9:-"),
            (0, None, request, "12:-:5"),
            (3, until, request, "12:9:5"),
        ] {
            let held = Reservation { id: id(12), slot, hold_until, request };
            assert_eq!(value(12, hold_until, request), text);
            assert_eq!(read_held(text, slot), Some(Held::Result(held)));
            assert_eq!(read_held(&format!("x{text}"), slot), Some(Held::Parked(12)));
            let told = if slot == 0 { text.to_owned() } else { format!("{text}@{slot}") };
            assert_eq!(read_answer(&told), Some(held));
        }
        for strange in ["", "x", "y", "12:y:-", "-1", "12@y"] {
            assert_eq!(read_held(strange, 0), None, "{strange}");
            assert_eq!(read_answer(strange), None, "{strange}");
        }
    }

    #[test]
    fn a_field_and_a_mark_tell_whose_they_are() {
        let (user, coupon) = (UserId::new(7).unwrap(), CouponId::new(8).unwrap());
        for (slot, of_holders, of_marks) in [(0, "7", "7:8:12"), (2, "7.2", "7:8:12:2")] {
            let mark = Mark { user, coupon, slot, id: id(12) };
            assert_eq!((field(7, slot), member(&mark)), (of_holders.to_owned(), of_marks.to_owned()));
            assert_eq!((field_user(of_holders), read_mark(of_marks)), (Some(user), Some(mark)));
        }
        assert_eq!(["t", "s", "e", "+12", ""].map(field_user), [None; 5]);
        for strange in ["@", "", "7", "7:", ":8", "7:8", "7:8:9:1:1", "0:8:9", "7:8:y", "7:8:9:y"] {
            assert_eq!(read_mark(strange), None, "{strange}");
        }
    }

    #[test]
    fn a_row_to_be_looked_at_reads_back() {
        let (user, coupon) = (UserId::new(7).unwrap(), CouponId::new(8).unwrap());
        for request in [None, RequestKey::from_number(5)] {
            let release = Release { coupon, user, id: id(12), slot: 2, request };
            let table = TableId::parse("coupon_results_2026_11_22").unwrap();
            let row = Unchecked { shard: ShardId::new(3), table, release };
            assert_eq!(read_unchecked(&unchecked(&row)), Some(row));
        }
        assert_eq!(read_unchecked("3/coupon_results/8"), None);
    }
}
