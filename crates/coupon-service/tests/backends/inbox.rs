//! The effect of a busy embedded shard's inbox on readers.

use coupon_core::{ResultId, ResultQuery, Timestamp};
use coupon_store::PageRequest;

use crate::bench::{Bench, PLENTY, placed, queries, run, shard_of};

/// Refuses rows to the table of the day before; the shard's inbox takes them, and reads go on.
const REFUSE: &str = "CREATE TRIGGER refuse BEFORE INSERT ON coupon_results_2026_11_21
    BEGIN SELECT RAISE(ABORT, 'full'); END";

async fn waits_in_the_inbox(bench: &Bench) {
    let (backend, queries) = queries(bench.open());
    let shard = shard_of(1);
    bench.edit_shard(shard, REFUSE);
    let yesterday = bench.clock().now().plus_millis(-86_400_000);
    // So many at once that the writer calls its shard busy.
    let id = |n| ResultId::from_parts(yesterday, 0, n).unwrap();
    let rows = (100..200_u16).map(|n| placed(u64::from(n) * 2 + 1, PLENTY, 1, id(n))).collect();
    backend.hand_over.hand_over(shard, 0, rows).await.unwrap();
    let id = id(199);

    let late = Timestamp::MAX;
    let page = PageRequest { before: None, limit: 100 };
    let before = queries.page(ResultQuery::everything(), page, late).await.unwrap();
    assert_eq!(before.items.iter().filter(|item| item.coupon_id.get() == PLENTY).count(), 0);
    assert!(before.answered.as_of <= id.time());
    queries.find(id, None, late).await.unwrap_err();
    // A clock that has stepped back a little is behind ids that were made before.
    queries.find(id, None, id.time().plus_millis(-5_000)).await.unwrap_err();
    let none_so_late = queries.find(id, None, id.time().plus_millis(-60_000)).await.unwrap();
    assert!(none_so_late.0.is_none());
    assert_eq!(backend.shards.report(shard).await.unwrap().queue_depth, 100);

    bench.edit_shard(shard, "DROP TRIGGER refuse");
    backend.lifecycle.drain().await.unwrap();
    assert!(queries.find(id, None, late).await.unwrap().0.is_some());
    let after = queries.page(ResultQuery::everything(), page, late).await.unwrap();
    assert!(after.answered.as_of > id.time());
    assert_eq!(backend.shards.report(shard).await.unwrap().queue_depth, 0);
    backend.lifecycle.close();
}

#[test]
fn what_waits_in_the_inbox_is_neither_promised_to_readers_nor_called_absent() {
    run(&Bench::embedded(), waits_in_the_inbox);
}
