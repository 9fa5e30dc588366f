//! Laws of queues that lose messages, or get what they should not.

use amqprs::BasicProperties;
use amqprs::channel::{BasicPublishArguments, QueueDeclareArguments, QueueDeleteArguments};
use coupon_store::settings::Role;
use coupon_store::{Decision, Visit};

use crate::bench::{
    Bench, PLENTY, SCARCE, attempt, channel, coupon_id, decide, epoch_of, eventually, forget, grab, held_by,
    names, placed, process, publish_late, run, shard_of, until,
};

#[test]
fn a_queue_that_was_deleted_is_made_again_though_nobody_grabs() {
    run(&Bench::servers(), async |bench| {
        let backend = bench.open();
        let queue = names(bench, &backend).queue(shard_of(1));
        let (connection, channel) = channel(bench).await;
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
        let consumer = process(bench, Role::Consumer);
        let api = process(bench, Role::Api);
        // Without a consumer, an acknowledged result lies in its queue alone.
        consumer.lifecycle.close();
        drop(consumer);
        let first = attempt(&api, bench, 1, PLENTY);
        assert_eq!(decide(&api, &[first]).await, [Decision::Granted(0)]);
        let epoch = epoch_of(&api).await;
        let row = vec![placed(1, PLENTY, 1, first.id)];
        api.hand_over.hand_over(shard_of(1), epoch, row).await.unwrap();
        let queue = names(bench, &api).queue(shard_of(1));
        let (connection, channel) = channel(bench).await;
        channel.queue_delete(QueueDeleteArguments::new(&queue)).await.unwrap();
        connection.close().await.unwrap();

        let consumer = process(bench, Role::Consumer);
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
fn a_reservation_that_never_reached_its_queue_is_found_and_stored() {
    run(&Bench::servers(), async |bench| {
        let backend = bench.open();
        let lost = attempt(&backend, bench, 1, PLENTY);
        assert_eq!(decide(&backend, &[lost]).await, [Decision::Granted(0)]);
        // Younger ones are left alone; this one grows older than any hand-over may take.
        bench.clock().set(lost.id.time().plus_millis(60_000));
        until("it is stored", async || held_by(&backend, 1).await.len() == 2).await;
        let found = backend.shards.find(shard_of(1).into(), Visit::All, lost.id).await.unwrap().value;
        assert_eq!(found.map(|(_, result)| result), Some(placed(1, PLENTY, 1, lost.id).result));
        backend.lifecycle.drain().await.unwrap();
        assert_eq!(decide(&backend, &[lost]).await, [Decision::Granted(0)], "its own id is its own");
        let again = attempt(&backend, bench, 1, PLENTY);
        assert_eq!(decide(&backend, &[again]).await, [Decision::Duplicate(lost.id)]);
        backend.lifecycle.close();
    });
}

#[test]
fn a_result_that_comes_after_its_epoch_is_parked_and_holds_its_stock() {
    run(&Bench::servers(), async |bench| {
        let backend = bench.open();
        let before = epoch_of(&backend).await;
        forget(bench, &backend, before, SCARCE).await;
        let late = attempt(&backend, bench, 1, SCARCE);
        until("the gate is filled anew", async || {
            let filled = backend.gate.reserve(1, &[]).await.is_ok_and(|decided| decided.epoch > before);
            if !filled {
                let _ = backend.gate.reserve(1, &[late]).await;
            }
            filled
        })
        .await;
        publish_late(bench, &backend, before, 3).await;
        backend.lifecycle.drain().await.unwrap();
        assert_eq!(backend.shards.report(shard_of(3)).await.unwrap().parked, 1);
        assert_eq!(held_by(&backend, 3).await.len(), 1);
        until("it holds its stock", async || {
            backend.gate.stock(coupon_id(SCARCE)).await.unwrap().unwrap().sold > 0
        })
        .await;
        assert_eq!(decide(&backend, &[attempt(&backend, bench, 3, SCARCE)]).await, [Decision::Parked]);
        backend.lifecycle.close();
    });
}

#[test]
fn a_message_that_is_none_of_ours_is_parked_and_holds_nobody_up() {
    run(&Bench::servers(), async |bench| {
        let backend = bench.open();
        let names = names(bench, &backend);
        let (connection, channel) = channel(bench).await;
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
