//! Laws of the queues' server.

use std::time::Duration;

use coupon_core::ShardId;
use coupon_servers::seam::{Delivery, Publish, PublishError, QueueConsumer, Route, Servers};
use tokio::time::timeout;

use crate::bench::PATIENCE;

const SHARD: ShardId = ShardId::new(0);
/// Long enough for a message that must not come, and would.
const NOTHING: Duration = Duration::from_millis(300);

/// Queues of which epoch 1 leads to the first shard's, and a way to publish.
async fn bound(servers: &Servers) -> Box<dyn Publish> {
    let mut admin = servers.queues.admin().await.unwrap();
    admin.declare().await.unwrap();
    admin.declare().await.unwrap();
    admin.bind(Route::results(1, SHARD)).await.unwrap();
    assert!(admin.is_open());
    admin.close().await;
    servers.queues.publisher(Duration::from_secs(30))
}

async fn next(consumer: &mut dyn QueueConsumer) -> Delivery {
    timeout(PATIENCE, consumer.next()).await.unwrap().unwrap()
}

pub(crate) async fn what_is_routed_comes_in_order_and_is_forgotten_once_it_is_done_with(servers: &Servers) {
    let publisher = bound(servers).await;
    publisher.publish(Route::results(1, SHARD), b"one".to_vec()).await.unwrap();
    publisher.publish(Route::Queue(SHARD), b"two".to_vec()).await.unwrap();
    assert_eq!(publisher.refusal_of(Route::Queue(SHARD)), None);
    let mut consumer = servers.queues.consume(SHARD).await.unwrap();
    let (first, second) = (next(&mut *consumer).await, next(&mut *consumer).await);
    assert_eq!((first.body, second.body), (b"one".to_vec(), b"two".to_vec()));
    assert!(consumer.next_now().is_none());
    consumer.done(second.tag).await.unwrap();
    tokio::time::sleep(NOTHING).await;
    consumer.close().await;
    let mut after = servers.queues.consume(SHARD).await.unwrap();
    assert!(timeout(NOTHING, after.next()).await.is_err(), "what was done with came again");
}

pub(crate) async fn what_is_not_done_with_goes_to_the_next_consumer_and_one_has_it_at_a_time(
    servers: &Servers,
) {
    let publisher = bound(servers).await;
    let mut first = servers.queues.consume(SHARD).await.unwrap();
    let mut second = servers.queues.consume(SHARD).await.unwrap();
    publisher.publish(Route::Queue(SHARD), b"one".to_vec()).await.unwrap();
    assert_eq!(next(&mut *first).await.body, b"one");
    assert!(timeout(NOTHING, second.next()).await.is_err(), "two were given messages");
    first.close().await;
    assert_eq!(next(&mut *second).await.body, b"one");
}

pub(crate) async fn what_is_not_bound_is_returned(servers: &Servers) {
    let publisher = bound(servers).await;
    let other = publisher.publish(Route::results(2, SHARD), b"one".to_vec()).await;
    assert_eq!(other, Err(PublishError::NoRoute));
    let admin = servers.queues.admin().await.unwrap();
    admin.unbind(Route::results(1, SHARD)).await.unwrap();
    let unbound = publisher.publish(Route::results(1, SHARD), b"one".to_vec()).await;
    assert_eq!(unbound, Err(PublishError::NoRoute));
    publisher.publish(Route::Parking, b"nobody".to_vec()).await.unwrap();
    assert_eq!(admin.queue(SHARD).await.unwrap().messages, 0);
}
