//! Laws of stock that comes back where the gate, the shards and main are servers of their own.

use coupon_core::after_grab::Action;
use coupon_core::{CouponResult, ResultState};
use coupon_store::{Backend, Change, Changed, Decision, PlacedResult, Reservation, Unavailable};
use deadpool_redis::redis;
use mysql_async::prelude::Queryable as _;

use crate::bench::{
    Bench, PLENTY, SCARCE, attempt, changed, cluster, coupon_id, decide, epoch_of, eventually, filled_after,
    grab, granted, held_by, holding, names, redis_of, remaining, row, run, settles_at, shard_of, sold,
    unlink, until, verified,
};

/// One statement on the shard that a user's results are on.
async fn on_shard(bench: &Bench, user: u64, sql: &str) {
    let shard = cluster(bench).shards.swap_remove(shard_of(user).index());
    let mut conn = shard.connect_alone().await.unwrap();
    conn.query_drop(sql).await.unwrap();
    conn.disconnect().await.unwrap();
}

async fn try_to(
    backend: &Backend,
    row: &PlacedResult,
    action: Action,
    time: coupon_core::Timestamp,
) -> Result<Changed, Unavailable> {
    let CouponResult { user_id: user, result_id: id, .. } = row.result;
    backend.shards.change(row.placement, Change { user, id, action, time }).await
}

#[test]
fn of_confirm_and_expire_that_meet_one_wins_and_the_other_says_so() {
    run(&Bench::servers(), async |bench| {
        let (one, other) = (bench.open(), bench.open());
        let mut owned = 0;
        for number in 0..20 {
            let row = granted(&one, &holding(&one, bench, 1, PLENTY, &format!("request {number}"))).await;
            let due = row.result.hold_until.unwrap();
            // A process whose clock is a little behind confirms in time, and one that is ahead lets it expire; the sweepers
            // of both come as well.
            if number % 2 == 0 {
                bench.clock().set(due);
            }
            let (confirmed, expired) = tokio::join!(
                try_to(&one, &row, Action::Confirm, due.plus_millis(-1)),
                try_to(&other, &row, Action::Expire, due),
            );
            let won = |changed: &Changed| matches!(changed, Changed::Now(_));
            let (confirmed, expired) = (confirmed.unwrap(), expired.unwrap());
            assert!(!(won(&confirmed) && won(&expired)), "{confirmed:?} {expired:?}");
            let now = held_by(&one, 1).await[0];
            assert_eq!(now.result_id, row.result.result_id);
            match now.state {
                ResultState::Owned => {
                    assert!(won(&confirmed));
                    owned += 1;
                    // Its slot is for the next.
                    changed(&one, &row, Action::Return, due).await;
                }
                ResultState::Expired => assert!(!won(&confirmed), "{confirmed:?}"),
                state => panic!("{state}"),
            }
            until("its stock is free", async || sold(&one, PLENTY).await == 0).await;
        }
        settles_at(&one, PLENTY, 1_000).await;
        let lines = bench.log_of(PLENTY).await;
        let back = |word| lines.iter().filter(|line| line.3 == word).map(|line| line.2 - line.1).sum::<i64>();
        assert_eq!((back("return"), back("expire")), (owned, 20 - owned));
        one.lifecycle.close();
        other.lifecycle.close();
    });
}

#[test]
fn a_release_whose_gate_has_lost_its_memory_leaks_nothing_and_sells_nothing_twice() {
    run(&Bench::servers(), async |bench| {
        let backend = bench.open();
        let first = granted(&backend, &holding(&backend, bench, 1, SCARCE, "a")).await;
        assert_eq!(grab(&backend, bench, 3, SCARCE).await, Decision::Granted(0));
        backend.lifecycle.drain().await.unwrap();
        let before = epoch_of(&backend).await;
        unlink(bench, names(bench, &backend).pending(before)).await;
        // Committed, and the gate can let go of nothing.
        changed(&backend, &first, Action::Release, bench.clock().now()).await;
        assert!(filled_after(&backend, before).await > before);
        settles_at(&backend, SCARCE, 1).await;
        let again = holding(&backend, bench, 1, SCARCE, "a");
        let repeated = Decision::Repeated(Reservation::of(&first.result).grant());
        assert_eq!(decide(&backend, &[again]).await, [repeated], "the filling knows of the request");
        assert_eq!(grab(&backend, bench, 5, SCARCE).await, Decision::Granted(0));
        assert_eq!(grab(&backend, bench, 7, SCARCE).await, Decision::OutOfStock);
        settles_at(&backend, SCARCE, 0).await;
        assert_eq!(verified(bench).count(), 0);
        backend.lifecycle.close();
    });
}

