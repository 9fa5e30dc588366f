//! The answers of `/readyz`, and of grabs, while something is away.

use std::time::{Duration, Instant};

use coupon_servers::cluster::Cluster;
use coupon_service::api::{GrabResponse, ResultPage};
use coupon_stack::Server;
use mysql_async::prelude::Queryable as _;

use crate::alone;
use crate::bench::{Bench, PLENTY, ParityAndDay, run, stack};
use crate::served::Served;

#[test]
fn a_process_is_ready_while_it_takes_grabs_and_no_longer() {
    let _alone = alone();
    let bench = Bench::servers();
    let service = Served::start(&bench, &[]);
    service.becomes(200);
    assert_eq!(service.grab(1, PLENTY).status, 200);

    // What a shard that is down would store waits in its queue.
    stack().kill(Server::Shard(1)).unwrap();
    for user in [2, 3] {
        assert_eq!(service.grab(user, PLENTY).status, 200);
        assert_eq!(service.get("/readyz").status, 200);
    }
    stack().restart(Server::Shard(1)).unwrap();

    for (server, names) in [(Server::RabbitMq(0), "queue"), (Server::Redis, "gate")] {
        stack().kill(server).unwrap();
        service.becomes_saying(503, names);
        assert_eq!(service.grab(4, PLENTY).status, 503);
        stack().restart(server).unwrap();
        service.becomes(200);
    }
    assert_eq!(service.grab(4, PLENTY).status, 200);
}

#[test]
fn a_process_that_was_away_for_longer_than_its_leases_is_ready_once_it_has_leased_anew() {
    let _alone = alone();
    let bench = Bench::servers();
    let service = Served::start(&bench, &[]);
    service.becomes(200);
    // Without main no process leases anything.
    stack().pause(Server::Main).unwrap();
    bench.clock().set(bench.clock().now().plus_millis(11 * 60_000));
    service.becomes_saying(503, "the ids");
    assert_eq!(service.grab(1, PLENTY).status, 503);
    stack().resume(Server::Main).unwrap();
    service.becomes(200);
    assert_eq!(service.grab(1, PLENTY).status, 200);
}

#[test]
fn a_process_whose_clock_goes_wrong_takes_no_grabs_until_it_is_right_again() {
    let _alone = alone();
    let bench = Bench::servers();
    let service = Served::start(&bench, &[]);
    service.becomes(200);
    for (user, wrong_by, side) in
        [(1, 3_600_300, "s ahead of the main database's"), (2, -3_600_300, "s behind the main database's")]
    {
        bench.clock().set_wrong_by(wrong_by);
        service.becomes_saying(503, side);
        let refused = service.grab(user, PLENTY);
        assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")), "{}", refused.text());
        bench.clock().set_wrong_by(0);
        service.becomes(200);
        assert_eq!(service.grab(user, PLENTY).status, 200);
    }
    service.drain();
    for user in [1, 2] {
        let held: ResultPage = service.get(&format!("/api/user/{user}/coupons")).json();
        assert_eq!(held.items.len(), 2, "the one of the day before, and the one of now");
    }
}

#[test]
fn a_process_that_only_stores_is_ready_while_it_reaches_the_queue_and_a_shard() {
    let _alone = alone();
    let bench = Bench::servers();
    let service = Served::start(&bench, &["servers.role=consumer"]);
    service.becomes(200);
    stack().kill(Server::Shard(0)).unwrap();
    stack().kill(Server::Redis).unwrap();
    stack().restart(Server::Redis).unwrap();
    service.becomes(200);
    stack().kill(Server::Shard(1)).unwrap();
    service.becomes_saying(503, "every shard");
    stack().restart(Server::Shard(0)).unwrap();
    service.becomes(200);
    stack().restart(Server::Shard(1)).unwrap();
    stack().kill(Server::RabbitMq(0)).unwrap();
    service.becomes_saying(503, "the queue");
    stack().restart(Server::RabbitMq(0)).unwrap();
    service.becomes(200);
}

/// The state that a process whose clock was wrong has left behind.
#[test]
fn reads_that_are_said_to_be_later_than_now_are_put_right() {
    let _alone = alone();
    run(&Bench::servers(), async |bench| {
        let service = Served::start(bench, &[]);
        service.becomes(200);
        let mut shards = Vec::new();
        for shard in &Cluster::new(bench.settings(), &ParityAndDay).unwrap().shards {
            shards.push(shard.connect_alone().await.unwrap());
        }
        let hour = 3_600_000;
        for shard in &mut shards {
            shard.query_drop(format!("UPDATE shard_state SET as_of = as_of + {hour}")).await.unwrap();
        }
        let deadline = Instant::now() + Duration::from_secs(60);
        for shard in &mut shards {
            loop {
                let as_of: Option<i64> = shard.query_first("SELECT as_of FROM shard_state").await.unwrap();
                if as_of.unwrap() <= bench.clock().now().millis() {
                    break;
                }
                assert!(Instant::now() < deadline, "reads are said to be of the future for ever");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        // What is granted from now on is never called absent.
        let granted: GrabResponse = service.grab(9, PLENTY).json();
        let asked = service.get(&format!("/api/result/{}", granted.result_id.unwrap())).status;
        assert!([200, 503].contains(&asked), "{asked}");
    });
}
