//! The rows of a shard that are like those to be stored.

use std::collections::HashMap;

use coupon_core::{CouponResult, TableId};

use crate::servers::seam::{Alike, Storing, StoringError};

/// The stored rows that are like the results in question.
pub(super) struct Stored {
    by_id: HashMap<i64, (u64, u64, u64)>,
    by_holder: HashMap<(u64, u64), i64>,
}

pub(super) enum Known {
    Fresh,
    Stored,
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

    fn of(rows: &[Alike]) -> Self {
        Self {
            by_id: rows.iter().map(|row| (row.id, (row.user, row.coupon, row.room))).collect(),
            by_holder: rows.iter().map(|row| ((row.user, row.coupon), row.id)).collect(),
        }
    }

    pub(super) fn about(&self, result: &CouponResult) -> Known {
        let (user, coupon, room) = (result.user_id.get(), result.coupon_id.get(), result.room_id.get());
        match (self.by_id.get(&result.result_id.number()), self.by_holder.get(&(user, coupon))) {
            (Some(stored), _) if *stored == (user, coupon, room) => Known::Stored,
            (_, Some(id)) => Known::Contradicted(format!("the user holds this coupon as result {id}")),
            (Some(_), None) => Known::Contradicted("another result is stored under this id".to_owned()),
            (None, None) => Known::Fresh,
        }
    }
}
