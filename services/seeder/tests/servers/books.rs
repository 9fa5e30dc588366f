//! Main put back to an earlier state, and its books made anew from the shards' rows.

use coupon_servers::rebuild::Rebuilt;
use mysql_async::prelude::Queryable as _;
use mysql_async::{Conn, Opts, TxOpts};

use crate::servers::common::{Place, block_on, integer, now, small};

fn books(place: &Place, mend: bool) -> anyhow::Result<Rebuilt> {
    coupon_seeding::rebuild_servers(&place.settings, None, mend, now())
}

/// Has a shard store so many results of a coupon on offer without main's knowledge: the entries are gone from the
/// outbox.
fn forgotten(place: &Place, shard: usize, coupon: i64, rows: i64) {
    let table = place.tables(shard)[0];
    let first = place.number(Some(shard), &format!("SELECT COALESCE(MAX(result_id), 0) FROM {table}")) + 1;
    let users = place.number(
        Some(shard),
        &format!("SELECT COALESCE(MAX(user_id), 0) FROM {table} WHERE coupon_id = {coupon}"),
    );
    for number in 0..rows {
        let (id, user, time) = (first + number, users + 1 + number, now().millis());
        let columns = "result_id, user_id, coupon_id, room_id, grab_status, grab_time";
        let row = format!("({id}, {user}, {coupon}, 1, 1, {time})");
        place.run(Some(shard), &format!("INSERT INTO {table} ({columns}) VALUES {row}"));
        place.run(Some(shard), "UPDATE shard_state SET outbox_id = outbox_id + 1, results = results + 1");
    }
}

/// Has all results of a coupon move from a shard to another one, as a rebalance to a second version of the layout does.
fn move_rows(place: &Place, from: usize, to: usize, coupon: i64) {
    let (table, there) = (place.tables(from)[0], place.tables(to)[0]);
    let columns = "result_id, user_id, coupon_id, room_id, grab_status, grab_time";
    let rows = place.ask(Some(from), &format!("SELECT {columns} FROM {table} WHERE coupon_id = {coupon}"));
    for row in &rows {
        let row: Vec<&str> = row.iter().flatten().map(String::as_str).collect();
        place.run(Some(to), &format!("INSERT INTO {there} ({columns}) VALUES ({})", row.join(",")));
    }
    place.run(Some(from), &format!("DELETE FROM {table} WHERE coupon_id = {coupon}"));
    place.run(Some(from), &format!("UPDATE shard_state SET results = results - {}", rows.len()));
    place.run(Some(to), &format!("UPDATE shard_state SET results = results + {}", rows.len()));
    place.run(
        Some(from),
        "INSERT INTO move_state (id, batch, moving_from, closed, late) VALUES (1, 1, 1, 1, 0)",
    );
    place.run(None, "INSERT INTO layouts SELECT 2, 1, 'another', 1, 0, 0, 'ann', 'more' FROM layouts");
}

/// The steps of a rebuild in the log: shard, entry, before and after.
fn rebuilt(place: &Place) -> Vec<[i64; 4]> {
    let sql = "SELECT shard, outbox_id, stock_before, stock_after FROM stock_logs WHERE operator = 'rebuild' \
               ORDER BY log_id";
    let number = |row: &Vec<Option<String>>, at: usize| integer(&row[at]);
    let rows = place.ask(None, sql);
    rows.iter().map(|row| [0, 1, 2, 3].map(|at| number(row, at))).collect()
}

#[test]
fn what_main_has_forgotten_is_told_anew_by_the_rows() {
    let place = Place::new("forgotten");
    place.seed("hash", &small(300), false);
    let stock = place.number(None, "SELECT remaining_stock FROM coupons WHERE coupon_id = 7");
    forgotten(&place, 0, 7, 3);
    forgotten(&place, 2, 7, 2);
    let looked = books(&place, false).unwrap();
    assert_eq!(
        looked.shards.iter().map(|lost| (lost.shard.number(), lost.rows)).collect::<Vec<_>>(),
        [(0, 3), (2, 2)]
    );
    assert!(!looked.mended && looked.to_string().contains("--rebuild"), "{looked}");
    assert!(rebuilt(&place).is_empty(), "looking changes nothing");

    let mended = books(&place, true).unwrap();
    assert!(mended.mended && mended.set_aside.is_empty(), "{mended}");
    place.assert_books_balance();
    assert_eq!(rebuilt(&place), [[0, 3, stock, stock - 3], [2, 2, stock - 3, stock - 5]]);
    let again = books(&place, true).unwrap();
    assert!(again.shards.is_empty() && again.to_string().contains("nothing"), "{again}");
}

