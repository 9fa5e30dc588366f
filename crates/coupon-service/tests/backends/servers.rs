//! Laws that hold where several processes share the servers.

use std::sync::Arc;

use amqprs::BasicProperties;
use amqprs::channel::{BasicPublishArguments, QueueDeclareArguments, QueueDeleteArguments};
use coupon_core::ShardingStrategy as _;
use coupon_store::clock::Clock;
use coupon_store::servers::broker::Broker;
use coupon_store::servers::cluster::Cluster;
use coupon_store::servers::gate::RedisServer;
use coupon_store::servers::names::Namespace;
use coupon_store::settings::UnknownUsers;
use coupon_store::settings::{Role, ServerUrl, ServersSettings};
use coupon_store::{Backend, Decided, Decision, Visit, servers};
use mysql_async::prelude::Queryable as _;

use crate::bench::{
    Bench, PLENTY, ParityAndDay, SCARCE, attempt, coupon_id, decide, eventually, grab, held_by, placed, run,
    server_settings, shard_of, until, verified,
};

fn open(settings: &ServersSettings) -> anyhow::Result<Backend> {
    let options = servers::Options {
        servers: settings.clone(),
        workers: 1,
        shards_prepared: std::num::NonZeroU16::MIN,
        room_index: false,
        shard_backlog: 1_000,
        unknown_users: UnknownUsers::Refuse,
    };
    servers::open(&options, Arc::new(ParityAndDay), &Clock::system())
}

fn refused(settings: &ServersSettings) -> String {
    format!("{:#}", open(settings).err().unwrap())
}

#[test]
fn two_processes_share_one_stock_and_make_no_id_twice() {
    run(&Bench::servers(), async |bench| {
        let (one, other) = (bench.open(), bench.open());
        assert_eq!(grab(&one, bench, 1, SCARCE).await, Decision::Granted(0));
        assert!(matches!(
            grab(&other, bench, 1, SCARCE).await,
            Decision::Pending(_) | Decision::Duplicate(_)
        ));
        assert_eq!(grab(&other, bench, 2, SCARCE).await, Decision::Granted(0));
        assert_eq!(grab(&one, bench, 3, SCARCE).await, Decision::OutOfStock);
        let workers = [&one, &other].map(|backend| attempt(backend, bench, 1, PLENTY).id.worker());
        assert_ne!(workers[0], workers[1]);
        // What one process took in, another drains, whichever of them stores it.
        other.lifecycle.drain().await.unwrap();
        assert_eq!(held_by(&one, 1).await.len() + held_by(&one, 2).await.len(), 4);
        // One stops; the other goes on.
        one.lifecycle.close();
        drop(one);
        assert_eq!(grab(&other, bench, 4, PLENTY).await, Decision::Granted(0));
        other.lifecycle.drain().await.unwrap();
        assert_eq!(held_by(&other, 4).await.len(), 2);
        other.lifecycle.close();
    });
}

#[test]
fn a_process_that_only_takes_grabs_needs_one_that_stores_them() {
    let bench = Bench::servers();
    let settings = bench.settings();
    run(&bench, async |bench| {
        let role = |role| {
            let settings = ServersSettings { role, ..settings.clone() };
            let options = servers::Options {
                servers: settings,
                workers: 1,
                shards_prepared: std::num::NonZeroU16::MIN,
                room_index: false,
                shard_backlog: 1_000,
                unknown_users: UnknownUsers::Refuse,
            };
            servers::open(&options, Arc::new(ParityAndDay), bench.clock()).unwrap()
        };
        // The first process fills the gate; that takes a consumer.
        let consumer = role(coupon_store::settings::Role::Consumer);
        let api = role(coupon_store::settings::Role::Api);
        assert!(consumer.hand_over.refusal(shard_of(1)).unwrap().why.contains("consumer"));
        assert_eq!(consumer.hand_over.ready(), Ok(()), "it is ready for what it does");
        assert_eq!(api.hand_over.refusal(shard_of(1)), None);
        assert_eq!(grab(&api, bench, 1, PLENTY).await, Decision::Granted(0));
        api.lifecycle.drain().await.unwrap();
        assert_eq!(held_by(&api, 1).await.len(), 2);
        // Without one, results wait in their queue, and a drain says that they do.
        consumer.lifecycle.close();
        drop(consumer);
        assert_eq!(grab(&api, bench, 2, PLENTY).await, Decision::Granted(0));
        assert_eq!(held_by(&api, 2).await.len(), 1);
        let consumer = role(coupon_store::settings::Role::Consumer);
        api.lifecycle.drain().await.unwrap();
        assert_eq!(held_by(&api, 2).await.len(), 2);
        api.lifecycle.close();
        consumer.lifecycle.close();
    });
}

