//! RabbitMQ: one durable quorum queue a shard, behind an exchange that routes by the gate's epoch.
//!
//! A quorum queue confirms a message once it is on disk. Queues have no limit that drops: what must not grow without
//! bound is refused before the gate.

mod consumer;
mod message;
mod node;
mod publisher;
mod server;
#[cfg(any(test, feature = "fuzzing"))]
mod soundness;
mod waiters;

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hasher as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use amqprs::channel::{
    Channel, ExchangeDeclareArguments, ExchangeDeleteArguments, QueueBindArguments, QueueDeclareArguments,
    QueueDeleteArguments, QueueUnbindArguments,
};
use amqprs::connection::Connection;
use amqprs::{FieldTable, FieldValue};
use coupon_core::ShardId;

pub(super) use consumer::Consuming;
pub use consumer::Delivery;
pub use message::Marker;
pub(super) use message::Message;
use node::{Node, Notices};
pub use publisher::PublishError;
pub(super) use publisher::Publisher;
pub(super) use server::BrokerQueues;
#[cfg(feature = "fuzzing")]
pub(super) use soundness::check;

use coupon_store::settings::ServerUrl;

use super::names::Names;

const SETTING: &str = "servers.rabbitmq";
const EXAMPLE: &str = "an address is amqp://user:password@host:5672/%2f";
/// The longest that RabbitMQ may take to answer anything but a publish.
const PATIENCE: Duration = Duration::from_secs(10);
/// The longest that a node may take to let a client in where there is another one to try.
const OPENING: Duration = Duration::from_secs(3);
/// Since RabbitMQ 4 a quorum queue drops a message that was delivered twenty times, unless it is declared otherwise.
/// A shard that is down for an hour may see more.
const DELIVERIES: i64 = 2_000_000_000;

/// RabbitMQ: the nodes that a setting names. A process goes on with another one when its own is gone.
#[derive(Clone)]
pub struct Broker {
    nodes: Arc<[Arc<Node>]>,
    /// The place of the node that is tried first: the one that let a client in last.
    first: Arc<AtomicUsize>,
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

    /// The same, and that of another node.
    fn and(self, Self { host, why }: &Self) -> Self {
        Self { why: format!("{}; at {host}: {why}", self.why), ..self }
    }

    /// The initial group that a queue was made with, 0 if it was made without saying, where RabbitMQ refuses it for that.
    fn other_group(&self) -> Option<i64> {
        let (_, about) = self.why.split_once("inequivalent arg 'x-quorum-initial-group-size'")?;
        let (_, made_with) = about.split_once("but current is ")?;
        if made_with.starts_with("none") {
            return Some(0);
        }
        made_with.strip_prefix("the value '")?.split('\'').next()?.parse().ok()
    }
}

impl Broker {
    /// The broker whose nodes a setting names.
    ///
    /// # Errors
    /// When one is no address of a node; of several, the error says which.
    pub fn new(urls: &[ServerUrl]) -> anyhow::Result<Self> {
        anyhow::ensure!(!urls.is_empty(), "setting `{SETTING}`: it is missing; {EXAMPLE}");
        let node = |(place, url): (usize, &ServerUrl)| {
            let setting = if urls.len() == 1 { SETTING.to_owned() } else { format!("{SETTING}[{place}]") };
            Node::new(&setting, url).map(Arc::new)
        };
        let nodes = urls.iter().enumerate().map(node).collect::<anyhow::Result<Arc<[_]>>>()?;
        // By chance, so that processes spread over the nodes.
        let chance = RandomState::new().build_hasher().finish();
        let first = usize::try_from(chance % nodes.len() as u64).unwrap_or_default();
        Ok(Self { nodes, first: Arc::new(AtomicUsize::new(first)) })
    }

    /// The host of each node, and the connections that this process has to it.
    pub(super) fn connections(&self) -> Vec<(String, u64)> {
        self.nodes.iter().map(|node| (node.host().to_owned(), node.connections())).collect()
    }

    /// The initial group of a queue, 0 to leave it to RabbitMQ. Its own default is three nodes, or all where there are
    /// fewer; a cluster may be set otherwise.
    fn group(&self) -> i64 {
        if self.nodes.len() < 3 { 0 } else { 3 }
    }

    /// A connection to the first node that lets this process in, and what becomes known of it.
    async fn connect(&self) -> Result<(Connection, Arc<Notices>), BrokerError> {
        let several = self.nodes.len() > 1;
        let patience = if several { OPENING } else { PATIENCE };
        let first = self.first.load(Ordering::Relaxed);
        let mut refused: Option<BrokerError> = None;
        for (place, node) in self.nodes.iter().enumerate().cycle().skip(first).take(self.nodes.len()) {
            match node.open(patience).await {
                Ok(connected) => {
                    let before = self.first.swap(place, Ordering::Relaxed);
                    if let Some(error) = refused.filter(|_| before != place) {
                        tracing::warn!(node = node.host(), %error, "another node of RabbitMQ is used from now on");
                    }
                    return Ok(connected);
                }
                Err(error) => {
                    refused = Some(match refused {
                        Some(others) => others.and(&error),
                        None => error,
                    });
                }
            }
        }
        Err(refused.unwrap_or_else(|| BrokerError::new("no node", "it has none")))
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
        let channel = notices.channel(&connection).await?;
        Ok(Admin { broker: self.clone(), channel, notices, connection })
    }
}

