//! Servers that go away and come back, one at a time, under a backend that is in use.
//!
//! A suite apart, because it takes away the servers that other tests need.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic")]

#[path = "../backends/bench/mod.rs"]
mod bench;

mod autocommit;
mod catalogue;
#[path = "../api/client.rs"]
#[allow(dead_code, reason = "each suite that shares this uses its own part of it")]
mod client;
mod failover;
mod gates;
mod holds;
#[path = "../observability/lines.rs"]
mod lines;
mod outage_log;
mod policies;
mod promoted;
mod proxy;
mod read_only;
mod ready;
#[path = "../api/running.rs"]
mod running;
#[path = "../backends/served.rs"]
#[allow(dead_code, reason = "each suite that shares this uses its own part of it")]
mod served;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use coupon_servers::gate::RedisServer;
use coupon_stack::Server;
use coupon_store::settings::{ServerUrl, ServersSettings};
use coupon_store::{Backend, Decision, Unavailable, Visit};
use deadpool_redis::redis;

use bench::{
    Bench, PLENTY, SCARCE, USERS, attempt, coupon_id, decide, epoch_of, eventually, grab, held_by, only,
    open_process, options, placed, redis_of, remaining, run, shard_of, stack, until,
};

/// Lets a test that takes a server away have them all to itself.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Grabs again and again until it is decided: while a server is away, grabs are answered with 503.
async fn grab_at_last(backend: &Backend, bench: &Bench, user: u64, coupon: u64) -> Decision {
    eventually("the grab is decided", async || {
        let attempt = attempt(backend, bench, user, coupon);
        let decided = backend.gate.reserve(1, &[attempt]).await?;
        let id = match only(&decided) {
            Decision::Granted(0) => attempt.id,
            Decision::Pending(reserved) => reserved.id,
            Decision::NotLoaded => return Err(Unavailable::new("the gate", "it does not hold the coupon")),
            decision => return Ok(decision),
        };
        let rows = vec![placed(user, coupon, 1, id)];
        backend.hand_over.hand_over(shard_of(user), decided.epoch, rows).await?;
        Ok(Decision::Granted(0))
    })
    .await
}

async fn drained(backend: &Backend) {
    eventually("everything is stored and told", async || backend.lifecycle.drain().await).await;
}

#[test]
fn a_gate_that_comes_back_without_its_memory_is_filled_from_the_shards() {
    let _alone = alone();
    run(&Bench::servers(), async |bench| {
        let backend = bench.open();
        let first = attempt(&backend, bench, 1, SCARCE);
        let before = backend.gate.reserve(1, &[first]).await.unwrap();
        let rows = vec![placed(1, SCARCE, 1, first.id)];
        backend.hand_over.hand_over(shard_of(1), before.epoch, rows).await.unwrap();
        // Granted, and forgotten: it was never granted, and its stock is free again.
        assert_eq!(decide(&backend, &[attempt(&backend, bench, 2, SCARCE)]).await, [Decision::Granted(0)]);
        stack().kill(Server::Redis).unwrap();
        assert!(backend.gate.reserve(1, &[attempt(&backend, bench, 3, SCARCE)]).await.is_err());
        assert!(backend.gate.ready().is_err());
        std::fs::remove_dir_all(stack().data_dir(Server::Redis).unwrap().join("appendonlydir")).unwrap();
        stack().restart(Server::Redis).unwrap();

        assert_eq!(grab_at_last(&backend, bench, 4, SCARCE).await, Decision::Granted(0));
        assert_eq!(grab_at_last(&backend, bench, 5, SCARCE).await, Decision::OutOfStock);
        assert_eq!(grab_at_last(&backend, bench, 1, SCARCE).await, Decision::Duplicate(first.id));
        drained(&backend).await;
        assert_eq!(remaining(&backend, SCARCE).await, 0);
        assert!(epoch_of(&backend).await > before.epoch);
        backend.lifecycle.close();
    });
}

#[test]
fn a_gate_that_comes_back_with_its_file_is_not_trusted_either() {
    let _alone = alone();
    run(&Bench::servers(), async |bench| {
        let backend = bench.open();
        let before = epoch_of(&backend).await;
        assert_eq!(grab(&backend, bench, 1, SCARCE).await, Decision::Granted(0));
        stack().kill(Server::Redis).unwrap();
        stack().restart(Server::Redis).unwrap();
        assert_eq!(grab_at_last(&backend, bench, 2, SCARCE).await, Decision::Granted(0));
        assert_eq!(grab_at_last(&backend, bench, 3, SCARCE).await, Decision::OutOfStock);
        assert!(epoch_of(&backend).await > before);
        backend.lifecycle.close();
    });
}

