//! Laws of grabs that the one shard's database decides, in the transaction that stores the result.

use std::slice;

use coupon_core::after_grab::Action;
use coupon_core::catalogue_change::Operator;
use coupon_core::{RequestKey, ResultState, ShardId};
use coupon_servers::cluster::Cluster;
use coupon_store::settings::DecidedBy;
use coupon_store::{ArchivePace, Attempt, Decision, GateStock, Reservation, Visit};
use futures_util::{StreamExt as _, stream};
use mysql_async::prelude::Queryable as _;

use crate::bench::{
    Bench, ENDED, OneTable, PLENTY, SCARCE, USERS, attempt, changed, coupon_id, decide, eventually, grab,
    granted, held_by, holding, home, place, placed, remaining, run, settles_at, sold, until,
};

/// Grabs that are under way at once.
const AT_ONCE: usize = 8;

pub(crate) async fn a_grab_is_stored_by_the_transaction_that_grants_it(bench: &Bench) {
    let backend = bench.open();
    let attempt = attempt(&backend, bench, 7, PLENTY);
    assert_eq!(decide(&backend, &[attempt]).await, [Decision::Granted(0)]);
    let row = placed(7, PLENTY, 1, attempt.id).result;
    let (shard, placement) = (home(&backend, 7), place(&backend, &row));
    let found = backend.shards.find(shard.into(), Visit::All, attempt.id).await.unwrap();
    assert_eq!(found.value, Some((placement.table, row)), "it was not handed over");
    backend.lifecycle.drain().await.unwrap();
    assert_eq!(remaining(&backend, PLENTY).await, 999);
    assert_eq!(
        backend.gate.stock(coupon_id(PLENTY)).await.unwrap(),
        Some(GateStock { total: 1_000, sold: 1 })
    );
    let report = backend.shards.report(shard).await.unwrap();
    assert_eq!((report.rows, report.parked, report.queue_depth), (31, 0, 0));
    let kept = backend.shards.kept_totals(shard).await.unwrap();
    assert_eq!(kept.value, backend.shards.totals(shard.into(), Visit::All).await.unwrap().value);
    assert!(kept.as_of >= attempt.id.time());
    backend.lifecycle.close();
}

pub(crate) async fn who_asks_again_hears_what_is_stored_also_in_one_batch(bench: &Bench) {
    let backend = bench.open();
    let first = attempt(&backend, bench, 7, PLENTY);
    let second = attempt(&backend, bench, 7, PLENTY);
    assert_eq!(
        decide(&backend, &[first, second]).await,
        [Decision::Granted(0), Decision::Duplicate(first.id)]
    );
    assert_eq!(decide(&backend, &[second]).await, [Decision::Duplicate(first.id)]);
    let named = holding(&backend, bench, 8, PLENTY, "a");
    let again = Attempt { id: attempt(&backend, bench, 8, PLENTY).id, ..named };
    let other = Attempt { request: Some(RequestKey::of("b")), ..again };
    assert_eq!(
        decide(&backend, &[named, again, other]).await,
        [
            Decision::Granted(0),
            Decision::Repeated(named.reservation(0).grant()),
            Decision::Duplicate(named.id),
        ]
    );
    assert_eq!(sold(&backend, PLENTY).await, 2);
    backend.lifecycle.close();
}

pub(crate) async fn of_several_in_one_batch_as_many_are_granted_as_are_left(bench: &Bench) {
    let backend = bench.open();
    let batch: Vec<Attempt> = [1, 2, 3, 4]
        .into_iter()
        .flat_map(|user| [SCARCE, PLENTY].map(|coupon| attempt(&backend, bench, user, coupon)))
        .collect();
    let decided = decide(&backend, &batch).await;
    let of = |coupon: u64| -> Vec<Decision> {
        let all = batch.iter().zip(&decided);
        all.filter(|(attempt, _)| attempt.coupon == coupon_id(coupon))
            .map(|(_, decision)| *decision)
            .collect()
    };
    assert_eq!(
        of(SCARCE),
        [Decision::Granted(0), Decision::Granted(0), Decision::OutOfStock, Decision::OutOfStock]
    );
    assert_eq!(of(PLENTY), [Decision::Granted(0); 4]);
    settles_at(&backend, SCARCE, 0).await;
    settles_at(&backend, PLENTY, 996).await;
    backend.lifecycle.close();
}

pub(crate) async fn many_who_grab_at_once_get_what_there_is_and_each_user_one(bench: &Bench) {
    let total = USERS / 2;
    let sql = format!(
        "UPDATE coupons SET total_stock = {total}, remaining_stock = {total} WHERE coupon_id = {PLENTY}"
    );
    bench.edit_main(&sql).await;
    let backend = bench.open();
    // Each user asks four times, beside others who ask for the same.
    let asked = stream::iter((0..4 * USERS).map(|n| 1 + n % USERS)).map(async |user| {
        let attempt = attempt(&backend, bench, user, PLENTY);
        (user, decide(&backend, &[attempt]).await[0])
    });
    let heard: Vec<(u64, Decision)> = asked.buffer_unordered(AT_ONCE).collect().await;
    let granted = |of: &dyn Fn(u64) -> bool| {
        heard.iter().filter(|(user, decision)| of(*user) && *decision == Decision::Granted(0)).count()
    };
    assert_eq!(granted(&|_| true), usize::try_from(total).unwrap());
    assert!((1..=USERS).all(|user| granted(&|of| of == user) <= 1), "{heard:?}");
    let refused = |decision: &Decision| matches!(decision, Decision::OutOfStock | Decision::Duplicate(_));
    assert!(heard.iter().all(|(_, decision)| refused(decision) || *decision == Decision::Granted(0)));
    settles_at(&backend, PLENTY, 0).await;
    backend.lifecycle.close();
}

