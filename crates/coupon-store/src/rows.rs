//! Fresh results as JSON, on their way to their tables: `{"coupon_results": [row, …], …}`.
//!
//! A row is `[result_id, user_id, coupon_id, room_id]`, the time being within the id: a final grab without a named request,
//! in the first slot. Any other has three numbers more: `slot, hold_until, request`, of which the last two may be null.
//! Rows of either kind are read for good.

use std::collections::BTreeMap;
use std::fmt;

use coupon_core::{
    CouponId, CouponResult, Placement, RequestKey, ResultId, RoomId, ShardId, TableId, Timestamp, UserId,
};
use serde::de::{Error as _, SeqAccess, Visitor};
use serde::ser::SerializeSeq as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{PlacedResult, Reservation};

/// Results by the name of their table.
pub type Rows = BTreeMap<String, Vec<Row>>;

/// A fresh result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    reserved: Reservation,
    user: UserId,
    coupon: CouponId,
    room: RoomId,
}

impl Row {
    fn of(result: &CouponResult) -> Self {
        let CouponResult { user_id: user, coupon_id: coupon, room_id: room, .. } = *result;
        Self { reserved: Reservation::of(result), user, coupon, room }
    }
}

impl Serialize for Row {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { reserved: Reservation { id, slot, hold_until, request }, user, coupon, room } = *self;
        let plain = self.reserved == Reservation::plain(id);
        let mut parts = serializer.serialize_seq(Some(if plain { 4 } else { 7 }))?;
        parts.serialize_element(&id.number())?;
        parts.serialize_element(&user)?;
        parts.serialize_element(&coupon)?;
        parts.serialize_element(&room)?;
        if !plain {
            parts.serialize_element(&slot)?;
            parts.serialize_element(&hold_until.map(Timestamp::millis))?;
            parts.serialize_element(&request.map(RequestKey::number))?;
        }
        parts.end()
    }
}

impl<'de> Deserialize<'de> for Row {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Parts;

        impl<'de> Visitor<'de> for Parts {
            type Value = Row;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a row of four numbers, or of seven")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<Row, A::Error> {
                fn next<'de, A: SeqAccess<'de>, T: Deserialize<'de>>(
                    parts: &mut A,
                    at: usize,
                ) -> Result<T, A::Error> {
                    parts.next_element()?.ok_or_else(|| A::Error::invalid_length(at, &Parts))
                }
                let id: i64 = next(&mut parts, 0)?;
                let id = ResultId::from_number(id)
                    .map_err(|_| A::Error::custom(format_args!("{id} is no result_id")))?;
                let (user, coupon) = (next(&mut parts, 1)?, next(&mut parts, 2)?);
                let room = next(&mut parts, 3)?;
                let Some(slot) = parts.next_element::<u8>()? else {
                    return Ok(Row { reserved: Reservation::plain(id), user, coupon, room });
                };
                let hold_until: Option<i64> = next(&mut parts, 5)?;
                let request: Option<i64> = next(&mut parts, 6)?;
                let reserved = Reservation {
                    id,
                    slot,
                    hold_until: hold_until.map(Timestamp::from_millis),
                    request: request.and_then(RequestKey::from_number),
                };
                Ok(Row { reserved, user, coupon, room })
            }
        }

        deserializer.deserialize_seq(Parts)
    }
}

/// A name that is no table's of results.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no table of results named {0:?}")]
pub struct UnknownTable(String);

/// The rows of a hand-over.
pub fn to_rows(results: &[PlacedResult]) -> Rows {
    let mut tables: BTreeMap<TableId, Vec<_>> = BTreeMap::new();
    for PlacedResult { placement, result } in results {
        tables.entry(placement.table).or_default().push(Row::of(result));
    }
    tables.into_iter().map(|(table, rows)| (table.to_string(), rows)).collect()
}

/// The results that they are, on that shard.
pub fn from_rows(shard: ShardId, rows: Rows) -> Result<Vec<PlacedResult>, UnknownTable> {
    let mut results = Vec::with_capacity(rows.values().map(Vec::len).sum());
    for (name, rows) in rows {
        let table = TableId::parse(&name).ok_or(UnknownTable(name))?;
        let placement = Placement::new(shard, table);
        results.extend(rows.into_iter().map(|Row { reserved, user, coupon, room }| PlacedResult {
            placement,
            result: reserved.result(user, coupon, room),
        }));
    }
    Ok(results)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_as_short_as_it_can_be_and_is_read_as_it_was_written() {
        let id = ResultId::from_number(7).unwrap();
        let request = Some(RequestKey::of("a"));
        let hold_until = Some(Timestamp::from_millis(9));
        for (reserved, text) in [
            (Reservation::plain(id), "[7,1,2,3]".to_owned()),
            (Reservation { slot: 2, ..Reservation::plain(id) }, "[7,1,2,3,2,null,null]".to_owned()),
            (
                Reservation { id, slot: 0, hold_until, request },
                format!("[7,1,2,3,0,9,{}]", RequestKey::of("a").number()),
            ),
        ] {
            let (user, coupon, room) = (UserId::new(1), CouponId::new(2), RoomId::new(3));
            let result = reserved.result(user.unwrap(), coupon.unwrap(), room.unwrap());
            let row = Row::of(&result);
            assert_eq!(serde_json::to_string(&row).unwrap(), text);
            assert_eq!(serde_json::from_str::<Row>(&text).unwrap(), row);
        }
    }

    #[test]
    fn what_no_hand_over_wrote_is_refused() {
        for text in ["[7,1,2]", "[-1,1,2,3]", "[7,0,2,3]", "[7,1,2,3,0]", "[7,1,2,3,300,null,null]", "7"] {
            assert!(serde_json::from_str::<Row>(text).is_err(), "{text}");
        }
    }
}