impl std::fmt::Debug for Broker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let hosts: Vec<&str> = self.nodes.iter().map(|node| node.host()).collect();
        write!(f, "Broker({})", hosts.join(", "))
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
    /// A queue that is there stays with the group of nodes that it has, whatever group it was made with: an operator adds to it.
    ///
    /// # Errors
    /// When one is there that was made otherwise.
    pub async fn declare(&mut self, names: &Names, shards: u16) -> Result<(), BrokerError> {
        let mut exchange = ExchangeDeclareArguments::new(&names.exchange(), "direct");
        exchange.durable(true);
        self.ask(self.channel.exchange_declare(exchange)).await?;
        let queues = (0..shards).map(|shard| (names.queue(ShardId::new(shard)), true));
        let mut group = self.broker.group();
        for (name, one_consumer) in queues.chain([(names.parking(), false)]) {
            while let Err(error) = self.declare_queue(&name, one_consumer, group).await {
                group = error.other_group().filter(|other| *other != group).ok_or(error)?;
                // RabbitMQ has closed the channel.
                *self = self.broker.admin().await?;
            }
        }
        Ok(())
    }

    async fn declare_queue(&self, name: &str, one_consumer: bool, group: i64) -> Result<(), BrokerError> {
        let mut queue = QueueDeclareArguments::durable_client_named(name);
        queue.arguments(arguments(one_consumer, group));
        self.ask(self.channel.queue_declare(queue)).await.map(drop)
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
        self.notices.within(asked).await
    }
}

/// A quorum queue that drops nothing; a shard's queue feeds one consumer at a time, however many are waiting.
fn arguments(one_consumer: bool, group: i64) -> FieldTable {
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
    if group > 0 {
        set("x-quorum-initial-group-size", FieldValue::l(group));
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broker(urls: &[&str]) -> anyhow::Result<Broker> {
        Broker::new(&urls.iter().copied().map(ServerUrl::new).collect::<Vec<_>>())
    }

    #[test]
    fn an_address_that_is_none_names_its_setting_and_of_several_its_place() {
        assert!(broker(&[]).unwrap_err().to_string().contains("`servers.rabbitmq`: it is missing"));
        for url in ["", "redis://h", "amqp:", "nowhere"] {
            let error = broker(&[url]).unwrap_err().to_string();
            assert!(error.contains("`servers.rabbitmq`"), "{url}: {error}");
            let error = broker(&["amqp://u:s3cret@h", url]).unwrap_err().to_string();
            assert!(error.contains("`servers.rabbitmq[1]`") && !error.contains("s3cret"), "{url}: {error}");
        }
    }

    #[test]
    fn a_broker_is_shown_without_its_password() {
        let broker = broker(&["amqp://u:s3cret@[::1]:5673/%2f", "amqp://u:s3cret@h"]).unwrap();
        assert_eq!(format!("{broker:?}"), "Broker([::1]:5673, h)");
        assert_eq!(broker.connections(), [("[::1]:5673".to_owned(), 0), ("h".to_owned(), 0)]);
    }

    #[test]
    fn processes_spread_over_the_nodes() {
        let first = || broker(&["amqp://a", "amqp://b"]).unwrap().first.load(Ordering::Relaxed);
        let firsts: std::collections::BTreeSet<usize> = (0..100).map(|_| first()).collect();
        assert_eq!(firsts.into_iter().collect::<Vec<_>>(), [0, 1]);
    }

    #[tokio::test]
    async fn nodes_that_let_no_client_in_are_all_named() {
        let closed = || std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let (one, other) = (closed(), closed());
        let broker =
            broker(&[&format!("amqp://u:s3cret@{one}"), &format!("amqp://u:s3cret@{other}")]).unwrap();
        let error = broker.connection().await.map(drop).unwrap_err().to_string();
        assert!(error.contains(&one.to_string()) && error.contains(&other.to_string()), "{error}");
        assert!(!error.contains("s3cret"), "{error}");
    }

    #[test]
    fn a_queue_of_another_group_is_told_from_one_that_was_made_otherwise() {
        let refused = |why: &str| {
            let why = format!("PRECONDITION_FAILED - inequivalent arg '{why} (406)");
            BrokerError::new("h", &why).other_group()
        };
        let of_group = |current: &str| {
            refused(&format!(
                "x-quorum-initial-group-size' for queue 'q' in vhost '/': received the value '3' of type 'long' but \
                 current is {current}"
            ))
        };
        assert_eq!(of_group("none"), Some(0));
        assert_eq!(of_group("the value '5' of type 'signedint'"), Some(5));
        assert_eq!(refused("x-queue-type' for queue 'q': received none but current is none"), None);
    }
}
