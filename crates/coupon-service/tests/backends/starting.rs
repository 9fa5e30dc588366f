//! Faults that stop the start of a process on servers, and those that do not.

use std::sync::Arc;

use amqprs::channel::QueueDeclareArguments;
use coupon_core::ShardingStrategy as _;
use coupon_servers::cluster::Cluster;
use coupon_store::clock::Clock;
use coupon_store::settings::{ServerUrl, ServersSettings};
use coupon_store::{Backend, Decision};

use crate::bench::{
    Bench, PLENTY, ParityAndDay, channel, cluster, grab, options, run, server_settings, shard_of,
};

fn open(settings: &ServersSettings) -> anyhow::Result<Backend> {
    coupon_servers::open(&options(settings), Arc::new(ParityAndDay), &Clock::system())
}

fn refused(settings: &ServersSettings) -> String {
    format!("{:#}", open(settings).err().unwrap())
}

#[test]
fn what_cannot_be_used_is_named_with_its_setting_and_its_server() {
    let bench = Bench::servers();
    let good = bench.settings();
    let spoilt = |url: &ServerUrl| {
        let (scheme, rest) = url.expose().split_once("://").unwrap();
        let host = rest.rsplit_once('@').unwrap().1;
        ServerUrl::new(format!("{scheme}://coupon:wrong@{host}"))
    };
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let nobody = |scheme: &str| ServerUrl::new(format!("{scheme}://coupon:x@{closed}"));
    for (settings, setting, why) in [
        (ServersSettings { main: spoilt(&good.main), ..good.clone() }, "servers.main", "password is wrong"),
        (
            ServersSettings { redis: vec![spoilt(&good.redis[0])], ..good.clone() },
            "servers.redis",
            "password is wrong",
        ),
        (
            ServersSettings { rabbitmq: vec![spoilt(&good.rabbitmq[0])], ..good.clone() },
            "servers.rabbitmq",
            "password is wrong",
        ),
        (
            ServersSettings { shards: vec![good.shards[0].clone(), spoilt(&good.shards[1])], ..good.clone() },
            "servers.shards[1]",
            "password is wrong",
        ),
        (ServersSettings { main: nobody("mysql"), ..good.clone() }, "servers.main", "refused"),
        (ServersSettings { redis: vec![nobody("redis")], ..good.clone() }, "servers.redis", "refused"),
        (
            ServersSettings {
                redis: vec![ServerUrl::new(format!("redis+sentinel://:x@{closed}/mymaster"))],
                ..good.clone()
            },
            "servers.redis",
            "no sentinel",
        ),
        (
            ServersSettings { redis: vec![nobody("redis+sentinel")], ..good.clone() },
            "servers.redis",
            "name for their redis is missing",
        ),
        (ServersSettings { rabbitmq: vec![nobody("amqp")], ..good.clone() }, "servers.rabbitmq", "refused"),
        (ServersSettings { rabbitmq: Vec::new(), ..good.clone() }, "servers.rabbitmq", "missing"),
        (ServersSettings { main: ServerUrl::new("localhost"), ..good.clone() }, "servers.main", "mysql://"),
        (ServersSettings { shards: Vec::new(), ..good.clone() }, "servers.shards", "missing"),
    ] {
        let error = refused(&settings);
        assert!(error.contains(setting) && error.to_lowercase().contains(why), "{setting}, {why}: {error}");
        assert!(!error.contains("wrong@") && !error.contains(":x@"), "{error}");
    }
}

#[test]
fn a_data_set_of_another_layout_and_a_shard_of_another_data_set_are_refused() {
    let (bench, other) = (Bench::servers(), Bench::servers());
    let (mine, theirs) = (bench.settings(), other.settings());
    run(&bench, async |_| {
        let cluster = Cluster::new(mine, &ParityAndDay).unwrap();
        let error = cluster.open("something else", false).await.unwrap_err().to_string();
        assert!(error.contains("something else") && error.contains(&ParityAndDay.layout()), "{error}");

        let strange = Cluster::new(theirs, &ParityAndDay).unwrap().shards[1].clone();
        let mut mixed = cluster.clone();
        mixed.shards[1] = strange;
        let error = mixed.open(&ParityAndDay.layout(), false).await.unwrap_err().to_string();
        assert!(error.contains("servers.shards[1]") && error.contains("data set"), "{error}");

        cluster.shards[1].remove().await.unwrap();
        let error = cluster.open(&ParityAndDay.layout(), false).await.unwrap_err().to_string();
        assert!(error.contains("servers.shards[1]") && error.contains("it is shard none"), "{error}");
    });
}

#[test]
fn a_queue_that_was_made_otherwise_stops_the_start() {
    run(&Bench::servers(), async |bench| {
        let cluster = cluster(bench);
        let names = cluster.names(&cluster.label().await.unwrap().unwrap().dataset);
        let (connection, channel) = channel(bench).await;
        let plain = QueueDeclareArguments::durable_client_named(&names.queue(shard_of(0)));
        channel.queue_declare(plain).await.unwrap();
        let error = refused(bench.settings());
        assert!(error.contains("servers.rabbitmq") && error.contains("PRECONDITION_FAILED"), "{error}");
        assert!(error.contains(&names.queue(shard_of(0))), "{error}");
        channel.close().await.unwrap();
        connection.close().await.unwrap();
    });
}

#[test]
fn queues_that_were_made_for_fewer_nodes_are_taken_as_they_are() {
    run(&Bench::servers(), async |bench| {
        let settings = bench.settings();
        open(settings).unwrap().lifecycle.close();
        // Of three nodes a queue would be made with a group of three.
        let nodes = vec![settings.rabbitmq[0].clone(); 3];
        let several = ServersSettings { rabbitmq: nodes, ..settings.clone() };
        open(&several).unwrap().lifecycle.close();
        open(settings).unwrap().lifecycle.close();
    });
}

#[test]
fn a_process_whose_clock_is_wrong_does_not_start_and_takes_no_number_from_another() {
    run(&Bench::servers(), async |bench| {
        let healthy = bench.open();
        for (wrong_by, side) in [(3_600_000, "ahead of"), (-3_600_000, "behind")] {
            let clock = bench.clock().another();
            clock.set_wrong_by(wrong_by);
            let options = options(bench.settings());
            let error = coupon_servers::open(&options, Arc::new(ParityAndDay), &clock).unwrap_err();
            let error = format!("{error:#}");
            assert!(error.contains("servers.main") && error.contains(side), "{error}");
            assert!(error.contains("3600.") || error.contains("3599."), "{error}");
        }
        assert_eq!(grab(&healthy, bench, 1, PLENTY).await, Decision::Granted(0));
        healthy.lifecycle.close();
    });
}

#[test]
fn two_processes_that_start_at_once_make_one_data_set() {
    let settings = server_settings(&[]);
    let starting: Vec<_> = (0..2)
        .map(|_| {
            let settings = settings.clone();
            std::thread::spawn(move || open(&settings).unwrap())
        })
        .collect();
    let backends: Vec<Backend> = starting.into_iter().map(|thread| thread.join().unwrap()).collect();
    assert_eq!(backends[0].dataset, backends[1].dataset);
    for backend in backends {
        backend.lifecycle.close();
    }
}
