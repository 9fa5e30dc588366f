//! A service on files that is killed, again and again, while its rows move to more shards.

use std::collections::{BTreeMap, BTreeSet};
use std::num::{NonZeroU16, NonZeroUsize};
use std::path::Path;
use std::sync::Arc;

use coupon_audit::Scope;
use coupon_core::catalogue_change::{CatalogueChange, CouponPatch, Operator};
use coupon_core::{
    CouponId, CouponResult, Placement, ResultId, ResultQuery, RoomId, ShardId, ShardingStrategy, UserId,
};
use coupon_store::clock::Clock;
use coupon_store::settings::UnknownUsers;
use coupon_store::{Backend, PageRequest, PlacedResult, Visit, embedded};

use crate::process::Service;

pub(crate) const COUPON: u64 = 1;
/// Rows from before the change.
pub(crate) const ROWS: u64 = 6_000;

fn strategy() -> Arc<dyn ShardingStrategy> {
    (hash_svc::PROGRAM.strategy)(&hash_svc::HashSettings::default(), NonZeroU16::new(4).unwrap()).unwrap()
}

/// The folder, in this process. Eight shards are prepared.
pub(crate) fn open(data: &Path, room_index: bool) -> Backend {
    let options = embedded::Options {
        data: data.to_owned(),
        readers: NonZeroUsize::MIN,
        max_file_mb: 0,
        shard_backlog: 100_000,
        shards_prepared: NonZeroU16::new(8).unwrap(),
        room_index,
        unknown_users: UnknownUsers::Accept,
    };
    embedded::open(&options, strategy(), &Clock::system()).unwrap()
}

pub(crate) fn close(backend: Backend) {
    backend.lifecycle.close();
    drop(backend);
}

/// The number that main says are sold.
pub(crate) async fn sold(backend: &Backend) -> u32 {
    let coupon = backend.catalogue.coupon(CouponId::new(COUPON).unwrap(), false).await.unwrap().unwrap().0;
    coupon.total_stock - coupon.remaining_stock
}

/// Stores rows of as many users, who need not be known, of so long ago.
pub(crate) async fn fill(backend: &Backend, ago_ms: i64) -> Vec<ResultId> {
    let patch = CouponPatch { total_stock: Some(100_000), ..CouponPatch::default() };
    let coupon = CouponId::new(COUPON).unwrap();
    assert_eq!(sold(backend).await, 0);
    let more = CatalogueChange::ChangeCoupon(coupon, patch);
    backend.catalogue.change(more, Operator::new("tests").unwrap()).await.unwrap();
    let began = Clock::system().now().plus_millis(-ago_ms);
    let mut by_shard: BTreeMap<ShardId, Vec<PlacedResult>> = BTreeMap::new();
    let mut ids = Vec::new();
    for number in 0..ROWS {
        let id = ResultId::from_parts(began.plus_millis((number / 100) as i64), 900, (number % 100) as u16);
        let (user, room) = (UserId::new(1_000_000 + number).unwrap(), RoomId::new(1).unwrap());
        let result = CouponResult::granted(id.unwrap(), user, coupon, room);
        let placement = strategy().place(&result.key()).unwrap();
        by_shard.entry(placement.shard).or_default().push(PlacedResult { placement, result });
        ids.push(result.result_id);
    }
    for (shard, rows) in by_shard {
        backend.hand_over.hand_over(shard, 0, rows).await.unwrap();
    }
    backend.lifecycle.drain().await.unwrap();
    ids
}

impl Service {
    pub(crate) fn on(data: &Path, room_index: bool) -> Self {
        let data = format!("embedded.data={:?}", data.display().to_string());
        Self::start(&[data, format!("room_index={room_index}")])
    }
}

/// Every row, by its id, and where it is. None is there twice.
pub(crate) async fn stored(backend: &Backend) -> BTreeMap<ResultId, (Placement, CouponResult)> {
    let mut all = BTreeMap::new();
    for shard in backend.layouts.shards() {
        let page = PageRequest { before: None, limit: 1_000_000 };
        let found = backend
            .shards
            .page(shard.into(), Visit::All, ResultQuery::everything(), page)
            .await
            .unwrap()
            .value;
        for (table, row) in found {
            let before = all.insert(row.result_id, (Placement::new(shard, table), row));
            assert!(before.is_none(), "{} is there twice", row.result_id);
        }
    }
    all
}