#[test]
fn stock_that_an_operator_took_back_is_not_taken_for_rows() {
    let place = Place::new("taken_back");
    place.seed("hash", &small(300), false);
    let stock = place.number(None, "SELECT remaining_stock FROM coupons WHERE coupon_id = 7");
    let left = stock - 4;
    place.run(
        None,
        "UPDATE coupons SET total_stock = total_stock - 4, remaining_stock = remaining_stock - 4, taken_back = 4 \
         WHERE coupon_id = 7",
    );
    place.run(
        None,
        &format!(
            "INSERT INTO stock_logs SELECT MAX(log_id) + 1, 7, 3, {stock}, {left}, 'ann', NULL, NULL, 0 FROM stock_logs"
        ),
    );
    forgotten(&place, 0, 7, 3);
    let mended = books(&place, true).unwrap();
    assert!(mended.mended && mended.set_aside.is_empty(), "{mended}");
    assert_eq!(rebuilt(&place), [[0, 3, left, left - 3]]);
}

#[test]
fn an_outbox_that_still_tells_everything_is_left_to_tell_it() {
    let place = Place::new("still_told");
    place.seed("range-room", &small(300), false);
    forgotten(&place, 1, 7, 1);
    forgotten(&place, 3, 7, 1);
    place.run(Some(1), "INSERT INTO outbox (outbox_id, deltas, create_time) VALUES (1, '[[7,1]]', 0)");
    let mended = books(&place, true).unwrap();
    assert_eq!(mended.shards.iter().map(|lost| lost.shard.number()).collect::<Vec<_>>(), [3]);
    assert_eq!(place.number(Some(1), "SELECT COUNT(*) FROM outbox"), 1);
    assert_eq!(rebuilt(&place).len(), 1);
}

#[test]
fn rows_that_were_retired_meanwhile_are_forgotten_as_well() {
    let place = Place::new("retired_meanwhile");
    place.seed("hash", &small(400), false);
    let (table, sold) = (place.tables(1)[0], place.rows());
    let gone = place.number(Some(1), &format!("SELECT COUNT(*) FROM {table}"));
    place.run(Some(1), &format!("DELETE FROM {table}"));
    place.run(Some(1), "UPDATE shard_state SET outbox_id = 1, results = 0, used = 0, order_amount = 0");
    let mended = books(&place, true).unwrap();
    assert_eq!((mended.shards.len(), mended.shards[0].rows), (1, -gone));
    assert_eq!(place.rows(), sold - gone);
    place.assert_books_balance();
}

/// The entry about a row is in the outbox of the shard that stored it, and another shard has the row: neither has forgotten
/// anything by that alone.
#[test]
fn rows_that_moved_are_told_as_neither_retired_nor_stored() {
    for (name, lacking) in [("moved_from", [1, 0]), ("moved_to", [0, 1]), ("moved_both", [1, 1])] {
        let place = Place::new(name);
        place.seed("hash", &small(300), false);
        let (total, left) = ("total_stock", "remaining_stock");
        let stock = |of: &str| place.number(None, &format!("SELECT {of} FROM coupons WHERE coupon_id = 7"));
        let all = stock(total);
        forgotten(&place, 0, 7, 3);
        assert!(books(&place, true).unwrap().set_aside.is_empty());
        move_rows(&place, 0, 1, 7);
        lacking.iter().enumerate().for_each(|(shard, rows)| forgotten(&place, shard, 7, *rows));
        let before = stock(left);
        let looked = books(&place, false).unwrap();
        let shards: usize = lacking.iter().filter(|rows| **rows > 0).count();
        let rows: i64 = lacking.iter().sum();
        assert_eq!((looked.shards.len(), looked.shards.iter().map(|lost| lost.rows).sum()), (shards, rows));
        let mended = books(&place, true).unwrap();
        assert!(mended.mended && mended.set_aside.is_empty(), "{name}: {mended}");
        assert_eq!((stock(total), stock(left)), (all, before - rows), "{name}");
        place.assert_books_balance();
        assert!(books(&place, true).unwrap().shards.is_empty(), "{name}");
    }
}

#[test]
fn a_main_that_has_forgotten_a_version_of_the_layout_is_refused() {
    let place = Place::new("moved_forgotten");
    place.seed("hash", &small(100), false);
    forgotten(&place, 0, 7, 3);
    move_rows(&place, 0, 1, 7);
    place.run(None, "DELETE FROM layouts WHERE version = 2");
    for mend in [false, true] {
        let error = format!("{:#}", books(&place, mend).unwrap_err());
        assert!(error.contains("main is of an earlier time than the shards"), "{error}");
    }
    assert!(rebuilt(&place).is_empty(), "nothing has changed");
}