#[test]
fn a_queue_that_was_deleted_is_made_again_though_nobody_grabs() {
    run(&Bench::servers(), async |bench| {
        let backend = bench.open();
        let namespace = Namespace::new(&bench.settings().namespace, "").unwrap();
        let queue = namespace.dataset(&backend.dataset).queue(shard_of(1));
        let connection = Broker::new(&bench.settings().rabbitmq).unwrap().connection().await.unwrap();
        let channel = connection.open_channel(None).await.unwrap();
        channel.queue_delete(QueueDeleteArguments::new(&queue)).await.unwrap();
        connection.close().await.unwrap();
        eventually("what is sent to the shard goes through again", async || backend.lifecycle.drain().await)
            .await;
        assert_eq!(grab(&backend, bench, 1, PLENTY).await, Decision::Granted(0));
        backend.lifecycle.close();
    });
}

#[test]
fn a_queue_that_was_deleted_is_made_again_and_gets_back_what_was_in_it() {
    run(&Bench::servers(), async |bench| {
        let role = |role| {
            let settings = ServersSettings { role, ..bench.settings().clone() };
            let options = servers::Options {
                servers: settings,
                workers: 1,
                shards_prepared: std::num::NonZeroU16::MIN,
                room_index: false,
                shard_backlog: 1_000,
                unknown_users: UnknownUsers::Refuse,
            };
            servers::open(&options, Arc::new(ParityAndDay), bench.clock()).unwrap()
        };
        let consumer = role(Role::Consumer);
        let api = role(Role::Api);
        // Without a consumer, an acknowledged result lies in its queue alone.
        consumer.lifecycle.close();
        drop(consumer);
        let first = attempt(&api, bench, 1, PLENTY);
        assert_eq!(decide(&api, &[first]).await, [Decision::Granted(0)]);
        let epoch = api.gate.reserve(1, &[]).await.unwrap().epoch;
        let row = vec![placed(1, PLENTY, 1, first.id)];
        api.hand_over.hand_over(shard_of(1), epoch, row).await.unwrap();
        let namespace = Namespace::new(&bench.settings().namespace, "").unwrap();
        let queue = namespace.dataset(&api.dataset).queue(shard_of(1));
        let connection = Broker::new(&bench.settings().rabbitmq).unwrap().connection().await.unwrap();
        let channel = connection.open_channel(None).await.unwrap();
        channel.queue_delete(QueueDeleteArguments::new(&queue)).await.unwrap();
        connection.close().await.unwrap();

        let consumer = role(Role::Consumer);
        // A process that finds no queue says so; soon there is one again, in the same life of the gate.
        eventually("there is a queue again", async || {
            let other = attempt(&api, bench, 3, PLENTY);
            let decided = api.gate.reserve(1, &[other]).await.unwrap();
            assert_eq!(decided.epoch, epoch);
            let id = match decided.decisions[0] {
                Decision::Granted(0) => other.id,
                Decision::Pending(reserved) => reserved.id,
                decision => panic!("{decision:?}"),
            };
            api.hand_over.hand_over(shard_of(3), epoch, vec![placed(3, PLENTY, 1, id)]).await
        })
        .await;
        // What went with the queue is found by its pending mark, once it is older than any hand-over may take.
        bench.clock().set(first.id.time().plus_millis(60_000));
        until("it is handed over again", async || held_by(&api, 1).await.len() == 2).await;
        consumer.lifecycle.drain().await.unwrap();
        assert_eq!(held_by(&api, 1).await.iter().filter(|held| held.result_id == first.id).count(), 1);
        api.lifecycle.close();
        consumer.lifecycle.close();
    });
}

