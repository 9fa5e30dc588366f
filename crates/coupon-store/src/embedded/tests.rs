//! The embedded backend behind its four traits.

use std::num::{NonZeroU16, NonZeroUsize};
use std::sync::Arc;

use coupon_core::after_grab::Action;
use coupon_core::catalogue_change::{CatalogueChange, CouponPatch, NewCoupon, Operator};
use coupon_core::{
    CouponId, CouponKind, CouponResult, CouponStatus, GrabTerms, Money, Placement, Plan, ResultId,
    ResultQuery, RoomId, RouteError, RowKey, ShardId, ShardingStrategy, UserId,
};

use super::{Options, open};
use crate::clock::Clock;
use crate::settings::UnknownUsers;
use crate::{Backend, Change, Changed, GateStock, PageRequest, PlacedResult, Visit};

/// Odd and even users.
#[derive(Debug)]
pub(crate) struct Parity;

impl ShardingStrategy for Parity {
    fn name(&self) -> &str {
        "parity"
    }
    fn shard_count(&self) -> NonZeroU16 {
        NonZeroU16::new(2).unwrap()
    }
    fn place(&self, row: &RowKey) -> Result<Placement, RouteError> {
        Ok(Placement::single(ShardId::new((row.user.get() % 2) as u16)))
    }
    fn plan(&self, _query: &ResultQuery) -> Plan {
        Plan::All
    }
}

fn opened(data: &std::path::Path) -> Backend {
    opened_with(data, 1_000)
}

fn opened_with(data: &std::path::Path, shard_backlog: usize) -> Backend {
    let options = Options {
        data: data.to_owned(),
        readers: NonZeroUsize::MIN,
        max_file_mb: 0,
        shard_backlog,
        shards_prepared: NonZeroU16::MIN,
        room_index: false,
        unknown_users: UnknownUsers::Refuse,
    };
    open(&options, Arc::new(Parity), &Clock::system()).unwrap()
}

/// Lets the odd shard's table take rows, or not. Its inbox takes them, and reads go on.
fn set_table_writable(data: &std::path::Path, writable: bool) {
    let shard = rusqlite::Connection::open(data.join("shard-1.sqlite")).unwrap();
    shard.busy_timeout(std::time::Duration::from_secs(30)).unwrap();
    let refuse =
        "CREATE TRIGGER refuse BEFORE INSERT ON coupon_results BEGIN SELECT RAISE(ABORT, 'full'); END";
    shard.execute_batch(if writable { "DROP TRIGGER refuse" } else { refuse }).unwrap();
}

fn row(user: u64, sequence: u16) -> PlacedResult {
    let id = ResultId::from_parts("2026-11-22T12:00:00Z".parse().unwrap(), 0, sequence).unwrap();
    let user = UserId::new(user).unwrap();
    let result = CouponResult::granted(id, user, CouponId::new(1).unwrap(), RoomId::new(1).unwrap());
    PlacedResult { placement: Parity.place(&result.key()).unwrap(), result }
}

async fn stored(backend: &Backend, shard: ShardId) -> Vec<ResultId> {
    let page = PageRequest { before: None, limit: 100 };
    let found = backend.shards.page(shard.into(), Visit::All, ResultQuery::everything(), page).await.unwrap();
    found.value.into_iter().map(|(_, result)| result.result_id).collect()
}

async fn remaining(backend: &Backend) -> u32 {
    backend.catalogue.coupon(CouponId::new(1).unwrap(), false).await.unwrap().unwrap().0.remaining_stock
}

const ODD: ShardId = ShardId::new(1);

#[tokio::test(flavor = "current_thread")]
async fn a_result_handed_over_twice_is_stored_and_counted_once() {
    let dir = tempfile::tempdir().unwrap();
    let backend = opened(dir.path());
    let before = remaining(&backend).await;
    backend.hand_over.hand_over(ODD, 0, vec![row(1, 0), row(1, 0), row(3, 1)]).await.unwrap();
    backend.hand_over.hand_over(ODD, 0, vec![row(1, 0)]).await.unwrap();
    assert_eq!(stored(&backend, ODD).await, [row(3, 1).result.result_id, row(1, 0).result.result_id]);
    backend.lifecycle.drain().await.unwrap();
    assert_eq!(remaining(&backend).await, before - 2);
    assert_eq!(backend.catalogue.lag_entries(), 0);
    backend.lifecycle.close();
}

