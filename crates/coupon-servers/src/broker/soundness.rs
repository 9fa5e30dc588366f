//! The rules for any bytes that lie in a queue, whatever put them there.

use coupon_core::{ShardId, Timestamp};
use coupon_store::PlacedResult;

use super::message::Message;

const DATASET: &str = "d1";
const SHARD: ShardId = ShardId::new(3);

/// Reads a message as a consumer does. What is read is of the consumer's shard, and comes out the same when it is
/// handed over again.
pub(crate) fn check(body: &[u8]) {
    let Ok((_, results)) = Message::decode(body, DATASET, SHARD) else { return };
    assert!(results.iter().all(|row| row.placement.shard == SHARD), "a result of another shard");
    let again = Message::results(DATASET, 1, Timestamp::from_millis(0), &results).encode();
    let read = Message::decode(&again, DATASET, SHARD).map(|(_, results)| plain(&results)).ok();
    assert_eq!(read, Some(plain(&results)), "handed over again, it is another message");
}

/// In a fixed order: a message's own does not matter.
fn plain(results: &[PlacedResult]) -> Vec<String> {
    let mut rows: Vec<_> = results.iter().map(|row| format!("{:?}", (row.placement, row.result))).collect();
    rows.sort_unstable();
    rows
}

#[cfg(test)]
mod tests {
    use coupon_core::{CouponId, CouponResult, Placement, ResultId, RoomId, TableId, UserId};
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::{Index, select};

    use super::*;

    fn result() -> impl Strategy<Value = PlacedResult> {
        let tables = ["coupon_results", "coupon_results_2026_11_22", "coupon_results_room_1_25"];
        let ids = (1_i64..i64::MAX, 1_u64..1 << 53, 1_u64..1 << 53, 1_u64..1 << 53);
        (ids, select(tables.to_vec())).prop_filter_map(
            "ids out of range",
            |((id, user, coupon, room), table)| {
                let (user, coupon) = (UserId::new(user).ok()?, CouponId::new(coupon).ok()?);
                let id = ResultId::from_number(id).ok()?;
                let result = CouponResult::granted(id, user, coupon, RoomId::new(room).ok()?);
                Some(PlacedResult { placement: Placement::new(SHARD, TableId::parse(table)?), result })
            },
        )
    }

    fn message() -> impl Strategy<Value = (Vec<u8>, usize)> {
        (vec(result(), 0..20), 1_u64..1 << 40, 0_i64..1 << 45).prop_map(|(results, epoch, sent)| {
            (Message::results(DATASET, epoch, Timestamp::from_millis(sent), &results).encode(), results.len())
        })
    }

    fn only(config: u32) -> ProptestConfig {
        ProptestConfig { cases: config, failure_persistence: None, ..ProptestConfig::default() }
    }

    proptest! {
        #![proptest_config(only(500))]

        #[test]
        fn what_was_handed_over_is_read_whole((body, count) in message()) {
            let (_, results) = Message::decode(&body, DATASET, SHARD).unwrap();
            prop_assert_eq!(results.len(), count);
            check(&body);
        }

        #[test]
        fn any_bytes_are_read_or_refused(body in vec(any::<u8>(), 0..300)) {
            check(&body);
        }

        /// Bytes changed, cut out, doubled and put in at random places.
        #[test]
        fn a_message_that_was_tampered_with_is_read_or_refused(
            (mut body, _) in message(),
            changes in vec((any::<Index>(), any::<Index>(), any::<u8>(), 0_u8..4), 1..8),
        ) {
            for (at, to, byte, change) in changes {
                if body.is_empty() {
                    break;
                }
                let (at, to) = (at.index(body.len()), to.index(body.len()));
                match change {
                    0 => body[at] = byte,
                    1 => body.insert(at, byte),
                    2 => drop(body.drain(at.min(to)..at.max(to))),
                    _ => body.extend_from_within(at.min(to)..at.max(to)),
                }
            }
            check(&body);
        }
    }
}