#[test]
fn a_stored_result_that_the_gate_does_not_know_is_told_to_it_and_verified_first() {
    let bench = Bench::servers();
    run(&bench, async |bench| {
        let backend = bench.open();
        assert_eq!(grab(&backend, bench, 1, SCARCE).await, Decision::Granted(0));
        backend.lifecycle.drain().await.unwrap();
        let epoch = backend.gate.reserve(1, &[]).await.unwrap().epoch;
        let namespace = Namespace::new(&bench.settings().namespace, "").unwrap();
        let key = namespace.dataset(&backend.dataset).holders(epoch, coupon_id(SCARCE));
        backend.lifecycle.close();
        drop(backend);
        let redis = RedisServer::new(&bench.settings().redis).unwrap();
        let mut redis = redis.connect().await.unwrap();
        let mut forget = deadpool_redis::redis::cmd("HDEL");
        let forgotten: u32 = forget.arg(key).arg(1).query_async(&mut redis).await.unwrap();
        assert_eq!(forgotten, 1);

        let found = verified(bench);
        assert_eq!(found.count(), 1, "{found}");
        assert!(found.to_string().contains("stored, and not held in the gate: 1"), "{found}");
        let backend = bench.open();
        until("the gate knows the row", async || backend.own_metrics.repairs().restored > 0).await;
        assert_eq!(verified(bench).count(), 0);
        let again = attempt(&backend, bench, 1, SCARCE);
        assert!(matches!(decide(&backend, &[again]).await[0], Decision::Duplicate(_)));
        backend.lifecycle.close();
    });
}

#[test]
fn a_reservation_that_never_reached_its_queue_is_found_and_stored() {
    run(&Bench::servers(), async |bench| {
        let backend = bench.open();
        let lost = attempt(&backend, bench, 1, PLENTY);
        assert_eq!(decide(&backend, &[lost]).await, [Decision::Granted(0)]);
        // Younger ones are left alone; this one grows older than any hand-over may take.
        bench.clock().set(lost.id.time().plus_millis(60_000));
        for _ in 0..200 {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            if held_by(&backend, 1).await.len() == 2 {
                break;
            }
        }
        let found = backend.shards.find(shard_of(1), Visit::All, lost.id).await.unwrap().value;
        assert_eq!(found.map(|(_, result)| result), Some(placed(1, PLENTY, 1, lost.id).result));
        backend.lifecycle.drain().await.unwrap();
        assert_eq!(decide(&backend, &[lost]).await, [Decision::Granted(0)], "its own id is its own");
        let again = attempt(&backend, bench, 1, PLENTY);
        assert_eq!(decide(&backend, &[again]).await, [Decision::Duplicate(lost.id)]);
        backend.lifecycle.close();
    });
}

#[test]
fn a_gate_that_lost_a_coupon_is_filled_anew_and_its_old_epoch_takes_nothing_any_more() {
    run(&Bench::servers(), async |bench| {
        let backend = bench.open();
        let first = attempt(&backend, bench, 1, SCARCE);
        let before = backend.gate.reserve(1, &[first]).await.unwrap();
        let row = placed(1, SCARCE, 1, first.id);
        backend.hand_over.hand_over(shard_of(1), before.epoch, vec![row]).await.unwrap();
        // Granted and not handed over when the memory goes: in the end it was never granted.
        let late = attempt(&backend, bench, 2, SCARCE);
        assert_eq!(decide(&backend, &[late]).await, [Decision::Granted(0)]);
        forget(bench.settings(), before.epoch, SCARCE).await;

        assert_eq!(decide(&backend, &[attempt(&backend, bench, 3, SCARCE)]).await, [Decision::NotLoaded]);
        let after = decided_after(&backend, bench, before.epoch, 4).await;
        assert_eq!(after.decisions, [Decision::Granted(0)], "one of two is stored, and one is left");
        let again = attempt(&backend, bench, 1, SCARCE);
        assert_eq!(decide(&backend, &[again]).await, [Decision::Duplicate(first.id)]);
        let row = placed(2, SCARCE, 1, late.id);
        let refused = backend.hand_over.hand_over(shard_of(2), before.epoch, vec![row]).await.unwrap_err();
        assert!(refused.why.contains("epoch"), "{refused}");
        backend.lifecycle.close();
    });
}