/// Hands over so many results at once that a writer calls its shard busy.
async fn make_busy(backend: &Backend) -> Vec<ResultId> {
    let rows: Vec<PlacedResult> = (100..200_u16).map(|n| row(u64::from(n) * 2 + 1, n)).collect();
    let ids = rows.iter().rev().map(|row| row.result.result_id).collect();
    backend.hand_over.hand_over(ODD, 0, rows).await.unwrap();
    ids
}

#[tokio::test(flavor = "current_thread")]
async fn a_quiet_shard_acknowledges_no_result_that_contradicts_what_is_stored() {
    let dir = tempfile::tempdir().unwrap();
    let backend = opened(dir.path());
    backend.hand_over.hand_over(ODD, 0, vec![row(1, 0)]).await.unwrap();
    // The same user and coupon under another id, beside one that is fine.
    backend.hand_over.hand_over(ODD, 0, vec![row(1, 9), row(3, 8)]).await.unwrap_err();
    assert_eq!(stored(&backend, ODD).await, [row(3, 8).result.result_id, row(1, 0).result.result_id]);
    assert_eq!(backend.shards.report(ODD).await.unwrap().parked, 1);
    backend.lifecycle.close();
    drop(backend);
    let again = opened(dir.path());
    assert_eq!(again.shards.report(ODD).await.unwrap().parked, 1, "a restart forgets no parked result");
    let next = again.ids.generator(&Clock::system(), 0).make().unwrap();
    assert!(next > row(1, 9).result.result_id, "nor gives its id to another");
    again.lifecycle.close();
}

#[tokio::test(flavor = "current_thread")]
async fn a_busy_shard_parks_what_contradicts_when_it_sorts_its_inbox_in() {
    let dir = tempfile::tempdir().unwrap();
    let backend = opened(dir.path());
    make_busy(&backend).await;
    backend.hand_over.hand_over(ODD, 0, vec![row(1, 0)]).await.unwrap();
    backend.hand_over.hand_over(ODD, 0, vec![row(1, 7)]).await.unwrap();
    backend.lifecycle.drain().await.unwrap();
    assert_eq!(stored(&backend, ODD).await.len(), 100, "a page of them");
    let report = backend.shards.report(ODD).await.unwrap();
    assert_eq!((report.rows, report.parked), (101, 1));

    // Busy again, and once more after a restart: what is known to be parked is not acknowledged.
    for backend in [Some(backend), None] {
        let backend = backend.unwrap_or_else(|| opened(dir.path()));
        make_busy(&backend).await;
        backend.hand_over.hand_over(ODD, 0, vec![row(1, 7)]).await.unwrap_err();
        backend.lifecycle.drain().await.unwrap();
        assert_eq!(backend.shards.report(ODD).await.unwrap().queue_depth, 0);
        backend.lifecycle.close();
    }
}

#[tokio::test(flavor = "current_thread")]
async fn what_a_busy_shard_acknowledged_is_there_after_it_was_cut_off() {
    let dir = tempfile::tempdir().unwrap();
    let backend = opened(dir.path());
    let before = remaining(&backend).await;
    let ids = make_busy(&backend).await;
    // A copy of the files at this moment is what a crash would leave.
    let copy = tempfile::tempdir().unwrap();
    for file in std::fs::read_dir(dir.path()).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), copy.path().join(file.file_name())).unwrap();
    }
    backend.lifecycle.close();
    let crashed = opened(copy.path());
    crashed.lifecycle.drain().await.unwrap();
    assert_eq!(stored(&crashed, ODD).await, ids);
    assert_eq!(remaining(&crashed).await, before - 100);
    crashed.lifecycle.close();
}

