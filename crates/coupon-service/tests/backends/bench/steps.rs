//! Steps of a result after its grab, and the books once they are settled.

use coupon_core::after_grab::Action;
use coupon_core::{CouponResult, RequestKey, ShardingStrategy as _, Timestamp};
use coupon_store::{
    Attempt, Backend, Change, Changed, Decision, GateStock, PlacedResult, Reservation, Totals, Visit,
};

use super::{Bench, ParityAndDay, attempt, coupon_id, home, only, place, remaining, until};

pub(crate) const MINUTE: i64 = 60_000;

/// An attempt that is held for a minute.
pub(crate) fn holding(backend: &Backend, bench: &Bench, user: u64, coupon: u64, request: &str) -> Attempt {
    let plain = attempt(backend, bench, user, coupon);
    let hold_until = Some(plain.id.time().plus_millis(MINUTE));
    Attempt { hold_until, request: Some(RequestKey::of(request)), ..plain }
}

/// The row of a granted attempt, as the pipeline hands it over: a coupon of room 1.
pub(crate) fn row(attempt: &Attempt, reserved: Reservation) -> PlacedResult {
    let room = coupon_core::RoomId::new(1).unwrap();
    let result = reserved.result(attempt.user, attempt.coupon, room);
    PlacedResult { placement: ParityAndDay.place(&result.key()).unwrap(), result }
}

/// A whole grab that is handed over: acknowledged, and stored now or later.
pub(crate) async fn handed_over(backend: &Backend, attempt: &Attempt) -> PlacedResult {
    let decided = backend.gate.reserve(1, &[*attempt]).await.unwrap();
    let Decision::Granted(slot) = only(&decided) else { panic!("{:?}", decided.decisions) };
    let row = row(attempt, attempt.reservation(slot));
    let row = PlacedResult { placement: place(backend, &row.result), ..row };
    backend.hand_over.hand_over(row.placement.shard, decided.epoch, vec![row]).await.unwrap();
    row
}

/// A whole grab, stored in its table.
pub(crate) async fn granted(backend: &Backend, attempt: &Attempt) -> PlacedResult {
    let row = handed_over(backend, attempt).await;
    backend.lifecycle.drain().await.unwrap();
    row
}

pub(crate) async fn change(
    backend: &Backend,
    row: &PlacedResult,
    action: Action,
    time: Timestamp,
) -> Changed {
    let CouponResult { user_id: user, result_id: id, .. } = row.result;
    backend.shards.change(row.placement, Change { user, id, action, time }).await.unwrap()
}

/// The state that a change led to.
pub(crate) async fn changed(
    backend: &Backend,
    row: &PlacedResult,
    action: Action,
    time: Timestamp,
) -> CouponResult {
    match change(backend, row, action, time).await {
        Changed::Now(now) => now,
        other => panic!("{action:?}: {other:?}"),
    }
}

pub(crate) async fn sold(backend: &Backend, coupon: u64) -> u32 {
    backend.gate.stock(coupon_id(coupon)).await.unwrap().unwrap().sold
}

/// Asks until main, which trails, says that so many are left, and the gate that as many are sold as are not.
pub(crate) async fn settles_at(backend: &Backend, coupon: u64, left: u32) {
    until(&format!("{left} of coupon {coupon} are left"), async || {
        backend.lifecycle.drain().await.unwrap();
        let GateStock { total, sold } = backend.gate.stock(coupon_id(coupon)).await.unwrap().unwrap();
        remaining(backend, coupon).await == left && total - sold == left
    })
    .await;
}

/// The sums that the writer keeps are those that are counted.
pub(crate) async fn sums(backend: &Backend, user: u64) -> Totals {
    let shard = home(backend, user);
    let counted = backend.shards.totals(shard.into(), Visit::All).await.unwrap().value;
    until("the sums that are kept are those that are counted", async || {
        backend.shards.kept_totals(shard).await.unwrap().value == counted
    })
    .await;
    counted
}
