//! Laws that hold when the gate, main or a queue forgets a part of its data.

use std::time::Duration;

use amqprs::channel::QueuePurgeArguments;
use coupon_core::after_grab::{Action, Actor};
use coupon_store::settings::{Role, ServerUrl, ServersSettings};
use coupon_store::{Change, Decision, Visit};
use deadpool_redis::redis;
use mysql_async::prelude::Queryable as _;

use crate::bench::{
    Bench, PLENTY, SCARCE, attempt, channel, cluster, decide, epoch_of, filled_after, forget, grab, held_by,
    names, open_process, options, placed, process, publish_late, queries, redis_of, remaining, run, shard_of,
    unlink, until, verified,
};

#[test]
fn an_epoch_is_never_given_out_twice_though_main_was_put_back() {
    run(&Bench::servers(), async |bench| {
        let backend = bench.open();
        let before = epoch_of(&backend).await;
        // A main of before that epoch, and an empty Redis: two reservations are late on their way.
        let late = [1, 3].map(|user| attempt(&backend, bench, user, SCARCE));
        assert_eq!(decide(&backend, &late).await, [Decision::Granted(0), Decision::Granted(0)]);
        let mut main = cluster(bench).main.connect_alone().await.unwrap();
        let back = "UPDATE gate_state SET epoch = epoch - 1, open_epoch = open_epoch - 1";
        main.query_drop(back).await.unwrap();
        let mut redis = redis_of(bench).await;
        let pattern = format!("{}.*", names(bench, &backend).exchange());
        let keys: Vec<String> = redis::cmd("KEYS").arg(pattern).query_async(&mut redis).await.unwrap();
        let () = redis::cmd("UNLINK").arg(keys).query_async(&mut redis).await.unwrap();

        let after = filled_after(&backend, before).await;
        assert!(after > before);
        for user in [2, 4] {
            assert_eq!(grab(&backend, bench, user, SCARCE).await, Decision::Granted(0));
        }
        for (user, late) in [1, 3].into_iter().zip(late) {
            let rows = vec![placed(user, SCARCE, 1, late.id)];
            backend.hand_over.hand_over(shard_of(user), before, rows).await.unwrap_err();
            publish_late(bench, &backend, before, user).await;
        }
        backend.lifecycle.drain().await.unwrap();
        assert_eq!(remaining(&backend, SCARCE).await, 0);
        for (user, held) in [(1, 1), (2, 2), (3, 1), (4, 2)] {
            assert_eq!(held_by(&backend, user).await.len(), held, "user {user}");
        }
        backend.lifecycle.close();
    });
}

#[test]
fn a_process_that_starts_beside_a_main_that_was_put_back_opens_no_epoch_of_before() {
    run(&Bench::servers(), async |bench| {
        let backend = bench.open();
        let before = epoch_of(&backend).await;
        forget(bench, &backend, before, SCARCE).await;
        assert_eq!(decide(&backend, &[attempt(&backend, bench, 1, SCARCE)]).await, [Decision::NotLoaded]);
        let last = filled_after(&backend, before).await;
        backend.lifecycle.close();
        drop(backend);
        let mut main = cluster(bench).main.connect_alone().await.unwrap();
        let back = "UPDATE gate_state SET epoch = ?, open_epoch = ?";
        main.exec_drop(back, (before, before)).await.unwrap();
        let backend = bench.open();
        assert!(filled_after(&backend, before).await > last);
        backend.lifecycle.close();
    });
}

#[test]
fn a_result_that_is_granted_and_not_stored_is_never_called_absent() {
    run(&Bench::servers(), async |bench| {
        let consumer = process(bench, Role::Consumer);
        let (api, queries) = queries(process(bench, Role::Api));
        // Its grab came to no clear answer; asked again later, it is handed over under the id it had at first.
        let unclear = attempt(&api, bench, 1, PLENTY);
        assert_eq!(decide(&api, &[unclear]).await, [Decision::Granted(0)]);
        tokio::time::sleep(Duration::from_millis(50)).await;
        // The shard stores a result of a later moment meanwhile.
        assert_eq!(grab(&api, bench, 3, PLENTY).await, Decision::Granted(0));
        until("what came later is stored", async || held_by(&api, 3).await.len() == 2).await;
        consumer.lifecycle.close();
        drop(consumer);
        let again = attempt(&api, bench, 1, PLENTY);
        assert_eq!(
            decide(&api, &[again]).await,
            [Decision::Pending(coupon_store::Reservation::plain(unclear.id))]
        );
        let rows = vec![placed(1, PLENTY, 1, unclear.id)];
        api.hand_over.hand_over(shard_of(1), epoch_of(&api).await, rows).await.unwrap();

        let now = bench.clock().now();
        let pending = queries.find(unclear.id, None, now).await.unwrap_err();
        assert!(pending.to_string().contains("this result"), "{pending}");
        let action = Action::Use(coupon_core::Money::from_cents(100));
        let change = Change { user: unclear.user, id: unclear.id, action, time: now };
        let pending = queries.change(Actor::User, change, |_| Ok(())).await.unwrap_err();
        assert!(pending.to_string().contains("this result"), "{pending}");
        // One that was never granted is absent.
        let made_up =
            coupon_core::ResultId::from_parts(unclear.id.time().plus_millis(-60_000), 7, 7).unwrap();
        assert!(queries.find(made_up, None, now).await.unwrap().0.is_none());

        let consumer = process(bench, Role::Consumer);
        until("it is stored", async || queries.find(unclear.id, None, now).await.is_ok()).await;
        assert!(queries.find(unclear.id, None, now).await.unwrap().0.is_some());
        api.lifecycle.close();
        consumer.lifecycle.close();
    });
}

