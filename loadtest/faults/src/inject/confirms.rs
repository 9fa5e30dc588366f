//! RabbitMQ's answers to the messages that were published on a channel.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use amqprs::callbacks::ChannelCallback;
use amqprs::channel::Channel;
use amqprs::{Ack, BasicProperties, Cancel, CloseChannel, Nack, Return};
use async_trait::async_trait;

/// The interval at which it is looked whether every message is answered.
const LOOK: Duration = Duration::from_millis(20);

/// The messages of a channel, as far as they are answered.
#[derive(Debug)]
pub(super) struct Published(Mutex<Tags>);

#[derive(Debug)]
struct Tags {
    open: BTreeSet<u64>,
    confirmed: usize,
    /// Messages that no queue could take: RabbitMQ gives them back, and confirms them all the same.
    returned: usize,
}

impl Published {
    /// The first messages of a channel, of that number.
    pub(super) fn of(count: usize) -> Arc<Self> {
        Arc::new(Self(Mutex::new(Tags { open: (1..=count as u64).collect(), confirmed: 0, returned: 0 })))
    }

    fn tags(&self) -> MutexGuard<'_, Tags> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes the answer to one message, or to all up to it.
    fn answered(&self, tag: u64, multiple: bool, confirmed: bool) {
        let mut tags = self.tags();
        let before = tags.open.len();
        tags.open.retain(|open| if multiple { *open > tag } else { *open != tag });
        if confirmed {
            tags.confirmed += before - tags.open.len();
        }
    }

    fn returned(&self) {
        self.tags().returned += 1;
    }

    /// The number of messages that a queue has taken.
    pub(super) fn accepted(&self) -> usize {
        let tags = self.tags();
        tags.confirmed.saturating_sub(tags.returned)
    }

    /// Waits until every message is answered.
    pub(super) async fn all_answered(&self) {
        while !self.tags().open.is_empty() {
            tokio::time::sleep(LOOK).await;
        }
    }
}

/// The callback through which a channel's answers arrive.
pub(super) struct ConfirmCallback(Arc<Published>);

impl ConfirmCallback {
    pub(super) fn of(published: &Arc<Published>) -> Self {
        Self(Arc::clone(published))
    }
}

#[async_trait]
impl ChannelCallback for ConfirmCallback {
    async fn close(&mut self, _: &Channel, _: CloseChannel) -> Result<(), amqprs::error::Error> {
        Ok(())
    }

    async fn cancel(&mut self, _: &Channel, _: Cancel) -> Result<(), amqprs::error::Error> {
        Ok(())
    }

    async fn flow(&mut self, _: &Channel, active: bool) -> Result<bool, amqprs::error::Error> {
        Ok(active)
    }

    async fn publish_ack(&mut self, _: &Channel, ack: Ack) {
        self.0.answered(ack.delivery_tag(), ack.mutiple(), true);
    }

    async fn publish_nack(&mut self, _: &Channel, nack: Nack) {
        self.0.answered(nack.delivery_tag(), nack.multiple(), false);
    }

    async fn publish_return(&mut self, _: &Channel, _: Return, _: BasicProperties, _: Vec<u8>) {
        self.0.returned();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_that_are_refused_given_back_or_not_answered_are_not_taken() {
        let published = Published::of(5);
        assert_eq!(published.accepted(), 0);
        published.answered(2, true, true);
        assert_eq!(published.accepted(), 2);
        published.answered(3, false, false);
        assert_eq!(published.accepted(), 2);
        published.returned();
        published.answered(4, false, true);
        assert_eq!(published.accepted(), 2);
        published.answered(5, false, true);
        assert_eq!(published.accepted(), 3);
    }
}
