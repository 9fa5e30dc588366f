//! The queues' server in memory.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use coupon_core::ShardId;
use coupon_servers::seam::{
    BrokerError, Delivery, Publish, PublishError, QueueAdmin, QueueConsumer, QueueServer, QueueState, Route,
    Until,
};
use tokio::sync::{Notify, oneshot};
use tokio::time::{sleep, timeout};

use crate::world::{NoAnswer, Server, ServerLine, World};

/// The number of messages of which one is routed well before its queue has it.
const LAGGING: u64 = 8;
/// The longest that it takes then: less than what a filling waits between unbinding and its markers.
const LAG_MS: u64 = 120;

/// The memory of the queues' server.
#[derive(Debug, Default)]
pub struct QueuesMemory {
    /// The queue of each shard.
    pub queues: BTreeMap<ShardId, Queue>,
    /// The ways of epochs that lead to their queue.
    pub bound: BTreeSet<(u64, ShardId)>,
    /// The messages that wait for a person.
    pub parked: Vec<Vec<u8>>,
    next: u64,
}

/// A shard's queue.
#[derive(Debug, Default)]
pub struct Queue {
    ready: VecDeque<(u64, Vec<u8>)>,
    unacknowledged: VecDeque<(u64, Vec<u8>)>,
    /// The consumers in the order in which they came: the first is given the messages.
    consumers: Vec<u64>,
    moved: Arc<Notify>,
}

impl Queue {
    /// The number of messages that it has for a consumer, or that one is at work on.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ready.len() + self.unacknowledged.len()
    }

    /// True if there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A consumer is gone: what it was at work on goes to the next.
    fn leave(&mut self, consumer: u64) {
        let active = self.consumers.first() == Some(&consumer);
        self.consumers.retain(|other| *other != consumer);
        if active {
            while let Some(message) = self.unacknowledged.pop_back() {
                self.ready.push_front(message);
            }
        }
        self.moved.notify_waiters();
    }
}

impl QueuesMemory {
    /// Every consumer's connection is cut.
    pub fn cut(&mut self) {
        for queue in self.queues.values_mut() {
            for consumer in std::mem::take(&mut queue.consumers) {
                queue.consumers.push(consumer);
                queue.leave(consumer);
            }
            while let Some(message) = queue.unacknowledged.pop_back() {
                queue.ready.push_front(message);
            }
        }
    }

    /// A shard's queue is deleted, with what is in it.
    pub fn delete(&mut self, shard: ShardId) -> usize {
        self.bound.retain(|(_, of)| *of != shard);
        let gone = self.queues.remove(&shard);
        gone.map_or(0, |queue| {
            queue.moved.notify_waiters();
            queue.len()
        })
    }

    /// A shard's queue loses what no consumer has.
    pub fn purge(&mut self, shard: ShardId) -> usize {
        self.queues.get_mut(&shard).map_or(0, |queue| std::mem::take(&mut queue.ready).len())
    }

    /// Puts a message into a shard's queue. Says whether there is one.
    pub fn put(&mut self, shard: ShardId, body: Vec<u8>) -> bool {
        self.next += 1;
        let number = self.next;
        let Some(queue) = self.queues.get_mut(&shard) else { return false };
        queue.ready.push_back((number, body));
        queue.moved.notify_waiters();
        true
    }

    fn routes(&self, route: Route) -> bool {
        match route {
            Route::Results(epoch, shard) => {
                self.bound.contains(&(epoch, shard)) && self.queues.contains_key(&shard)
            }
            Route::Queue(shard) => self.queues.contains_key(&shard),
            Route::Parking => true,
        }
    }

    fn enqueue(&mut self, route: Route, body: Vec<u8>) -> bool {
        match route {
            Route::Results(_, shard) | Route::Queue(shard) => self.put(shard, body),
            Route::Parking => {
                self.parked.push(body);
                true
            }
        }
    }
}

/// A process's way to it.
#[derive(Clone)]
pub(super) struct Queues {
    pub(super) line: ServerLine,
}