#[test]
fn what_the_queue_confirmed_survives_its_death_and_grabs_go_on_after_it() {
    let _alone = alone();
    run(&Bench::servers(), async |bench| {
        let backend = bench.open();
        assert_eq!(grab(&backend, bench, 1, PLENTY).await, Decision::Granted(0));
        stack().kill(Server::RabbitMq(0)).unwrap();
        let cut_off = attempt(&backend, bench, 2, PLENTY);
        let decided = backend.gate.reserve(1, &[cut_off]).await.unwrap();
        let rows = vec![placed(2, PLENTY, 1, cut_off.id)];
        backend.hand_over.hand_over(shard_of(2), decided.epoch, rows).await.unwrap_err();
        until("the lack of a queue is noticed", async || backend.hand_over.ready().is_err()).await;
        stack().restart(Server::RabbitMq(0)).unwrap();
        // A client that was cut off asks again, and gets the result that was fixed at first.
        assert_eq!(grab_at_last(&backend, bench, 2, PLENTY).await, Decision::Granted(0));
        assert_eq!(grab_at_last(&backend, bench, 3, PLENTY).await, Decision::Granted(0));
        drained(&backend).await;
        assert_eq!(held_by(&backend, 2).await.first().map(|held| held.result_id), Some(cut_off.id));
        assert_eq!(remaining(&backend, PLENTY).await, 997);
        assert_eq!(backend.gate.stock(coupon_id(PLENTY)).await.unwrap().unwrap().sold, 3);
        backend.lifecycle.close();
    });
}

#[test]
fn a_shard_that_is_down_is_served_around_and_catches_up() {
    let _alone = alone();
    run(&Bench::servers(), async |bench| {
        let backend = bench.open();
        let (odd, even) = (shard_of(1), shard_of(2));
        stack().kill(Server::Shard(odd.number())).unwrap();
        // Its queue takes its results all the same.
        assert_eq!(grab(&backend, bench, 1, PLENTY).await, Decision::Granted(0));
        assert_eq!(grab(&backend, bench, 2, PLENTY).await, Decision::Granted(0));
        let everything = coupon_core::ResultQuery::everything();
        assert!(backend.shards.summary(odd.into(), Visit::All, everything).await.is_err());
        assert!(backend.shards.summary(even.into(), Visit::All, everything).await.is_ok());
        until("the shard is found down", async || !backend.shards.report(odd).await.unwrap().up).await;
        assert!(backend.shards.report(even).await.unwrap().up);
        assert!(backend.shards.kept_totals(odd).await.is_err());
        assert!(backend.lifecycle.drain().await.is_err());

        // A service that starts meanwhile serves the others.
        let other = bench.open();
        assert_eq!(grab(&other, bench, 4, PLENTY).await, Decision::Granted(0));
        stack().restart(Server::Shard(odd.number())).unwrap();
        drained(&backend).await;
        assert_eq!(held_by(&other, 1).await.len(), 2);
        assert_eq!(remaining(&backend, PLENTY).await, 997);
        assert!(backend.shards.report(odd).await.unwrap().up);
        backend.lifecycle.close();
        other.lifecycle.close();
    });
}

#[test]
fn a_shard_that_hangs_holds_up_nobody_but_itself() {
    let _alone = alone();
    run(&Bench::servers(), async |bench| {
        let backend = bench.open();
        let (odd, even) = (shard_of(1), shard_of(2));
        stack().pause(Server::Shard(odd.number())).unwrap();
        // Both were granted and never handed over; only the shard that answers is known to lack one.
        let lost = [1, 2].map(|user| attempt(&backend, bench, user, PLENTY));
        assert_eq!(decide(&backend, &lost).await, [Decision::Granted(0), Decision::Granted(0)]);
        bench.clock().set(lost[0].id.time().plus_millis(60_000));
        until("it is handed over again", async || held_by(&backend, 2).await.len() == 2).await;
        until("the shard is found down", async || !backend.shards.report(odd).await.unwrap().up).await;
        // What only moves a queue along does not gather in one that stands still.
        tokio::time::sleep(Duration::from_secs(3)).await;
        assert_eq!(backend.hand_over.refusal(odd), None);
        assert!(backend.shards.report(odd).await.unwrap().queue_depth < 16);
        assert!(backend.shards.report(even).await.unwrap().up);
        stack().resume(Server::Shard(odd.number())).unwrap();
        until("the other one is as well", async || held_by_at_last(&backend, 1).await == 2).await;
        drained(&backend).await;
        assert_eq!(remaining(&backend, PLENTY).await, 998);
        backend.lifecycle.close();
    });
}

