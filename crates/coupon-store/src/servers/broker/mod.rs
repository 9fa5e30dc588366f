//! RabbitMQ: one durable quorum queue a shard, behind an exchange that routes by the gate's epoch.
//!
//! A quorum queue confirms a message once it is on disk. Queues have no limit that drops: what must not grow without
//! bound is refused before the gate.

mod consumer;
mod message;
mod publisher;
mod server;
#[cfg(any(test, feature = "fuzzing"))]
mod soundness;
mod waiters;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use amqprs::callbacks::{ChannelCallback, ConnectionCallback};
use amqprs::channel::{
    Channel, ExchangeDeclareArguments, ExchangeDeleteArguments, QueueBindArguments, QueueDeclareArguments,
    QueueDeleteArguments, QueueUnbindArguments,
};
use amqprs::connection::{Connection, OpenConnectionArguments};
use amqprs::tls::TlsAdaptor;
use amqprs::{Ack, BasicProperties, Cancel, Close, CloseChannel, FieldTable, FieldValue, Nack, Return};
use async_trait::async_trait;
use coupon_core::ShardId;
use percent_encoding::percent_decode_str;
use url::Url;

pub(super) use consumer::Consuming;
pub use consumer::Delivery;
pub use message::Marker;
pub(super) use message::Message;
pub use publisher::PublishError;
pub(super) use publisher::Publisher;
pub(super) use server::BrokerQueues;
#[cfg(feature = "fuzzing")]
pub(super) use soundness::check;

use super::names::Names;
use super::tls;
use crate::settings::ServerUrl;

/// The longest that RabbitMQ may take to answer anything but a publish.
const PATIENCE: Duration = Duration::from_secs(10);
/// A broker that is silent for twice as long is taken for dead, in seconds.
const HEARTBEAT_S: u16 = 5;
/// The port, if the address has none.
const PORT: u16 = 5672;
const TLS_PORT: u16 = 5671;
/// Since RabbitMQ 4 a quorum queue drops a message that was delivered twenty times, unless it is declared otherwise.
/// A shard that is down for an hour may see more.
const DELIVERIES: i64 = 2_000_000_000;

/// The address of RabbitMQ.
#[derive(Clone)]
pub struct Broker {
    arguments: OpenConnectionArguments,
    host: String,
}

/// RabbitMQ cannot be used.
#[derive(Debug, Clone, thiserror::Error)]
#[error("setting `servers.rabbitmq`: RabbitMQ at {host}: {why}")]
pub struct BrokerError {
    host: String,
    why: String,
}

impl BrokerError {
    /// An error of RabbitMQ at that address, for that reason.
    #[must_use]
    pub fn new(host: &str, why: &str) -> Self {
        Self { host: host.to_owned(), why: why.to_owned() }
    }
}

impl Broker {
    /// The broker that a setting names.
    ///
    /// # Errors
    /// When it is no address of one.
    pub fn new(url: &ServerUrl) -> anyhow::Result<Self> {
        const EXAMPLE: &str = "an address is amqp://user:password@host:5672/%2f";
        let wrong = |why: &str| anyhow::anyhow!("setting `servers.rabbitmq`: {why}; {EXAMPLE}");
        anyhow::ensure!(!url.is_empty(), wrong("it is missing"));
        let parsed = Url::parse(url.expose()).map_err(|error| wrong(&error.to_string()))?;
        let encrypted = match parsed.scheme() {
            "amqp" => false,
            "amqps" => true,
            other => return Err(wrong(&format!("{other:?} is neither amqp nor amqps"))),
        };
        tls::check("servers.rabbitmq", url, encrypted, "amqps:// at its beginning")?;
        let host =
            parsed.host_str().filter(|host| !host.is_empty()).ok_or_else(|| wrong("it has no host"))?;
        let plain = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let (user, password) = match (parsed.username(), parsed.password()) {
            ("", _) => ("guest".to_owned(), "guest".to_owned()),
            (user, password) => (plain(user), plain(password.unwrap_or_default())),
        };
        let (host, port) =
            (host.trim_matches(['[', ']']), parsed.port().unwrap_or(if encrypted { TLS_PORT } else { PORT }));
        let mut arguments = OpenConnectionArguments::new(host, port, &user, &password);
        if encrypted {
            arguments.tls_adaptor(TlsAdaptor::new(tls::connector(url)?, host.to_owned()));
        }
        arguments.heartbeat(HEARTBEAT_S);
        let path = parsed.path().trim_start_matches('/');
        if !path.is_empty() {
            arguments.virtual_host(&plain(path));
        }
        Ok(Self { arguments, host: url.host().to_owned() })
    }

