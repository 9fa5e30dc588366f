//! Laws of rows that move: at shards, and in main.

use std::num::{NonZeroU16, NonZeroU32};

use coupon_core::after_grab::Action;
use coupon_core::{CouponResult, GateId, Placement, ResultId, ResultState, ShardId, TableId};
use coupon_servers::seam::{
    Departure, Inserted, MoveNote, MoveOrder, MovingRows, Note, Servers, ShardMoves, Slice, StoringError,
};
use coupon_store::{Moving, PlacedResult, Totals, VersionRecord};

use crate::bench::{held, id, noon, result};
use crate::layouts::next;
use crate::shard::{TABLE, begun, note, shard};
use crate::steps::{at, change, nothing, stepping, store};

/// A transaction that has its shard's row of state.
async fn moving(servers: &Servers) -> Box<dyn MovingRows> {
    let mut moving = shard(servers).moving().await.unwrap();
    moving.begin().await.unwrap().unwrap();
    moving
}

fn elsewhere() -> Placement {
    Placement::new(ShardId::new(1), TABLE)
}

fn departure(after_ms: &[i64]) -> Departure {
    Departure { number: 1, table: TABLE, rows: after_ms.iter().map(|ms| (id(*ms), elsewhere())).collect() }
}

fn moves(batch: u64) -> ShardMoves {
    ShardMoves { batch, moving_from: 1, ..ShardMoves::default() }
}

pub(crate) async fn rows_leave_with_what_is_held_of_them_and_are_found_until_they_have_arrived(
    servers: &Servers,
) {
    let (one, two, stays) = (held(1, 1, 0, 1_000), result(2, 2), held(3, 3, 0, 2_000));
    store(servers, &[one, two, stays]).await;
    let shard = shard(servers);
    let mut leaving = moving(servers).await;
    assert!(leaving.none_leaves().await.unwrap());
    leaving.leave(&departure(&[1, 2])).await.unwrap();
    leaving.commit(&MoveNote { moves: moves(1), ..MoveNote::default() }).await.unwrap();
    assert_eq!(shard.next_due().await.unwrap(), Some(at(2_000)));
    assert_eq!(shard.rows_after(TABLE, 0, 9).await.unwrap().1.len(), 1);
    let batch = shard.leaving().await.unwrap().unwrap();
    let placed = |result| PlacedResult { placement: elsewhere(), result };
    let rows: Vec<(Placement, CouponResult)> =
        batch.rows.iter().map(|row| (row.placement, row.result)).collect();
    assert_eq!((batch.number, rows), (1, vec![(elsewhere(), one), (elsewhere(), two)]));
    let found = shard.look_for(TABLE, &[id(1), id(3), id(4)]).await.unwrap().1;
    let mut found: Vec<ResultId> = found.iter().map(|row| row.result_id).collect();
    found.sort_unstable();
    assert_eq!(found, [id(1), id(3)]);

    let other = &*servers.shards[1];
    other.make_table(TABLE).await.unwrap();
    let mut arriving = other.moving().await.unwrap();
    arriving.begin().await.unwrap().unwrap();
    assert_eq!(arriving.last_arrival(ShardId::new(0)).await.unwrap(), 0);
    assert_eq!(arriving.put(TABLE, &[&one, &two]).await.unwrap(), Inserted::All);
    let more = Totals { results: 2, ..Totals::default() };
    let arrived = Some((ShardId::new(0), 1));
    arriving.commit(&MoveNote { arrived, more, ..MoveNote::default() }).await.unwrap();
    assert_eq!(other.next_due().await.unwrap(), Some(at(1_000)));
    assert_eq!(other.arrived(&[placed(one), placed(two)]).await.unwrap(), [one, two]);
    let mut again = other.moving().await.unwrap();
    again.begin().await.unwrap().unwrap();
    assert_eq!(again.last_arrival(ShardId::new(0)).await.unwrap(), 1);
    drop(again);

    // A connection has one transaction after the other.
    leaving.begin().await.unwrap().unwrap();
    let less = leaving.forget().await.unwrap();
    assert_eq!(less, more);
    leaving.commit(&MoveNote { moves: moves(1), less, ..MoveNote::default() }).await.unwrap();
    assert!(shard.leaving().await.unwrap().is_none());
    let mut begun = shard.moving().await.unwrap();
    assert_eq!(begun.begin().await.unwrap().unwrap().moves, moves(1));
}

