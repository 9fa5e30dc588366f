//! Fresh results as JSON, on their way to their tables:
//! `{"coupon_results": [[result_id, user_id, coupon_id, room_id], …], …}`.
//!
//! Fresh results differ in nothing else: the time is within the id.

use std::collections::BTreeMap;

use coupon_core::{CouponId, CouponResult, Placement, ResultId, RoomId, ShardId, TableId, UserId};

use super::PlacedResult;

/// Results by the name of their table.
pub(super) type Rows = BTreeMap<String, Vec<(i64, UserId, CouponId, RoomId)>>;

/// Rows that no hand-over wrote.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum RowsError {
    #[error("there is no table of results named {0:?}")]
    Table(String),
    #[error("{0} is no result_id")]
    Id(i64),
}

/// The rows of a hand-over.
pub(super) fn to_rows(results: &[PlacedResult]) -> Rows {
    let mut tables: BTreeMap<TableId, Vec<_>> = BTreeMap::new();
    for PlacedResult { placement, result } in results {
        let row = (result.result_id.number(), result.user_id, result.coupon_id, result.room_id);
        tables.entry(placement.table).or_default().push(row);
    }
    tables.into_iter().map(|(table, rows)| (table.to_string(), rows)).collect()
}

/// The results that they are, on that shard.
pub(super) fn from_rows(shard: ShardId, rows: Rows) -> Result<Vec<PlacedResult>, RowsError> {
    let mut results = Vec::with_capacity(rows.values().map(Vec::len).sum());
    for (name, rows) in rows {
        let table = TableId::parse(&name).ok_or(RowsError::Table(name))?;
        for (id, user, coupon, room) in rows {
            let id = ResultId::from_number(id).map_err(|_| RowsError::Id(id))?;
            let result = CouponResult::granted(id, user, coupon, room);
            results.push(PlacedResult { placement: Placement::new(shard, table), result });
        }
    }
    Ok(results)
}
