//! A layout of files that changes, and rows that move meanwhile.

use std::collections::BTreeMap;
use std::num::{NonZeroU16, NonZeroU32, NonZeroUsize};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use coupon_core::after_grab::Action;
use coupon_core::catalogue_change::{CatalogueChange, CouponPatch, NewCoupon, Operator};
use coupon_core::{
    CouponId, CouponKind, CouponResult, CouponStatus, GrabTerms, Money, Placement, Plan, ResultId,
    ResultQuery, ResultState, RoomId, RouteError, RowKey, ShardId, ShardingStrategy, TableId, Timestamp,
    UserId,
};

use crate::clock::Clock;
use crate::embedded::{Options, open};
use crate::settings::UnknownUsers;
use crate::{
    Backend, Change, Changed, GrowthError, Moving, NextLayout, PageRequest, PlacedResult, Stock, Visit,
};

/// Users by the remainder of their number; each shard has as many tables, and one table stays with its shard.
#[derive(Debug)]
struct Remainder {
    shards: u16,
    tables: u32,
}

impl ShardingStrategy for Remainder {
    fn name(&self) -> &str {
        "remainder"
    }
    fn shard_count(&self) -> NonZeroU16 {
        NonZeroU16::new(self.shards).unwrap()
    }
    fn place(&self, row: &RowKey) -> Result<Placement, RouteError> {
        let (user, shards) = (row.user.get(), u64::from(self.shards));
        let table = TableId::Part((user / shards % u64::from(self.tables)) as u32);
        Ok(Placement::new(ShardId::new((user % shards) as u16), table))
    }
    fn plan(&self, _query: &ResultQuery) -> Plan {
        Plan::All
    }
    fn layout(&self) -> String {
        format!("remainder, {} tables, {} shards", self.tables, self.shards)
    }
    fn of_layout(&self, line: &str) -> Option<Arc<dyn ShardingStrategy>> {
        let (tables, shards) = line.strip_prefix("remainder, ")?.split_once(" tables, ")?;
        let shards = shards.strip_suffix(" shards")?.parse().ok()?;
        Some(Arc::new(Self { shards, tables: tables.parse().ok()? }))
    }
}

const START: &str = "2026-11-22T12:00:00Z";
const PREPARED: u16 = 5;
/// Some rows of each grab's batch are held, with so much time.
const HOLD_MS: i64 = 3_600_000;
const UNTHROTTLED: NonZeroU32 = NonZeroU32::new(10_000_000).unwrap();

/// A folder, and the clock that its services go by.
struct Scene {
    dir: tempfile::TempDir,
    clock: Clock,
}

impl Scene {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), clock: Clock::starting_at(START.parse().unwrap()) }
    }

    fn open_as(&self, strategy: Remainder) -> anyhow::Result<Backend> {
        open_folder(self.dir.path(), strategy, &self.clock)
    }

    fn open(&self) -> Backend {
        self.open_as(Remainder { shards: 2, tables: 1 }).unwrap()
    }

    /// Lets the next version come into force.
    fn pass(&self, millis: i64) {
        self.clock.set(self.clock.now().plus_millis(millis));
    }

    fn db(&self, shard: u16) -> rusqlite::Connection {
        let db = rusqlite::Connection::open(self.dir.path().join(format!("shard-{shard}.sqlite"))).unwrap();
        db.busy_timeout(Duration::from_secs(30)).unwrap();
        db
    }

    /// A copy of the files at this moment: what a crash would leave.
    fn crashed(&self) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for file in std::fs::read_dir(self.dir.path()).unwrap() {
            let file = file.unwrap();
            std::fs::copy(file.path(), dir.path().join(file.file_name())).unwrap();
        }
        Self { dir, clock: self.clock.clone() }
    }
}

fn open_folder(data: &Path, strategy: Remainder, clock: &Clock) -> anyhow::Result<Backend> {
    let options = Options {
        data: data.to_owned(),
        readers: NonZeroUsize::MIN,
        max_file_mb: 0,
        shard_backlog: 100_000,
        shards_prepared: NonZeroU16::new(PREPARED).unwrap(),
        unknown_users: UnknownUsers::Refuse,
    };
    open(&options, Arc::new(strategy), clock)
}