#[test]
fn a_gate_that_lost_its_pending_marks_alone_is_filled_anew() {
    run(&Bench::servers(), async |bench| {
        let consumer = process(bench, Role::Consumer);
        let (api, queries) = queries(process(bench, Role::Api));
        let before = epoch_of(&api).await;
        let lost = attempt(&api, bench, 1, SCARCE);
        assert_eq!(decide(&api, &[lost]).await, [Decision::Granted(0)]);
        unlink(bench, names(bench, &api).pending(before)).await;
        // No answer says whether the result is stored.
        queries.find(lost.id, None, bench.clock().now()).await.unwrap_err();
        let after = filled_after(&api, before).await;
        // What was never handed over was never granted: its stock is free again.
        assert!(after > before);
        assert_eq!(grab(&api, bench, 2, SCARCE).await, Decision::Granted(0));
        assert_eq!(grab(&api, bench, 4, SCARCE).await, Decision::Granted(0));
        api.lifecycle.drain().await.unwrap();
        assert_eq!(remaining(&api, SCARCE).await, 0);
        api.lifecycle.close();
        consumer.lifecycle.close();
    });
}

#[test]
fn a_grab_that_finds_no_pending_marks_is_not_decided() {
    run(&Bench::servers(), async |bench| {
        let backend = bench.open();
        let before = epoch_of(&backend).await;
        unlink(bench, names(bench, &backend).pending(before)).await;
        let decided = decide(&backend, &[attempt(&backend, bench, 1, PLENTY)]).await;
        assert_eq!(decided, [Decision::NotLoaded]);
        filled_after(&backend, before).await;
        assert_eq!(grab(&backend, bench, 1, PLENTY).await, Decision::Granted(0));
        backend.lifecycle.close();
    });
}

#[test]
fn parking_takes_no_grant_away() {
    run(&Bench::servers(), async |bench| {
        let backend = bench.open();
        let before = epoch_of(&backend).await;
        forget(bench, &backend, before, SCARCE).await;
        assert_eq!(decide(&backend, &[attempt(&backend, bench, 1, SCARCE)]).await, [Decision::NotLoaded]);
        filled_after(&backend, before).await;
        // The user has another one by the time the late result is parked.
        let mine = attempt(&backend, bench, 1, SCARCE);
        assert_eq!(decide(&backend, &[mine]).await, [Decision::Granted(0)]);
        publish_late(bench, &backend, before, 1).await;
        backend.lifecycle.drain().await.unwrap();
        assert_eq!(backend.shards.report(shard_of(1)).await.unwrap().parked, 1);
        let again = attempt(&backend, bench, 1, SCARCE);
        assert_eq!(decide(&backend, &[again]).await, [Decision::Duplicate(mine.id)]);
        backend.lifecycle.close();
    });
}

#[test]
fn drained_means_that_what_a_queue_has_lost_is_stored_too() {
    run(&Bench::servers(), async |bench| {
        let consumer = process(bench, Role::Consumer);
        let api = process(bench, Role::Api);
        consumer.lifecycle.close();
        drop(consumer);
        assert_eq!(grab(&api, bench, 1, PLENTY).await, Decision::Granted(0));
        // As a policy on the queue, or a person, would drop it.
        let queue = names(bench, &api).queue(shard_of(1));
        let (connection, channel) = channel(bench).await;
        let dropped = channel.queue_purge(QueuePurgeArguments::new(&queue)).await.unwrap();
        assert!(dropped.is_some_and(|messages| messages >= 1), "{dropped:?}");
        channel.close().await.unwrap();
        connection.close().await.unwrap();
        let consumer = process(bench, Role::Consumer);
        api.lifecycle.drain().await.unwrap();
        assert_eq!(held_by(&api, 1).await.len(), 2);
        assert_eq!(remaining(&api, PLENTY).await, 999);
        api.lifecycle.close();
        consumer.lifecycle.close();
    });
}

