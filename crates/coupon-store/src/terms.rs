//! The terms on which a coupon can be grabbed, read from whatever main holds: people edit it as well.

use std::collections::HashSet;

use coupon_core::books::Stock;
use coupon_core::{CouponId, CouponStatus, GrabTerms, Money, RoomId, Timestamp};

use super::set_aside::SetAsideCoupons;

/// The time after its end for which a coupon's results are still asked about, in milliseconds: a day.
pub(super) const ASKED_ABOUT_MS: i64 = 86_400_000;

/// The numbers of a coupon's row, in the order of [`columns`].
pub type TermNumbers = [i64; 13];

/// The columns that [`Terms`] are read from, of coupons `c` and the rooms `r` that their results go to. The word for
/// whole numbers is the database's: `SIGNED` or `INTEGER`.
pub fn columns(whole: &str) -> String {
    format!(
        "c.coupon_id, COALESCE(r.room_id, c.room_id), c.room_id, c.total_stock, c.remaining_stock, c.start_time, \
         c.end_time, c.status, CAST(ROUND(c.min_purchase * 100) AS {whole}), c.hold_s, c.user_limit, c.returnable, c.taken_back \
         FROM coupons c LEFT JOIN coupon_rooms r ON r.coupon_id = c.coupon_id"
    )
}

/// Rows of coupons `c` that say what they are.
pub const SHOWN: &str =
    "c.coupon_id > 0 AND c.room_id > 0 AND c.coupon_type IN (1, 2, 3) AND c.status IN (0, 1)";

/// A stock as people see it, which is never below zero.
pub fn shown(stock: i64) -> u32 {
    u32::try_from(stock.max(0)).unwrap_or(u32::MAX)
}

/// The number that each user may have as people see it: one that makes no sense is the nearest that does.
pub fn shown_limit(user_limit: i64) -> u8 {
    u8::try_from(user_limit.clamp(1, i64::from(GrabTerms::USER_LIMIT_MAX))).unwrap_or(1)
}

/// The terms of a coupon that grabs depend on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// The coupon.
    pub coupon: CouponId,
    /// The room of its results.
    pub room: RoomId,
    /// The number there are.
    pub total: u32,
    /// The amount by which operators have made that smaller than the largest that it was: so many more may be sold.
    pub taken_back: u32,
    /// The time from which it can be grabbed.
    pub start: Timestamp,
    /// The time from which it cannot be grabbed any more.
    pub end: Timestamp,
    /// True if it is on offer at all, within its window.
    pub active: bool,
    /// The least amount of an order that it can be spent on.
    pub min_purchase: Money,
    /// The terms on which it is granted.
    pub grab: GrabTerms,
}

impl Terms {
    /// The time from which it cannot be grabbed; always, when it is withdrawn.
    #[must_use]
    pub const fn over_from(&self) -> Timestamp {
        if self.active { self.end } else { Timestamp::from_millis(0) }
    }

    /// The time from which no gate need know who holds it: a day after its end, withdrawn or not. Until then a user who asks
    /// again for what they were granted gets the same answer.
    #[must_use]
    pub const fn forgotten_from(&self) -> Timestamp {
        self.end.plus_millis(ASKED_ABOUT_MS)
    }

    /// The differences of what can be grabbed by now on other terms, in words; none if there are none.
    #[must_use]
    pub fn differences(&self, after: &Self) -> Option<String> {
        let shown = |terms: &Self| {
            let Self { total, start, end, active, min_purchase, grab, .. } = terms;
            let GrabTerms { hold_s, user_limit, returnable } = grab;
            [
                ("total_stock", total.to_string()),
                ("start_time", start.to_string()),
                ("end_time", end.to_string()),
                ("status", u8::from(*active).to_string()),
                ("min_purchase", min_purchase.to_string()),
                ("hold_s", hold_s.to_string()),
                ("user_limit", user_limit.to_string()),
                ("returnable", returnable.to_string()),
            ]
        };
        let both = shown(self).into_iter().zip(shown(after));
        let differ = both.filter(|((_, before), (_, after))| before != after);
        let words: Vec<String> =
            differ.map(|((name, before), (_, after))| format!("{name} {before} → {after}")).collect();
        (!words.is_empty()).then(|| words.join("; "))
    }
}

