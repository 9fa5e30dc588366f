//! The rows of a shard that are like those to be stored.

use std::collections::HashMap;

use coupon_core::{CouponResult, TableId};
use mysql_async::Conn;

use crate::servers::sql;

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
        conn: &mut Conn,
        table: TableId,
        results: &[&CouponResult],
    ) -> mysql_async::Result<Self> {
        let rows = sql::alike(conn, table, results).await?;
        Ok(Self {
            by_id: rows.iter().map(|&(id, user, coupon, room)| (id, (user, coupon, room))).collect(),
            by_holder: rows.iter().map(|&(id, user, coupon, _)| ((user, coupon), id)).collect(),
        })
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
