//! The rows of a shard that are like those to be stored.

use std::collections::{HashMap, HashSet};

use coupon_core::{CouponResult, TableId};

use crate::seam::{Alike, Storing, StoringError};

/// The stored rows that are like the results in question.
pub(super) struct Stored {
    by_id: HashMap<i64, (u64, u64, u64)>,
    /// Those that gave their stock back.
    gone: HashSet<i64>,
    by_holder: HashMap<(u64, u64, u8), i64>,
}

pub(super) enum KnownRow {
    Fresh,
    Stored,
    /// Stored, and its stock given back since.
    Gone,
    Contradicted(String),
}

impl Stored {
    pub(super) async fn read(
        storing: &mut dyn Storing,
        table: TableId,
        results: &[&CouponResult],
    ) -> Result<Self, StoringError> {
        Ok(Self::of(&storing.alike(table, results).await?))
    }

    pub(super) fn of(rows: &[Alike]) -> Self {
        let holder = |row: &Alike| Some(((row.user, row.coupon, row.slot?), row.id));
        Self {
            by_id: rows.iter().map(|row| (row.id, (row.user, row.coupon, row.room))).collect(),
            gone: rows.iter().filter(|row| row.slot.is_none()).map(|row| row.id).collect(),
            by_holder: rows.iter().filter_map(holder).collect(),
        }
    }

    pub(super) fn about(&self, result: &CouponResult) -> KnownRow {
        let (user, coupon, room) = (result.user_id.get(), result.coupon_id.get(), result.room_id.get());
        let (id, slot) = (result.result_id.number(), result.slot.unwrap_or(0));
        match (self.by_id.get(&id), self.by_holder.get(&(user, coupon, slot))) {
            (Some(stored), _) if *stored == (user, coupon, room) => {
                if self.gone.contains(&id) {
                    KnownRow::Gone
                } else {
                    KnownRow::Stored
                }
            }
            (_, Some(id)) => KnownRow::Contradicted(format!("the user holds this coupon as result {id}")),
            (Some(_), None) => KnownRow::Contradicted("another result is stored under this id".to_owned()),
            (None, None) => KnownRow::Fresh,
        }
    }
}