#[test]
fn what_was_sold_is_filled_into_the_gate_whatever_main_says_of_its_window_now() {
    run(&Bench::servers(), async |bench| {
        let backend = bench.open();
        for user in [1, 2] {
            assert_eq!(grab(&backend, bench, user, SCARCE).await, Decision::Granted(0));
        }
        backend.lifecycle.drain().await.unwrap();
        bench.edit_main("UPDATE coupons SET start_time = end_time - 1 WHERE end_time > 0").await;
        let epoch = backend.gate.reserve(1, &[]).await.unwrap().epoch;
        forget(bench.settings(), epoch, SCARCE).await;
        decided_after(&backend, bench, epoch, 3).await;
        let stock = backend.gate.stock(coupon_id(SCARCE)).await.unwrap().unwrap();
        assert_eq!((stock.total, stock.sold), (2, 2));
        backend.lifecycle.close();
    });
}

/// The gate's decision on a scarce coupon, once it has been filled anew after that epoch.
async fn decided_after(backend: &Backend, bench: &Bench, epoch: u64, user: u64) -> Decided {
    eventually("the gate is filled anew", async || {
        match backend.gate.reserve(1, &[attempt(backend, bench, user, SCARCE)]).await {
            Ok(decided) if decided.epoch > epoch => Ok(decided),
            other => Err(other),
        }
    })
    .await
}

/// Takes a coupon out of Redis.
async fn forget(settings: &ServersSettings, epoch: u64, coupon: u64) {
    let cluster = Cluster::new(settings, &ParityAndDay).unwrap();
    let dataset = cluster.label().await.unwrap().unwrap().dataset;
    let key = cluster.names(&dataset).holders(epoch, coupon_id(coupon));
    let mut redis = servers::gate::RedisServer::new(&settings.redis).unwrap().connect().await.unwrap();
    let removed: i64 = deadpool_redis::redis::cmd("DEL").arg(key).query_async(&mut redis).await.unwrap();
    assert_eq!(removed, 1);
}

#[test]
fn a_coupon_withdrawn_in_main_shuts_itself_and_not_the_gate() {
    run(&Bench::servers(), async |bench| {
        let backend = bench.open();
        let main = Cluster::new(bench.settings(), &ParityAndDay).unwrap().main;
        let mut conn = main.connect_alone().await.unwrap();
        conn.exec_drop("UPDATE coupons SET status = 0 WHERE coupon_id = ?", (SCARCE,)).await.unwrap();
        // Until it is a change of its own, processes go by what they knew, and bring a gate that was just filled to that.
        until("the process goes by it", async || backend.catalogue.version() == 1).await;
        let before = backend.gate.reserve(1, &[]).await.unwrap().epoch;
        forget(bench.settings(), before, PLENTY).await;
        assert_eq!(decide(&backend, &[attempt(&backend, bench, 1, PLENTY)]).await, [Decision::NotLoaded]);
        let after = decided_after(&backend, bench, before, 1).await;
        assert_eq!(after.decisions, [Decision::InvalidTime]);
        // Asking for it casts no doubt on the gate.
        tokio::time::sleep(std::time::Duration::from_millis(1_500)).await;
        assert_eq!(grab(&backend, bench, 2, PLENTY).await, Decision::Granted(0));
        assert_eq!(backend.gate.reserve(1, &[]).await.unwrap().epoch, after.epoch);
        backend.lifecycle.close();
    });
}