pub(crate) async fn a_batch_that_is_dropped_changes_nothing(servers: &Servers) {
    store(servers, &[held(1, 1, 0, 1_000)]).await;
    let mut leaving = moving(servers).await;
    leaving.leave(&departure(&[1])).await.unwrap();
    drop(leaving);
    // It waits for the other's end.
    let mut next = moving(servers).await;
    assert!(next.none_leaves().await.unwrap());
    drop(next);
    assert_eq!(shard(servers).rows_after(TABLE, 0, 9).await.unwrap().1.len(), 1);
    assert_eq!(shard(servers).next_due().await.unwrap(), Some(at(1_000)));
}

pub(crate) async fn rows_go_in_all_or_none_with_all_that_became_of_them(servers: &Servers) {
    store(servers, &[result(1, 1)]).await;
    let given_back = held(2, 2, 0, 1_000);
    let given_back =
        CouponResult { state: ResultState::Expired, slot: None, state_time: Some(at(1_000)), ..given_back };
    let mut arriving = moving(servers).await;
    assert_eq!(arriving.put(TABLE, &[&given_back, &result(1, 9)]).await.unwrap(), Inserted::Duplicate);
    let alike = arriving.alike(TABLE, &[&result(1, 9)]).await.unwrap();
    assert_eq!(alike.iter().map(|row| row.id).collect::<Vec<_>>(), [id(1).number()]);
    assert_eq!(arriving.put(TABLE, &[&given_back]).await.unwrap(), Inserted::All);
    arriving.commit(&MoveNote::default()).await.unwrap();
    let row = |result| PlacedResult { placement: Placement::new(ShardId::new(0), TABLE), result };
    let arrived = shard(servers).arrived(&[row(given_back), row(result(1, 9)), row(result(5, 5))]).await;
    assert_eq!(arrived.unwrap(), [given_back]);
    // What gave its stock back is not due.
    assert_eq!(shard(servers).next_due().await.unwrap(), None);
}

pub(crate) async fn a_part_of_a_table_is_read_in_the_order_of_ids(servers: &Servers) {
    store(servers, &[result(1, 3), result(2, 1), result(3, 2)]).await;
    let scan = async |after, before, most| {
        let slice = Slice { after, before: at(before), most };
        let keys = shard(servers).scan(TABLE, slice).await.unwrap();
        keys.into_iter().map(|key| (key.id, key.row.user.get())).collect::<Vec<_>>()
    };
    assert_eq!(scan(None, 9, 2).await, [(id(1), 2), (id(2), 3)]);
    assert_eq!(scan(Some(id(2)), 9, 2).await, [(id(3), 1)]);
    assert_eq!(scan(None, 3, 9).await, [(id(1), 2), (id(2), 3)]);
    let slice = Slice { after: None, before: at(9), most: 9 };
    let other = TableId::parse("coupon_results_p9").unwrap();
    assert!(shard(servers).scan(other, slice).await.unwrap().is_empty(), "there is no such table");
}

pub(crate) async fn what_came_late_is_counted_where_rows_leave(servers: &Servers) {
    moving(servers).await.commit(&MoveNote { moves: moves(0), ..MoveNote::default() }).await.unwrap();
    let mut storing = begun(servers).await;
    storing.insert(TABLE, &[&result(1, 1)], false).await.unwrap();
    storing.commit(&Note { late: 1, ..note(&[], &[], 1) }).await.unwrap();
    storing.close().await;
    let mut begun = shard(servers).moving().await.unwrap();
    assert_eq!(begun.begin().await.unwrap().unwrap().moves, moves(0).with_late(1));
}

