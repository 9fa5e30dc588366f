//! Coupons as main has them, and as it had them before operators changed them.

use std::collections::BTreeMap;

/// Every coupon by its id.
pub(super) type Catalogue = BTreeMap<i64, Coupon>;

/// Each coupon as it was before each change by an operator that main recorded.
pub(super) type Earlier = BTreeMap<i64, Vec<Coupon>>;

/// A coupon in the main database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Coupon {
    /// The room that its results go to: the one that it was in when a service first saw it.
    pub(super) room: i64,
    pub(super) total: i64,
    pub(super) remaining: i64,
    /// The time from which it can be grabbed, in milliseconds since 1970.
    pub(super) start: i64,
    /// The time until which it can be.
    pub(super) end: i64,
    /// Not withdrawn.
    pub(super) active: bool,
    /// The number of results that take stock which a user may have.
    pub(super) user_limit: i64,
    /// The amount by which operators have made the total smaller than the largest that it was.
    pub(super) taken_back: i64,
}

/// A line of main's record of changes about a coupon: what it was before.
pub(super) struct ChangedFrom {
    pub(super) coupon: i64,
    pub(super) total: i64,
    pub(super) start: i64,
    pub(super) end: i64,
    pub(super) active: bool,
    pub(super) user_limit: i64,
}

impl ChangedFrom {
    /// The query for its columns, in their order, on any kind of database.
    pub(super) const SELECT: &str = "SELECT coupon_id, total_before, start_before, end_before, status_before <> 0, \
         user_limit_before FROM catalogue_changes WHERE total_before IS NOT NULL ORDER BY version";

    /// The query for whether main takes users whom it does not know.
    pub(super) const ACCEPTS_UNKNOWN: &str =
        "SELECT COALESCE(MAX(accepts_unknown_users), 0) <> 0 FROM catalogue_state";
}

/// The earlier states of coupons that are still there.
pub(super) fn earlier(catalogue: &Catalogue, changed: impl IntoIterator<Item = ChangedFrom>) -> Earlier {
    let mut earlier = Earlier::new();
    for ChangedFrom { coupon: id, total, start, end, active, user_limit } in changed {
        if let Some(now) = catalogue.get(&id) {
            let before = Coupon { total, start, end, active, user_limit, ..*now };
            earlier.entry(id).or_default().push(before);
        }
    }
    earlier
}

/// The number of times, and the window, in which a coupon can be grabbed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Terms {
    pub(super) total: i64,
    pub(super) start: i64,
    /// On servers, the gate has 0 here for a coupon that was withdrawn when the gate was filled.
    pub(super) end: i64,
}

impl Coupon {
    /// The most of it that may be sold by now: an operator may have taken back what was sold before.
    pub(super) const fn most(&self) -> i64 {
        self.total.saturating_add(self.taken_back)
    }

    /// Its terms, as main has them.
    pub(super) const fn terms(&self) -> Terms {
        Terms { total: self.total, start: self.start, end: self.end }
    }

    /// The table in which main keeps the rooms that results go to.
    pub(super) const ROOMS: &str = "coupon_rooms";

    /// The query for every coupon and its id, on any kind of database. Without the rooms' table, as in data that no
    /// service of today has opened yet, results go to the room that the coupon's row names.
    pub(super) fn select(rooms: bool) -> String {
        let (room, join) = if rooms {
            ("COALESCE(r.room_id, c.room_id)", "LEFT JOIN coupon_rooms r ON r.coupon_id = c.coupon_id")
        } else {
            ("c.room_id", "")
        };
        format!(
            "SELECT c.coupon_id, {room}, c.total_stock, c.remaining_stock, c.start_time, c.end_time, c.status <> 0, \
             c.user_limit, c.taken_back \
             FROM coupons c {join}"
        )
    }
}