#[test]
fn a_result_that_comes_after_its_epoch_is_parked_and_holds_its_stock() {
    run(&Bench::servers(), async |bench| {
        let backend = bench.open();
        let before = backend.gate.reserve(1, &[]).await.unwrap().epoch;
        forget(bench.settings(), before, SCARCE).await;
        let late = attempt(&backend, bench, 1, SCARCE);
        until("the gate is filled anew", async || {
            let filled = backend.gate.reserve(1, &[]).await.is_ok_and(|decided| decided.epoch > before);
            if !filled {
                let _ = backend.gate.reserve(1, &[late]).await;
            }
            filled
        })
        .await;
        // As a publisher whose message was held up would leave it.
        let names = Cluster::new(bench.settings(), &ParityAndDay).unwrap().names(&backend.dataset);
        let late = attempt(&backend, bench, 3, SCARCE);
        let body = format!(
            r#"{{"dataset":"{}","epoch":{before},"sent":1,"rows":{{"{}":[[{},3,{SCARCE},1]]}}}}"#,
            backend.dataset,
            placed(3, SCARCE, 1, late.id).placement.table,
            late.id,
        );
        let connection = Broker::new(&bench.settings().rabbitmq).unwrap().connection().await.unwrap();
        let channel = connection.open_channel(None).await.unwrap();
        let to = BasicPublishArguments::new("", &names.queue(shard_of(3)));
        channel.basic_publish(BasicProperties::default(), body.into_bytes(), to).await.unwrap();
        // Whatever it answers to later on this channel, it has taken the message before.
        let mut queue = QueueDeclareArguments::durable_client_named(&names.queue(shard_of(3)));
        channel.queue_declare(queue.passive(true).finish()).await.unwrap();
        backend.lifecycle.drain().await.unwrap();
        assert_eq!(backend.shards.report(shard_of(3)).await.unwrap().parked, 1);
        assert_eq!(held_by(&backend, 3).await.len(), 1);
        until("it holds its stock", async || {
            backend.gate.stock(coupon_id(SCARCE)).await.unwrap().unwrap().sold > 0
        })
        .await;
        assert_eq!(decide(&backend, &[attempt(&backend, bench, 3, SCARCE)]).await, [Decision::Parked]);
        channel.close().await.unwrap();
        connection.close().await.unwrap();
        backend.lifecycle.close();
    });
}

#[test]
fn a_server_lets_go_of_the_locks_of_a_process_that_is_frozen() {
    run(&Bench::servers(), async |bench| {
        let shard = Cluster::new(bench.settings(), &ParityAndDay).unwrap().shards.remove(0);
        let mut conn = shard.connect().await.unwrap();
        let silent: Option<u64> = conn.query_first("SELECT @@SESSION.wait_timeout").await.unwrap();
        assert!(silent.unwrap() <= 60, "{silent:?} s");
    });
}

