//! A layout of files that changes, and rows that move meanwhile.

mod announcing;
mod between;
mod offered_again;
mod rows;

use std::collections::BTreeMap;
use std::num::{NonZeroU16, NonZeroU32, NonZeroUsize};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use coupon_core::after_grab::Action;
use coupon_core::catalogue_change::{CatalogueChange, CouponPatch, Operator};
use coupon_core::{
    CouponId, CouponResult, Placement, Plan, ResultId, ResultQuery, ResultState, RoomId, RouteError, RowKey,
    ShardId, ShardingStrategy, TableId, Timestamp, UserId,
};

use crate::clock::Clock;
use crate::embedded::{Options, open};
use crate::settings::UnknownUsers;
use crate::{
    Backend, Change, Changed, GateStock, GrowthError, Moving, NextLayout, PageRequest, PlacedResult, Visit,
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
/// A rate so slow that a movement does not end by itself.
const CRAWLING: NonZeroU32 = NonZeroU32::MIN;
const UNTHROTTLED: NonZeroU32 = NonZeroU32::new(10_000_000).unwrap();

/// A folder, and the clock that its services go by.
struct DataFolder {
    dir: tempfile::TempDir,
    clock: Clock,
}

impl DataFolder {
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

    fn main(&self) -> rusqlite::Connection {
        self.file("main.sqlite")
    }

    fn db(&self, shard: u16) -> rusqlite::Connection {
        self.file(&format!("shard-{shard}.sqlite"))
    }

    fn file(&self, name: &str) -> rusqlite::Connection {
        let db = rusqlite::Connection::open(self.dir.path().join(name)).unwrap();
        db.busy_timeout(Duration::from_secs(30)).unwrap();
        db
    }
}

fn open_folder(data: &Path, strategy: Remainder, clock: &Clock) -> anyhow::Result<Backend> {
    let options = Options {
        data: data.to_owned(),
        readers: NonZeroUsize::MIN,
        max_file_mb: 0,
        shard_backlog: 100_000,
        shards_prepared: NonZeroU16::new(PREPARED).unwrap(),
        room_index: false,
        unknown_users: UnknownUsers::Refuse,
    };
    open(&options, Arc::new(strategy), clock)
}

fn operator() -> Operator {
    Operator::new("tests").unwrap()
}

/// A row of now; every third is held.
fn row(folder: &DataFolder, user: u64, sequence: u16) -> CouponResult {
    let id = ResultId::from_parts(folder.clock.now(), 3, sequence).unwrap();
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
async fn sell(folder: &DataFolder, backend: &Backend, users: std::ops::Range<u64>) -> Vec<CouponResult> {
    let first = users.start;
    let rows: Vec<CouponResult> = users.map(|user| row(folder, user, (user - first) as u16)).collect();
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
async fn change(folder: &DataFolder, backend: &Backend, shards: u16, tables: u32) {
    let from = announce(backend, shards, tables).await.unwrap();
    folder.clock.set(from);
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

/// Moves every row to where the latest version says.
async fn move_all(backend: &Backend) {
    backend.growth.start_moving(UNTHROTTLED, operator()).await.unwrap();
    finished(backend).await;
}

/// The trouble in the way of a movement that goes on.
async fn trouble(backend: &Backend) -> String {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        if let Some(trouble) = backend.growth.moving().await.unwrap().unwrap().trouble {
            return trouble;
        }
        assert!(Instant::now() < deadline, "nothing is in its way");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Every row by its id, as the files have it: where, and in which state. None is there twice.
async fn stored(folder: &DataFolder, backend: &Backend) -> BTreeMap<ResultId, (Placement, CouponResult)> {
    backend.lifecycle.drain().await.unwrap();
    let mut all = BTreeMap::new();
    for shard in backend.layouts.shards() {
        let page = PageRequest { before: None, limit: 1_000_000 };
        let found = backend
            .shards
            .page(shard.into(), Visit::All, ResultQuery::everything(), page)
            .await
            .unwrap()
            .value;
        let kept = backend.shards.kept_totals(shard).await.unwrap().value;
        let counted = backend.shards.totals(shard.into(), Visit::All).await.unwrap().value;
        assert_eq!(kept, counted, "shard {shard}");
        let held = found.iter().filter(|(_, row)| row.state == ResultState::Held).count() as u64;
        let listed: u64 =
            folder.db(shard.number()).query_row("SELECT COUNT(*) FROM holds", [], |row| row.get(0)).unwrap();
        assert_eq!(held, listed, "shard {shard}");
        for (table, row) in found {
            let before = all.insert(row.result_id, (Placement::new(shard, table), row));
            assert!(before.is_none(), "{} is there twice", row.result_id);
        }
    }
    all
}

/// Every one of these rows is there once, where the layout says in the end, and no other.
async fn assert_all_at_home(folder: &DataFolder, backend: &Backend, rows: &[CouponResult]) {
    let versions = backend.layouts.now();
    let stored = stored(folder, backend).await;
    for row in rows {
        let (at, found) = stored.get(&row.result_id).unwrap_or_else(|| panic!("{} is lost", row.result_id));
        assert_eq!(Ok(*at), versions.home(&row.key()), "{}", row.result_id);
        assert_eq!(found.user_id, row.user_id);
    }
    assert_eq!(stored.len(), rows.len());
}
