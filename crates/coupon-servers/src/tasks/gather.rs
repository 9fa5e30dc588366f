//! The messages that a consumer takes from its queue for one transaction.

use std::sync::Arc;

use coupon_core::ShardId;
use coupon_store::failpoints::{self, Mechanism};

use super::background::Background;
use super::store::{Arrived, TakenMessages};
use crate::broker::Message;
use crate::seam::{Delivery, PublishError};

/// The most results that one transaction takes, give or take a message.
const TRANSACTION_MAX: usize = 8_192;

/// Messages that were taken together, and what is in them.
#[derive(Debug, Default)]
pub(super) struct GatheredBatch {
    pub(super) work: TakenMessages,
    /// The last of the messages, for the acknowledgement of them all.
    pub(super) last: u64,
}

impl GatheredBatch {
    pub(super) const fn is_empty(&self) -> bool {
        self.work.messages == 0
    }

    pub(super) fn has_room(&self) -> bool {
        self.work.results.len() < TRANSACTION_MAX
    }

    /// Takes a message in. One that can never be stored is parked; if that fails, the queue must not forget it nor
    /// anything behind it.
    pub(super) async fn take(
        &mut self,
        background: &Arc<Background>,
        shard: ShardId,
        Delivery { tag, body }: Delivery,
    ) -> Result<(), PublishError> {
        match Message::decode(&body, &background.dataset, shard) {
            Ok((message, results)) => {
                // A clock that was wrong must not promise anything of a time that has not come.
                let sent = message.sent.min(background.time.mains().millis());
                self.work.sent = self.work.sent.max(sent);
                self.work
                    .results
                    .extend(results.into_iter().map(|row| Arrived { row, epoch: message.epoch }));
                self.work.markers.extend(message.marker);
            }
            Err(error) => {
                tracing::error!(%shard, %error, "a message can never be stored; it is parked");
                if !failpoints::is_off(Mechanism::Parking) {
                    background.park_message(body).await?;
                }
            }
        }
        self.work.messages += 1;
        self.last = tag;
        Ok(())
    }
}