#[test]
fn a_message_that_is_none_of_ours_is_parked_and_holds_nobody_up() {
    run(&Bench::servers(), async |bench| {
        let backend = bench.open();
        let settings = bench.settings();
        let cluster = Cluster::new(settings, &ParityAndDay).unwrap();
        let names = cluster.names(&backend.dataset);
        let connection = Broker::new(&settings.rabbitmq).unwrap().connection().await.unwrap();
        let channel = connection.open_channel(None).await.unwrap();
        for poison in ["not ours", "", r#"{"dataset":"another","epoch":1,"sent":0}"#] {
            let to = BasicPublishArguments::new("", &names.queue(shard_of(1)));
            channel.basic_publish(BasicProperties::default(), poison.into(), to).await.unwrap();
        }
        assert_eq!(grab(&backend, bench, 1, PLENTY).await, Decision::Granted(0));
        backend.lifecycle.drain().await.unwrap();
        assert_eq!(held_by(&backend, 1).await.len(), 2);
        let mut parking = QueueDeclareArguments::durable_client_named(&names.parking());
        let (_, parked, _) = channel.queue_declare(parking.passive(true).finish()).await.unwrap().unwrap();
        assert_eq!(parked, 3);
        channel.close().await.unwrap();
        connection.close().await.unwrap();
        backend.lifecycle.close();
    });
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
            ServersSettings { redis: spoilt(&good.redis), ..good.clone() },
            "servers.redis",
            "password is wrong",
        ),
        (
            ServersSettings { rabbitmq: spoilt(&good.rabbitmq), ..good.clone() },
            "servers.rabbitmq",
            "password is wrong",
        ),
        (
            ServersSettings { shards: vec![good.shards[0].clone(), spoilt(&good.shards[1])], ..good.clone() },
            "servers.shards[1]",
            "password is wrong",
        ),
        (ServersSettings { main: nobody("mysql"), ..good.clone() }, "servers.main", "refused"),
        (ServersSettings { redis: nobody("redis"), ..good.clone() }, "servers.redis", "refused"),
        (ServersSettings { rabbitmq: nobody("amqp"), ..good.clone() }, "servers.rabbitmq", "refused"),
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
        let settings = bench.settings();
        let cluster = Cluster::new(settings, &ParityAndDay).unwrap();
        let names = cluster.names(&cluster.label().await.unwrap().unwrap().dataset);
        let connection = Broker::new(&settings.rabbitmq).unwrap().connection().await.unwrap();
        let channel = connection.open_channel(None).await.unwrap();
        let plain = QueueDeclareArguments::durable_client_named(&names.queue(shard_of(0)));
        channel.queue_declare(plain).await.unwrap();
        let error = refused(settings);
        assert!(error.contains("servers.rabbitmq") && error.contains("PRECONDITION_FAILED"), "{error}");
        assert!(error.contains(&names.queue(shard_of(0))), "{error}");
        channel.close().await.unwrap();
        connection.close().await.unwrap();
    });
}

#[test]
fn a_process_whose_clock_is_wrong_does_not_start_and_takes_no_number_from_another() {
    run(&Bench::servers(), async |bench| {
        let healthy = bench.open();
        for (wrong_by, side) in [(3_600_000, "ahead of"), (-3_600_000, "behind")] {
            let clock = bench.clock().another();
            clock.set_wrong_by(wrong_by);
            let options = servers::Options {
                servers: bench.settings().clone(),
                workers: 1,
                shards_prepared: std::num::NonZeroU16::MIN,
                room_index: false,
                shard_backlog: 1_000,
                unknown_users: UnknownUsers::Refuse,
            };
            let error = servers::open(&options, Arc::new(ParityAndDay), &clock).unwrap_err();
            let error = format!("{error:#}");
            assert!(error.contains("servers.main") && error.contains(side), "{error}");
            assert!(error.contains("3600.") || error.contains("3599."), "{error}");
        }
        assert_eq!(grab(&healthy, bench, 1, PLENTY).await, Decision::Granted(0));
        healthy.lifecycle.close();
    });
}

#[test]
fn a_process_that_lost_its_numbers_while_it_was_away_leases_others_and_goes_on() {
    run(&Bench::servers(), async |bench| {
        let backend = bench.open();
        let before = attempt(&backend, bench, 1, PLENTY).id;
        let main = Cluster::new(bench.settings(), &ParityAndDay).unwrap().main;
        let mut conn = main.connect_alone().await.unwrap();
        let three_days = 3 * 86_400_000;
        let taken = "UPDATE worker_leases SET holder = 'another', lease_end = lease_end + ?";
        conn.exec_drop(taken, (2 * three_days,)).await.unwrap();
        bench.clock().set(before.time().plus_millis(three_days - 60_000));
        let mut ids = backend.ids.generator(bench.clock(), 0);
        let after = eventually("it has another number", async || ids.make()).await;
        assert_ne!(after.worker(), before.worker());
        backend.lifecycle.close();
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
