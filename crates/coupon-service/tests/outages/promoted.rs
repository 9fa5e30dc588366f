//! Databases with replicas: one of them takes writes, and another takes its place.

use std::num::NonZeroU16;
use std::sync::LazyLock;
use std::time::Duration;

use coupon_core::{ResultQuery, ShardId, UserId};
use coupon_stack::{Server, Stack, Topology};
use coupon_store::{Backend, Decision, Visit};

use crate::bench::{Bench, PLENTY, USERS, grab, held_by, remaining, run, shard_of, until, verified};
use crate::outage_log::{listen, saying, since_then};
use crate::{alone, drained};

/// Users who hold a coupon of the day before.
const HOLDERS: u64 = 30;
/// The shard that is tried.
const SHARD: u16 = 1;

/// Servers with replicas, which a test leaves as it found them, but for who takes writes.
fn servers() -> &'static Stack {
    static STACK: LazyLock<Stack> = LazyLock::new(|| {
        let shards = NonZeroU16::new(2).unwrap();
        Stack::start(&Topology { shards, replicas: true, ..Topology::default() }.into()).unwrap()
    });
    &STACK
}

fn replicated() -> Bench {
    let flags = servers().addresses().settings();
    Bench::servers_with(&flags.iter().map(String::as_str).collect::<Vec<_>>())
}

/// The one of a pair that takes writes, and its replica.
fn pair(one: Server, other: Server) -> (Server, Server) {
    if servers().is_read_only(one).unwrap() { (other, one) } else { (one, other) }
}

fn shard_pair() -> (Server, Server) {
    pair(Server::Shard(SHARD), Server::ShardReplica(SHARD))
}