#[test]
fn a_result_that_comes_again_after_its_release_is_a_repeat_in_every_epoch() {
    run(&Bench::servers(), async |bench| {
        let backend = bench.open();
        let first = granted(&backend, &holding(&backend, bench, 1, SCARCE, "a")).await;
        changed(&backend, &first, Action::Release, bench.clock().now()).await;
        // The user reserves the slot anew, and that is not handed over yet.
        let second = holding(&backend, bench, 1, SCARCE, "b");
        assert_eq!(decide(&backend, &[second]).await, [Decision::Granted(0)]);
        let before = epoch_of(&backend).await;
        let shard = shard_of(1);
        backend.hand_over.hand_over(shard, before, vec![first]).await.unwrap();
        until("it has come through", async || {
            let mut redis = redis_of(bench).await;
            let queued = backend.shards.report(shard).await.unwrap();
            let key = names(bench, &backend).pending(before);
            let marks: u32 = redis::cmd("ZCARD").arg(key).query_async(&mut redis).await.unwrap();
            marks >= 2 && queued.queue_depth == 0
        })
        .await;
        let wish = holding(&backend, bench, 1, SCARCE, "b");
        let pending = Decision::Pending(second.reservation(0));
        assert_eq!(decide(&backend, &[wish]).await, [pending], "what is pending stays so");
        backend.hand_over.hand_over(shard, before, vec![row(&second, second.reservation(0))]).await.unwrap();
        settles_at(&backend, SCARCE, 1).await;
        // In a later epoch the first is of one that is closed.
        unlink(bench, names(bench, &backend).pending(before)).await;
        assert_eq!(decide(&backend, &[attempt(&backend, bench, 2, PLENTY)]).await, [Decision::NotLoaded]);
        let after = filled_after(&backend, before).await;
        backend.hand_over.hand_over(shard, after, vec![first]).await.unwrap();
        settles_at(&backend, SCARCE, 1).await;
        assert_eq!(backend.shards.report(shard).await.unwrap().parked, 0);
        assert_eq!(held_by(&backend, 1).await[1].state, ResultState::Released);
        assert_eq!(verified(bench).count(), 0);
        backend.lifecycle.close();
    });
}

#[test]
fn main_hears_of_nothing_behind_a_release_that_waits() {
    run(&Bench::servers(), async |bench| {
        let backend = bench.open();
        // One of which no gate is late enough.
        let waiting = "INSERT INTO releases (outbox_id, result_id, user_id, coupon_id, slot, closed_epoch) \
                       VALUES (1, 1, 1, 4, 0, 1000000)";
        on_shard(bench, 1, waiting).await;
        assert_eq!(grab(&backend, bench, 1, PLENTY).await, Decision::Granted(0));
        assert_eq!(grab(&backend, bench, 2, PLENTY).await, Decision::Granted(0));
        until("both are stored", async || {
            held_by(&backend, 1).await.len() + held_by(&backend, 2).await.len() == 4
        })
        .await;
        until("the other shard's is told", async || remaining(&backend, PLENTY).await == 999).await;
        backend.lifecycle.drain().await.unwrap_err();
        assert_eq!(remaining(&backend, PLENTY).await, 999);
        on_shard(bench, 1, "DELETE FROM releases").await;
        settles_at(&backend, PLENTY, 998).await;
        backend.lifecycle.close();
    });
}

#[test]
fn a_row_that_gave_its_stock_back_after_the_gate_was_told_of_it_is_let_go_of() {
    run(&Bench::servers(), async |bench| {
        let backend = bench.open();
        let kept = granted(&backend, &holding(&backend, bench, 1, SCARCE, "a")).await;
        let gone = granted(&backend, &holding(&backend, bench, 3, SCARCE, "b")).await;
        changed(&backend, &gone, Action::Release, bench.clock().now()).await;
        settles_at(&backend, SCARCE, 1).await;
        // As a reconciler leaves it that ended after it added both to the gate, and before it looked at them again.
        let (names, epoch) = (names(bench, &backend), epoch_of(&backend).await);
        let mut redis = redis_of(bench).await;
        for PlacedResult { placement, result } in [&kept, &gone] {
            let member = format!(
                "{}/{}/{SCARCE}/{}/{}/0/0",
                placement.shard, placement.table, result.user_id, result.result_id
            );
            let mut told = redis::pipe();
            told.cmd("SADD").arg(names.unchecked(epoch)).arg(member).ignore();
            told.cmd("HSET").arg(names.holders(epoch, coupon_id(SCARCE)));
            told.arg(result.user_id.get()).arg(result.result_id.number()).ignore();
            let () = told.query_async(&mut redis).await.unwrap();
        }
        settles_at(&backend, SCARCE, 1).await;
        eventually("nothing is left to be looked at", async || {
            let key = names.unchecked(epoch);
            let left: u32 = redis::cmd("SCARD").arg(key).query_async(&mut redis).await.unwrap();
            if left == 0 { Ok(()) } else { Err(left) }
        })
        .await;
        assert_eq!(
            decide(&backend, &[attempt(&backend, bench, 1, SCARCE)]).await,
            [Decision::Duplicate(kept.result.result_id)]
        );
        // A row that the gate has lost is added to it again.
        let key = names.holders(epoch, coupon_id(SCARCE));
        let () = redis::cmd("HDEL").arg(key).arg(1).query_async(&mut redis).await.unwrap();
        assert_eq!(sold(&backend, SCARCE).await, 0);
        backend.lifecycle.close();
        drop(backend);
        let backend = bench.open();
        until("the gate is told of it", async || sold(&backend, SCARCE).await == 1).await;
        settles_at(&backend, SCARCE, 1).await;
        backend.lifecycle.close();
    });
}