fn operator() -> Operator {
    Operator::new("tests").unwrap()
}

/// A row of now; every third is held.
fn row(scene: &Scene, user: u64, sequence: u16) -> CouponResult {
    let id = ResultId::from_parts(scene.clock.now(), 3, sequence).unwrap();
    let granted = CouponResult::granted(
        id,
        UserId::new(user).unwrap(),
        CouponId::new(1).unwrap(),
        RoomId::new(1).unwrap(),
    );
    if user.is_multiple_of(3) {
        let hold_until = Some(id.time().plus_millis(HOLD_MS));
        return CouponResult { state: ResultState::Held, hold_until, ..granted };
    }
    granted
}

async fn hand_over(backend: &Backend, rows: &[CouponResult]) {
    let mut by_shard: BTreeMap<ShardId, Vec<PlacedResult>> = BTreeMap::new();
    for result in rows {
        let placement = backend.layouts.look(|versions| versions.place(&result.key())).unwrap();
        by_shard.entry(placement.shard).or_default().push(PlacedResult { placement, result: *result });
    }
    for (shard, rows) in by_shard {
        backend.hand_over.hand_over(shard, 0, rows).await.unwrap();
    }
}

/// Grabs of so many users from this one on, each handed over.
async fn sell(scene: &Scene, backend: &Backend, users: std::ops::Range<u64>) -> Vec<CouponResult> {
    let first = users.start;
    let rows: Vec<CouponResult> = users.map(|user| row(scene, user, (user - first) as u16)).collect();
    for rows in rows.chunks(500) {
        hand_over(backend, rows).await;
    }
    rows
}

async fn announce(backend: &Backend, shards: u16, tables: u32) -> Result<Timestamp, GrowthError> {
    let after = backend.layouts.now().latest().number;
    let strategy = Arc::new(Remainder { shards, tables });
    let next = NextLayout { after, strategy, what: format!("over {shards} shards") };
    Ok(backend.growth.announce(next, operator()).await?.version.from)
}

/// Announces a version, and lets it come into force.
async fn change(scene: &Scene, backend: &Backend, shards: u16, tables: u32) {
    let from = announce(backend, shards, tables).await.unwrap();
    scene.clock.set(from);
}

