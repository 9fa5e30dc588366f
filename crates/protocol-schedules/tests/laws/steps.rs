//! Laws of a shard's database: results that take a step.

use std::time::Duration;

use coupon_core::after_grab::Action;
use coupon_core::{CouponResult, Money, ResultState, Timestamp, UseStatus};
use coupon_servers::seam::{
    Begun, Inserted, Look, OutboxEntry, Release, Servers, ShardProgress, Stepped, Stepping, StepsNote,
    StoringError, Waiting,
};
use coupon_store::{Change, Totals};
use tokio::time::timeout;

use crate::bench::{PATIENCE, held, hold_of, id, noon, result};
use crate::shard::{TABLE, begun, note, rows_since, shard};

pub(crate) fn at(after_ms: i64) -> Timestamp {
    noon().plus_millis(after_ms)
}

/// Stores rows.
pub(crate) async fn store(servers: &Servers, rows: &[CouponResult]) {
    let mut storing = begun(servers).await;
    let rows: Vec<&CouponResult> = rows.iter().collect();
    assert_eq!(storing.insert(TABLE, &rows, false).await.unwrap(), Inserted::All);
    storing.commit(&note(&[], &[], rows.len() as u64)).await.unwrap();
    storing.close().await;
}

pub(crate) async fn stepping(servers: &Servers) -> Box<dyn Stepping> {
    shard(servers).stepping().await.unwrap()
}

pub(crate) fn change(row: &CouponResult, action: Action, after_ms: i64) -> Change {
    Change { user: row.user_id, id: row.result_id, action, time: at(after_ms) }
}

pub(crate) fn nothing<'a>() -> StepsNote<'a> {
    StepsNote { now: noon(), entries: &[], outbox_id: 0, releases: &[], sums: Totals::default() }
}

/// Takes one step in a transaction of its own.
async fn step(servers: &Servers, change: &Change) -> Option<Stepped> {
    let mut stepping = stepping(servers).await;
    let stepped = stepping.change(TABLE, change).await.unwrap();
    stepping.commit(&nothing()).await.unwrap();
    stepped
}

pub(crate) async fn a_result_takes_a_step_that_its_row_allows(servers: &Servers) {
    let (first, second) = (held(1, 1, 0, 1_000), held(1, 2, 1, 2_000));
    store(servers, &[first, second, result(2, 3)]).await;
    let shard = shard(servers);
    assert_eq!(shard.next_due().await.unwrap(), Some(at(1_000)));
    let refused = step(servers, &change(&first, Action::Confirm, 1_000)).await;
    assert_eq!(refused, Some(Stepped { before: first, after: None }), "it is too late");
    let confirmed = CouponResult { state: ResultState::Owned, state_time: Some(at(999)), ..first };
    let stepped = step(servers, &change(&first, Action::Confirm, 999)).await;
    assert_eq!(stepped, Some(Stepped { before: first, after: Some(confirmed) }));
    assert_eq!(shard.next_due().await.unwrap(), Some(at(2_000)));
    let again = step(servers, &change(&first, Action::Confirm, 999)).await;
    assert_eq!(again, Some(Stepped { before: confirmed, after: None }));
    let stranger = Change { user: result(2, 3).user_id, ..change(&first, Action::Release, 5) };
    assert_eq!(step(servers, &stranger).await, None);
    assert_eq!(step(servers, &change(&result(1, 9), Action::Release, 5)).await, None);
    let spent = Action::Use(Money::from_cents(1_250));
    let used = CouponResult {
        state: ResultState::Used,
        state_time: Some(at(1_500)),
        use_status: UseStatus::Used,
        use_time: Some(at(1_500)),
        order_amount: Some(Money::from_cents(1_250)),
        ..confirmed
    };
    let stepped = step(servers, &change(&first, spent, 1_500)).await;
    assert_eq!(stepped, Some(Stepped { before: confirmed, after: Some(used) }));
}