#[test]
fn a_shard_that_comes_back_with_less_than_was_committed_is_refused() {
    run(&Bench::servers(), async |bench| {
        let backend = bench.open();
        assert_eq!(grab(&backend, bench, 1, PLENTY).await, Decision::Granted(0));
        backend.lifecycle.drain().await.unwrap();
        let other = attempt(&backend, bench, 1, PLENTY).id;
        let found = backend.shards.find(shard_of(1).into(), Visit::All, other).await.unwrap();
        assert!(found.value.is_none(), "it was never granted");
        // Main has applied all of it, but for what came last.
        let shard = cluster(bench).shards.swap_remove(1);
        let mut conn = shard.connect_alone().await.unwrap();
        let commits: Option<u64> = conn.query_first("SELECT commits FROM shard_state").await.unwrap();
        conn.query_drop("UPDATE shard_state SET commits = commits - 1").await.unwrap();
        // Nor does it say, before the next look, that there is no such result.
        let refused =
            backend.shards.find(shard_of(1).into(), Visit::All, other).await.unwrap_err().to_string();
        assert!(refused.contains("lost data"), "{refused}");
        until("it is refused", async || !backend.shards.report(shard_of(1)).await.unwrap().up).await;
        let everything = coupon_core::ResultQuery::everything();
        backend.shards.summary(shard_of(1).into(), Visit::All, everything).await.unwrap_err();
        assert_eq!(grab(&backend, bench, 3, PLENTY).await, Decision::Granted(0), "it waits in its queue");
        tokio::time::sleep(Duration::from_millis(500)).await;
        let now: Option<u64> = conn.query_first("SELECT commits FROM shard_state").await.unwrap();
        assert_eq!(now.unwrap() + 1, commits.unwrap(), "nothing is stored there");
        // The full copy is back.
        conn.query_drop("UPDATE shard_state SET commits = commits + 1").await.unwrap();
        until("it is up", async || backend.shards.report(shard_of(1)).await.unwrap().up).await;
        backend.lifecycle.drain().await.unwrap();
        assert_eq!(held_by(&backend, 3).await.len(), 2);
        assert_eq!(remaining(&backend, PLENTY).await, 998);
        backend.lifecycle.close();
    });
}

#[test]
fn a_row_deleted_on_its_shard_is_named_with_what_to_do() {
    run(&Bench::servers(), async |bench| {
        let backend = bench.open();
        let mine = attempt(&backend, bench, 1, SCARCE);
        let decided = backend.gate.reserve(1, &[mine]).await.unwrap();
        let row = placed(1, SCARCE, 1, mine.id);
        backend.hand_over.hand_over(shard_of(1), decided.epoch, vec![row]).await.unwrap();
        backend.lifecycle.drain().await.unwrap();
        let shard = cluster(bench).shards.swap_remove(1);
        let mut conn = shard.connect_alone().await.unwrap();
        let table = row.placement.table;
        conn.query_drop(format!("DELETE FROM {table} WHERE result_id = {}", mine.id)).await.unwrap();
        let found = verified(bench);
        assert_eq!(found.count(), 1, "{found}");
        let text = found.to_string();
        assert!(text.contains("held in the gate, and stored nowhere: 1"), "{text}");
        assert!(text.contains(&mine.id.to_string()) && text.contains("INSERT INTO"), "{text}");
        // As it says, but for the name of the table.
        let insert = text.lines().find_map(|line| line.trim().strip_prefix("INSERT INTO <table> ")).unwrap();
        conn.query_drop(format!("INSERT INTO {table} {insert}")).await.unwrap();
        let found = verified(bench);
        assert_eq!(found.count(), 0, "{found}");
        assert_eq!(held_by(&backend, 1).await.iter().filter(|held| **held == row.result).count(), 1);
        assert_eq!(remaining(&backend, SCARCE).await, 1);
        backend.lifecycle.close();
    });
}

#[test]
fn a_process_that_is_set_to_another_redis_takes_no_gate_from_those_that_are_well() {
    run(&Bench::servers(), async |bench| {
        let backend = bench.open();
        let before = epoch_of(&backend).await;
        // Another database of the same server has the same scripts, but no keys, and here another address.
        let url = bench.settings().redis[0].expose().replace("127.0.0.1", "localhost");
        let url = format!("{}/1", url.trim_end_matches('/'));
        let settings = ServersSettings { redis: vec![ServerUrl::new(url)], ..bench.settings().clone() };
        let options = options(&settings);
        let strange = open_process(bench, &options).unwrap();
        assert!(strange.gate.ready().is_err(), "it takes no grabs");
        assert_eq!(epoch_of(&backend).await, before);
        assert_eq!(grab(&backend, bench, 1, SCARCE).await, Decision::Granted(0));
        strange.lifecycle.close();
        backend.lifecycle.drain().await.unwrap();
        backend.lifecycle.close();
        drop((strange, backend));
        // Once it has been absent there for long, the gate moves, and has what is stored.
        let mut main = cluster(bench).main.connect_alone().await.unwrap();
        main.query_drop("UPDATE gate_record SET seen = 0").await.unwrap();
        let moved = open_process(bench, &options).unwrap();
        assert!(filled_after(&moved, before).await > before);
        let again = attempt(&moved, bench, 1, SCARCE);
        assert!(matches!(decide(&moved, &[again]).await[0], Decision::Duplicate(_)));
        moved.lifecycle.close();
    });
}