async fn finished(backend: &Backend) -> Moving {
    let deadline = Instant::now() + Duration::from_secs(120);
    loop {
        let moving = backend.growth.moving().await.unwrap().unwrap();
        if !moving.runs {
            return moving;
        }
        assert!(Instant::now() < deadline, "rows are still moving: {moving:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Every row by its id, as the files have it: where, and in which state. None is there twice.
async fn stored(scene: &Scene, backend: &Backend) -> BTreeMap<ResultId, (Placement, CouponResult)> {
    backend.lifecycle.drain().await.unwrap();
    let mut all = BTreeMap::new();
    for shard in backend.layouts.shards() {
        let page = PageRequest { before: None, limit: 1_000_000 };
        let found =
            backend.shards.page(shard, Visit::All, ResultQuery::everything(), page).await.unwrap().value;
        let kept = backend.shards.kept_totals(shard).await.unwrap().value;
        let counted = backend.shards.totals(shard, Visit::All).await.unwrap().value;
        assert_eq!(kept, counted, "shard {shard}");
        let held = found.iter().filter(|(_, row)| row.state == ResultState::Held).count() as u64;
        let listed: u64 =
            scene.db(shard.number()).query_row("SELECT COUNT(*) FROM holds", [], |row| row.get(0)).unwrap();
        assert_eq!(held, listed, "shard {shard}");
        for (table, row) in found {
            let before = all.insert(row.result_id, (Placement::new(shard, table), row));
            assert!(before.is_none(), "{} is there twice", row.result_id);
        }
    }
    all
}

/// Every one of these rows is there once, where the layout says in the end, and no other.
async fn assert_all_at_home(scene: &Scene, backend: &Backend, rows: &[CouponResult]) {
    let versions = backend.layouts.now();
    let stored = stored(scene, backend).await;
    for row in rows {
        let (at, found) = stored.get(&row.result_id).unwrap_or_else(|| panic!("{} is lost", row.result_id));
        assert_eq!(Ok(*at), versions.home(&row.key()), "{}", row.result_id);
        assert_eq!(found.user_id, row.user_id);
    }
    assert_eq!(stored.len(), rows.len());
}

#[tokio::test(flavor = "current_thread")]
async fn rows_are_written_by_the_version_of_their_time_and_move_to_the_latest() {
    let scene = Scene::new();
    let backend = scene.open();
    let mut rows = sell(&scene, &backend, 1..200).await;
    change(&scene, &backend, PREPARED, 2).await;
    rows.extend(sell(&scene, &backend, 200..300).await);
    let before = stored(&scene, &backend).await;
    let at = |row: &CouponResult| before[&row.result_id].0.shard.number();
    assert!(rows[..199].iter().all(|row| at(row) == (row.user_id.get() % 2) as u16));
    assert!(rows[199..].iter().all(|row| at(row) == (row.user_id.get() % 5) as u16));

    let moving = backend.growth.start_moving(UNTHROTTLED, operator()).await.unwrap();
    assert_eq!((moving.to, moving.rows), (2, 299));
    let moving = finished(&backend).await;
    let away = rows[..199].iter().filter(|row| {
        before[&row.result_id].0 != Remainder { shards: 5, tables: 2 }.place(&row.key()).unwrap()
    });
    assert_eq!((moving.moved, moving.trouble), (away.count() as u64, None));
    assert_all_at_home(&scene, &backend, &rows).await;
    let records = backend.growth.versions().await.unwrap();
    let told: Vec<_> = records.iter().map(|record| (record.number, record.receives, record.closed)).collect();
    assert_eq!(told, [(1, false, true), (2, true, false)]);
    assert_eq!(backend.layouts.now().versions().len(), 1, "plans are narrow again");
    let latest: Vec<String> =
        backend.catalogue.changes(3).await.unwrap().into_iter().map(|change| change.what).collect();
    assert!(latest[0].contains("every row is where version 2"), "{latest:?}");
    assert!(latest[2].contains("over 5 shards"), "{latest:?}");
    assert!(backend.growth.start_moving(UNTHROTTLED, operator()).await.is_err(), "there is nothing to move");
    backend.lifecycle.close();
    drop(backend);

    // Whichever of the two layouts a service is set to, it goes by what main has.
    for (shards, tables) in [(2, 1), (5, 2)] {
        let again = scene.open_as(Remainder { shards, tables }).unwrap();
        assert_all_at_home(&scene, &again, &rows).await;
        again.lifecycle.close();
    }
    let refused = scene.open_as(Remainder { shards: 3, tables: 1 }).unwrap_err();
    assert!(format!("{refused:#}").contains("remainder, 2 tables, 5 shards"), "{refused:#}");
}

#[tokio::test(flavor = "current_thread")]
async fn a_row_takes_its_steps_while_rows_move_and_holds_expire_where_they_are() {
    let scene = Scene::new();
    let backend = scene.open();
    let total_stock = Some(5_000);
    let more = CouponPatch { total_stock, ..CouponPatch::default() };
    let more = CatalogueChange::ChangeCoupon(CouponId::new(1).unwrap(), more);
    backend.catalogue.change(more, operator()).await.unwrap();
    let rows = sell(&scene, &backend, 1..1_500).await;
    change(&scene, &backend, 3, 1).await;
    backend.growth.start_moving(NonZeroU32::new(20_000).unwrap(), operator()).await.unwrap();
    let mut confirmed = 0;
    for row in rows.iter().filter(|row| row.state == ResultState::Held).step_by(3) {
        let step =
            Change { user: row.user_id, id: row.result_id, action: Action::Confirm, time: scene.clock.now() };
        let deadline = Instant::now() + Duration::from_secs(60);
        'found: loop {
            assert!(Instant::now() < deadline, "{} was never found", row.result_id);
            let places = backend.layouts.look(|versions| versions.places(&row.key())).unwrap();
            for place in places {
                match backend.shards.change(place, step).await.unwrap() {
                    Changed::Now(_) => break 'found,
                    Changed::Stands(stands) => panic!("{stands:?}"),
                    Changed::NotFound => {}
                }
            }
        }
        confirmed += 1;
    }
    finished(&backend).await;
    let owned = |stored: &BTreeMap<ResultId, (Placement, CouponResult)>, state| {
        stored.values().filter(|(_, row)| row.state == state && row.state_time.is_some()).count()
    };
    let all = stored(&scene, &backend).await;
    assert_eq!(owned(&all, ResultState::Owned), confirmed);
    assert_all_at_home(&scene, &backend, &rows).await;
    let coupon = async || {
        backend.catalogue.coupon(CouponId::new(1).unwrap(), false).await.unwrap().unwrap().0.remaining_stock
    };
    let before = coupon().await;
    scene.pass(HOLD_MS);
    let held = rows.iter().filter(|row| row.state == ResultState::Held).count();
    let deadline = Instant::now() + Duration::from_secs(60);
    while owned(&stored(&scene, &backend).await, ResultState::Expired) < held - confirmed {
        assert!(Instant::now() < deadline, "what is due does not expire");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    backend.lifecycle.drain().await.unwrap();
    assert_eq!(
        backend.catalogue.set_aside().0,
        0,
        "main's books take what a shard says of rows that came from another"
    );
    assert_eq!(coupon().await, before + (held - confirmed) as u32);
    backend.lifecycle.close();
}

#[tokio::test(flavor = "current_thread")]
async fn what_comes_late_is_stored_once_wherever_its_row_is_by_then() {
    let scene = Scene::new();
    let backend = scene.open();
    let mut rows = sell(&scene, &backend, 1..100).await;
    let late: Vec<CouponResult> = (100..200).map(|user| row(&scene, user, 1_000 + user as u16)).collect();
    let old = |row: &CouponResult| Remainder { shards: 2, tables: 1 }.place(&row.key()).unwrap();
    let old_way = async |row: &CouponResult| {
        let placed = PlacedResult { placement: old(row), result: *row };
        backend.hand_over.hand_over(placed.placement.shard, 0, vec![placed]).await.unwrap();
    };
    change(&scene, &backend, 5, 1).await;
    // Before rows move, in between, and after.
    for row in &late[..30] {
        old_way(row).await;
    }
    backend.growth.start_moving(NonZeroU32::new(500).unwrap(), operator()).await.unwrap();
    for row in &late[..60] {
        old_way(row).await;
    }
    backend.growth.start_moving(UNTHROTTLED, operator()).await.unwrap();
    finished(&backend).await;
    for row in &late {
        old_way(row).await;
    }
    rows.extend(&late);
    assert_all_at_home(&scene, &backend, &rows).await;
    let parked: u64 = {
        let mut parked = 0;
        for shard in backend.layouts.shards() {
            parked += backend.shards.report(shard).await.unwrap().parked;
        }
        parked
    };
    assert_eq!(parked, 0);
    backend.lifecycle.close();
}

#[tokio::test(flavor = "current_thread")]
async fn a_service_that_is_cut_off_while_rows_move_goes_on_at_its_next_start() {
    let scene = Scene::new();
    let backend = scene.open();
    let rows = sell(&scene, &backend, 1..2_000).await;
    change(&scene, &backend, 4, 2).await;
    backend.growth.start_moving(NonZeroU32::new(1_000).unwrap(), operator()).await.unwrap();
    let mut copies = Vec::new();
    for _ in 0..4 {
        tokio::time::sleep(Duration::from_millis(60)).await;
        copies.push(scene.crashed());
    }
    let stopped = backend.growth.stop_moving().await.unwrap().unwrap();
    assert!(!stopped.runs && stopped.looked_at < stopped.rows, "{stopped:?}");
    assert!(!backend.growth.moving().await.unwrap().unwrap().runs);
    backend.lifecycle.close();
    for copy in copies {
        let again = copy.open();
        again.growth.start_moving(UNTHROTTLED, operator()).await.unwrap();
        finished(&again).await;
        assert_all_at_home(&copy, &again, &rows).await;
        again.lifecycle.close();
    }
}

/// The state that a crash leaves between two steps of a batch.
#[tokio::test(flavor = "current_thread")]
async fn what_is_between_two_files_at_a_start_arrives_once() {
    for arrived in [false, true] {
        let scene = Scene::new();
        let backend = scene.open();
        let rows = sell(&scene, &backend, 1..50).await;
        change(&scene, &backend, 3, 1).await;
        backend.lifecycle.close();
        drop(backend);
        let from = scene.db(0);
        let columns = crate::statements::COLUMNS.join(", ");
        // Users 4, 10, … go from shard 0 to shard 1.
        from.execute_batch(&format!(
            "INSERT INTO leaving ({columns}, from_table, to_shard, to_table) SELECT {columns}, 'coupon_results_p0', 1, \
             'coupon_results_p0' FROM coupon_results_p0 WHERE user_id % 3 = 1; \
             DELETE FROM coupon_results_p0 WHERE user_id % 3 = 1; \
             INSERT INTO move_state VALUES (1, 1, 1, 0, 0)"
        ))
        .unwrap();
        if arrived {
            let attach = format!("ATTACH '{}' AS old", scene.dir.path().join("shard-0.sqlite").display());
            let to = scene.db(1);
            to.execute_batch(&attach).unwrap();
            to.execute_batch(&format!(
                "INSERT INTO coupon_results_p0 ({columns}) SELECT {columns} FROM old.leaving; \
                 INSERT INTO arrivals VALUES (0, 1)"
            ))
            .unwrap();
        }
        let again = scene.open();
        again.growth.start_moving(UNTHROTTLED, operator()).await.unwrap();
        finished(&again).await;
        assert_all_at_home(&scene, &again, &rows).await;
        again.lifecycle.close();
    }
}

#[tokio::test(flavor = "current_thread")]
async fn a_change_that_cannot_be_made_is_refused_for_what_is_in_its_way() {
    let scene = Scene::new();
    let backend = scene.open();
    let refused = async |shards, tables| match announce(&backend, shards, tables).await.unwrap_err() {
        GrowthError::Refused(why) => why,
        other => panic!("{other}"),
    };
    assert!(refused(6, 1).await.contains("5 are prepared"));
    assert!(refused(2, 1).await.contains("is the one there is"));
    let why = backend.growth.start_moving(UNTHROTTLED, operator()).await.unwrap_err().to_string();
    assert!(why.contains("nothing to move"), "{why}");
    announce(&backend, 3, 1).await.unwrap();
    assert!(refused(4, 1).await.contains("in force from"));
    let why = backend.growth.start_moving(UNTHROTTLED, operator()).await.unwrap_err().to_string();
    assert!(why.contains("in force from"), "{why}");
    scene.pass(1_000);
    let stale =
        NextLayout { after: 1, strategy: Arc::new(Remainder { shards: 4, tables: 1 }), what: String::new() };
    let why = backend.growth.announce(stale, operator()).await.unwrap_err().to_string();
    assert!(why.contains("version 2 is the latest"), "{why}");
    backend.lifecycle.close();
}

#[tokio::test(flavor = "current_thread")]
async fn an_id_ahead_of_the_clock_is_before_the_version_that_is_announced_after_it() {
    let scene = Scene::new();
    let backend = scene.open();
    scene.pass(8_000);
    let ahead = row(&scene, 7, 0);
    hand_over(&backend, &[ahead]).await;
    // The clock is set back, as far as ids go on.
    scene.pass(-8_000);
    let from = announce(&backend, 5, 1).await.unwrap();
    assert!(from > ahead.grab_time);
    assert_eq!(
        backend.layouts.now().place(&ahead.key()).unwrap(),
        Placement::new(ShardId::new(1), TableId::Part(0))
    );
    backend.lifecycle.close();
}

#[tokio::test(flavor = "current_thread")]
async fn a_coupon_that_is_offered_again_has_its_holders_while_rows_move() {
    let scene = Scene::new();
    let backend = scene.open();
    let id = CouponId::new(900_001).unwrap();
    let over = NewCoupon {
        coupon_id: id,
        room_id: RoomId::new(1).unwrap(),
        coupon_name: "Over for long".to_owned(),
        coupon_type: CouponKind::NoThreshold,
        discount_amount: Some(Money::from_cents(1_000)),
        discount_rate: None,
        min_purchase: Money::default(),
        total_stock: 5_000,
        start_time: "2020-01-01T00:00:00Z".parse().unwrap(),
        end_time: "2020-01-02T00:00:00Z".parse().unwrap(),
        status: CouponStatus::Active,
        terms: GrabTerms::default(),
        details: None,
    };
    let ask = |change| backend.catalogue.change(change, operator());
    ask(CatalogueChange::CreateCoupon(over)).await.unwrap();
    let rows: Vec<CouponResult> = (1..2_000)
        .map(|user| CouponResult {
            coupon_id: id,
            state: ResultState::Owned,
            hold_until: None,
            ..row(&scene, user, user as u16)
        })
        .collect();
    for rows in rows.chunks(500) {
        hand_over(&backend, rows).await;
    }
    change(&scene, &backend, 5, 1).await;
    backend.growth.start_moving(NonZeroU32::new(2_000).unwrap(), operator()).await.unwrap();
    let end_time = Some("2099-01-01T00:00:00Z".parse().unwrap());
    ask(CatalogueChange::ChangeCoupon(id, CouponPatch { end_time, ..CouponPatch::default() })).await.unwrap();
    assert_eq!(backend.gate.stock(id).await.unwrap(), Some(Stock { total: 5_000, sold: 1_999 }));
    backend.growth.start_moving(UNTHROTTLED, operator()).await.unwrap();
    finished(&backend).await;
    assert_all_at_home(&scene, &backend, &rows).await;
    backend.lifecycle.close();
}

/// What grabs, readers and steps do all the time, beside a mover: everything that was told is found, in the order of places.
#[tokio::test(flavor = "current_thread")]
async fn grabs_and_reads_go_on_while_the_layout_changes_and_rows_move() {
    let scene = Scene::new();
    let backend = scene.open();
    let mut rows = sell(&scene, &backend, 1..1_000).await;
    let find = async |row: &CouponResult| {
        let versions = backend.layouts.now();
        let places = versions.places(&row.key()).unwrap();
        for place in places {
            let visit = Visit::Tables(vec![place.table]);
            if backend.shards.find(place.shard, visit, row.result_id).await.unwrap().value.is_some() {
                return;
            }
        }
        panic!("{} was told, and is not found", row.result_id);
    };
    for (round, (shards, tables)) in [(4, 1), (4, 3), (5, 1)].into_iter().enumerate() {
        let from = announce(&backend, shards, tables).await.unwrap();
        let first = 1_000 + 1_000 * round as u64;
        rows.extend(sell(&scene, &backend, first..first + 300).await);
        scene.clock.set(from);
        backend.growth.start_moving(NonZeroU32::new(20_000).unwrap(), operator()).await.unwrap();
        let mut at = 0;
        while backend.growth.moving().await.unwrap().unwrap().runs {
            let user = first + 300 + at;
            let row = row(&scene, user, 300 + at as u16);
            hand_over(&backend, &[row]).await;
            rows.push(row);
            backend.lifecycle.drain().await.unwrap();
            for back in [1, 7, 100, 500, 900] {
                find(&rows[rows.len() - back.min(rows.len())]).await;
            }
            at += 1;
            assert!(at < 3_000, "rows are still moving");
        }
        assert_all_at_home(&scene, &backend, &rows).await;
    }
    assert_eq!(backend.growth.versions().await.unwrap().len(), 4);
    backend.lifecycle.close();
}