pub(crate) async fn what_gave_its_stock_back_frees_its_slot_and_is_read_while_its_request_is_remembered(
    servers: &Servers,
) {
    let (row, plain) = (held(1, 1, 1, 1_000), result(2, 2));
    store(servers, &[row, plain]).await;
    let mut stepping = stepping(servers).await;
    let Begun { outbox_id, .. } = stepping.begin().await.unwrap().unwrap();
    for (row, action) in [(&row, Action::Release), (&plain, Action::Return)] {
        let stepped = stepping.change(TABLE, &change(row, action, 500)).await.unwrap().unwrap();
        assert_eq!(stepped.after.unwrap().slot, None);
    }
    let sums = Totals { given_back: 2, ..Totals::default() };
    stepping.commit(&StepsNote { outbox_id, sums, ..nothing() }).await.unwrap();
    let shard = shard(servers);
    let (look, _) = shard.look(&Look::default()).await.unwrap();
    assert_eq!((look.results, look.given_back), (2, 2));
    let ids = [id(1), id(2), id(9)];
    assert_eq!(shard.take_stock(TABLE, &ids).await.unwrap().1, [(id(1), false), (id(2), false)]);
    assert!(shard.rows_after(TABLE, 0, 5).await.unwrap().1.is_empty());
    assert_eq!(shard.next_due().await.unwrap(), None);
    let released = CouponResult { slot: None, state_time: Some(at(500)), ..row };
    assert_eq!(rows_since(servers, at(500)).await, [hold_of(&released)], "the other named no request");
    assert!(rows_since(servers, at(501)).await.is_empty());
    let next = held(1, 3, 1, 9_000);
    store(servers, &[next]).await;
    let mut storing = begun(servers).await;
    let same_slot = held(1, 4, 1, 9_000);
    assert_eq!(storing.insert(TABLE, &[&same_slot], false).await.unwrap(), Inserted::Duplicate);
    let alike = storing.alike(TABLE, &[&same_slot, &row]).await.unwrap();
    let mut alike: Vec<_> = alike.iter().map(|alike| (alike.id, alike.slot)).collect();
    alike.sort_unstable();
    assert_eq!(alike, [(id(1).number(), None), (id(3).number(), Some(1))]);
}

pub(crate) async fn the_outbox_waits_for_the_gate(servers: &Servers) {
    let row = held(1, 1, 0, 1_000);
    store(servers, &[row]).await;
    let entries: Vec<OutboxEntry> =
        (1..=2).map(|id| OutboxEntry { id, deltas: "[[1,1]]".to_owned() }).collect();
    let mut storing = begun(servers).await;
    storing.commit(&note(&[], &entries[..1], 0)).await.unwrap();
    storing.close().await;
    let waiting = Waiting { outbox_id: 2, release: Release::of(&row), closed: 7 };
    let mut stepping = stepping(servers).await;
    assert_eq!(stepping.begin().await.unwrap().unwrap().outbox_id, 1);
    stepping.change(TABLE, &change(&row, Action::Release, 500)).await.unwrap();
    let steps = StepsNote { entries: &entries[1..], outbox_id: 2, releases: &[waiting], ..nothing() };
    stepping.commit(&steps).await.unwrap();
    let shard = shard(servers);
    assert_eq!(shard.state().await.unwrap().outbox_id, 2);
    assert_eq!(shard.outbox_after(0, 5).await.unwrap(), entries[..1]);
    assert_eq!(shard.releases(None, 5).await.unwrap(), [waiting]);
    assert!(shard.releases(Some(waiting), 5).await.unwrap().is_empty(), "there is none after it");
    shard.forget_releases(&[waiting]).await.unwrap();
    assert!(shard.releases(None, 5).await.unwrap().is_empty());
    assert_eq!(shard.outbox_after(0, 5).await.unwrap(), entries);
}