#[tokio::test(flavor = "current_thread")]
async fn pages_run_from_the_latest_to_the_earliest_without_gaps() {
    let dir = tempfile::tempdir().unwrap();
    let backend = opened(dir.path());
    let rows: Vec<PlacedResult> = (0..25_u16).map(|n| row(u64::from(n) * 2 + 1, n)).collect();
    backend.hand_over.hand_over(ODD, 0, rows.clone()).await.unwrap();
    let (mut before, mut seen) = (None, Vec::new());
    loop {
        let page = PageRequest { before, limit: 10 };
        let found =
            backend.shards.page(ODD.into(), Visit::All, ResultQuery::everything(), page).await.unwrap().value;
        let Some((_, last)) = found.last() else { break };
        before = Some(last.result_id);
        seen.extend(found.into_iter().map(|(_, result)| result.result_id));
    }
    let all: Vec<ResultId> = rows.iter().rev().map(|row| row.result.result_id).collect();
    assert_eq!(seen, all);
    backend.lifecycle.close();
}

#[tokio::test(flavor = "current_thread")]
async fn a_result_is_spent_once() {
    let dir = tempfile::tempdir().unwrap();
    let backend = opened(dir.path());
    let PlacedResult { placement, result } = row(1, 0);
    backend.hand_over.hand_over(ODD, 0, vec![row(1, 0)]).await.unwrap();
    let time = "2026-11-23T12:00:00Z".parse().unwrap();
    let action = Action::Use(Money::from_cents(5_990));
    let spending = Change { user: result.user_id, id: result.result_id, action, time };
    let used = backend.shards.change(placement, spending).await;
    let Ok(Changed::Now(row)) = used else { panic!("{used:?}") };
    assert_eq!(backend.shards.change(placement, spending).await, Ok(Changed::Stands(row)));
    let exact = backend.shards.totals(ODD.into(), Visit::All).await.unwrap().value;
    let kept = backend.shards.kept_totals(ODD).await.unwrap().value;
    assert_eq!((exact.results, exact.used, exact.order_amount.cents()), (1, 1, 5_990));
    assert_eq!(exact, kept, "what the writer keeps is what a scatter counts");
    backend.lifecycle.close();
}

#[tokio::test(flavor = "current_thread")]
async fn a_stopped_backend_takes_no_more_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let backend = opened(dir.path());
    backend.lifecycle.close();
    assert!(backend.hand_over.hand_over(ODD, 0, vec![row(1, 0)]).await.is_err());
    assert!(backend.lifecycle.drain().await.is_err());
    let report = backend.shards.report(ODD).await.unwrap();
    assert_eq!((report.up, report.queue_depth), (false, 0));
}

#[tokio::test(flavor = "current_thread")]
async fn a_backend_that_is_let_go_of_has_finished_its_work() {
    let dir = tempfile::tempdir().unwrap();
    let backend = opened(dir.path());
    make_busy(&backend).await;
    drop(backend);
    let shard = rusqlite::Connection::open(dir.path().join("shard-1.sqlite")).unwrap();
    let count = |table: &str| -> u32 {
        shard.query_row(&format!("SELECT COUNT(*) FROM {table}"), [], |row| row.get(0)).unwrap()
    };
    assert_eq!((count("inbox"), count("coupon_results")), (0, 100));
}

#[tokio::test(flavor = "current_thread")]
async fn another_result_under_the_same_id_is_parked_even_after_a_commit_that_failed() {
    let dir = tempfile::tempdir().unwrap();
    let backend = opened(dir.path());
    set_table_writable(dir.path(), false);
    let rows = vec![row(1, 0), row(1, 0), row(3, 0)];
    backend.hand_over.hand_over(ODD, 0, rows).await.unwrap_err();
    assert_eq!(backend.shards.report(ODD).await.unwrap().queue_depth, 2, "a repeat is tried once");
    set_table_writable(dir.path(), true);
    backend.lifecycle.drain().await.unwrap();
    let report = backend.shards.report(ODD).await.unwrap();
    assert_eq!((report.rows, report.parked, report.queue_depth), (1, 1, 0));
    backend.lifecycle.close();
}

#[test]
fn a_table_that_does_not_get_its_indexes_is_not_made_at_all() {
    let dir = tempfile::tempdir().unwrap();
    opened(dir.path()).lifecycle.close();
    let shard = rusqlite::Connection::open(dir.path().join("shard-1.sqlite")).unwrap();
    // The last index cannot be made: its name is taken.
    let spoil = "DROP TABLE coupon_results; CREATE TABLE coupon_results_idx_user_coupon (id INTEGER)";
    shard.execute_batch(spoil).unwrap();
    let options = Options {
        data: dir.path().to_owned(),
        readers: NonZeroUsize::MIN,
        max_file_mb: 0,
        shard_backlog: 9,
        shards_prepared: NonZeroU16::MIN,
        room_index: false,
        unknown_users: UnknownUsers::Refuse,
    };
    open(&options, Arc::new(Parity), &Clock::system()).unwrap_err();
    assert!(!shard.table_exists(None, "coupon_results").unwrap());
}

