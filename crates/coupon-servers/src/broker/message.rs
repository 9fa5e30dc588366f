//! The messages of a shard's queue: results of one shard and epoch, or a marker.

use coupon_core::{ShardId, Timestamp};
use coupon_store::PlacedResult;
use coupon_store::rows::{Rows, UnknownTable, from_rows, to_rows};
use serde::{Deserialize, Serialize};

/// One message of a shard's queue.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Message {
    /// The data set it belongs to.
    pub(crate) dataset: String,
    /// The gate's epoch in which its results were granted.
    pub(crate) epoch: u64,
    /// The time of its hand-over, in milliseconds since 1970: everything acknowledged before lies before it in the
    /// queue.
    pub(crate) sent: i64,
    #[serde(default, skip_serializing_if = "Rows::is_empty")]
    rows: Rows,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) marker: Option<Marker>,
}

/// Once it is stored, so is everything that was handed over before it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marker {
    /// Distinguishes the marker from every other.
    pub id: String,
    /// Results of this epoch, and of earlier ones, are not to be stored any more. 0 closes none.
    #[serde(default)]
    pub closes: u64,
}

/// A message that no process of this system sent.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MessageError {
    #[error("it is no message of ours: {0}")]
    Malformed(#[from] serde_json::Error),
    #[error(transparent)]
    Rows(#[from] UnknownTable),
    #[error("it belongs to data set {0:?}")]
    OtherDataset(String),
}

impl Message {
    /// A message of these results.
    pub(crate) fn results(dataset: &str, epoch: u64, sent: Timestamp, results: &[PlacedResult]) -> Self {
        Self { dataset: dataset.to_owned(), epoch, sent: sent.millis(), rows: to_rows(results), marker: None }
    }

    /// A marker, or, without one, a sign that the queue moves.
    pub(crate) fn marker(dataset: &str, sent: Timestamp, marker: Option<Marker>) -> Self {
        Self { dataset: dataset.to_owned(), epoch: 0, sent: sent.millis(), rows: Rows::new(), marker }
    }

    /// As it lies in the queue.
    pub(crate) fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Reads it back, for a shard of a data set, with the results in it.
    pub(crate) fn decode(
        body: &[u8],
        dataset: &str,
        shard: ShardId,
    ) -> Result<(Self, Vec<PlacedResult>), MessageError> {
        let mut message: Self = serde_json::from_slice(body)?;
        if message.dataset != dataset {
            return Err(MessageError::OtherDataset(message.dataset));
        }
        let results = from_rows(shard, std::mem::take(&mut message.rows))?;
        Ok((message, results))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use coupon_core::{CouponId, CouponResult, Placement, ResultId, RoomId, TableId, UserId};

    fn result(sequence: u16, table: &str) -> PlacedResult {
        let id = ResultId::from_parts("2026-11-22T12:00:00Z".parse().unwrap(), 1, sequence).unwrap();
        let (user, coupon) = (UserId::new(7).unwrap(), CouponId::new(8).unwrap());
        let result = CouponResult::granted(id, user, coupon, RoomId::new(2).unwrap());
        PlacedResult { placement: Placement::new(ShardId::new(3), TableId::parse(table).unwrap()), result }
    }

    #[test]
    fn results_come_out_as_they_went_in() {
        let results = [result(0, "coupon_results_2026_11_22"), result(1, "coupon_results_room_1_25")];
        let sent = "2026-11-22T12:00:01Z".parse().unwrap();
        let body = Message::results("d1", 4, sent, &results).encode();
        let (message, read) = Message::decode(&body, "d1", ShardId::new(3)).unwrap();
        assert_eq!((message.epoch, message.sent, message.marker), (4, sent.millis(), None));
        let plain =
            |rows: &[PlacedResult]| rows.iter().map(|row| (row.placement, row.result)).collect::<Vec<_>>();
        assert_eq!(plain(&read), plain(&results));
    }

    #[test]
    fn a_message_of_another_data_set_or_an_unreadable_one_is_refused() {
        let body = Message::marker("d1", Timestamp::from_millis(5), None).encode();
        let decode = |body: &[u8]| Message::decode(body, "d2", ShardId::new(0)).unwrap_err().to_string();
        assert!(decode(&body).contains("d1"));
        assert!(decode(b"\xff{").contains("no message of ours"));
        assert!(decode(br#"{"dataset":"d2","epoch":1,"sent":0,"rows":{"users":[]}}"#).contains("users"));
        assert!(
            decode(br#"{"dataset":"d2","epoch":1,"sent":0,"rows":{"coupon_results":[[-1,1,1,1]]}}"#)
                .contains("-1")
        );
    }
}