    /// A connection, and what becomes known of it.
    pub(super) async fn connect(&self) -> Result<(Connection, Arc<Notices>), BrokerError> {
        let opened = tokio::time::timeout(PATIENCE, Connection::open(&self.arguments)).await;
        let connection = match opened {
            Ok(opened) => opened.map_err(|error| self.not_opened(&error))?,
            Err(_) => return Err(self.error("it did not answer")),
        };
        let notices = Arc::new(Notices::default());
        connection
            .register_callback(OfConnection(Arc::clone(&notices)))
            .await
            .map_err(|error| self.error(&error.to_string()))?;
        Ok((connection, notices))
    }

    /// A plain connection, for callers that look after queues by other means than ours.
    ///
    /// # Errors
    /// [`BrokerError`] when there is none to be had.
    pub async fn connection(&self) -> Result<Connection, BrokerError> {
        Ok(self.connect().await?.0)
    }

    /// Something to give orders with.
    ///
    /// # Errors
    /// [`BrokerError`] when there is no connection to be had.
    pub async fn admin(&self) -> Result<Admin, BrokerError> {
        let (connection, notices) = self.connect().await?;
        let channel = self.channel(&connection, &notices).await?;
        Ok(Admin { broker: self.clone(), channel, notices, connection })
    }

    async fn channel(&self, connection: &Connection, notices: &Arc<Notices>) -> Result<Channel, BrokerError> {
        let channel = self.within(notices, connection.open_channel(None)).await?;
        channel
            .register_callback(OfChannel(Arc::clone(notices)))
            .await
            .map_err(|error| self.error(&error.to_string()))?;
        Ok(channel)
    }

    async fn within<T>(
        &self,
        notices: &Notices,
        asked: impl Future<Output = Result<T, amqprs::error::Error>>,
    ) -> Result<T, BrokerError> {
        match tokio::time::timeout(PATIENCE, asked).await {
            Ok(Ok(answer)) => Ok(answer),
            // The broker's reason for closing the channel says more than that it is closed.
            Ok(Err(error)) => Err(self.error(&notices.reason().unwrap_or_else(|| error.to_string()))),
            Err(_) => Err(self.error(&notices.reason().unwrap_or_else(|| "it did not answer".to_owned()))),
        }
    }

    /// RabbitMQ says nothing to an unknown client: it hangs up.
    fn not_opened(&self, error: &amqprs::error::Error) -> BrokerError {
        let text = error.to_string();
        let hung_up =
            ["reset by peer", "peer shutdown", "Broken pipe"].iter().any(|sign| text.contains(sign));
        let hint =
            if hung_up { "; it hangs up like this when the user or the password is wrong" } else { "" };
        self.error(&format!("{text}{hint}{}", tls::hint(&text)))
    }

    fn error(&self, why: &str) -> BrokerError {
        let why = if why.contains("ACCESS_REFUSED") || why.contains("invalid credentials") {
            format!("the user or the password is wrong, or has no rights there ({why})")
        } else {
            why.to_owned()
        };
        BrokerError::new(&self.host, &why)
    }
}

impl std::fmt::Debug for Broker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Broker({})", self.host)
    }
}

/// The state of a queue.
#[derive(Debug, Clone, Copy)]
pub struct QueueState {
    /// Messages that wait, not counting those that a consumer has been given.
    pub messages: u64,
    /// The consumers that take messages from it, or wait for their turn.
    pub consumers: u32,
}

