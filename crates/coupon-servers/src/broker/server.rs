//! RabbitMQ as the queues' server.

use std::time::Duration;

use async_trait::async_trait;
use coupon_core::ShardId;

use super::{Admin, Broker, BrokerError, Consuming, Delivery, PublishError, Publisher, QueueState};
use crate::names::Names;
use crate::seam::{Publish, QueueAdmin, QueueConsumer, QueueServer, Route, Until};

/// RabbitMQ, with the names of one data set.
#[derive(Clone)]
pub(crate) struct BrokerQueues {
    broker: Broker,
    names: Names,
    shards: u16,
}

impl BrokerQueues {
    pub(crate) const fn new(broker: Broker, names: Names, shards: u16) -> Self {
        Self { broker, names, shards }
    }
}

/// The exchange and the routing key of a way.
fn way(names: &Names, route: Route) -> (String, String) {
    match route {
        Route::Results(epoch, shard) => (names.exchange(), Names::route(epoch, shard)),
        Route::Queue(shard) => (String::new(), names.queue(shard)),
        Route::Parking => (String::new(), names.parking()),
    }
}

#[async_trait]
impl QueueServer for BrokerQueues {
    async fn admin(&self) -> Result<Box<dyn QueueAdmin>, BrokerError> {
        Ok(Box::new(Orders { admin: self.broker.admin().await?, queues: self.clone() }))
    }

    async fn consume(&self, shard: ShardId) -> Result<Box<dyn QueueConsumer>, BrokerError> {
        Ok(Box::new(Consuming::start(&self.broker, &self.names.queue(shard)).await?))
    }

    fn publisher(&self, patience: Duration) -> Box<dyn Publish> {
        let publisher = Publisher::start(self.broker.clone(), patience);
        Box::new(Publishing { publisher, names: self.names.clone() })
    }

    fn connections(&self) -> Vec<(String, u64)> {
        self.broker.connections()
    }
}

struct Orders {
    admin: Admin,
    queues: BrokerQueues,
}

#[async_trait]
impl QueueAdmin for Orders {
    fn is_open(&self) -> bool {
        self.admin.is_open()
    }

    async fn declare(&mut self) -> Result<(), BrokerError> {
        self.admin.declare(&self.queues.names, self.queues.shards).await
    }

    async fn bind(&self, route: Route) -> Result<(), BrokerError> {
        let Route::Results(epoch, shard) = route else { return Ok(()) };
        self.admin.bind(&self.queues.names, epoch, shard).await
    }

    async fn unbind(&self, route: Route) -> Result<(), BrokerError> {
        let Route::Results(epoch, shard) = route else { return Ok(()) };
        self.admin.unbind(&self.queues.names, epoch, shard).await
    }

    async fn queue(&self, shard: ShardId) -> Result<QueueState, BrokerError> {
        self.admin.queue(&self.queues.names.queue(shard)).await
    }

    async fn close(self: Box<Self>) {
        self.admin.close().await;
    }
}

#[async_trait]
impl QueueConsumer for Consuming {
    async fn next(&mut self) -> Option<Delivery> {
        Self::next(self).await
    }

    fn next_now(&mut self) -> Option<Delivery> {
        Self::next_now(self)
    }

    fn buffered(&self) -> usize {
        Self::buffered(self)
    }

    async fn done(&self, tag: u64) -> Result<(), BrokerError> {
        Self::done(self, tag).await
    }

    async fn close(self: Box<Self>) {
        Self::close(*self).await;
    }
}

struct Publishing {
    publisher: Publisher,
    names: Names,
}

#[async_trait]
impl Publish for Publishing {
    fn refusal(&self) -> Option<PublishError> {
        self.publisher.refusal()
    }

    fn refusal_of(&self, route: Route) -> Option<PublishError> {
        self.publisher.refusal_of(&way(&self.names, route).1)
    }

    async fn send(&self, route: Route, body: Vec<u8>, until: Until) -> Result<(), PublishError> {
        let (exchange, key) = way(&self.names, route);
        self.publisher.publish(&exchange, &key, body, until).await
    }
}