pub(crate) async fn what_is_due_expires_and_nothing_else(servers: &Servers) {
    let rows = [held(1, 1, 0, 1_000), held(2, 2, 0, 1_000), held(3, 3, 0, 1_001), held(4, 4, 0, 900)];
    store(servers, &rows).await;
    step(servers, &change(&rows[3], Action::Confirm, 10)).await;
    let mut few = stepping(servers).await;
    few.begin().await.unwrap();
    let expired = few.expire(at(1_000), 1).await.unwrap();
    assert_eq!((expired.due, expired.rows), (1, rows[..1].to_vec()));
    few.commit(&nothing()).await.unwrap();
    let mut rest = stepping(servers).await;
    rest.begin().await.unwrap();
    let expired = rest.expire(at(1_000), 5).await.unwrap();
    assert_eq!((expired.due, expired.rows), (1, rows[1..2].to_vec()));
    rest.commit(&nothing()).await.unwrap();
    let shard = shard(servers);
    assert_eq!(shard.next_due().await.unwrap(), Some(at(1_001)));
    let (_, stock) = shard.take_stock(TABLE, &[id(1), id(2), id(3), id(4)]).await.unwrap();
    assert_eq!(stock, [(id(1), false), (id(2), false), (id(3), true), (id(4), true)]);
    let late = step(servers, &change(&rows[0], Action::Confirm, 10)).await.unwrap();
    assert_eq!((late.before.state, late.after), (ResultState::Expired, None));
}

pub(crate) async fn a_step_that_is_dropped_leaves_nothing_and_others_wait_for_it(servers: &Servers) {
    let row = held(1, 1, 0, 1_000);
    store(servers, &[row]).await;
    let mut first = stepping(servers).await;
    first.change(TABLE, &change(&row, Action::Confirm, 1)).await.unwrap();
    let wanted = change(&row, Action::Release, 2);
    let mut second = stepping(servers).await;
    second.begin().await.unwrap();
    let early = timeout(Duration::from_millis(300), second.change(TABLE, &wanted)).await;
    assert!(early.is_err(), "two changed one row at once");
    drop((first, second));
    let released = timeout(PATIENCE, step(servers, &wanted)).await.unwrap().unwrap();
    assert_eq!((released.before, released.after.unwrap().state), (row, ResultState::Released));
}

pub(crate) async fn every_transaction_counts_and_a_reader_of_rows_learns_how_many(servers: &Servers) {
    let (row, due) = (held(1, 1, 0, 1_000), held(2, 2, 0, 1_000));
    store(servers, &[row, due]).await;
    let shard = shard(servers);
    let reached = async || shard.rows_after(TABLE, 0, 5).await.unwrap().0;
    let before = reached().await;
    step(servers, &change(&row, Action::Confirm, 10)).await.unwrap();
    assert_eq!(reached().await, ShardProgress { commits: before.commits + 1, ..before });
    let mut expiring = stepping(servers).await;
    let begun = expiring.begin().await.unwrap().unwrap();
    assert_eq!(begun.commits, before.commits + 1);
    expiring.expire(at(1_000), 5).await.unwrap();
    expiring.commit(&StepsNote { outbox_id: begun.outbox_id + 1, ..nothing() }).await.unwrap();
    let both = ShardProgress { outbox_id: before.outbox_id + 1, commits: before.commits + 2 };
    assert_eq!(reached().await, both);
    assert_eq!(shard.take_stock(TABLE, &[id(1)]).await.unwrap().0, both);
    // What is dropped does not count.
    let mut dropped = stepping(servers).await;
    dropped.change(TABLE, &change(&row, Action::Return, 20)).await.unwrap();
    drop(dropped);
    assert_eq!(reached().await, both);
}

pub(crate) async fn of_two_that_wait_for_each_other_one_meets_a_conflict(servers: &Servers) {
    let row = held(1, 1, 0, 1_000);
    store(servers, &[row]).await;
    let (mut of_user, mut of_sweeper) = (stepping(servers).await, stepping(servers).await);
    of_user.change(TABLE, &change(&row, Action::Release, 999)).await.unwrap();
    of_sweeper.begin().await.unwrap();
    let of_user = async move {
        let begun = of_user.begin().await;
        // The one of the two that goes on commits, and so the other one ends as well.
        if begun.is_ok() {
            of_user.commit(&nothing()).await.unwrap();
        }
        begun.map(|_| ())
    };
    let of_sweeper = async move {
        let expired = of_sweeper.expire(at(1_000), 5).await;
        if expired.is_ok() {
            of_sweeper.commit(&nothing()).await.unwrap();
        }
        expired.map(|_| ())
    };
    let ended = timeout(PATIENCE, async { tokio::join!(of_user, of_sweeper) }).await.unwrap();
    assert!(
        matches!(ended, (Ok(()), Err(StoringError::Conflict(_))) | (Err(StoringError::Conflict(_)), Ok(()))),
        "{ended:?}"
    );
}