/// The coupons that can be known at all, and whatever makes no sense about any row.
#[derive(Debug, Default)]
pub struct AllTerms {
    /// The terms of each coupon whose row can be read.
    pub terms: Vec<Terms>,
    /// The coupons whose rows make no sense.
    pub found: SetAsideCoupons,
}

impl AllTerms {
    /// Reads every row, by itself: what is wrong with one concerns no other.
    pub fn read(rows: impl IntoIterator<Item = TermNumbers>, rooms: Option<&HashSet<RoomId>>) -> Self {
        let mut all = Self::default();
        for row in rows {
            let (terms, wrong) = read(row, rooms);
            all.terms.extend(terms);
            if !wrong.is_empty() {
                let [coupon, ..] = row;
                all.found.insert(coupon, wrong.join("; "));
            }
        }
        all
    }
}

fn read(row: TermNumbers, rooms: Option<&HashSet<RoomId>>) -> (Option<Terms>, Vec<String>) {
    let [
        coupon,
        room,
        room_now,
        total,
        remaining,
        start,
        end,
        status,
        least,
        hold_s,
        user_limit,
        returnable,
        taken_back,
    ] = row;
    let mut wrong = Vec::new();
    if room != room_now {
        wrong.push(format!("it was moved to room {room_now}, and its results go to room {room}"));
    }
    if let Some(nonsense) = (Stock { total, remaining, taken_back }).nonsense() {
        wrong.push(nonsense.to_string());
    }
    if let Err(error) = CouponStatus::from_code(status) {
        wrong.push(error.to_string());
    }
    let id = |number: i64| u64::try_from(number).unwrap_or(0);
    let (coupon, room) = (CouponId::new(id(coupon)), RoomId::new(id(room)));
    for error in [coupon.as_ref().err(), room.as_ref().err()].into_iter().flatten() {
        wrong.push(error.to_string());
    }
    let (Ok(coupon), Ok(room)) = (coupon, room) else { return (None, wrong) };
    if rooms.is_some_and(|rooms| !rooms.contains(&room)) {
        wrong.push(format!("there is no room {room}"));
    }
    let grab = grab_terms(hold_s, user_limit, returnable, &mut wrong);
    let (total, taken_back) = (shown(total), shown(taken_back));
    let (start, end) = (Timestamp::from_millis(start), Timestamp::from_millis(end));
    // A coupon whose terms of a grab make no sense cannot be granted: it is taken as not active.
    let active = status == CouponStatus::Active.code() && grab.is_some();
    let grab = grab.unwrap_or_default();
    let min_purchase = Money::from_cents(least.max(0));
    (Some(Terms { coupon, room, total, taken_back, start, end, active, min_purchase, grab }), wrong)
}

