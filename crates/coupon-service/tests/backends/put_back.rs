//! Laws of a main that was put back to an earlier state, beside shards and a gate that were not, and of such a shard.

use std::time::Duration;

use coupon_servers::seam::{Epoch, Fence, Terms};
use coupon_store::settings::DecidedBy;
use coupon_store::{Backend, Decision, GateStock};
use deadpool_redis::redis;
use mysql_async::prelude::Queryable as _;

use super::following::{HOUR, NEW, at, change, new_coupon, stock, total, total_at_the_gate};
use crate::bench::{
    Bench, PLENTY, SCARCE, attempt, cluster, coupon_id, decide, epoch_of, filled_after, grab, names,
    redis_of, run, shard_of,
};

/// A version of the catalogue that main has not reached.
const FORGOTTEN: u64 = 7;

/// Puts main back to before any change of its catalogue, and before it applied any grab.
async fn put_main_back(bench: &Bench) {
    let forgotten = format!(
        "DELETE FROM coupons WHERE coupon_id = {NEW}; DELETE FROM coupon_rooms WHERE coupon_id = {NEW}; \
         DELETE FROM coupons_made; DELETE FROM stock_logs WHERE operator IN ('olga', 'grab'); \
         UPDATE coupons SET total_stock = 2, remaining_stock = 2 WHERE coupon_id = {SCARCE}; \
         DELETE FROM catalogue_changes; UPDATE catalogue_state SET version = 0; \
         UPDATE outbox_positions SET outbox_id = 0"
    );
    for statement in forgotten.split("; ") {
        bench.edit_main(statement).await;
    }
}

/// Takes from Redis what it has of a data set.
async fn lose_redis(bench: &Bench, backend: &Backend) {
    let mut redis = redis_of(bench).await;
    let pattern = format!("{}.*", names(bench, backend).exchange());
    let keys: Vec<String> = redis::cmd("KEYS").arg(pattern).query_async(&mut redis).await.unwrap();
    let () = redis::cmd("UNLINK").arg(keys).query_async(&mut redis).await.unwrap();
}

/// Results that it has forgotten would be sold again.
pub(crate) async fn a_shard_that_was_put_back_to_before_what_main_was_told_stops_the_start(bench: &Bench) {
    let shard = shard_of(1);
    let backend = bench.open();
    assert_eq!(grab(&backend, bench, 1, SCARCE).await, Decision::Granted(0));
    backend.lifecycle.drain().await.unwrap();
    if let Bench::Embedded { dir, .. } = bench {
        bench.edit_shard(shard, &format!("VACUUM INTO '{}'", dir.path().join("copy").display()));
    }
    assert_eq!(grab(&backend, bench, 3, SCARCE).await, Decision::Granted(0));
    backend.lifecycle.drain().await.unwrap();
    backend.lifecycle.close();
    drop(backend);

    if let Bench::Embedded { dir, .. } = bench {
        let file = |end: &str| dir.path().join(format!("shard-{shard}.sqlite{end}"));
        std::fs::rename(dir.path().join("copy"), file("")).unwrap();
        for end in ["-wal", "-shm"].into_iter().filter(|end| file(end).exists()) {
            std::fs::remove_file(file(end)).unwrap();
        }
    } else {
        bench.damage_shard(shard, "UPDATE shard_state SET outbox_id = outbox_id - 1").await;
    }
    let refused = format!("{:#}", bench.try_open().err().unwrap());
    assert!(refused.contains("main was told of its change 2, and it knows 1; put back"), "{refused}");
}

#[test]
fn a_coupon_that_main_has_forgotten_comes_back_with_its_holders_though_no_shard_has_anything_to_tell() {
    run(&Bench::servers(), async |bench| {
        let backend = bench.open();
        change(&backend, new_coupon()).await;
        assert_eq!(grab(&backend, bench, 1, NEW).await, Decision::Granted(0));
        backend.lifecycle.drain().await.unwrap();
        backend.lifecycle.close();
        let mut shard = cluster(bench).shards[shard_of(1).index()].connect_alone().await.unwrap();
        let waits: Option<i64> = shard.query_first("SELECT COUNT(*) FROM outbox").await.unwrap();
        assert_eq!(waits, Some(0), "main has had it all");
        put_main_back(bench).await;
        lose_redis(bench, &backend).await;
        drop(backend);

        let backend = bench.open();
        change(&backend, new_coupon()).await;
        assert_eq!(stock(&backend, NEW).await, Some(GateStock { total: 1, sold: 1 }));
        assert_eq!(grab(&backend, bench, 2, NEW).await, Decision::OutOfStock);
        backend.lifecycle.close();
    });
}

#[test]
fn a_gate_that_has_more_of_the_catalogue_than_main_is_filled_anew_by_a_process_that_starts() {
    for decided_by in [DecidedBy::Gate, DecidedBy::Database] {
        run(&Bench::on_servers(decided_by, &[]), async |bench| {
            let backend = bench.open();
            let before = epoch_of(&backend).await;
            change(&backend, total(SCARCE, 9)).await;
            backend.lifecycle.close();
            drop(backend);
            put_main_back(bench).await;

            let backend = bench.open();
            filled_after(&backend, before).await;
            assert_eq!(total_at_the_gate(&backend, SCARCE).await, 2);
            backend.lifecycle.close();
        });
    }
}

#[test]
fn a_change_is_enforced_though_the_gate_has_the_coupon_from_a_version_that_main_has_forgotten() {
    for decided_by in [DecidedBy::Gate, DecidedBy::Database] {
        run(&Bench::on_servers(decided_by, &[]), async |bench| {
            let backend = bench.open();
            let servers = bench.connect().await;
            let gate = servers.gates.iter().next().unwrap()(Duration::from_secs(30));
            let epoch = Epoch::new(&servers.dataset, epoch_of(&backend).await);
            let all = servers.main.terms().await.unwrap().terms;
            let scarce = all.iter().find(|terms| terms.coupon == coupon_id(SCARCE)).unwrap();
            gate.offer(&epoch, FORGOTTEN, &[&Terms { total: 9, ..*scarce }]).await.unwrap();
            assert_eq!(total_at_the_gate(&backend, SCARCE).await, 9);

            change(&backend, total(SCARCE, 3)).await;
            assert_eq!(total_at_the_gate(&backend, SCARCE).await, 3);
            assert!(epoch_of(&backend).await > epoch.number);
            backend.lifecycle.close();
        });
    }
}

#[test]
fn a_layout_that_main_has_forgotten_keeps_nobody_from_granting() {
    run(&Bench::servers(), async |bench| {
        let backend = bench.open();
        let servers = bench.connect().await;
        let gate = servers.gates.iter().next().unwrap()(Duration::from_secs(30));
        let epoch = Epoch::new(&servers.dataset, epoch_of(&backend).await);
        gate.fence(&epoch, FORGOTTEN, &[Fence { version: 2, from: at(-HOUR) }]).await.unwrap();
        let asked = attempt(&backend, bench, 1, PLENTY);
        assert_eq!(decide(&backend, &[asked]).await, [Decision::OtherLayout]);

        backend.growth.catch_up().await.unwrap_err();
        filled_after(&backend, epoch.number).await;
        assert_eq!(decide(&backend, &[asked]).await, [Decision::Granted(0)]);
        assert_eq!(backend.catalogue.version(), 0, "nothing is taken back that main would have to know of");
        backend.lifecycle.close();
    });
}