/// A connection to give orders with: queues and what is bound to them.
pub struct Admin {
    broker: Broker,
    channel: Channel,
    notices: Arc<Notices>,
    connection: Connection,
}

impl Admin {
    /// True if it can still be used; after an error, RabbitMQ closes the channel.
    pub(super) fn is_open(&self) -> bool {
        self.connection.is_open() && self.channel.is_open()
    }

    /// Makes the exchange and the queues of a data set, unless they are there.
    ///
    /// # Errors
    /// When one is there that was made otherwise.
    pub async fn declare(&self, names: &Names, shards: u16) -> Result<(), BrokerError> {
        let mut exchange = ExchangeDeclareArguments::new(&names.exchange(), "direct");
        exchange.durable(true);
        self.ask(self.channel.exchange_declare(exchange)).await?;
        let queues = (0..shards).map(|shard| (names.queue(ShardId::new(shard)), true));
        for (name, one_consumer) in queues.chain([(names.parking(), false)]) {
            let mut queue = QueueDeclareArguments::durable_client_named(&name);
            queue.arguments(arguments(one_consumer));
            self.ask(self.channel.queue_declare(queue)).await?;
        }
        Ok(())
    }

    /// Removes the exchange and the queues of a data set, and what is in them.
    ///
    /// # Errors
    /// When RabbitMQ cannot be asked.
    pub async fn remove(&self, names: &Names, shards: u16) -> Result<(), BrokerError> {
        self.ask(self.channel.exchange_delete(ExchangeDeleteArguments::new(&names.exchange()))).await?;
        let queues = (0..shards).map(|shard| names.queue(ShardId::new(shard)));
        for name in queues.chain([names.parking()]) {
            self.ask(self.channel.queue_delete(QueueDeleteArguments::new(&name))).await?;
        }
        Ok(())
    }

    /// From now on, results of this epoch reach their queue.
    pub(super) async fn bind(&self, names: &Names, epoch: u64, shard: ShardId) -> Result<(), BrokerError> {
        let (queue, route) = (names.queue(shard), Names::route(epoch, shard));
        self.ask(self.channel.queue_bind(QueueBindArguments::new(&queue, &names.exchange(), &route))).await
    }

    /// From now on, results of this epoch are returned to their publisher.
    pub(super) async fn unbind(&self, names: &Names, epoch: u64, shard: ShardId) -> Result<(), BrokerError> {
        let (queue, route) = (names.queue(shard), Names::route(epoch, shard));
        self.ask(self.channel.queue_unbind(QueueUnbindArguments::new(&queue, &names.exchange(), &route)))
            .await
    }

    /// Asks RabbitMQ for the state of a queue.
    pub(super) async fn queue(&self, queue: &str) -> Result<QueueState, BrokerError> {
        let mut passive = QueueDeclareArguments::durable_client_named(queue);
        passive.passive(true);
        let declared = self.ask(self.channel.queue_declare(passive)).await?;
        let (_, messages, consumers) = declared.unwrap_or_default();
        Ok(QueueState { messages: u64::from(messages), consumers })
    }

    /// Closes the connection in good order.
    pub async fn close(self) {
        let _ = tokio::time::timeout(PATIENCE, async {
            let _ = self.channel.close().await;
            let _ = self.connection.close().await;
        })
        .await;
    }

    async fn ask<T>(
        &self,
        asked: impl Future<Output = Result<T, amqprs::error::Error>>,
    ) -> Result<T, BrokerError> {
        self.broker.within(&self.notices, asked).await
    }
}

/// A quorum queue that drops nothing; a shard's queue feeds one consumer at a time, however many are waiting.
fn arguments(one_consumer: bool) -> FieldTable {
    let mut table = FieldTable::new();
    let mut set = |name: &str, value: FieldValue| {
        if let Ok(name) = name.try_into() {
            table.insert(name, value);
        }
    };
    set("x-queue-type", FieldValue::from("quorum"));
    set("x-delivery-limit", FieldValue::l(DELIVERIES));
    if one_consumer {
        set("x-single-active-consumer", FieldValue::from(true));
    }
    table
}

