//! Rows in main that make no sense. People edit main as well: a coupon's concerns that coupon alone, and is named; a room's
//! or a user's whose id is none is left out.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use coupon_core::schema::Dialect;
use coupon_core::{CouponId, MAX_ID};

/// Coupons and their faults. The number is as main has it, which may be no coupon's.
pub type SetAsideCoupons = BTreeMap<i64, String>;

/// The most that are listed; all are counted.
const LISTED: usize = 100;

/// The place where something was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In the catalogue, when it was read last.
    Catalogue,
    /// In the books, when main last applied rows.
    Books,
}

/// The coupons set aside for now, each named once in the log when it is found, and once when it makes sense again.
#[derive(Debug, Clone, Default)]
pub struct SetAside(Arc<Mutex<[SetAsideCoupons; 2]>>);

impl SetAside {
    /// Takes note of everything that was found in a place.
    pub fn tell(&self, place: Place, found: SetAsideCoupons) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(known) = known.get_mut(place as usize) else { return };
        for (coupon, why) in found.iter().filter(|(coupon, _)| !known.contains_key(*coupon)) {
            tracing::error!(
                coupon,
                why,
                "this coupon's row in the main database makes no sense; all others go on"
            );
        }
        for coupon in known.keys().filter(|coupon| !found.contains_key(*coupon)) {
            tracing::info!(coupon, "this coupon's row in the main database makes sense again");
        }
        *known = found;
    }

    /// Takes note of what was found in a place about one coupon, which may be nothing.
    pub fn tell_of(&self, place: Place, coupon: CouponId, found: SetAsideCoupons) {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all = known.get(place as usize).cloned().unwrap_or_default();
        drop(known);
        all.remove(&number(coupon));
        all.extend(found);
        self.tell(place, all);
    }

    /// Their number, and the first of them with their faults.
    pub fn all(&self) -> (usize, Vec<(i64, String)>) {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all = SetAsideCoupons::new();
        for (coupon, why) in known.iter().flatten() {
            let of_coupon = all.entry(*coupon).or_default();
            let separator = if of_coupon.is_empty() { "" } else { "; " };
            *of_coupon = format!("{of_coupon}{separator}{why}");
        }
        (all.len(), all.into_iter().take(LISTED).collect())
    }
}

/// Tables of main whose rows people add as well, and the columns of their ids. Rows whose id is none are left out.
pub const LEFT_OUT: [(&str, &str); 2] = [("live_rooms", "room_id"), ("users", "user_id")];

/// The condition that holds for rows whose id is one. SQLite holds in a column whatever was put there.
pub fn has_an_id(dialect: Dialect, column: &str) -> String {
    let whole = match dialect {
        Dialect::Sqlite => format!("typeof({column}) = 'integer' AND "),
        Dialect::MySql => String::new(),
    };
    format!("({whole}{column} BETWEEN 1 AND {MAX_ID})")
}

/// The question for the ids of a table's rows that are left out.
pub fn left_out(dialect: Dialect, (table, column): (&str, &str)) -> String {
    let has = has_an_id(dialect, column);
    let shown = match dialect {
        // Whatever was put there, in characters.
        Dialect::Sqlite => format!("quote({column})"),
        Dialect::MySql => format!("CAST({column} AS CHAR)"),
    };
    format!("SELECT {shown} FROM {table} WHERE NOT {has} LIMIT {LISTED}")
}

/// Names the rows of a table that are left out, in one warning.
pub fn warn_of_left_out((table, column): (&str, &str), ids: &[String]) {
    if !ids.is_empty() {
        let ids = ids.join(", ");
        tracing::warn!(
            table,
            column,
            ids,
            "rows of the main database whose ids make no sense are left out; all others go on"
        );
    }
}

/// A coupon's number as main has it.
pub const fn number(coupon: CouponId) -> i64 {
    coupon.get().cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_found_in_two_places_is_one_coupon_and_goes_when_both_make_sense_again() {
        let set_aside = SetAside::default();
        set_aside.tell(Place::Catalogue, SetAsideCoupons::from([(7, "one".to_owned())]));
        set_aside.tell(Place::Books, SetAsideCoupons::from([(7, "two".to_owned()), (9, "three".to_owned())]));
        assert_eq!(set_aside.all(), (2, vec![(7, "one; two".to_owned()), (9, "three".to_owned())]));
        set_aside.tell(Place::Books, SetAsideCoupons::new());
        assert_eq!(set_aside.all(), (1, vec![(7, "one".to_owned())]));
        set_aside.tell(Place::Catalogue, SetAsideCoupons::new());
        assert_eq!(set_aside.all(), (0, Vec::new()));
    }
}
