//! Publishes, and follows each message to its end: confirmed on disk, returned, or lost sight of.
//!
//! The driver does not reconnect, and a broker that dies sends no nack: a supervisor connects again, and callers that wait for a
//! confirmation get the error that the channel is gone.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use amqprs::callbacks::ChannelCallback;
use amqprs::channel::{BasicPublishArguments, Channel, ConfirmSelectArguments};
use amqprs::connection::Connection;
use amqprs::{Ack, BasicProperties, Cancel, CloseChannel, Nack, Return};
use async_trait::async_trait;
use coupon_store::outage::TaskOutage;
use tokio::runtime::Handle;
use tokio::sync::{Notify, oneshot};

use super::node::Notices;
use super::waiters::{Outcome, Waiters};
use super::{Broker, BrokerError};
use crate::seam::Until;

/// The wait before connecting again, at first and at most.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// The fate of a message that is not known to be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// It never left.
    #[error("there is no connection to RabbitMQ")]
    Down,
    /// It never left.
    #[error("RabbitMQ takes no messages for now")]
    Blocked,
    /// It never left.
    #[error("RabbitMQ has not confirmed an earlier message in time")]
    Stuck,
    /// No queue has it.
    #[error("no queue takes results of this epoch of the gate any more")]
    NoRoute,
    /// No queue has it, or one has it nevertheless.
    #[error("RabbitMQ refused it")]
    Refused,
    /// It may be stored, or not.
    #[error("the connection was lost before RabbitMQ confirmed it")]
    Lost,
    /// It may be stored, or not.
    #[error("RabbitMQ did not confirm it in time")]
    TimedOut,
}

/// A connection with confirmations, kept up by a task of the runtime that made it.
pub(crate) struct Publisher {
    shared: Arc<Shared>,
    timeout: Duration,
}

struct Shared {
    /// Held while a message is counted and sent, so that both happen in one order.
    live: tokio::sync::Mutex<Option<Live>>,
    blocked: Mutex<Option<Arc<Notices>>>,
    /// The waiters of the last connection.
    waiters: Mutex<Arc<Waiters>>,
    up: AtomicBool,
    /// The first connection is there, or failed.
    tried: Notify,
    /// The reason that there is no connection.
    error: Mutex<Option<BrokerError>>,
}

struct Live {
    /// There until it is dropped.
    channel: Option<Channel>,
    next: u64,
    waiters: Arc<Waiters>,
    runtime: Handle,
}

/// A message on its way.
struct Sent {
    tag: u64,
    waiters: Arc<Waiters>,
    confirmation: oneshot::Receiver<Outcome>,
}

/// The driver closes a channel by a task, and so needs a runtime where it is dropped.
impl Drop for Live {
    fn drop(&mut self) {
        let _within = self.runtime.enter();
        self.channel = None;
    }
}

impl Publisher {
    /// Starts to connect. Must be called within a runtime.
    pub(crate) fn start(broker: Broker, timeout: Duration) -> Self {
        let shared = Arc::new(Shared {
            live: tokio::sync::Mutex::new(None),
            blocked: Mutex::new(None),
            waiters: Mutex::default(),
            up: AtomicBool::new(false),
            tried: Notify::new(),
            error: Mutex::new(None),
        });
        tokio::spawn(supervise(broker, Arc::downgrade(&shared)));
        Self { shared, timeout }
    }

    /// The reason for which no message could be sent now, if there is one.
    pub(crate) fn refusal(&self) -> Option<PublishError> {
        if !self.shared.up.load(Ordering::Relaxed) {
            // One that is still connecting, at first or again, is waited for; one that could not is not.
            return lock(&self.shared.error).is_some().then_some(PublishError::Down);
        }
        let blocked = lock(&self.shared.blocked);
        blocked.as_ref().is_some_and(|notices| notices.is_blocked()).then_some(PublishError::Blocked)
    }

    /// The reason for which no message could be sent this way now, if there is one.
    pub(crate) fn refusal_of(&self, route: &str) -> Option<PublishError> {
        let stuck = || lock(&self.shared.waiters).is_stuck(route).then_some(PublishError::Stuck);
        self.refusal().or_else(stuck)
    }

