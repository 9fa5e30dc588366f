//! Laws of a database that decides grabs.

use std::time::Duration;

use coupon_core::after_grab::Action;
use coupon_core::{CouponResult, ShardId};
use coupon_servers::seam::{Epoch, GateServer, Release, Route, Servers, StepsNote, Terms, Waiting};
use coupon_store::{Attempt, Decision, GateStock};
use tokio::time::timeout;

use crate::bench::{PATIENCE, coupon, id, result, terms, user};
use crate::gate::{decide, filled};
use crate::shard::{TABLE, begun, note};
use crate::steps::{change, nothing, stepping, store};

fn attempt(by: u64, after_ms: i64) -> Attempt {
    Attempt::plain(user(by), coupon(1), id(after_ms))
}

async fn sold(gate: &dyn GateServer, epoch: &Epoch) -> Option<GateStock> {
    gate.stock(epoch, coupon(1)).await.unwrap()
}

pub(crate) async fn a_coupon_is_granted_once_a_user_until_none_is_left(servers: &Servers) {
    let (gate, epoch) = filled(servers).await;
    let first = [attempt(1, 1), attempt(1, 2), attempt(2, 3), attempt(3, 4)];
    let expected =
        [Decision::Granted(0), Decision::Duplicate(id(1)), Decision::Granted(0), Decision::OutOfStock];
    assert_eq!(decide(&*gate, &epoch, &first).await, expected);
    let late = [attempt(2, 9), attempt(5, -1), attempt(5, 3_600_000)];
    let expected = [Decision::Duplicate(id(3)), Decision::InvalidTime, Decision::InvalidTime];
    assert_eq!(decide(&*gate, &epoch, &late).await, expected);
    assert_eq!(sold(&*gate, &epoch).await, Some(GateStock { total: 2, sold: 2 }));
    let one_in_time = [attempt(6, -1), attempt(7, 10), attempt(8, 3_600_000)];
    gate.change_terms(&epoch, 4, &[&terms(1, 3)]).await.unwrap();
    let expected = [Decision::InvalidTime, Decision::Granted(0), Decision::InvalidTime];
    assert_eq!(decide(&*gate, &epoch, &one_in_time).await, expected);
}

pub(crate) async fn terms_change_unless_those_of_a_later_version_are_there_and_what_is_sold_is_counted(
    servers: &Servers,
) {
    let (gate, epoch) = filled(servers).await;
    store(servers, &[result(1, 1)]).await;
    // It was on offer before that row came from elsewhere: only in the next epoch it is counted.
    assert_eq!(sold(&*gate, &epoch).await, Some(GateStock { total: 2, sold: 0 }));
    let ended = Terms { active: false, ..terms(1, 1) };
    gate.change_terms(&epoch, 2, &[&ended]).await.unwrap();
    assert_eq!(sold(&*gate, &epoch).await, Some(GateStock { total: 2, sold: 0 }));
    gate.change_terms(&epoch, 5, &[&ended]).await.unwrap();
    assert_eq!(decide(&*gate, &epoch, &[attempt(2, 2)]).await, [Decision::InvalidTime]);
    let next = Epoch::new(&servers.dataset, 2);
    gate.begin(&next).await.unwrap();
    gate.offer(&next, 1, &[&terms(1, 2)]).await.unwrap();
    assert_eq!(sold(&*gate, &next).await, Some(GateStock { total: 2, sold: 1 }));
    let decided = decide(&*gate, &next, &[attempt(1, 3), attempt(2, 4), attempt(3, 5)]).await;
    assert_eq!(decided, [Decision::Duplicate(id(1)), Decision::Granted(0), Decision::OutOfStock]);
    assert!(gate.decide(&epoch, 1, &[&attempt(4, 6)]).await.is_err(), "the epoch before sells nothing more");
}

pub(crate) async fn what_is_sold_or_given_back_is_told_once_and_with_the_rows(servers: &Servers) {
    let (gate, epoch) = filled(servers).await;
    decide(&*gate, &epoch, &[attempt(1, 1), attempt(2, 2)]).await;
    // A transaction that is dropped leaves uncounted what was sold.
    assert_eq!(begun(servers).await.untold().await.unwrap(), [(coupon(1), 2)]);
    let mut storing = begun(servers).await;
    assert_eq!(storing.untold().await.unwrap(), [(coupon(1), 2)]);
    storing.commit(&note(&[], &[], 2)).await.unwrap();
    assert_eq!(begun(servers).await.untold().await.unwrap(), []);
    let row = result(1, 1);
    let mut steps = stepping(servers).await;
    let returned = steps.change(TABLE, &change(&row, Action::Return, 5)).await.unwrap().unwrap();
    assert_eq!(returned.before, CouponResult { slot: Some(0), ..row });
    let begun = steps.begin().await.unwrap().unwrap();
    let release = Release::of(&returned.before);
    let waiting = [Waiting { outbox_id: begun.outbox_id, release, closed: begun.closed.last() }];
    steps.commit(&StepsNote { releases: &waiting, ..nothing() }).await.unwrap();
    assert_eq!(sold(&*gate, &epoch).await, Some(GateStock { total: 2, sold: 1 }));
    assert_eq!(decide(&*gate, &epoch, &[attempt(3, 9)]).await, [Decision::Granted(0)]);
}

pub(crate) async fn a_marker_passes_through_the_queue_to_its_next_consumer(servers: &Servers) {
    let shard = ShardId::new(0);
    let publisher = servers.queues.publisher(Duration::from_secs(1));
    publisher.publish(Route::Queue(shard), b"one".to_vec()).await.unwrap();
    let mut first = servers.queues.consume(shard).await.unwrap();
    assert_eq!(timeout(PATIENCE, first.next()).await.unwrap().unwrap().body, b"one");
    first.close().await;
    publisher.publish(Route::Queue(shard), b"two".to_vec()).await.unwrap();
    let mut second = servers.queues.consume(shard).await.unwrap();
    assert_eq!(timeout(PATIENCE, second.next()).await.unwrap().unwrap().body, b"two");
    assert!(second.next_now().is_none());
    assert!(publisher.publish(Route::results(1, shard), Vec::new()).await.is_err(), "no result passes there");
}