async fn grab_all(backend: &Backend, bench: &Bench, users: impl Iterator<Item = u64>) {
    for user in users {
        assert_eq!(grab(backend, bench, user, PLENTY).await, Decision::Granted(0));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Why the shard is not up, as operators are told.
async fn trouble(backend: &Backend) -> String {
    backend.shards.report(ShardId::new(SHARD)).await.unwrap().trouble.unwrap_or_default()
}

async fn is_read(backend: &Backend, user: u64) -> bool {
    let query = ResultQuery::of_user(UserId::new(user).unwrap());
    backend.shards.summary(shard_of(user).into(), Visit::All, query).await.is_ok()
}

/// Kills a server under load and promotes its replica; grabs, reads and books go on, and nothing is missing.
fn takes_over(one: Server, other: Server) {
    let (primary, replica) = pair(one, other);
    run(&replicated(), async |bench| {
        let backend = bench.open();
        grab_all(&backend, bench, 1..=10).await;
        drained(&backend).await;
        let fault = std::thread::spawn(move || {
            servers().kill(primary).unwrap();
            servers().promote(replica).unwrap();
        });
        grab_all(&backend, bench, 11..=30).await;
        fault.join().unwrap();
        grab_all(&backend, bench, 31..=USERS).await;
        drained(&backend).await;
        assert_eq!(remaining(&backend, PLENTY).await, 1_000 - u32::try_from(USERS).unwrap());
        for user in 1..=USERS {
            let results = if user <= HOLDERS { 2 } else { 1 };
            assert_eq!(held_by(&backend, user).await.len(), results, "user {user}");
        }
        assert_eq!(verified(bench).count(), 0);
        // A process that is started now finds it as well.
        let later = bench.open();
        assert_eq!(held_by(&later, 1).await.len(), 2);
        later.lifecycle.close();
        backend.lifecycle.close();
    });
    servers().rejoin(primary).unwrap();
}

#[test]
fn the_replica_of_a_shard_takes_its_place_under_load() {
    let _alone = alone();
    takes_over(Server::Shard(SHARD), Server::ShardReplica(SHARD));
}

#[test]
fn the_replica_of_main_takes_its_place_under_load() {
    let _alone = alone();
    takes_over(Server::Main, Server::MainReplica);
}

#[test]
fn while_both_take_writes_neither_is_used() {
    let _alone = alone();
    listen();
    let (_, replica) = shard_pair();
    run(&replicated(), async |bench| {
        let backend = bench.open();
        assert_eq!(grab(&backend, bench, 1, PLENTY).await, Decision::Granted(0));
        drained(&backend).await;
        since_then();
        servers().run_sql(replica, "STOP REPLICA; SET GLOBAL read_only = 0").unwrap();
        let says = "more than one of its servers takes writes";
        until("the shard is not used", async || trouble(&backend).await.contains(says)).await;
        // What is granted waits in its queue.
        assert_eq!(grab(&backend, bench, 3, PLENTY).await, Decision::Granted(0));
        assert!(!is_read(&backend, 1).await && is_read(&backend, 2).await);
        let lines = since_then();
        let said = saying(&lines, says);
        assert!(said.iter().any(|line| line["level"] == "ERROR"), "{lines:#?}");

        servers().run_sql(replica, "SET GLOBAL read_only = 1; START REPLICA").unwrap();
        drained(&backend).await;
        assert_eq!(held_by(&backend, 3).await.len(), 2);
        assert_eq!(verified(bench).count(), 0);
        backend.lifecycle.close();
    });
}

#[test]
fn a_frozen_primary_is_left_and_noticed_when_it_wakes() {
    let _alone = alone();
    let (primary, replica) = shard_pair();
    run(&replicated(), async |bench| {
        let backend = bench.open();
        assert_eq!(grab(&backend, bench, 1, PLENTY).await, Decision::Granted(0));
        drained(&backend).await;
        servers().pause(primary).unwrap();
        servers().run_sql(replica, "STOP REPLICA; RESET REPLICA ALL; SET GLOBAL read_only = 0").unwrap();
        assert_eq!(grab(&backend, bench, 3, PLENTY).await, Decision::Granted(0));
        drained(&backend).await;
        assert_eq!(held_by(&backend, 3).await.len(), 2);

        servers().resume(primary).unwrap();
        let says = "more than one of its servers takes writes";
        until("neither is used", async || trouble(&backend).await.contains(says)).await;
        servers().run_sql(primary, "SET GLOBAL read_only = 1").unwrap();
        assert_eq!(grab(&backend, bench, 5, PLENTY).await, Decision::Granted(0));
        drained(&backend).await;
        for user in [1, 3, 5] {
            assert_eq!(held_by(&backend, user).await.len(), 2, "user {user}");
        }
        assert_eq!(verified(bench).count(), 0);
        backend.lifecycle.close();
    });
    servers().run_sql(primary, "SET GLOBAL read_only = 0").unwrap();
    servers().rejoin(replica).unwrap();
}

#[test]
fn a_replica_that_lacks_what_was_committed_is_refused_until_the_full_copy_is_back() {
    let _alone = alone();
    listen();
    let (primary, replica) = shard_pair();
    run(&replicated(), async |bench| {
        let backend = bench.open();
        assert_eq!(grab(&backend, bench, 1, PLENTY).await, Decision::Granted(0));
        drained(&backend).await;
        // The primary goes on without, once the replica counts as away.
        servers().run_sql(replica, "STOP REPLICA IO_THREAD").unwrap();
        assert_eq!(grab(&backend, bench, 3, PLENTY).await, Decision::Granted(0));
        drained(&backend).await;
        since_then();
        servers().kill(primary).unwrap();
        servers().promote(replica).unwrap();
        until("the replica is refused", async || trouble(&backend).await.contains("it has lost data")).await;
        assert_eq!(grab(&backend, bench, 5, PLENTY).await, Decision::Granted(0));
        assert!(!is_read(&backend, 1).await && is_read(&backend, 2).await);
        let lines = since_then();
        assert_eq!(saying(&lines, "a shard is refused").len(), 1, "{lines:#?}");

        servers().restart(primary).unwrap();
        servers().run_sql(replica, "SET GLOBAL read_only = 1").unwrap();
        servers().run_sql(primary, "SET GLOBAL read_only = 0").unwrap();
        drained(&backend).await;
        for user in [1, 3, 5] {
            assert_eq!(held_by(&backend, user).await.len(), 2, "user {user}");
        }
        assert_eq!(remaining(&backend, PLENTY).await, 997);
        assert_eq!(verified(bench).count(), 0);
        backend.lifecycle.close();
    });
    // Nothing of this test's is needed any more: what lacks some of it is as good a source as any.
    servers().rejoin(primary).unwrap();
}
