//! Requests of the protocol to the queues' server.

use std::time::Duration;

use async_trait::async_trait;
use coupon_core::ShardId;
use coupon_store::failpoints::{self, Mechanism};

pub use crate::broker::{BrokerError, Delivery, PublishError, QueueState};

/// The way of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Route {
    /// That of an epoch's results: into the queue of their shard, for as long as it is bound.
    Results(u64, ShardId),
    /// Straight into a shard's queue.
    Queue(ShardId),
    /// To what waits for a person.
    Parking,
}

impl Route {
    /// The way of an epoch's results.
    #[must_use]
    pub fn results(epoch: u64, shard: ShardId) -> Self {
        Self::Results(if failpoints::is_off(Mechanism::Epoch) { 0 } else { epoch }, shard)
    }
}

/// The moment until which a publisher waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// A queue has the message on disk.
    Confirmed,
    /// The message has left.
    Sent,
}

/// The queues' server: a queue for each shard that feeds one consumer at a time, and one for messages that cannot be read.
#[async_trait]
pub trait QueueServer: Send + Sync {
    /// Something to give orders with.
    async fn admin(&self) -> Result<Box<dyn QueueAdmin>, BrokerError>;

    /// Asks for a queue's messages. Another consumer of the same queue gets them first, for as long as it lives.
    async fn consume(&self, shard: ShardId) -> Result<Box<dyn QueueConsumer>, BrokerError>;

    /// Starts to connect, to publish messages. Each is given up after so long.
    fn publisher(&self, patience: Duration) -> Box<dyn Publish>;

    /// The host of each of its nodes, and the connections that this process has to it.
    fn connections(&self) -> Vec<(String, u64)> {
        Vec::new()
    }
}

/// A connection to give orders with.
#[async_trait]
pub trait QueueAdmin: Send {
    /// True if it can still be used.
    fn is_open(&self) -> bool;

    /// Makes the queues, unless they are there.
    async fn declare(&mut self) -> Result<(), BrokerError>;

    /// From now on, what goes this way reaches its queue.
    async fn bind(&self, route: Route) -> Result<(), BrokerError>;

    /// From now on, what goes this way is returned to its publisher.
    async fn unbind(&self, route: Route) -> Result<(), BrokerError>;

    /// The state of a shard's queue.
    async fn queue(&self, shard: ShardId) -> Result<QueueState, BrokerError>;

    /// Closes the connection in good order.
    async fn close(self: Box<Self>);
}

/// A connection that is given a queue's messages.
#[async_trait]
pub trait QueueConsumer: Send + Sync {
    /// The next message; `None` when the connection is gone. A caller that stops waiting loses none.
    async fn next(&mut self) -> Option<Delivery>;

    /// The next message, if it is here already.
    fn next_now(&mut self) -> Option<Delivery>;

    /// The number of messages that are here and have not been taken.
    fn buffered(&self) -> usize;

    /// Everything up to this message is done with: the queue may forget it.
    async fn done(&self, tag: u64) -> Result<(), BrokerError>;

    /// Gives the queue back what is not done with.
    async fn close(self: Box<Self>);
}

/// A connection to publish messages.
#[async_trait]
pub trait Publish: Send + Sync {
    /// The reason for which no message could be sent now, if there is one.
    fn refusal(&self) -> Option<PublishError>;

    /// The reason for which no message could be sent this way now, if there is one.
    fn refusal_of(&self, route: Route) -> Option<PublishError>;

    /// Sends a message, and waits.
    async fn send(&self, route: Route, body: Vec<u8>, until: Until) -> Result<(), PublishError>;

    /// Sends a message, and waits until a queue has it on disk.
    async fn publish(&self, route: Route, body: Vec<u8>) -> Result<(), PublishError> {
        let until = if failpoints::is_off(Mechanism::Confirms) { Until::Sent } else { Until::Confirmed };
        self.send(route, body, until).await
    }
}