    /// Sends a message, and waits.
    pub(crate) async fn publish(
        &self,
        exchange: &str,
        route: &str,
        body: Vec<u8>,
        until: Until,
    ) -> Result<(), PublishError> {
        let deadline = tokio::time::Instant::now() + self.timeout;
        let sent = tokio::time::timeout_at(deadline, self.send(exchange, route, body)).await;
        let Sent { tag, waiters, confirmation } = sent.map_err(|_| PublishError::TimedOut)??;
        if until == Until::Sent {
            return Ok(());
        }
        match tokio::time::timeout_at(deadline, confirmation).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Err(PublishError::Lost),
            Err(_) => {
                waiters.overdue(tag);
                Err(PublishError::TimedOut)
            }
        }
    }

    async fn send(&self, exchange: &str, route: &str, body: Vec<u8>) -> Result<Sent, PublishError> {
        let mut current = self.shared.live.lock().await;
        if current.is_none() && !self.shared.up.load(Ordering::Relaxed) && lock(&self.shared.error).is_none()
        {
            // The very first message of a thread waits for the very first connection.
            let tried = self.shared.tried.notified();
            drop(current);
            let _ = tokio::time::timeout(self.timeout, tried).await;
            current = self.shared.live.lock().await;
        }
        if let Some(refusal @ (PublishError::Blocked | PublishError::Stuck)) = self.refusal_of(route) {
            return Err(refusal);
        }
        // Taken out while the message is being sent: were this future dropped half-way, it would be unknown whether
        // the broker counts the message, so the channel goes with it.
        let mut live = current.take().ok_or(PublishError::Down)?;
        let tag = live.next;
        live.next += 1;
        let waiters = Arc::clone(&live.waiters);
        let confirmation = waiters.add(tag, route);
        let mut properties = BasicProperties::default();
        // A message that is returned carries no number.
        properties.with_persistence(true).with_message_id(&tag.to_string());
        let mut arguments = BasicPublishArguments::new(exchange, route);
        arguments.mandatory(true);
        let channel = live.channel.as_ref().ok_or(PublishError::Down)?;
        channel.basic_publish(properties, body, arguments).await.map_err(|_| PublishError::Lost)?;
        *current = Some(live);
        Ok(Sent { tag, waiters, confirmation })
    }
}

/// Connects, waits until the connection is lost, and connects again, for as long as there is a publisher.
async fn supervise(broker: Broker, shared: Weak<Shared>) {
    let outage = TaskOutage::new("cannot connect; trying again", "connected again");
    let mut pause = BACKOFF.0;
    while shared.strong_count() > 0 {
        match connect(&broker).await {
            Ok((connection, notices, live)) => {
                let (gone, Some(shared)) = (Arc::clone(&live.waiters), shared.upgrade()) else { return };
                pause = BACKOFF.0;
                outage.worked();
                *lock(&shared.blocked) = Some(notices);
                *lock(&shared.waiters) = Arc::clone(&live.waiters);
                *lock(&shared.error) = None;
                *shared.live.lock().await = Some(live);
                shared.up.store(true, Ordering::Relaxed);
                shared.tried.notify_waiters();
                drop(shared);
                gone.lost.notified().await;
                drop(connection);
            }
            Err(error) => {
                outage.failed(&error);
                let Some(shared) = shared.upgrade() else { return };
                *lock(&shared.error) = Some(error);
                shared.tried.notify_waiters();
            }
        }
        if let Some(shared) = shared.upgrade() {
            shared.up.store(false, Ordering::Relaxed);
            shared.live.lock().await.take();
            *lock(&shared.blocked) = None;
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(BACKOFF.1);
    }
}

async fn connect(broker: &Broker) -> Result<(Connection, Arc<Notices>, Live), BrokerError> {
    let (connection, notices) = broker.connect().await?;
    let channel = notices.within(connection.open_channel(None)).await?;
    let waiters = Arc::new(Waiters::default());
    let callback = Confirmations { waiters: Arc::clone(&waiters), notices: Arc::clone(&notices) };
    notices.within(channel.register_callback(callback)).await?;
    notices.within(channel.confirm_select(ConfirmSelectArguments::default())).await?;
    Ok((connection, notices, Live { channel: Some(channel), next: 1, waiters, runtime: Handle::current() }))
}

struct Confirmations {
    waiters: Arc<Waiters>,
    notices: Arc<Notices>,
}

/// The driver drops its callback when the channel is gone, however it went.
impl Drop for Confirmations {
    fn drop(&mut self) {
        self.waiters.fail();
    }
}

#[async_trait]
impl ChannelCallback for Confirmations {
    async fn close(&mut self, _: &Channel, close: CloseChannel) -> Result<(), amqprs::error::Error> {
        self.notices.closed(close.reply_code(), close.reply_text());
        self.waiters.fail();
        Ok(())
    }

    async fn cancel(&mut self, _: &Channel, _: Cancel) -> Result<(), amqprs::error::Error> {
        Ok(())
    }

    async fn flow(&mut self, _: &Channel, active: bool) -> Result<bool, amqprs::error::Error> {
        Ok(active)
    }

    async fn publish_ack(&mut self, _: &Channel, ack: Ack) {
        self.waiters.settle(ack.delivery_tag(), ack.mutiple(), Ok(()));
    }

    async fn publish_nack(&mut self, _: &Channel, nack: Nack) {
        self.waiters.settle(nack.delivery_tag(), nack.multiple(), Err(PublishError::Refused));
    }

    async fn publish_return(&mut self, _: &Channel, _: Return, properties: BasicProperties, _: Vec<u8>) {
        if let Some(tag) = properties.message_id().and_then(|id| id.parse().ok()) {
            self.waiters.returned(tag);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