pub(crate) async fn stock_that_comes_back_can_be_sold_at_once(bench: &Bench) {
    let backend = bench.open();
    let first = granted(&backend, &holding(&backend, bench, 1, SCARCE, "a")).await;
    granted(&backend, &attempt(&backend, bench, 2, SCARCE)).await;
    assert_eq!(grab(&backend, bench, 3, SCARCE).await, Decision::OutOfStock);
    let released = changed(&backend, &first, Action::Release, bench.clock().now()).await;
    assert_eq!((released.state, sold(&backend, SCARCE).await), (ResultState::Released, 1));
    let again = holding(&backend, bench, 1, SCARCE, "a");
    let told = Decision::Repeated(Reservation::of(&released).grant());
    assert_eq!(decide(&backend, &[again]).await, [told], "the request has its answer still");
    assert_eq!(grab(&backend, bench, 3, SCARCE).await, Decision::Granted(0));
    settles_at(&backend, SCARCE, 0).await;
    assert_eq!(held_by(&backend, 1).await[0], released);
    backend.lifecycle.close();
}

pub(crate) async fn what_a_service_before_has_stored_is_counted(bench: &Bench) {
    let backend = bench.open();
    assert_eq!(grab(&backend, bench, 1, SCARCE).await, Decision::Granted(0));
    let held = holding(&backend, bench, 2, SCARCE, "a");
    assert_eq!(decide(&backend, &[held]).await, [Decision::Granted(0)]);
    // Nothing is waited for: what was answered is stored.
    drop(backend);
    bench.clock().set(held.hold_until.unwrap());
    let backend = bench.open();
    settles_at(&backend, SCARCE, 1).await;
    assert_eq!(grab(&backend, bench, 3, SCARCE).await, Decision::Granted(0));
    assert_eq!(grab(&backend, bench, 4, SCARCE).await, Decision::OutOfStock);
    settles_at(&backend, SCARCE, 0).await;
    backend.lifecycle.close();
}

pub(crate) async fn a_service_that_ends_in_good_order_has_told_main(bench: &Bench) {
    let backend = bench.open();
    assert_eq!(grab(&backend, bench, 1, SCARCE).await, Decision::Granted(0));
    backend.lifecycle.close();
    assert_eq!(bench.log_of(SCARCE).await, [(2, 2, 1, "grab".to_owned())]);
}

/// The one gate does not know of grants by the other.
pub(crate) async fn a_gate_takes_no_data_set_whose_database_keeps_its_stock(bench: &Bench) {
    let backend = bench.open();
    assert_eq!(grab(&backend, bench, 1, SCARCE).await, Decision::Granted(0));
    backend.lifecycle.close();
    drop(backend);
    let refused = bench.decided_by(DecidedBy::Gate).map(drop).unwrap_err();
    assert!(format!("{refused:#}").contains("grab.decided_by"), "{refused:#}");
}

/// A database that decides looks for no rows in a gate's queues.
#[test]
fn a_data_set_of_which_a_gate_has_granted_results_is_refused_where_the_database_decides() {
    run(&Bench::on_servers(DecidedBy::Database, &[]), async |bench| {
        let backend = bench.decided_by(DecidedBy::Gate).unwrap();
        granted(&backend, &attempt(&backend, bench, 1, SCARCE)).await;
        backend.lifecycle.close();
        drop(backend);
        let refused = format!("{:#}", bench.try_open().map(drop).unwrap_err());
        assert!(refused.contains("grab.decided_by") && refused.contains("seeder copy"), "{refused}");
        // Main is put back to before its first epoch: the shard remembers one.
        bench.edit_main("UPDATE gate_state SET epoch = 0, open_epoch = 0").await;
        let refused = format!("{:#}", bench.try_open().map(drop).unwrap_err());
        assert!(refused.contains("grab.decided_by"), "{refused}");
        drop(bench.decided_by(DecidedBy::Gate).unwrap());
    });
}