fn failed(lost: NoAnswer) -> BrokerError {
    BrokerError::new("memory", &lost.to_string())
}

#[async_trait]
impl QueueServer for Queues {
    async fn admin(&self) -> Result<Box<dyn QueueAdmin>, BrokerError> {
        let cuts = self.line.ask(|_| ()).await.map(|()| self.line.world.cuts(Server::Queues));
        Ok(Box::new(Admin { queues: self.clone(), cuts: cuts.map_err(failed)? }))
    }

    async fn consume(&self, shard: ShardId) -> Result<Box<dyn QueueConsumer>, BrokerError> {
        let asked = self.line.ask(|state| {
            let memory = &mut state.queues;
            memory.next += 1;
            let consumer = memory.next;
            let queue = memory.queues.get_mut(&shard)?;
            queue.consumers.push(consumer);
            Some((consumer, Arc::clone(&queue.moved)))
        });
        let found = asked.await.map_err(failed)?;
        let (consumer, moved) = found.ok_or_else(|| BrokerError::new("memory", "there is no such queue"))?;
        Ok(Box::new(Consumer { line: self.line.clone(), shard, consumer, moved }))
    }

    fn publisher(&self, patience: Duration) -> Box<dyn Publish> {
        Box::new(Publisher { line: self.line.clone(), patience })
    }
}

struct Admin {
    queues: Queues,
    cuts: u64,
}

impl Admin {
    async fn order(&self, act: impl FnOnce(&mut QueuesMemory) + Send + 'static) -> Result<(), BrokerError> {
        self.queues.line.order(|world| act(&mut world.state().queues)).await.map_err(failed)
    }
}

#[async_trait]
impl QueueAdmin for Admin {
    fn is_open(&self) -> bool {
        self.queues.line.world.cuts(Server::Queues) == self.cuts
    }

    async fn declare(&mut self) -> Result<(), BrokerError> {
        let shards = self.queues.line.world.state().shards.len();
        self.order(move |memory| {
            for number in (0..).take(shards) {
                memory.queues.entry(ShardId::new(number)).or_default();
            }
        })
        .await
    }

    async fn bind(&self, route: Route) -> Result<(), BrokerError> {
        let Route::Results(epoch, shard) = route else { return Ok(()) };
        self.order(move |memory| {
            memory.bound.insert((epoch, shard));
        })
        .await
    }

    async fn unbind(&self, route: Route) -> Result<(), BrokerError> {
        let Route::Results(epoch, shard) = route else { return Ok(()) };
        self.order(move |memory| {
            memory.bound.remove(&(epoch, shard));
        })
        .await
    }

    async fn queue(&self, shard: ShardId) -> Result<QueueState, BrokerError> {
        let asked = self.queues.line.ask(|state| {
            let queue = state.queues.queues.get(&shard)?;
            let consumers = u32::try_from(queue.consumers.len()).unwrap_or(u32::MAX);
            Some(QueueState { messages: queue.ready.len() as u64, consumers })
        });
        let found = asked.await.map_err(failed)?;
        found.ok_or_else(|| BrokerError::new("memory", "there is no such queue"))
    }

    async fn close(self: Box<Self>) {}
}

struct Consumer {
    line: ServerLine,
    shard: ShardId,
    consumer: u64,
    moved: Arc<Notify>,
}

impl Consumer {
    /// The next message, if there is one for this consumer; an error once it is cut off.
    fn take(&self) -> Result<Option<Delivery>, NoAnswer> {
        let mut state = self.line.world.state();
        let queue = state.queues.queues.get_mut(&self.shard).ok_or(NoAnswer::Refused)?;
        if !Arc::ptr_eq(&queue.moved, &self.moved) || !queue.consumers.contains(&self.consumer) {
            return Err(NoAnswer::Refused);
        }
        if queue.consumers.first() != Some(&self.consumer) {
            return Ok(None);
        }
        let Some((tag, body)) = queue.ready.pop_front() else { return Ok(None) };
        queue.unacknowledged.push_back((tag, body.clone()));
        Ok(Some(Delivery { tag, body }))
    }
}