pub(crate) async fn a_row_that_takes_a_step_does_not_leave_meanwhile(servers: &Servers) {
    let row = held(1, 1, 0, 1_000);
    store(servers, &[row]).await;
    let mut step = stepping(servers).await;
    step.change(TABLE, &change(&row, Action::Confirm, 500)).await.unwrap().unwrap();
    let mut leaving = moving(servers).await;
    let leaves = async move { leaving.leave(&departure(&[1])).await };
    let steps = async move {
        step.begin().await?;
        step.commit(&nothing()).await
    };
    let (left, stepped) = tokio::join!(leaves, steps);
    // They wait for each other: one of them is given up.
    let conflict = |outcome: &Result<(), StoringError>| matches!(outcome, Err(StoringError::Conflict(_)));
    assert!(conflict(&left) || conflict(&stepped), "{left:?} {stepped:?}");
}

fn movement() -> Moving {
    Moving {
        to: 2,
        began: noon(),
        operator: "ann".to_owned(),
        runs: true,
        moved: 0,
        rows: 9,
        looked_at: 0,
        rate: NonZeroU32::new(500).unwrap(),
        rows_per_s: 0.0,
        trouble: None,
    }
}

pub(crate) async fn a_movement_is_main_s_until_it_ends(servers: &Servers) {
    let main = &servers.main;
    assert_eq!(main.movement().await.unwrap(), None);
    assert_eq!(main.order_movement(MoveOrder::Stop).await.unwrap(), None);
    let receives = VersionRecord { receives: true, ..next(2) };
    let changing = main.change_layout(NonZeroU16::MIN).await.unwrap();
    changing.commit(&[receives], Some(&movement()), "ann", "they move").await.unwrap();
    assert_eq!(main.movement().await.unwrap(), Some(movement()));
    assert_eq!(main.change_layout(NonZeroU16::MIN).await.unwrap().state().movement, Some(movement()));
    let rate = NonZeroU32::new(7).unwrap();
    let faster = Moving { rate, ..movement() };
    assert_eq!(main.order_movement(MoveOrder::Rate(rate)).await.unwrap(), Some(faster.clone()));

    let mut lock = main.lock_mover().await.unwrap().unwrap();
    let further = Moving {
        rows: 12,
        looked_at: 5,
        moved: 3,
        trouble: Some("a shard is down".to_owned()),
        ..movement()
    };
    let noted = Moving { rate, ..further.clone() };
    assert_eq!(lock.note(&further).await.unwrap(), Some(noted.clone()));
    let stopped = Moving { runs: false, ..noted };
    assert_eq!(main.order_movement(MoveOrder::Stop).await.unwrap(), Some(stopped.clone()));
    assert_eq!(main.order_movement(MoveOrder::Stop).await.unwrap(), None);
    // A note does not have it go on.
    assert_eq!(lock.note(&further).await.unwrap(), Some(stopped.clone()));
    let earlier = Moving { began: noon().plus_millis(-1), looked_at: 8, ..movement() };
    assert_eq!(lock.note(&earlier).await.unwrap(), Some(stopped));
    lock.end().await;
}

pub(crate) async fn one_process_moves_rows(servers: &Servers) {
    let main = &servers.main;
    let lock = main.lock_mover().await.unwrap().unwrap();
    assert!(main.lock_mover().await.unwrap().is_none());
    lock.end().await;
    let batch = main.lock_gates_for_a_batch().await.unwrap().unwrap();
    assert!(main.lock_gates_for_a_batch().await.unwrap().is_none());
    assert!(main.lock_gate(GateId::FIRST).await.unwrap().is_none(), "nobody fills the gate meanwhile");
    batch.end().await;
    let mut filling = main.lock_gate(GateId::FIRST).await.unwrap().unwrap();
    assert_eq!(filling.state().await.unwrap().open(), None);
    assert!(main.lock_gates_for_a_batch().await.unwrap().is_none());
    filling.end().await;
}
