//! A Redis whose place another takes, with less than it had.

use std::num::NonZeroU16;
use std::sync::LazyLock;

use coupon_servers::gate::RedisServer;
use coupon_stack::{Server, Stack, Topology};
use coupon_store::Decision;
use coupon_store::settings::{ServerUrl, ServersSettings};
use deadpool_redis::{Connection, redis};

use crate::bench::{
    Bench, SCARCE, attempt, decide, epoch_of, eventually, filled_after, grab, held_by, open_process, options,
    placed, remaining, run, shard_of, stack, until, verified,
};
use crate::{alone, drained, grab_at_last};

#[test]
fn a_gate_that_took_over_an_older_memory_is_filled_anew_though_it_has_its_scripts() {
    let _alone = alone();
    run(&Bench::servers(), async |bench| {
        let backend = bench.open();
        let before = epoch_of(&backend).await;
        let spare = stack().spare_redis().unwrap();
        let (here, there) = (stack().addresses().redis.clone(), spare.url());
        follow(&there, Some(&here)).await;
        follow(&there, None).await;
        assert_eq!(grab(&backend, bench, 1, SCARCE).await, Decision::Granted(0));
        drained(&backend).await;
        // What was granted is not known there.
        follow(&here, Some(&there)).await;
        follow(&here, None).await;
        assert!(filled_after(&backend, before).await > before);
        let again = attempt(&backend, bench, 1, SCARCE);
        assert!(matches!(decide(&backend, &[again]).await[0], Decision::Duplicate(_)));
        backend.lifecycle.close();
    });
}

/// A Redis that fails over, for all tests here: which of the two is the primary changes from one to the next.
static PAIR: LazyLock<Stack> = LazyLock::new(|| {
    let shards = NonZeroU16::MIN;
    Stack::start(&Topology { shards, redis_sentinel: true, ..Topology::default() }.into()).unwrap()
});

/// A data set on the suite's databases and queues, with its gate where Sentinels say.
fn with_sentinels() -> Bench {
    Bench::servers_with(&[&format!("servers.redis={}", PAIR.addresses().redis)])
}

async fn connect(url: &str) -> Connection {
    RedisServer::new(&ServerUrl::new(url)).unwrap().connect().await.unwrap()
}

async fn replication(of: &str) -> redis::RedisResult<redis::InfoDict> {
    let server = RedisServer::new(&ServerUrl::new(of)).unwrap();
    let mut connection = server.connect().await.map_err(|error| {
        redis::RedisError::from((redis::ErrorKind::Io, "cannot connect", error.to_string()))
    })?;
    redis::cmd("INFO").arg("replication").query_async(&mut connection).await
}

/// The primary and its replica, once the replica follows it.
async fn in_step() -> (Server, Server) {
    eventually("a replica follows its primary", async || {
        let servers = [Server::Redis, Server::RedisReplica];
        let mut told = Vec::new();
        for server in servers {
            let place = replication(&PAIR.url(server).unwrap()).await;
            let told_of = |place: redis::InfoDict| {
                (place.get::<String>("role"), place.get::<String>("master_link_status"))
            };
            told.push(place.ok().map(told_of));
        }
        let is = |at: usize, role: &str, link: Option<&str>| {
            let told: Option<&(Option<String>, Option<String>)> = told.get(at).and_then(Option::as_ref);
            told.is_some_and(|(is, status)| is.as_deref() == Some(role) && status.as_deref() == link)
        };
        let follows = |replica, primary| is(replica, "slave", Some("up")) && is(primary, "master", None);
        match (follows(1, 0), follows(0, 1)) {
            (true, _) => Ok((servers[0], servers[1])),
            (_, true) => Ok((servers[1], servers[0])),
            _ => Err(told),
        }
    })
    .await
}

/// Cuts a replica off its primary, so that it hears of nothing more.
async fn cut_off(replica: Server, primary: Server) {
    let mut behind = connect(&PAIR.url(replica).unwrap()).await;
    let mut command = redis::cmd("CONFIG");
    let () = command.arg("SET").arg("masterauth").arg("wrong").query_async(&mut behind).await.unwrap();
    let mut ahead = connect(&PAIR.url(primary).unwrap()).await;
    let mut command = redis::cmd("CLIENT");
    let cut: u32 = command.arg("KILL").arg("TYPE").arg("replica").query_async(&mut ahead).await.unwrap();
    assert_eq!(cut, 1);
}

/// Lets it follow others again, should it ever be a replica.
async fn let_follow(server: Server) {
    let url = url::Url::parse(&PAIR.url(server).unwrap()).unwrap();
    let mut command = redis::cmd("CONFIG");
    command.arg("SET").arg("masterauth").arg(url.password().unwrap());
    let () = command.query_async(&mut connect(url.as_str()).await).await.unwrap();
}