#[async_trait]
impl QueueConsumer for Consumer {
    async fn next(&mut self) -> Option<Delivery> {
        loop {
            self.line.world.awake(self.line.process).await;
            let moved = Arc::clone(&self.moved);
            let moved = moved.notified();
            match self.take() {
                Ok(Some(delivery)) => return Some(delivery),
                Ok(None) => moved.await,
                Err(_) => return None,
            }
        }
    }

    fn next_now(&mut self) -> Option<Delivery> {
        self.take().ok().flatten()
    }

    fn buffered(&self) -> usize {
        0
    }

    async fn done(&self, tag: u64) -> Result<(), BrokerError> {
        self.line.world.awake(self.line.process).await;
        let (shard, consumer) = (self.shard, self.consumer);
        // The driver takes note of an acknowledgement, and sends it later.
        drop(self.line.send(move |world| {
            let mut state = world.state();
            let Some(queue) = state.queues.queues.get_mut(&shard) else { return };
            if queue.consumers.first() == Some(&consumer) {
                queue.unacknowledged.retain(|(of, _)| *of > tag);
            }
        }));
        Ok(())
    }

    async fn close(self: Box<Self>) {}
}

/// Its connection ends with it.
impl Drop for Consumer {
    fn drop(&mut self) {
        let mut state = self.line.world.state();
        if let Some(queue) = state.queues.queues.get_mut(&self.shard)
            && Arc::ptr_eq(&queue.moved, &self.moved)
            && queue.consumers.contains(&self.consumer)
        {
            queue.leave(self.consumer);
        }
    }
}

struct Publisher {
    line: ServerLine,
    patience: Duration,
}

/// A message that was routed: the queue says when it has it.
type Routed = Option<oneshot::Receiver<()>>;

fn route(world: &Arc<World>, route: Route, body: Vec<u8>) -> Routed {
    if !world.state().queues.routes(route) {
        world.tell(|| format!("queues: {} leads nowhere", words(route)));
        return None;
    }
    let lag = if world.draw(LAGGING) == 0 { world.draw(LAG_MS) } else { 0 };
    let (reply, confirmed) = oneshot::channel();
    let world = Arc::clone(world);
    let enqueue = move || {
        if world.state().queues.enqueue(route, body) {
            let _ = reply.send(());
        }
    };
    if lag == 0 {
        enqueue();
    } else {
        tokio::spawn(async move {
            sleep(Duration::from_millis(lag)).await;
            enqueue();
        });
    }
    Some(confirmed)
}

fn words(route: Route) -> String {
    match route {
        Route::Results(epoch, shard) => format!("what was granted in epoch {epoch}, for shard {shard},"),
        Route::Queue(shard) => format!("what is for the queue of shard {shard}"),
        Route::Parking => "what is to be parked".to_owned(),
    }
}

#[async_trait]
impl Publish for Publisher {
    fn refusal(&self) -> Option<PublishError> {
        self.line.world.condition(Server::Queues).down.then_some(PublishError::Down)
    }

    fn refusal_of(&self, _: Route) -> Option<PublishError> {
        self.refusal()
    }

    async fn send(&self, to: Route, body: Vec<u8>, until: Until) -> Result<(), PublishError> {
        self.line.world.awake(self.line.process).await;
        let sent = self.line.send(move |world| route(world, to, body));
        if until == Until::Sent {
            return Ok(());
        }
        let confirmed = async {
            match sent.await {
                Ok(Ok(Some(confirmed))) => confirmed.await.map_err(|_| PublishError::Lost),
                Ok(Ok(None)) => Err(PublishError::NoRoute),
                Ok(Err(NoAnswer::Refused)) => Err(PublishError::Down),
                Ok(Err(NoAnswer::Unheard)) | Err(_) => Err(PublishError::Lost),
            }
        };
        let outcome = timeout(self.patience, confirmed).await.unwrap_or(Err(PublishError::TimedOut));
        self.line.world.awake(self.line.process).await;
        outcome
    }
}
