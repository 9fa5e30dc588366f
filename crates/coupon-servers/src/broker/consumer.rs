//! A shard's queue, as its consumer sees it.

use std::sync::Arc;

use amqprs::channel::{
    BasicAckArguments, BasicConsumeArguments, BasicQosArguments, Channel, ConsumerMessage,
};
use amqprs::connection::Connection;
use tokio::sync::mpsc::UnboundedReceiver;

use super::node::Notices;
use super::{Broker, BrokerError};

/// The most messages that are under way to a consumer at once: the driver queues them without a bound. Enough for a
/// nearly full transaction of small messages; more would hide from the queue's own count how much waits.
const PREFETCH: u16 = 256;

/// A message, and how to say that it is done with.
pub struct Delivery {
    /// Its number, by which it is acknowledged.
    pub tag: u64,
    /// Its content.
    pub body: Vec<u8>,
}

/// A connection that is given a queue's messages.
pub(crate) struct Consuming {
    messages: UnboundedReceiver<ConsumerMessage>,
    channel: Channel,
    notices: Arc<Notices>,
    connection: Connection,
}

impl Consuming {
    /// Asks for a queue's messages. Another consumer of the same queue gets them first, for as long as it lives.
    pub(crate) async fn start(broker: &Broker, queue: &str) -> Result<Self, BrokerError> {
        let (connection, notices) = broker.connect().await?;
        let channel = notices.channel(&connection).await?;
        let qos = BasicQosArguments::new(0, PREFETCH, false);
        notices.within(channel.basic_qos(qos)).await?;
        let consume = BasicConsumeArguments::new(queue, "");
        let (_, messages) = notices.within(channel.basic_consume_rx(consume)).await?;
        Ok(Self { messages, channel, notices, connection })
    }

    /// The next message; `None` when the connection is gone.
    pub(crate) async fn next(&mut self) -> Option<Delivery> {
        self.messages.recv().await.and_then(delivery)
    }

    /// The next message, if it is here already.
    pub(crate) fn next_now(&mut self) -> Option<Delivery> {
        self.messages.try_recv().ok().and_then(delivery)
    }

    /// The number of messages that are here and have not been taken.
    pub(crate) fn buffered(&self) -> usize {
        self.messages.len()
    }

    /// Everything up to this message is done with: the queue may forget it.
    pub(crate) async fn done(&self, tag: u64) -> Result<(), BrokerError> {
        let ack = BasicAckArguments::new(tag, true);
        self.notices.within(self.channel.basic_ack(ack)).await
    }

    /// Gives the queue back what is not done with.
    pub(crate) async fn close(self) {
        let _ = tokio::time::timeout(super::PATIENCE, async {
            let _ = self.channel.close().await;
            let _ = self.connection.close().await;
        })
        .await;
    }
}

fn delivery(message: ConsumerMessage) -> Option<Delivery> {
    Some(Delivery { tag: message.deliver?.delivery_tag(), body: message.content.unwrap_or_default() })
}
