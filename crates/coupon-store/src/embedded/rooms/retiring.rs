//! The rows that an archive takes out of a shard's part of the index, some at a time.

use coupon_core::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, Row};

use crate::room_index::{self, TABLE};

/// The key of a row of the index: room, time and id.
pub(in crate::embedded) type RoomKey = (i64, i64, i64);

/// A key before all others.
pub(in crate::embedded) const FIRST: RoomKey = (-1, -1, -1);

const KEY: &str = "room_id, grab_time, result_id";

/// The last key of the next rows behind another that an archive takes, which began at that time and lets go of ids below one.
pub(in crate::embedded) fn next_to_retire(
    db: &Connection,
    (room, time, id): RoomKey,
    first_kept: i64,
    began: Timestamp,
    most: u32,
) -> rusqlite::Result<Option<RoomKey>> {
    let retired = room_index::retired("?4", began);
    let next = format!(
        "SELECT {KEY} FROM (SELECT {KEY} FROM {TABLE} WHERE ({KEY}) > (?1, ?2, ?3) AND {retired} ORDER BY {KEY} LIMIT {most}) \
         ORDER BY room_id DESC, grab_time DESC, result_id DESC LIMIT 1"
    );
    let key = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
    db.prepare_cached(&next)?.query_row((room, time, id, first_kept), key).optional()
}

/// Takes them, from behind one key up to another.
pub(in crate::embedded) fn retire(
    db: &Connection,
    (after, last): (RoomKey, RoomKey),
    first_kept: i64,
    began: Timestamp,
) -> rusqlite::Result<()> {
    let retired = room_index::retired("?7", began);
    let sql =
        format!("DELETE FROM {TABLE} WHERE ({KEY}) > (?1, ?2, ?3) AND ({KEY}) <= (?4, ?5, ?6) AND {retired}");
    let values = (after.0, after.1, after.2, last.0, last.1, last.2, first_kept);
    db.prepare_cached(&sql)?.execute(values).map(drop)
}