#[test]
fn a_fail_over_loses_nothing_that_was_acknowledged_and_sells_nothing_twice() {
    let _alone = alone();
    run(&with_sentinels(), async |bench| {
        let backend = bench.open();
        let before = epoch_of(&backend).await;
        let (primary, replica) = in_step().await;
        cut_off(replica, primary).await;
        // The replica never hears of it.
        assert_eq!(grab(&backend, bench, 1, SCARCE).await, Decision::Granted(0));
        drained(&backend).await;
        PAIR.kill(primary).unwrap();
        assert_eq!(grab_at_last(&backend, bench, 2, SCARCE).await, Decision::Granted(0));
        assert_eq!(grab_at_last(&backend, bench, 3, SCARCE).await, Decision::OutOfStock);
        assert!(matches!(grab_at_last(&backend, bench, 1, SCARCE).await, Decision::Duplicate(_)));
        assert!(epoch_of(&backend).await > before);
        drained(&backend).await;
        assert_eq!(remaining(&backend, SCARCE).await, 0);
        let found = verified(bench);
        assert_eq!(found.count(), 0, "{found}");
        backend.lifecycle.close();
        let_follow(replica).await;
        PAIR.restart(primary).unwrap();
        assert_eq!(in_step().await, (replica, primary));
    });
}

#[test]
fn the_gate_goes_where_an_operator_has_sentinels_put_it_and_back() {
    let _alone = alone();
    run(&with_sentinels(), async |bench| {
        let backend = bench.open();
        for user in 1..=2 {
            let (epoch, (primary, replica)) = (epoch_of(&backend).await, in_step().await);
            // Sentinels that have just failed over, or have not heard of the replica yet, refuse.
            eventually("Sentinels fail over", async || {
                let mut sentinel = connect(&PAIR.url(Server::Sentinel(0)).unwrap()).await;
                let mut command = redis::cmd("SENTINEL");
                command.arg("FAILOVER").arg("coupon").query_async::<()>(&mut sentinel).await
            })
            .await;
            assert!(filled_after(&backend, epoch).await > epoch);
            assert_eq!(in_step().await, (replica, primary));
            assert_eq!(grab_at_last(&backend, bench, user, SCARCE).await, Decision::Granted(0));
        }
        assert_eq!(grab_at_last(&backend, bench, 3, SCARCE).await, Decision::OutOfStock);
        drained(&backend).await;
        assert_eq!(remaining(&backend, SCARCE).await, 0);
        backend.lifecycle.close();
    });
}

#[test]
fn what_a_redis_decides_whose_place_was_taken_is_stored_nowhere() {
    let _alone = alone();
    run(&with_sentinels(), async |bench| {
        let backend = bench.open();
        let before = epoch_of(&backend).await;
        let (primary, replica) = in_step().await;
        // A process that does not hear of the fail-over.
        let old = ServerUrl::new(PAIR.url(primary).unwrap());
        let settings = ServersSettings { redis: vec![old], ..bench.settings().clone() };
        let unaware = open_process(bench, &options(&settings)).unwrap();
        assert_eq!(epoch_of(&unaware).await, before);
        PAIR.pause(primary).unwrap();
        for user in [2, 4] {
            assert_eq!(grab_at_last(&backend, bench, user, SCARCE).await, Decision::Granted(0));
        }
        PAIR.resume(primary).unwrap();
        let late = attempt(&unaware, bench, 1, SCARCE);
        if let Ok(decided) = unaware.gate.reserve(1, &[late]).await
            && decided.decisions == [Decision::Granted(0)]
        {
            let rows = vec![placed(1, SCARCE, 1, late.id)];
            let refused = unaware.hand_over.hand_over(shard_of(1), decided.epoch, rows).await;
            assert!(refused.is_err(), "epoch {before} is closed");
        }
        drained(&backend).await;
        assert!(held_by(&backend, 1).await.iter().all(|row| row.result_id != late.id));
        assert_eq!(remaining(&backend, SCARCE).await, 0);
        unaware.lifecycle.close();
        backend.lifecycle.close();
        assert_eq!(in_step().await, (replica, primary));
    });
}

/// The tests above, on a Valkey, where there is one in the PATH.
#[test]
fn a_valkey_fails_over_as_a_redis_does() {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut programs = std::env::split_paths(&path).map(|dir| dir.join("valkey-server"));
    let Some(valkey) = programs.find(|program| program.is_file()) else {
        println!("not run: there is no valkey-server in the PATH");
        return;
    };
    let tests = ["failover::", "--skip", "a_valkey_fails_over_as_a_redis_does"];
    let this = std::env::current_exe().unwrap();
    let tested = std::process::Command::new(this).args(tests).env("COUPON_STACK_REDIS", valkey).status();
    assert!(tested.unwrap().success());
}

/// Makes a Redis the replica of another, which has the same password, until it has what that one has; or a primary.
async fn follow(of: &str, primary: Option<&str>) {
    let mut connection = connect(of).await;
    let Some(primary) = primary.map(|primary| url::Url::parse(primary).unwrap()) else {
        let () = redis::cmd("REPLICAOF").arg("NO").arg("ONE").query_async(&mut connection).await.unwrap();
        return;
    };
    let (host, port) = (primary.host_str().unwrap(), primary.port().unwrap());
    let () = redis::cmd("REPLICAOF").arg(host).arg(port).query_async(&mut connection).await.unwrap();
    until("it has what the other has", async || {
        let link = replication(of).await.ok().and_then(|told| told.get::<String>("master_link_status"));
        link.as_deref() == Some("up")
    })
    .await;
}