#[tokio::test(flavor = "current_thread")]
async fn what_is_in_the_inbox_does_not_fill_a_small_backlog() {
    let dir = tempfile::tempdir().unwrap();
    let backend = opened_with(dir.path(), 100);
    make_busy(&backend).await;
    assert!(backend.hand_over.refusal(ODD).is_none());
    backend.lifecycle.close();
}

/// The state that an archiving leaves which was cut short after a shard's commit and before main's.
#[tokio::test(flavor = "current_thread")]
async fn rows_that_were_retired_take_their_stock_along_at_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    let coupon = async |backend: &Backend| {
        backend.catalogue.coupon(CouponId::new(1).unwrap(), false).await.unwrap().unwrap().0
    };
    let backend = opened(dir.path());
    let before = coupon(&backend).await;
    backend.lifecycle.close();
    drop(backend);
    let shard = rusqlite::Connection::open(dir.path().join("shard-1.sqlite")).unwrap();
    shard.execute("INSERT INTO outbox VALUES (1, '[[1,2]]', 0), (2, '[[1,-2]]', 0)", []).unwrap();
    drop(shard);

    let backend = opened(dir.path());
    backend.lifecycle.drain().await.unwrap();
    let after = coupon(&backend).await;
    assert_eq!(
        (after.total_stock, after.remaining_stock),
        (before.total_stock - 2, before.remaining_stock - 2)
    );
    backend.lifecycle.close();
}

/// A coupon that was over for long, of which there were so many.
pub(crate) fn over_for_long(total_stock: u32) -> NewCoupon {
    NewCoupon {
        coupon_id: CouponId::new(900_001).unwrap(),
        room_id: RoomId::new(1).unwrap(),
        coupon_name: "Over for long".to_owned(),
        coupon_type: CouponKind::NoThreshold,
        discount_amount: Some(Money::from_cents(1_000)),
        discount_rate: None,
        min_purchase: Money::default(),
        total_stock,
        start_time: "2020-01-01T00:00:00Z".parse().unwrap(),
        end_time: "2020-01-02T00:00:00Z".parse().unwrap(),
        status: CouponStatus::Active,
        terms: GrabTerms::default(),
        details: None,
    }
}

#[tokio::test(flavor = "current_thread")]
async fn a_change_that_the_gate_could_not_be_brought_to_is_finished_without_being_asked_for_again() {
    let dir = tempfile::tempdir().unwrap();
    let backend = opened(dir.path());
    let over = over_for_long(5);
    let id = over.coupon_id;
    let ask = |change| backend.catalogue.change(change, Operator::new("tests").unwrap());
    ask(CatalogueChange::CreateCoupon(over)).await.unwrap();
    // A shard whose file cannot be opened: its holders are not known.
    let (there, away) = (dir.path().join("shard-1.sqlite"), dir.path().join("away"));
    std::fs::rename(&there, &away).unwrap();
    let end_time = Some("2099-01-01T00:00:00Z".parse().unwrap());
    let later = CouponPatch { end_time, ..CouponPatch::default() };
    let failed = ask(CatalogueChange::ChangeCoupon(id, later)).await.unwrap_err();
    assert!(failed.to_string().contains("shard 1"), "{failed}");
    assert_eq!(backend.gate.stock(id).await.unwrap(), None);

    std::fs::rename(&away, &there).unwrap();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while backend.gate.stock(id).await.unwrap() != Some(GateStock { total: 5, sold: 0 }) {
        assert!(std::time::Instant::now() < deadline, "nobody finished it");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    backend.lifecycle.drain().await.unwrap();
    let latest = backend.catalogue.changes(1).await.unwrap();
    assert_eq!(backend.catalogue.version(), latest[0].version, "and this process goes by it");
    backend.lifecycle.close();
}
