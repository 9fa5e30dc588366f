//! An archive that stands still, since another connection has a shard's file.

use std::num::{NonZeroU16, NonZeroU32, NonZeroUsize};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use coupon_core::catalogue_change::{CatalogueChange, CouponPatch, Operator};
use coupon_core::{
    CouponId, CouponResult, ResultId, ResultQuery, RoomId, ShardId, ShardingStrategy, Timestamp, UserId,
};

use crate::clock::Clock;
use crate::embedded::tests::Parity;
use crate::embedded::{Options, open};
use crate::settings::UnknownUsers;
use crate::{Archive, ArchivePace, Backend, Change, Changed, PageRequest, PlacedResult, Totals, Visit};

const DAY_MS: i64 = 86_400_000;
const COUPON: u64 = 1;
/// The results of the day before, half of them on each shard, with one user each: two batches a shard.
const OLD: u64 = 5_000;

fn noon() -> Timestamp {
    "2026-11-22T12:00:00Z".parse().unwrap()
}

fn operator() -> Operator {
    Operator::new("Ann").unwrap()
}

fn open_at(data: &Path, clock: &Clock) -> Backend {
    let options = Options {
        data: data.to_owned(),
        readers: NonZeroUsize::MIN,
        max_file_mb: 0,
        shard_backlog: 10_000,
        shards_prepared: NonZeroU16::MIN,
        room_index: true,
        unknown_users: UnknownUsers::Refuse,
    };
    open(&options, Arc::new(Parity), clock).unwrap()
}

fn of(user: u64, time: Timestamp) -> PlacedResult {
    let id = ResultId::from_parts(time.plus_millis((user / 100) as i64), 3, (user % 100) as u16).unwrap();
    let (user, coupon, room) = (UserId::new(user), CouponId::new(COUPON), RoomId::new(1));
    let result = CouponResult::granted(id, user.unwrap(), coupon.unwrap(), room.unwrap());
    PlacedResult { placement: Parity.place(&result.key()).unwrap(), result }
}

async fn end_coupon(backend: &Backend, end: Timestamp) -> Result<(), String> {
    let patch = CouponPatch { end_time: Some(end), total_stock: Some(10_000), ..CouponPatch::default() };
    let change = CatalogueChange::ChangeCoupon(CouponId::new(COUPON).unwrap(), patch);
    backend.catalogue.change(change, operator()).await.map(drop).map_err(|error| error.to_string())
}

/// A folder with old results of a coupon that is over for a day.
async fn sold(data: &Path) -> Backend {
    let clock = Clock::starting_at(noon());
    let backend = open_at(data, &clock);
    end_coupon(&backend, noon().plus_millis(-DAY_MS)).await.unwrap();
    let rows = (1..=OLD).map(|user| of(user, noon().plus_millis(-DAY_MS)));
    let (odd, even): (Vec<_>, Vec<_>) = rows.partition(|row| row.placement.shard.number() == 1);
    for rows in [even, odd] {
        backend.hand_over.hand_over(rows[0].placement.shard, 0, rows).await.unwrap();
    }
    backend.lifecycle.drain().await.unwrap();
    backend
}

async fn ended(backend: &Backend) -> Archive {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let archive = backend.archiving.as_ref().unwrap().last().unwrap();
        if !archive.runs {
            return archive;
        }
        assert!(Instant::now() < deadline, "it still runs: {archive:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The rows of the room index.
fn indexed(data: &Path) -> i64 {
    let of = |shard| {
        let db = rusqlite::Connection::open(data.join(format!("shard-{shard}.sqlite"))).unwrap();
        db.query_row("SELECT COUNT(*) FROM room_index", [], |row| row.get::<_, i64>(0)).unwrap()
    };
    (0..2).map(of).sum()
}

async fn rows(backend: &Backend) -> usize {
    let mut rows = 0;
    for shard in [0, 1].map(ShardId::new) {
        let page = PageRequest { before: None, limit: 10_000 };
        rows += backend
            .shards
            .page(shard.into(), Visit::All, ResultQuery::everything(), page)
            .await
            .unwrap()
            .value
            .len();
    }
    rows
}

#[tokio::test(flavor = "current_thread")]
async fn while_results_are_archived_no_row_moves_and_no_coupon_that_is_over_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let backend = sold(dir.path()).await;
    let archiving = backend.archiving.as_ref().unwrap();
    let start = || archiving.start(noon().day(), operator(), ArchivePace::BesideGrabs);
    // Another connection keeps the odd shard's file locked for now.
    let other = rusqlite::Connection::open(dir.path().join("shard-1.sqlite")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let begun = start().await.unwrap();
    assert_eq!((begun.rows, begun.retired.coupons, begun.runs), (OLD, 1, true));

    let error = start().await.unwrap_err().to_string();
    assert!(error.contains("being archived already"), "{error}");
    let error = backend.growth.start_moving(NonZeroU32::MIN, operator()).await.unwrap_err().to_string();
    assert!(error.contains("being archived"), "{error}");
    let later = noon().plus_millis(3_600_000);
    let error = end_coupon(&backend, later).await.unwrap_err();
    assert!(error.contains("coupon 1") && error.contains("are being archived"), "{error}");

    other.execute_batch("COMMIT").unwrap();
    let archive = ended(&backend).await;
    assert_eq!((archive.retired.rows_deleted, archive.trouble), (OLD, None));
    assert_eq!(rows(&backend).await, 0);
    for shard in [0, 1].map(ShardId::new) {
        let kept = backend.shards.kept_totals(shard).await.unwrap().value;
        assert_eq!(kept, Totals::default(), "shard {shard}");
    }
    assert_eq!(indexed(dir.path()), 0);
    let coupon = backend.catalogue.coupon(CouponId::new(COUPON).unwrap(), false).await.unwrap().unwrap().0;
    assert_eq!((coupon.total_stock, coupon.remaining_stock), (10_000 - OLD as u32, 10_000 - OLD as u32));
    let error = end_coupon(&backend, later).await.unwrap_err();
    assert!(error.contains("have been archived"), "{error}");
    backend.lifecycle.close();
}

#[tokio::test(flavor = "current_thread")]
async fn an_archive_that_a_stop_cuts_short_leaves_books_that_balance_and_another_one_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let backend = sold(dir.path()).await;
    let archiving = backend.archiving.as_ref().unwrap();
    let other = rusqlite::Connection::open(dir.path().join("shard-1.sqlite")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    archiving.start(noon().day(), operator(), ArchivePace::BesideGrabs).await.unwrap();
    let free = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(100));
        other.execute_batch("COMMIT").unwrap();
    });
    backend.lifecycle.close();
    free.join().unwrap();
    drop(backend);

    let backend = open_at(dir.path(), &Clock::starting_at(noon().plus_millis(60_000)));
    backend.lifecycle.drain().await.unwrap();
    let left = rows(&backend).await as u32;
    assert!(left >= 500, "one step at most is done after the end is asked for: {left} are left");
    let coupon = backend.catalogue.coupon(CouponId::new(COUPON).unwrap(), false).await.unwrap().unwrap().0;
    assert_eq!(coupon.total_stock - coupon.remaining_stock, left, "sold is what is stored");
    let archiving = backend.archiving.as_ref().unwrap();
    assert!(archiving.last().is_none(), "it is a matter of one process");
    let begun = archiving.start(noon().day(), operator(), ArchivePace::Alone).await.unwrap();
    assert_eq!(begun.rows, u64::from(left));
    assert_eq!(ended(&backend).await.trouble, None);
    assert_eq!((rows(&backend).await, indexed(dir.path())), (0, 0));
    backend.lifecycle.close();
}

