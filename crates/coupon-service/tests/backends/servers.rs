//! Laws that hold where several processes share the servers.

use coupon_store::settings::Role;
use coupon_store::{Backend, Decided, Decision};
use mysql_async::prelude::Queryable as _;

use crate::bench::{
    Bench, PLENTY, SCARCE, attempt, cluster, coupon_id, decide, epoch_of, eventually, forget, grab, held_by,
    names, placed, process, redis_of, run, shard_of, until, verified,
};

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
    run(&Bench::servers(), async |bench| {
        // The first process fills the gate; that takes a consumer.
        let consumer = process(bench, Role::Consumer);
        let api = process(bench, Role::Api);
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
        let consumer = process(bench, Role::Consumer);
        api.lifecycle.drain().await.unwrap();
        assert_eq!(held_by(&api, 2).await.len(), 2);
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
        let epoch = epoch_of(&backend).await;
        let key = names(bench, &backend).holders(epoch, coupon_id(SCARCE));
        backend.lifecycle.close();
        drop(backend);
        let mut redis = redis_of(bench).await;
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
        forget(bench, &backend, before.epoch, SCARCE).await;

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
        let epoch = epoch_of(&backend).await;
        forget(bench, &backend, epoch, SCARCE).await;
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

#[test]
fn a_coupon_withdrawn_in_main_shuts_itself_and_not_the_gate() {
    run(&Bench::servers(), async |bench| {
        let backend = bench.open();
        let main = cluster(bench).main;
        let mut conn = main.connect_alone().await.unwrap();
        conn.exec_drop("UPDATE coupons SET status = 0 WHERE coupon_id = ?", (SCARCE,)).await.unwrap();
        // Until it is a change of its own, processes go by what they knew, and bring a gate that was just filled to that.
        until("the process goes by it", async || backend.catalogue.version() == 1).await;
        let before = epoch_of(&backend).await;
        forget(bench, &backend, before, PLENTY).await;
        assert_eq!(decide(&backend, &[attempt(&backend, bench, 1, PLENTY)]).await, [Decision::NotLoaded]);
        let after = decided_after(&backend, bench, before, 1).await;
        assert_eq!(after.decisions, [Decision::InvalidTime]);
        // Asking for it casts no doubt on the gate.
        tokio::time::sleep(std::time::Duration::from_millis(1_500)).await;
        assert_eq!(grab(&backend, bench, 2, PLENTY).await, Decision::Granted(0));
        assert_eq!(epoch_of(&backend).await, after.epoch);
        backend.lifecycle.close();
    });
}

#[test]
fn a_server_lets_go_of_the_locks_of_a_process_that_is_frozen() {
    run(&Bench::servers(), async |bench| {
        let shard = cluster(bench).shards.remove(0);
        let mut conn = shard.connect().await.unwrap();
        let silent: Option<u64> = conn.query_first("SELECT @@SESSION.wait_timeout").await.unwrap();
        assert!(silent.unwrap() <= 60, "{silent:?} s");
    });
}

#[test]
fn a_process_that_lost_its_numbers_while_it_was_away_leases_others_and_goes_on() {
    run(&Bench::servers(), async |bench| {
        let backend = bench.open();
        let before = attempt(&backend, bench, 1, PLENTY).id;
        let main = cluster(bench).main;
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