/// While a shard wakes up, it may not answer yet.
async fn held_by_at_last(backend: &Backend, user: u64) -> usize {
    let query = coupon_core::ResultQuery::of_user(coupon_core::UserId::new(user).unwrap());
    let summary = backend.shards.summary(shard_of(user).into(), Visit::All, query).await;
    summary.map_or(0, |visited| usize::try_from(visited.value.results).unwrap())
}

#[test]
fn a_main_that_hangs_leaves_no_question_unanswered_and_no_epoch_is_spent_on_a_shard_that_is_down() {
    let _alone = alone();
    run(&Bench::servers(), async |bench| {
        let backend = bench.open();
        stack().pause(Server::Main).unwrap();
        backend.catalogue.coupon(coupon_id(PLENTY), false).await.unwrap_err();
        assert_eq!(grab(&backend, bench, 1, PLENTY).await, Decision::Granted(0));
        stack().resume(Server::Main).unwrap();
        drained(&backend).await;
        assert_eq!(remaining(&backend, PLENTY).await, 999);

        let before = epoch_of(&backend).await;
        stack().kill(Server::Shard(1)).unwrap();
        stack().kill(Server::Redis).unwrap();
        stack().restart(Server::Redis).unwrap();
        let wait = std::time::Instant::now();
        while wait.elapsed() < Duration::from_secs(4) {
            // Never filled from a part of the shards.
            assert!(backend.gate.reserve(1, &[attempt(&backend, bench, 2, PLENTY)]).await.is_err());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert!(backend.gate.ready().is_err());
        stack().restart(Server::Shard(1)).unwrap();
        assert_eq!(grab_at_last(&backend, bench, 2, PLENTY).await, Decision::Granted(0));
        assert_eq!(epoch_of(&backend).await, before + 1);
        backend.lifecycle.close();
    });
}

#[test]
fn lists_are_whole_without_main_for_as_long_as_the_gate_knows_of_no_later_layout() {
    let _alone = alone();
    run(&Bench::servers(), async |bench| {
        let backend = bench.open();
        stack().kill(Server::Main).unwrap();
        let down = std::time::Instant::now();
        while down.elapsed() < Duration::from_secs(8) {
            assert!(backend.layouts.is_current(), "after {:?}", down.elapsed());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        stack().kill(Server::Redis).unwrap();
        until("neither is heard of", async || !backend.layouts.is_current()).await;
        stack().restart(Server::Main).unwrap();
        stack().restart(Server::Redis).unwrap();
        until("main is heard of again", async || backend.layouts.is_current()).await;
        assert_eq!(grab_at_last(&backend, bench, 1, PLENTY).await, Decision::Granted(0));
        drained(&backend).await;
        backend.lifecycle.close();
    });
}

#[test]
fn grabs_go_on_without_main_which_is_told_later() {
    let _alone = alone();
    run(&Bench::servers(), async |bench| {
        let backend = bench.open();
        stack().kill(Server::Main).unwrap();
        for user in 1..=4 {
            assert_eq!(grab(&backend, bench, user, PLENTY).await, Decision::Granted(0));
        }
        assert!(backend.catalogue.coupon(coupon_id(PLENTY), false).await.is_err());
        until("it is stored", async || held_by(&backend, 3).await.len() == 2).await;
        stack().restart(Server::Main).unwrap();
        drained(&backend).await;
        assert_eq!(remaining(&backend, PLENTY).await, 996);
        backend.lifecycle.close();
    });
}

#[test]
fn a_redis_that_may_forget_stops_the_start() {
    let _alone = alone();
    let bench = Bench::servers();
    let set = async |policy: &str| {
        let mut connection = redis_of(&bench).await;
        let mut command = redis::cmd("CONFIG");
        command.arg("SET").arg("maxmemory-policy").arg(policy);
        command.exec_async(&mut connection).await.unwrap();
    };
    run(&bench, async |bench| {
        set("allkeys-lru").await;
        let error = format!("{:#}", bench.try_open().err().unwrap());
        set("noeviction").await;
        assert!(error.contains("servers.redis") && error.contains("allkeys-lru"), "{error}");
        bench.try_open().unwrap().lifecycle.close();
    });
}

#[test]
fn a_redis_that_is_a_replica_or_in_cluster_mode_stops_the_start() {
    let _alone = alone();
    let bench = Bench::servers();
    run(&bench, async |bench| {
        let spare = stack().spare_redis().unwrap();
        let primary = url::Url::parse(&stack().addresses().redis).unwrap();
        let mut replica = RedisServer::new(&ServerUrl::new(spare.url())).unwrap().connect().await.unwrap();
        let (host, port) = (primary.host_str().unwrap(), primary.port().unwrap());
        let () = redis::cmd("REPLICAOF").arg(host).arg(port).query_async(&mut replica).await.unwrap();
        assert!(refusal(bench, spare.url()).contains("replica"));

        let folder = tempfile::tempdir().unwrap();
        let free = [(); 2].map(|()| std::net::TcpListener::bind("127.0.0.1:0").unwrap());
        let [port, bus] = free.map(|free| free.local_addr().unwrap().port());
        let mut clustered = std::process::Command::new("redis-server")
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--appendonly", "yes"])
            .args(["--cluster-enabled", "yes", "--cluster-port", &bus.to_string(), "--save", "", "--dir"])
            .arg(folder.path())
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        until("it listens", async || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()).await;
        let error = refusal(bench, format!("redis://127.0.0.1:{port}"));
        clustered.kill().unwrap();
        clustered.wait().unwrap();
        assert!(error.contains("servers.redis") && error.contains("cluster mode"), "{error}");
    });
}

/// The reason why a process that is set to this Redis does not start.
fn refusal(bench: &Bench, redis: String) -> String {
    let settings = ServersSettings { redis: vec![ServerUrl::new(redis)], ..bench.settings().clone() };
    format!("{:#}", open_process(bench, &options(&settings)).err().unwrap())
}

#[test]
fn a_queue_that_fills_up_is_seen_while_its_shard_does_not_answer() {
    let _alone = alone();
    run(&Bench::servers(), async |bench| {
        let options = coupon_servers::Options { shard_backlog: 20, ..options(bench.settings()) };
        let backend = open_process(bench, &options).unwrap();
        let odd = shard_of(1);
        stack().pause(Server::Shard(odd.number())).unwrap();
        for user in (1..USERS).step_by(2) {
            assert_eq!(grab(&backend, bench, user, PLENTY).await, Decision::Granted(0));
        }
        until("what waits is seen", async || {
            assert!(backend.shards.report(odd).await.unwrap().up, "only once the shard was given up");
            backend.hand_over.refusal(odd).is_some()
        })
        .await;
        stack().resume(Server::Shard(odd.number())).unwrap();
        drained(&backend).await;
        backend.lifecycle.close();
    });
}

#[test]
fn a_queue_that_fills_up_by_large_batches_is_seen_before_any_of_them_is_stored() {
    let _alone = alone();
    run(&Bench::servers(), async |bench| {
        let options = coupon_servers::Options { shard_backlog: 100, ..options(bench.settings()) };
        let backend = open_process(bench, &options).unwrap();
        let odd = shard_of(1);
        stack().pause(Server::Shard(odd.number())).unwrap();
        let batch: Vec<_> = (0..15).map(|at| attempt(&backend, bench, 2 * at + 1, PLENTY)).collect();
        let decided = backend.gate.reserve(1, &batch).await.unwrap();
        let rows: Vec<_> =
            batch.iter().map(|attempt| placed(attempt.user.get(), PLENTY, 1, attempt.id)).collect();
        // Repeats are one result each in the end, and wait as often as they are sent.
        for _ in 0..10 {
            backend.hand_over.hand_over(odd, decided.epoch, rows.clone()).await.unwrap();
        }
        until("what waits is seen", async || backend.hand_over.refusal(odd).is_some()).await;
        stack().resume(Server::Shard(odd.number())).unwrap();
        backend.lifecycle.close();
    });
}
