//! The servers of the suite, processes on them, and damage that a server may do.

use std::num::NonZeroU16;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, LazyLock};

use amqprs::BasicProperties;
use amqprs::channel::{BasicPublishArguments, Channel, QueueDeclareArguments};
use amqprs::connection::Connection;
use coupon_audit::Differences;
use coupon_servers::broker::Broker;
use coupon_servers::cluster::Cluster;
use coupon_servers::gate::RedisServer;
use coupon_servers::names::Names;
use coupon_stack::{Stack, Topology};
use coupon_store::Backend;
use coupon_store::settings::{NoSettings, Role, ServersSettings, Sources, UnknownUsers};
use deadpool_redis::redis;

use super::{Bench, ParityAndDay, SCARCE, attempt, coupon_id, placed, shard_of, until};

static STACK: LazyLock<Stack> = LazyLock::new(|| {
    let shards = NonZeroU16::new(2).unwrap();
    Stack::start(&Topology { shards, ..Topology::default() }.into()).unwrap()
});

/// The servers of the suite.
pub(crate) fn stack() -> &'static Stack {
    &STACK
}

/// Settings that lead to the suite's servers, under a namespace for this test alone.
pub(crate) fn server_settings(flags: &[&str]) -> ServersSettings {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let mut all = flags_of(&format!("t{}", NUMBER.fetch_add(1, Ordering::Relaxed)));
    all.extend(flags.iter().map(|flag| (*flag).to_owned()));
    let service_defaults = "listen = \"127.0.0.1:0\"".to_owned();
    let sources = Sources { flags: all, service_defaults, ..Sources::default() };
    sources.read::<NoSettings>("own").unwrap().0.servers
}

/// The flags that lead to a namespace on the suite's servers.
pub(super) fn flags_of(namespace: &str) -> Vec<String> {
    let mut flags = stack().addresses().settings();
    flags.extend([
        format!("servers.namespace={namespace}"),
        "servers.reconcile_ms=300".to_owned(),
        "servers.publish_timeout_ms=1000".to_owned(),
    ]);
    flags
}

/// The options of a process on these servers.
pub(crate) fn options(settings: &ServersSettings) -> coupon_servers::Options {
    coupon_servers::Options {
        servers: settings.clone(),
        workers: 1,
        shards_prepared: NonZeroU16::MIN,
        room_index: false,
        shard_backlog: 1_000,
        unknown_users: UnknownUsers::Refuse,
    }
}

/// Opens the data set of a bench as a process with these options would.
pub(crate) fn open_process(bench: &Bench, options: &coupon_servers::Options) -> anyhow::Result<Backend> {
    coupon_servers::open(options, Arc::new(ParityAndDay), bench.clock())
}

/// A process of the bench that has a part in it.
pub(crate) fn process(bench: &Bench, role: Role) -> Backend {
    let settings = ServersSettings { role, ..bench.settings().clone() };
    open_process(bench, &options(&settings)).unwrap()
}

pub(crate) fn cluster(bench: &Bench) -> Cluster {
    Cluster::new(bench.settings(), &ParityAndDay).unwrap()
}

pub(crate) fn names(bench: &Bench, backend: &Backend) -> Names {
    cluster(bench).names(&backend.dataset)
}

pub(crate) async fn redis_of(bench: &Bench) -> deadpool_redis::Connection {
    RedisServer::new(bench.settings().redis.first().unwrap()).unwrap().connect().await.unwrap()
}

pub(crate) async fn unlink(bench: &Bench, key: String) {
    let gone: u32 = redis::cmd("UNLINK").arg(&key).query_async(&mut redis_of(bench).await).await.unwrap();
    assert_eq!(gone, 1, "{key}");
}

/// Makes the gate forget a coupon.
pub(crate) async fn forget(bench: &Bench, backend: &Backend, epoch: u64, coupon: u64) {
    unlink(bench, names(bench, backend).holders(epoch, coupon_id(coupon))).await;
}

pub(crate) async fn epoch_of(backend: &Backend) -> u64 {
    backend.gate.reserve(1, &[]).await.unwrap().epoch
}

pub(crate) async fn filled_after(backend: &Backend, epoch: u64) -> u64 {
    let open = async || backend.gate.reserve(1, &[]).await.map_or(0, |decided| decided.epoch);
    until("the gate is filled anew", async || open().await > epoch).await;
    open().await
}

/// A connection to the queues of a bench, and a channel on it.
pub(crate) async fn channel(bench: &Bench) -> (Connection, Channel) {
    let connection = Broker::new(&bench.settings().rabbitmq).unwrap().connection().await.unwrap();
    let channel = connection.open_channel(None).await.unwrap();
    (connection, channel)
}

/// Leaves a result in its queue as a publisher whose message was held up would.
pub(crate) async fn publish_late(bench: &Bench, backend: &Backend, epoch: u64, user: u64) {
    let late = attempt(backend, bench, user, SCARCE);
    let body = format!(
        r#"{{"dataset":"{}","epoch":{epoch},"sent":1,"rows":{{"{}":[[{},{user},{SCARCE},1]]}}}}"#,
        backend.dataset,
        placed(user, SCARCE, 1, late.id).placement.table,
        late.id,
    );
    let queue = names(bench, backend).queue(shard_of(user));
    let (connection, channel) = channel(bench).await;
    let to = BasicPublishArguments::new("", &queue);
    channel.basic_publish(BasicProperties::default(), body.into_bytes(), to).await.unwrap();
    // Whatever it answers to later on this channel, it has taken the message before.
    let mut declared = QueueDeclareArguments::durable_client_named(&queue);
    channel.queue_declare(declared.passive(true).finish()).await.unwrap();
    channel.close().await.unwrap();
    connection.close().await.unwrap();
}

/// The differences between the gate and the shards, as the auditor finds them beside services that run.
pub(crate) fn verified(bench: &Bench) -> Differences {
    // It has a runtime of its own, which a thread of another cannot enter.
    let verify = || coupon_seeding::verify_servers(bench.settings(), None, bench.clock().now()).unwrap();
    std::thread::scope(|scope| scope.spawn(verify).join().unwrap())
}