/// Finds nothing wrong with the files as they are.
pub(crate) fn audit(data: &Path, drained: bool) {
    let report =
        coupon_audit::Data::Folder(data.to_owned()).audit(&Scope { drained, ..Scope::default() }).unwrap();
    assert_eq!(report.violations(), 0, "{report:#?}");
}

/// Asks for all pages of the room's list: each of these results is in it, and none twice.
fn lists_each_once(service: &Service, ids: &[ResultId]) {
    let (mut listed, mut cursor) = (BTreeSet::new(), String::new());
    loop {
        let page = service.until_done(&format!("GET /api/room/1/orders?limit=1000{cursor}"), "");
        assert_eq!(page["partial"], false);
        for row in page["items"].as_array().unwrap() {
            let id = row["result_id"].as_str().unwrap().to_owned();
            assert!(listed.insert(id), "{row} is listed twice");
        }
        let Some(next) = page["next_cursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    let missing = ids.iter().find(|id| !listed.contains(&id.to_string()));
    assert_eq!(missing, None, "of {} results", listed.len());
}

pub(crate) fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

#[test]
fn a_service_that_is_killed_while_rows_move_to_more_shards_loses_none_and_stores_none_twice() {
    killed_while_rows_move(false);
}

/// The audit holds the index against the rows.
#[test]
fn a_room_index_has_each_row_as_it_is_though_rows_move_and_the_service_is_killed() {
    killed_while_rows_move(true);
}

fn killed_while_rows_move(room_index: bool) {
    let dir = tempfile::tempdir().unwrap();
    let backend = open(dir.path(), room_index);
    let before = run(fill(&backend, 60_000));
    let mut told = before.clone();
    close(backend);

    let service = Service::on(dir.path(), room_index);
    service.until_done("POST /admin/layout", r#"{"shards":8}"#);
    service.until_done("POST /admin/rebalance", r#"{"rows_per_s":500}"#);
    drop(service);
    for round in 1..4_u64 {
        // It goes on by itself, and grabs are stored meanwhile.
        let service = Service::on(dir.path(), room_index);
        let (_, granted) =
            service.asked("POST /api/coupon/grab", &format!(r#"{{"user_id":{round},"coupon_id":{COUPON}}}"#));
        if granted["grab_status"] == 1 {
            let id: i64 = granted["result_id"].as_str().unwrap().parse().unwrap();
            told.push(ResultId::from_number(id).unwrap());
        }
        service.moved_until(|rebalance| {
            lists_each_once(&service, &before);
            rebalance["looked_at"].as_u64() >= Some(round * 400)
        });
        drop(service);
        audit(dir.path(), false);
    }
    let service = Service::on(dir.path(), room_index);
    // On a machine that was away for long it may be done already.
    service.asked("POST /admin/rebalance", r#"{"rows_per_s":10000000}"#);
    service.moved_until(|rebalance| rebalance["runs"] == false);
    drop(service);

    let backend = open(dir.path(), room_index);
    run(async {
        backend.lifecycle.drain().await.unwrap();
        let (stored, versions) = (stored(&backend).await, backend.layouts.now());
        assert_eq!(versions.versions().len(), 1, "the version before is closed");
        for id in &told {
            let (at, row) = stored.get(id).unwrap_or_else(|| panic!("{id} is lost"));
            assert_eq!(versions.home(&row.key()), Ok(*at), "{id}");
        }
        assert_eq!(stored.len(), told.len());
        let coupon =
            backend.catalogue.coupon(CouponId::new(COUPON).unwrap(), false).await.unwrap().unwrap().0;
        assert_eq!(u64::from(coupon.total_stock - coupon.remaining_stock), told.len() as u64);
        assert_eq!(backend.catalogue.set_aside().0, 0);
    });
    close(backend);
    audit(dir.path(), true);
}