/// Its shard and the index let go of it at different moments.
#[tokio::test(flavor = "current_thread")]
async fn what_has_changed_since_an_archive_began_stays_in_its_table_and_in_the_room_index() {
    let dir = tempfile::tempdir().unwrap();
    let backend = sold(dir.path()).await;
    let used = noon().plus_millis(3_600_000).millis();
    for (shard, table) in [(1, "coupon_results"), (0, "room_index"), (1, "room_index")] {
        let db = rusqlite::Connection::open(dir.path().join(format!("shard-{shard}.sqlite"))).unwrap();
        let change = format!("UPDATE {table} SET state = 2, state_time = {used} WHERE user_id = 1");
        db.execute_batch(&change).unwrap();
    }
    let archiving = backend.archiving.as_ref().unwrap();
    archiving.start(noon().day(), operator(), ArchivePace::BesideGrabs).await.unwrap();
    let archive = ended(&backend).await;
    assert_eq!((archive.retired.held, archive.retired.rows_deleted, archive.trouble), (1, OLD - 1, None));
    assert_eq!((rows(&backend).await, indexed(dir.path())), (1, 1));
    backend.lifecycle.close();
}

/// Rows behind what stays are taken in more than one step.
#[tokio::test(flavor = "current_thread")]
async fn what_is_held_stays_before_rows_that_go_in_several_steps() {
    const HELD: u64 = 100;
    let dir = tempfile::tempdir().unwrap();
    let backend = sold(dir.path()).await;
    let shard = rusqlite::Connection::open(dir.path().join("shard-1.sqlite")).unwrap();
    let first = format!("SELECT result_id FROM coupon_results ORDER BY result_id LIMIT {HELD}");
    let hold = format!(
        "INSERT INTO holds SELECT 1900000000000, result_id, 'coupon_results' FROM ({first});
         UPDATE coupon_results SET state = 0, hold_until = 1900000000000 WHERE result_id IN ({first})"
    );
    shard.execute_batch(&hold).unwrap();
    let archiving = backend.archiving.as_ref().unwrap();
    archiving.start(noon().day(), operator(), ArchivePace::BesideGrabs).await.unwrap();
    let archive = ended(&backend).await;
    assert_eq!(
        (archive.retired.held, archive.retired.rows_deleted, archive.trouble),
        (HELD, OLD - HELD, None)
    );
    let left: i64 =
        shard.query_row("SELECT COUNT(*) FROM coupon_results WHERE state = 0", [], |row| row.get(0)).unwrap();
    assert_eq!((left as u64, rows(&backend).await as u64), (HELD, HELD));
    backend.lifecycle.close();
}

/// A caller found the row before its table was dropped, and asks for a step of it afterwards.
#[tokio::test(flavor = "current_thread")]
async fn a_step_of_a_result_whose_table_has_been_dropped_finds_none() {
    let dir = tempfile::tempdir().unwrap();
    let backend = sold(dir.path()).await;
    let row = of(1, noon().plus_millis(-DAY_MS)).result;
    let change = Change {
        user: row.user_id,
        id: row.result_id,
        action: coupon_core::after_grab::Action::Return,
        time: noon(),
    };
    let gone = coupon_core::TableId::parse("coupon_results_2026_11_20").unwrap();
    let placement = coupon_core::Placement::new(ShardId::new(1), gone);
    assert_eq!(backend.shards.change(placement, change).await.unwrap(), Changed::NotFound);
    // The writer goes on.
    let placement = Parity.place(&row.key()).unwrap();
    assert!(matches!(backend.shards.change(placement, change).await.unwrap(), Changed::Now(_)));
    backend.lifecycle.close();
}