/// The terms of a grab; `None` when they make no sense.
fn grab_terms(hold_s: i64, user_limit: i64, returnable: i64, wrong: &mut Vec<String>) -> Option<GrabTerms> {
    let held = u32::try_from(hold_s).ok();
    if held.is_none() {
        wrong.push(format!("its hold_s is {hold_s}"));
    }
    let most = GrabTerms::USER_LIMIT_MAX;
    let limit = u8::try_from(user_limit).ok().filter(|limit| (1..=most).contains(limit));
    if limit.is_none() {
        wrong.push(format!("its user_limit is {user_limit}, and must be from 1 to {most}"));
    }
    Some(GrabTerms { hold_s: held?, user_limit: limit?, returnable: returnable != 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOUND: TermNumbers = [5, 1, 1, 10, 4, 1_000, 2_000, 1, 0, 0, 1, 0, 0];

    fn one(row: TermNumbers) -> (Option<Terms>, String) {
        let rooms = HashSet::from([RoomId::new(1).unwrap()]);
        let all = AllTerms::read([row], Some(&rooms));
        (all.terms.first().copied(), all.found.into_values().collect())
    }

    #[test]
    fn a_sound_row_is_read_and_nothing_is_said_of_it() {
        let (terms, wrong) = one(SOUND);
        let terms = terms.unwrap();
        assert_eq!((terms.total, terms.over_from().millis(), wrong), (10, 2_000, String::new()));
    }

    #[test]
    fn less_than_nothing_may_be_left_of_what_an_operator_took_back() {
        let (terms, wrong) = one([5, 1, 1, 10, -4, 1_000, 2_000, 1, 0, 0, 1, 0, 6]);
        assert_eq!((terms.unwrap().total, terms.unwrap().taken_back, wrong), (10, 6, String::new()));
        let (_, wrong) = one([5, 1, 1, 10, -7, 1_000, 2_000, 1, 0, 0, 1, 0, 6]);
        assert!(wrong.contains("remaining_stock is -7"), "{wrong}");
    }

    #[test]
    fn terms_that_differ_say_in_what() {
        let before = one(SOUND).0.unwrap();
        assert_eq!(before.differences(&before), None);
        let after = Terms { total: 12, active: false, taken_back: 3, ..before };
        assert_eq!(before.differences(&after).unwrap(), "total_stock 10 → 12; status 1 → 0");
    }

    #[test]
    fn whatever_makes_no_sense_is_named_and_read_as_far_as_it_goes() {
        for (row, named) in [
            ([5, 1, 1, 10, -4, 1_000, 2_000, 1, 0, 0, 1, 0, 0], "remaining_stock is -4"),
            ([5, 1, 1, -10, 0, 1_000, 2_000, 1, 0, 0, 1, 0, 0], "total_stock is -10"),
            ([5, 1, 1, 3, 4, 1_000, 2_000, 1, 0, 0, 1, 0, 0], "more than its total_stock"),
            ([5, 1, 2, 10, 4, 1_000, 2_000, 1, 0, 0, 1, 0, 0], "moved to room 2"),
            ([5, 9, 9, 10, 4, 1_000, 2_000, 1, 0, 0, 1, 0, 0], "there is no room 9"),
            ([5, 1, 1, 10, 4, 1_000, 2_000, 7, 0, 0, 1, 0, 0], "7 is no status"),
        ] {
            let (terms, wrong) = one(row);
            assert!(wrong.contains(named) && terms.is_some(), "{row:?}: {wrong}");
        }
        assert!(!one([5, 1, 1, 10, 4, 1_000, 2_000, 7, 0, 0, 1, 0, 0]).0.unwrap().active);
    }

    #[test]
    fn terms_of_a_grab_that_make_no_sense_take_the_coupon_off_offer_and_are_named() {
        for (hold_s, user_limit, named) in
            [(-1, 1, "hold_s is -1"), (0, 0, "user_limit is 0"), (60, 101, "user_limit is 101")]
        {
            let (terms, wrong) = one([5, 1, 1, 10, 4, 1_000, 2_000, 1, 0, hold_s, user_limit, 0, 0]);
            assert!(wrong.contains(named) && !terms.unwrap().active, "{wrong}");
        }
        let (terms, wrong) = one([5, 1, 1, 10, 4, 1_000, 2_000, 1, 0, 60, 3, 1, 0]);
        let expected = GrabTerms { hold_s: 60, user_limit: 3, returnable: true };
        assert_eq!((terms.unwrap().grab, wrong), (expected, String::new()));
    }

    #[test]
    fn a_row_without_an_id_or_a_room_is_left_out() {
        for row in [
            [0, 1, 1, 10, 4, 1_000, 2_000, 1, 0, 0, 1, 0, 0],
            [-5, 1, 1, 10, 4, 1_000, 2_000, 1, 0, 0, 1, 0, 0],
            [5, 0, 0, 10, 4, 0, 1, 1, 0, 0, 1, 0, 0],
        ] {
            let (terms, wrong) = one(row);
            assert!(terms.is_none() && !wrong.is_empty(), "{row:?}");
        }
    }
}