#[test]
fn a_coupon_without_room_for_what_was_forgotten_concerns_itself_alone() {
    let place = Place::new("no_room");
    place.seed("hash", &small(100), false);
    place.run(None, "UPDATE coupons SET total_stock = 1, remaining_stock = 1 WHERE coupon_id = 7");
    forgotten(&place, 0, 7, 2);
    forgotten(&place, 0, 8, 2);
    let mended = books(&place, true).unwrap();
    assert!(mended.set_aside.iter().any(|why| why.contains("coupon 7")), "{mended}");
    assert_eq!(rebuilt(&place).len(), 1);
    assert_eq!(place.number(None, "SELECT SUM(delta) FROM parked_deltas WHERE coupon_id = 7"), 2);
    assert!(books(&place, true).unwrap().shards.is_empty(), "what is parked is not forgotten");
}

#[test]
fn a_row_and_a_log_that_contradict_each_other_are_named_and_left() {
    let place = Place::new("contradicting");
    place.seed("hash", &small(100), false);
    place.run(None, "UPDATE coupons SET remaining_stock = remaining_stock - 4 WHERE coupon_id = 7");
    let looked = books(&place, true).unwrap();
    assert_eq!(looked.set_aside, ["coupon 7: 4 are sold by its row in main, and 0 by its log"]);
    assert!(rebuilt(&place).is_empty());
}

#[test]
fn a_shard_that_has_less_than_main_knows_is_refused() {
    let place = Place::new("less");
    place.seed("hash", &small(100), false);
    place.run(None, "INSERT INTO outbox_positions VALUES (2, 5)");
    let error = format!("{:#}", books(&place, true).unwrap_err());
    assert!(error.contains("has lost data"), "{error}");
}

/// Main must not post rows as retired that were deleted by hand: neither a look nor a rebuild goes on.
#[test]
fn rows_that_were_deleted_or_added_by_hand_are_put_right_first() {
    let place = Place::new("by_hand");
    place.seed("hash", &small(300), false);
    forgotten(&place, 0, 7, 3);
    let table = place.tables(0)[0];
    let last = place.number(Some(0), &format!("SELECT MAX(result_id) FROM {table}"));
    place.run(Some(0), &format!("CREATE TABLE aside AS SELECT * FROM {table} WHERE result_id = {last}"));
    place.run(Some(0), &format!("DELETE FROM {table} WHERE result_id = {last}"));
    let counted = place.number(Some(0), "SELECT results FROM shard_state");
    let told = format!("it counts {counted} results itself and has {} rows", counted - 1);
    for mend in [false, true] {
        let error = format!("{:#}", books(&place, mend).unwrap_err());
        assert!(error.contains("shard_0") && error.contains(&told), "{error}");
    }
    assert!(rebuilt(&place).is_empty(), "nothing has changed");
    assert_eq!(place.number(None, "SELECT COALESCE(MAX(outbox_id), 0) FROM outbox_positions"), 0);

    place.run(Some(0), &format!("INSERT INTO {table} SELECT * FROM aside"));
    place.run(Some(0), "DROP TABLE aside");
    assert_eq!(books(&place, true).unwrap().shards.len(), 1);
    place.assert_books_balance();
}

async fn connected(place: &Place) -> Conn {
    let mut main = Conn::new(Opts::from_url(place.settings.main.expose()).unwrap()).await.unwrap();
    main.query_drop(format!("USE {}_main", place.settings.namespace)).await.unwrap();
    main
}

/// A look is answered while another process holds everything that a rebuild has to itself.
#[test]
fn a_look_waits_for_nobody() {
    let place = Place::new("looked_at");
    place.seed("hash", &small(100), false);
    forgotten(&place, 0, 7, 2);
    for shard in 0..4 {
        place.run(None, &format!("INSERT INTO outbox_positions VALUES ({shard}, 0)"));
    }
    block_on(async {
        let mut main = connected(&place).await;
        let mut transaction = main.start_transaction(TxOpts::default()).await.unwrap();
        let rows: Vec<u16> =
            transaction.query("SELECT shard FROM outbox_positions FOR UPDATE").await.unwrap();
        assert_eq!(rows.len(), 4);
        transaction.query_drop("SELECT * FROM log_state FOR UPDATE").await.unwrap();
        let looked = std::thread::scope(|scope| scope.spawn(|| books(&place, false)).join().unwrap());
        assert_eq!(looked.unwrap().shards.len(), 1);
        transaction.rollback().await.unwrap();
        main.disconnect().await.unwrap();
    });
}