/// The notices that RabbitMQ sends unasked.
#[derive(Debug, Default)]
pub(super) struct Notices {
    blocked: std::sync::atomic::AtomicBool,
    reason: Mutex<Option<String>>,
}

impl Notices {
    /// True if it takes no messages for now: it is short of memory or disk.
    pub(super) fn is_blocked(&self) -> bool {
        self.blocked.load(std::sync::atomic::Ordering::Relaxed)
    }

    fn block(&self, blocked: bool) {
        self.blocked.store(blocked, std::sync::atomic::Ordering::Relaxed);
    }

    /// The reason for which it closed the connection or a channel.
    fn reason(&self) -> Option<String> {
        self.reason.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    fn closed(&self, code: u16, text: &str) {
        let mut reason = self.reason.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        *reason = Some(format!("{text} ({code})"));
    }
}

struct OfConnection(Arc<Notices>);

#[async_trait]
impl ConnectionCallback for OfConnection {
    async fn close(&mut self, _: &Connection, close: Close) -> Result<(), amqprs::error::Error> {
        self.0.closed(close.reply_code(), close.reply_text());
        Ok(())
    }

    async fn blocked(&mut self, connection: &Connection, reason: String) {
        tracing::warn!(
            connection = connection.connection_name(),
            reason,
            "RabbitMQ takes no messages for now"
        );
        self.0.block(true);
    }

    async fn unblocked(&mut self, connection: &Connection) {
        tracing::info!(connection = connection.connection_name(), "RabbitMQ takes messages again");
        self.0.block(false);
    }

    async fn secret_updated(&mut self, _: &Connection) {}
}

struct OfChannel(Arc<Notices>);

#[async_trait]
impl ChannelCallback for OfChannel {
    async fn close(&mut self, _: &Channel, close: CloseChannel) -> Result<(), amqprs::error::Error> {
        self.0.closed(close.reply_code(), close.reply_text());
        Ok(())
    }

    async fn cancel(&mut self, _: &Channel, _: Cancel) -> Result<(), amqprs::error::Error> {
        Ok(())
    }

    async fn flow(&mut self, _: &Channel, active: bool) -> Result<bool, amqprs::error::Error> {
        Ok(active)
    }

    async fn publish_ack(&mut self, _: &Channel, _: Ack) {}

    async fn publish_nack(&mut self, _: &Channel, _: Nack) {}

    async fn publish_return(&mut self, _: &Channel, _: Return, _: BasicProperties, _: Vec<u8>) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_may_have_a_virtual_host_and_a_quoted_password() {
        let broker = Broker::new(&ServerUrl::new("amqp://shop:se%40cret@[::1]:5673/%2f")).unwrap();
        assert_eq!((broker.arguments.get_host(), broker.arguments.get_port()), ("::1", 5673));
        assert_eq!(broker.arguments.get_virtual_host(), "/");
        assert_eq!(format!("{broker:?}"), "Broker([::1]:5673)");
        let other = Broker::new(&ServerUrl::new("amqp://h/shop")).unwrap();
        assert_eq!((other.arguments.get_port(), other.arguments.get_virtual_host()), (5672, "shop"));
        assert!(other.arguments.get_tls_adaptor().is_none());
        let encrypted = Broker::new(&ServerUrl::new("amqps://h")).unwrap();
        assert_eq!(encrypted.arguments.get_port(), 5671);
        assert!(encrypted.arguments.get_tls_adaptor().is_some());
    }

    #[test]
    fn an_address_that_is_none_names_its_setting() {
        for url in ["", "redis://h", "amqp:", "nowhere"] {
            let error = Broker::new(&ServerUrl::new(url)).unwrap_err().to_string();
            assert!(error.contains("servers.rabbitmq"), "{url}: {error}");
        }
    }
}
