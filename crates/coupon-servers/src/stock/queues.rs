//! Queues within this process, where results need none. Markers and signs of life pass through them: for each a shard's consumer
//! makes a transaction, whose outbox entry counts what grabs have stored.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use coupon_core::ShardId;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::seam::{
    BrokerError, Delivery, Publish, PublishError, QueueAdmin, QueueConsumer, QueueServer, QueueState, Route,
    Until,
};

/// A queue for each shard, for as long as the process lives.
#[derive(Clone)]
pub(crate) struct LocalQueues(Arc<[Queue]>);

struct Queue {
    sender: UnboundedSender<Vec<u8>>,
    receiver: Arc<Mutex<UnboundedReceiver<Vec<u8>>>>,
}

impl LocalQueues {
    pub(crate) fn new(shards: usize) -> Self {
        let queue = |_| {
            let (sender, receiver) = unbounded_channel();
            Queue { sender, receiver: Arc::new(Mutex::new(receiver)) }
        };
        Self((0..shards).map(queue).collect())
    }

    fn queue(&self, shard: ShardId) -> Result<&Queue, BrokerError> {
        let missing = || BrokerError::new("this process", &format!("it has no queue of shard {shard}"));
        self.0.get(shard.index()).ok_or_else(missing)
    }
}

#[async_trait]
impl QueueServer for LocalQueues {
    async fn admin(&self) -> Result<Box<dyn QueueAdmin>, BrokerError> {
        Ok(Box::new(self.clone()))
    }

    async fn consume(&self, shard: ShardId) -> Result<Box<dyn QueueConsumer>, BrokerError> {
        let receiver = Arc::clone(&self.queue(shard)?.receiver).lock_owned().await;
        Ok(Box::new(Consuming { receiver, tag: 0 }))
    }

    fn publisher(&self, _: Duration) -> Box<dyn Publish> {
        Box::new(self.clone())
    }
}

#[async_trait]
impl QueueAdmin for LocalQueues {
    fn is_open(&self) -> bool {
        true
    }

    async fn declare(&mut self) -> Result<(), BrokerError> {
        Ok(())
    }

    async fn bind(&self, _: Route) -> Result<(), BrokerError> {
        Ok(())
    }

    async fn unbind(&self, _: Route) -> Result<(), BrokerError> {
        Ok(())
    }

    async fn queue(&self, shard: ShardId) -> Result<QueueState, BrokerError> {
        Self::queue(self, shard).map(|_| QueueState { messages: 0, consumers: 1 })
    }

    async fn close(self: Box<Self>) {}
}

#[async_trait]
impl Publish for LocalQueues {
    fn refusal(&self) -> Option<PublishError> {
        None
    }

    fn refusal_of(&self, _: Route) -> Option<PublishError> {
        None
    }

    async fn send(&self, route: Route, body: Vec<u8>, _: Until) -> Result<(), PublishError> {
        let Route::Queue(shard) = route else { return Err(PublishError::NoRoute) };
        let queue = Self::queue(self, shard).map_err(|_| PublishError::NoRoute)?;
        queue.sender.send(body).map_err(|_| PublishError::Down)
    }
}

/// The one consumer of a queue. Messages that it is given and does not store are lost: the sender of a marker sends another.
struct Consuming {
    receiver: OwnedMutexGuard<UnboundedReceiver<Vec<u8>>>,
    tag: u64,
}

impl Consuming {
    fn delivery(&mut self, body: Vec<u8>) -> Delivery {
        self.tag += 1;
        Delivery { tag: self.tag, body }
    }
}

#[async_trait]
impl QueueConsumer for Consuming {
    async fn next(&mut self) -> Option<Delivery> {
        let body = self.receiver.recv().await?;
        Some(self.delivery(body))
    }

    fn next_now(&mut self) -> Option<Delivery> {
        let body = self.receiver.try_recv().ok()?;
        Some(self.delivery(body))
    }

    fn buffered(&self) -> usize {
        self.receiver.len()
    }

    async fn done(&self, _: u64) -> Result<(), BrokerError> {
        Ok(())
    }

    async fn close(self: Box<Self>) {}
}
