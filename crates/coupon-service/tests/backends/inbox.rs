//! The inbox of a busy embedded shard: what readers see meanwhile, and steps of what lies in it.

use coupon_core::after_grab::Action;
use coupon_core::{CouponResult, ResultId, ResultQuery, ResultState, Timestamp};
use coupon_store::{Attempt, Decision, PageRequest, PlacedResult, Reservation, Totals};

use crate::bench::{
    Bench, PLENTY, SCARCE, attempt, changed, decide, grab, granted, held_by, holding, placed, queries, row,
    run, settles_at, shard_of, sold, sums, until,
};

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

pub(crate) async fn a_result_that_was_given_back_is_not_taken_up_from_the_inbox(bench: &Bench) {
    let backend = bench.open();
    let row = granted(&backend, &holding(&backend, bench, 1, SCARCE, "a")).await;
    changed(&backend, &row, Action::Release, bench.clock().now()).await;
    settles_at(&backend, SCARCE, 2).await;
    backend.lifecycle.close();
    drop(backend);
    // As if the service had ended before it emptied the inbox, which it does slice by slice.
    let CouponResult { result_id, hold_until, request, .. } = row.result;
    let (until, request) = (hold_until.unwrap().millis(), request.unwrap().number());
    let batch = format!(r#"{{"{}":[[{result_id},1,{SCARCE},1,0,{until},{request}]]}}"#, row.placement.table);
    bench.edit_shard(row.placement.shard, &format!("INSERT INTO inbox VALUES (1, '{batch}')"));
    let backend = bench.open();
    assert_eq!(sold(&backend, SCARCE).await, 0);
    settles_at(&backend, SCARCE, 2).await;
    let repeated = Decision::Repeated(Reservation::of(&row.result).grant());
    assert_eq!(decide(&backend, &[holding(&backend, bench, 1, SCARCE, "a")]).await, [repeated]);
    assert_eq!(backend.shards.report(shard_of(1)).await.unwrap().parked, 0);
    backend.lifecycle.close();
}

pub(crate) async fn a_hold_that_is_due_while_its_shard_takes_no_writes_expires_once_it_does(bench: &Bench) {
    let backend = bench.open();
    let held = granted(&backend, &holding(&backend, bench, 1, SCARCE, "a")).await;
    let shard = held.placement.shard;
    bench.edit_shard(
        shard,
        "CREATE TRIGGER broken BEFORE DELETE ON holds BEGIN SELECT RAISE(ABORT, 'broken'); END",
    );
    bench.clock().set(held.result.hold_until.unwrap());
    until("its shard is down", async || !backend.shards.report(shard).await.unwrap().up).await;
    // It has not expired, so its stock is kept.
    assert_eq!(held_by(&backend, 1).await[0], held.result);
    assert_eq!(grab(&backend, bench, 2, SCARCE).await, Decision::Granted(0));
    assert_eq!(decide(&backend, &[attempt(&backend, bench, 4, SCARCE)]).await, [Decision::OutOfStock]);
    bench.edit_shard(shard, "DROP TRIGGER broken");
    settles_at(&backend, SCARCE, 1).await;
    assert_eq!(held_by(&backend, 1).await[0].state, ResultState::Expired);
    backend.lifecycle.close();
}

pub(crate) async fn a_busy_shard_takes_steps_beside_the_grabs_that_it_takes_in(bench: &Bench) {
    let backend = bench.open();
    let mut due = Vec::new();
    for round in 0..3_u64 {
        let held = granted(&backend, &holding(&backend, bench, 2, SCARCE, &format!("request {round}"))).await;
        let wishes: Vec<Attempt> = (0..50)
            .map(|n| Attempt { limit: 100, ..holding(&backend, bench, 4, PLENTY, &format!("{round}, {n}")) })
            .collect();
        let decided = backend.gate.reserve(1, &wishes).await.unwrap();
        let slot = |decision: &Decision| match decision {
            Decision::Granted(slot) => *slot,
            other => panic!("{other:?}"),
        };
        let rows: Vec<PlacedResult> = wishes
            .iter()
            .zip(&decided.decisions)
            .map(|(wish, decision)| row(wish, wish.reservation(slot(decision))))
            .collect();
        due.extend(rows.iter().filter_map(|row| row.result.hold_until));
        // What is in its table is released while fifty more come, and one of those before it is in its table.
        let taken_in = backend.hand_over.hand_over(shard_of(4), decided.epoch, rows.clone());
        let now = bench.clock().now();
        let released = changed(&backend, &held, Action::Release, now);
        let early = changed(&backend, &rows[7], Action::Confirm, now);
        let (taken_in, released, confirmed) = futures_util::join!(taken_in, released, early);
        assert_eq!(
            (taken_in, released.state, confirmed.state),
            (Ok(()), ResultState::Released, ResultState::Owned)
        );
        for row in &rows[..7] {
            changed(&backend, row, Action::Release, now).await;
        }
        until("its stock is free", async || sold(&backend, SCARCE).await == 0).await;
        for row in rows.iter().skip(8) {
            changed(&backend, row, Action::Release, now).await;
        }
    }
    settles_at(&backend, PLENTY, 997).await;
    settles_at(&backend, SCARCE, 2).await;
    assert_eq!(sums(&backend, 2).await, Totals { results: 168, given_back: 150, ..Totals::default() });
    bench.clock().set(due.into_iter().max().unwrap());
    settles_at(&backend, PLENTY, 997).await;
    backend.lifecycle.close();
}
