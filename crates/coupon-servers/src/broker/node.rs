//! One node of RabbitMQ: its address, connections to it, and what it says unasked.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use amqprs::callbacks::{ChannelCallback, ConnectionCallback};
use amqprs::channel::Channel;
use amqprs::connection::{Connection, OpenConnectionArguments};
use amqprs::tls::TlsAdaptor;
use amqprs::{Ack, BasicProperties, Cancel, Close, CloseChannel, Nack, Return};
use async_trait::async_trait;
use coupon_store::settings::ServerUrl;
use percent_encoding::percent_decode_str;
use url::Url;

use super::{BrokerError, EXAMPLE, PATIENCE};
use crate::tls;

/// A broker that is silent for twice as long is taken for dead, in seconds.
const HEARTBEAT_S: u16 = 5;
/// The port, if the address has none.
const PORT: u16 = 5672;
const TLS_PORT: u16 = 5671;

/// The address of a node, and the number of this process's connections to it.
pub(super) struct Node {
    arguments: OpenConnectionArguments,
    host: String,
    connections: AtomicU64,
}

impl Node {
    /// The node that a setting names.
    pub(super) fn new(setting: &str, url: &ServerUrl) -> anyhow::Result<Self> {
        let wrong = |why: &str| anyhow::anyhow!("setting `{setting}`: {why}; {EXAMPLE}");
        anyhow::ensure!(!url.is_empty(), wrong("it is missing"));
        let parsed = Url::parse(url.expose()).map_err(|error| wrong(&error.to_string()))?;
        let encrypted = match parsed.scheme() {
            "amqp" => false,
            "amqps" => true,
            other => return Err(wrong(&format!("{other:?} is neither amqp nor amqps"))),
        };
        tls::check(setting, url, encrypted, "amqps:// at its beginning")?;
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
        Ok(Self { arguments, host: url.host().to_owned(), connections: AtomicU64::new(0) })
    }

    /// Host and port, as they were set.
    pub(super) fn host(&self) -> &str {
        &self.host
    }

    /// The connections that this process has to it.
    pub(super) fn connections(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }

    /// A connection to it, and what becomes known of that.
    pub(super) async fn open(
        self: &Arc<Self>,
        patience: Duration,
    ) -> Result<(Connection, Arc<Notices>), BrokerError> {
        let opened = tokio::time::timeout(patience, Connection::open(&self.arguments)).await;
        let connection = match opened {
            Ok(opened) => opened.map_err(|error| self.not_opened(&error))?,
            Err(_) => return Err(self.error("it did not answer")),
        };
        let notices = Arc::new(Notices::of(self));
        connection
            .register_callback(OfConnection(Arc::clone(&notices)))
            .await
            .map_err(|error| self.error(&error.to_string()))?;
        Ok((connection, notices))
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

/// The notices that a node sends unasked on a connection. The connection counts as one for as long as there are any of it.
pub(super) struct Notices {
    node: Arc<Node>,
    blocked: AtomicBool,
    reason: Mutex<Option<String>>,
}

impl Drop for Notices {
    fn drop(&mut self) {
        self.node.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Notices {
    fn of(node: &Arc<Node>) -> Self {
        node.connections.fetch_add(1, Ordering::Relaxed);
        Self { node: Arc::clone(node), blocked: AtomicBool::new(false), reason: Mutex::default() }
    }

    /// Waits for an answer of the node, as long as it may take.
    pub(super) async fn within<T>(
        &self,
        asked: impl Future<Output = Result<T, amqprs::error::Error>>,
    ) -> Result<T, BrokerError> {
        match tokio::time::timeout(PATIENCE, asked).await {
            Ok(Ok(answer)) => Ok(answer),
            // The broker's reason for closing the channel says more than that it is closed.
            Ok(Err(error)) => Err(self.node.error(&self.reason().unwrap_or_else(|| error.to_string()))),
            Err(_) => Err(self.node.error(&self.reason().unwrap_or_else(|| "it did not answer".to_owned()))),
        }
    }

    /// A channel on the connection that these notices are of.
    pub(super) async fn channel(self: &Arc<Self>, connection: &Connection) -> Result<Channel, BrokerError> {
        let channel = self.within(connection.open_channel(None)).await?;
        channel
            .register_callback(OfChannel(Arc::clone(self)))
            .await
            .map_err(|error| self.node.error(&error.to_string()))?;
        Ok(channel)
    }

    /// True if it takes no messages for now: it is short of memory or disk.
    pub(super) fn is_blocked(&self) -> bool {
        self.blocked.load(Ordering::Relaxed)
    }

    fn block(&self, blocked: bool) {
        self.blocked.store(blocked, Ordering::Relaxed);
    }

    /// The reason for which it closed the connection or a channel.
    fn reason(&self) -> Option<String> {
        self.reason.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes note of it.
    pub(super) fn closed(&self, code: u16, text: &str) {
        let mut reason = self.reason.lock().unwrap_or_else(PoisonError::into_inner);
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

    fn node(url: &str) -> Node {
        Node::new("servers.rabbitmq", &ServerUrl::new(url)).unwrap()
    }

    #[test]
    fn an_address_may_have_a_virtual_host_and_a_quoted_password() {
        let arguments = node("amqp://shop:se%40cret@[::1]:5673/%2f").arguments;
        assert_eq!((arguments.get_host(), arguments.get_port()), ("::1", 5673));
        assert_eq!(arguments.get_virtual_host(), "/");
        let other = node("amqp://h/shop").arguments;
        assert_eq!((other.get_port(), other.get_virtual_host()), (5672, "shop"));
        assert!(other.get_tls_adaptor().is_none());
        let encrypted = node("amqps://h").arguments;
        assert_eq!(encrypted.get_port(), 5671);
        assert!(encrypted.get_tls_adaptor().is_some());
    }

    #[test]
    fn a_connection_counts_for_as_long_as_something_may_be_noticed_of_it() {
        let node = Arc::new(node("amqp://h"));
        let notices = Arc::new(Notices::of(&node));
        let held = Arc::clone(&notices);
        drop(notices);
        assert_eq!(node.connections(), 1);
        drop(held);
        assert_eq!(node.connections(), 0);
    }
}