/// Main alone may forget it, and so may the shard.
#[test]
fn a_database_that_keeps_stock_is_known_by_what_main_has_of_it_and_by_what_the_shard_has() {
    run(&Bench::on_servers(DecidedBy::Database, &[]), async |bench| {
        drop(bench.open());
        let refused = || format!("{:#}", bench.decided_by(DecidedBy::Gate).map(drop).unwrap_err());
        bench
            .damage_shard(ShardId::new(0), "UPDATE shard_meta SET name = 'hidden' WHERE name = 'stock'")
            .await;
        assert!(refused().contains("grab.decided_by"));
        bench
            .damage_shard(ShardId::new(0), "UPDATE shard_meta SET name = 'stock' WHERE name = 'hidden'")
            .await;
        bench.edit_main("UPDATE gate_state SET open_epoch = 0").await;
        assert!(refused().contains("grab.decided_by"));
    });
}

/// The request is answered, and its result given back, while an attempt waits for the coupon that has found no answer.
#[test]
fn a_request_is_granted_once_though_its_answer_comes_between() {
    run(&Bench::on_servers(DecidedBy::Database, &[]), async |bench| {
        let backend = bench.open();
        let first = granted(&backend, &holding(&backend, bench, 1, PLENTY, "a")).await;
        let released = changed(&backend, &first, Action::Release, bench.clock().now()).await;
        let shard = Cluster::new(bench.settings(), &OneTable).unwrap().shards.remove(0);
        let mut other = shard.connect_alone().await.unwrap();
        let key = RequestKey::of("a").number();
        other.query_drop("UPDATE coupon_results SET request = NULL WHERE user_id = 1").await.unwrap();
        other.query_drop("BEGIN").await.unwrap();
        let lock = format!("SELECT sold FROM stock WHERE coupon_id = {PLENTY} FOR UPDATE");
        assert_eq!(other.query_first::<i64, _>(lock).await.unwrap(), Some(0));
        let again = holding(&backend, bench, 1, PLENTY, "a");
        let answered = async {
            let mut looking = shard.connect_alone().await.unwrap();
            let waiting = "SELECT COUNT(*) FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT' \
                           AND trx_query LIKE 'UPDATE stock%'";
            until("it waits for the coupon", async || {
                looking.query_first::<i64, _>(waiting).await.unwrap().unwrap() > 0
            })
            .await;
            let answer = format!("UPDATE coupon_results SET request = {key} WHERE user_id = 1");
            other.query_drop(answer).await.unwrap();
            other.query_drop("COMMIT").await.unwrap();
            looking.disconnect().await.unwrap();
        };
        let (decided, ()) = futures_util::join!(decide(&backend, slice::from_ref(&again)), answered);
        assert_eq!(decided, [Decision::Repeated(Reservation::of(&released).grant())]);
        assert_eq!(sold(&backend, PLENTY).await, 0);
        other.disconnect().await.unwrap();
        backend.lifecycle.close();
    });
}

pub(crate) async fn who_has_a_parked_result_has_no_slot_left(bench: &Bench) {
    let backend = bench.open();
    let parked = attempt(&backend, bench, 1, PLENTY);
    let sql = format!(
        "INSERT INTO parked_results (result_id, user_id, coupon_id, room_id, table_name, reason, park_time, request) \
         VALUES ({}, 1, {PLENTY}, 1, 'coupon_results', '', 0, {})",
        parked.id,
        RequestKey::of("a").number()
    );
    bench.damage_shard(ShardId::new(0), &sql).await;
    assert_eq!(grab(&backend, bench, 1, PLENTY).await, Decision::Duplicate(parked.id));
    let again = Attempt { limit: 3, ..holding(&backend, bench, 1, PLENTY, "a") };
    assert_eq!(decide(&backend, &[again]).await, [Decision::Repeated(parked.reservation(0).grant())]);
    assert_eq!(grab(&backend, bench, 2, PLENTY).await, Decision::Granted(0));
    backend.lifecycle.close();
}

/// Retired results do not count as sold any more: the audit counts rows.
#[test]
fn what_an_archive_retires_is_taken_off_the_stock() {
    run(&Bench::on_files(DecidedBy::Database), async |bench| {
        let over_for_a_day =
            format!("UPDATE coupons SET end_time = end_time - 86400000 WHERE coupon_id = {ENDED}");
        bench.edit_main(&over_for_a_day).await;
        let backend = bench.open();
        assert_eq!(sold(&backend, ENDED).await, 30);
        let (archiving, operator) = (backend.archiving.as_deref().unwrap(), Operator::new("ann").unwrap());
        archiving.start(bench.clock().now().day(), operator, ArchivePace::Alone).await.unwrap();
        let archive = eventually("it has come to its end", async || {
            archiving.last().filter(|archive| !archive.runs).ok_or("it runs")
        });
        assert_eq!(archive.await.trouble, None);
        assert_eq!(backend.shards.report(ShardId::new(0)).await.unwrap().rows, 0);
        assert_eq!(sold(&backend, ENDED).await, 0);
        backend.lifecycle.close();
    });
}

/// A data set of the gate's, of more than one table.
#[test]
fn a_layout_of_more_than_one_table_is_refused_by_the_name_of_the_setting() {
    for bench in [Bench::embedded(), Bench::servers()] {
        let refused = format!("{:#}", bench.decided_by(DecidedBy::Database).map(drop).unwrap_err());
        assert!(refused.contains("grab.decided_by") && refused.contains("parity-and-day"), "{refused}");
    }
}
