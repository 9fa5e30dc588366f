//! Grabs by the parts of a backend, as the pipeline makes them, and what is found of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use coupon_core::{CouponId, CouponResult, ResultId, ResultQuery, RoomId, ShardingStrategy as _, UserId};
use coupon_service::queries::Queries;
use coupon_store::{Attempt, Backend, Decided, Decision, PageRequest, PlacedResult, Visit};

use super::{Bench, ParityAndDay, home, shard_of};

pub(crate) fn coupon_id(id: u64) -> CouponId {
    CouponId::new(id).unwrap()
}

/// A row as the pipeline would make it.
pub(crate) fn placed(user: u64, coupon: u64, room: u64, id: ResultId) -> PlacedResult {
    let user = UserId::new(user).unwrap();
    let result = CouponResult::granted(id, user, coupon_id(coupon), RoomId::new(room).unwrap());
    PlacedResult { placement: ParityAndDay.place(&result.key()).unwrap(), result }
}

/// An attempt, fixed as the pipeline fixes it.
pub(crate) fn attempt(backend: &Backend, bench: &Bench, user: u64, coupon: u64) -> Attempt {
    // Workers are numbered as they come: no two may have the same number.
    static WORKER: AtomicU16 = AtomicU16::new(0);
    let worker = WORKER.fetch_add(1, Ordering::Relaxed);
    let id = backend.ids.generator(bench.clock(), worker).make().unwrap();
    Attempt::plain(UserId::new(user).unwrap(), coupon_id(coupon), id)
}

/// Queries that answer reads by the strategy's plans, over a backend.
pub(crate) fn queries(backend: Backend) -> (Arc<Backend>, Queries) {
    let backend = Arc::new(backend);
    let patience = Duration::from_secs(5);
    let queries = Queries::new(Arc::clone(&backend), patience);
    (backend, queries)
}

/// Asks the gate alone.
pub(crate) async fn decide(backend: &Backend, attempts: &[Attempt]) -> Vec<Decision> {
    backend.gate.reserve(1, attempts).await.unwrap().decisions
}

/// The decision about a batch of one.
pub(crate) fn only(decided: &Decided) -> Decision {
    decided.decisions.first().copied().unwrap()
}

/// A whole grab of a coupon of room 1: what the gate granted is handed over.
pub(crate) async fn grab(backend: &Backend, bench: &Bench, user: u64, coupon: u64) -> Decision {
    let attempt = attempt(backend, bench, user, coupon);
    let decided = backend.gate.reserve(1, &[attempt]).await.unwrap();
    let decision = only(&decided);
    if decision == Decision::Granted(0) {
        let rows = vec![placed(user, coupon, 1, attempt.id)];
        backend.hand_over.hand_over(shard_of(user), decided.epoch, rows).await.unwrap();
    }
    decision
}

/// Every result of a user, wherever it is.
pub(crate) async fn held_by(backend: &Backend, user: u64) -> Vec<CouponResult> {
    let query = ResultQuery::of_user(UserId::new(user).unwrap());
    let page = PageRequest { before: None, limit: 100 };
    let visited = backend.shards.page(home(backend, user).into(), Visit::All, query, page).await.unwrap();
    visited.value.into_iter().map(|(_, result)| result).collect()
}

pub(crate) async fn remaining(backend: &Backend, coupon: u64) -> u32 {
    backend.catalogue.coupon(coupon_id(coupon), false).await.unwrap().unwrap().0.remaining_stock
}
