//! The room index, held against the rows.

use coupon_audit::{Kind, Scope};
use coupon_core::{Mix, schema};

use crate::store::{Store, TABLE_TODAY, TODAY, YESTERDAY, id, on_every_store, shard_of};

/// A store that has an index, in which room 1 is kept on the shard returned.
fn indexed<S: Store>() -> (S, usize) {
    let store = S::sound();
    for shard in 0..2 {
        schema::room_index(S::DIALECT).iter().for_each(|sql| store.shard(shard, sql));
    }
    store.main("INSERT INTO meta (name, value) VALUES ('room_index', '2')");
    let shard = usize::from(Mix::Xxh3.hash(1) % 2 == 1);
    for (time, user, coupon) in [(TODAY, 1, 1), (TODAY, 2, 2), (YESTERDAY, 3, 1)] {
        store.shard(shard, &entry(id(time, user), user, coupon));
    }
    (store, shard)
}

fn entry(result: i64, user: u16, coupon: u64) -> String {
    let time = coupon_core::ResultId::from_number(result).unwrap().time().millis();
    format!(
        "INSERT INTO room_index (result_id, user_id, coupon_id, room_id, grab_status, grab_time)
         VALUES ({result}, {user}, {coupon}, 1, 1, {time})"
    )
}

fn an_index_that_has_each_row_once_is_no_fault<S: Store>() {
    let (store, _) = indexed::<S>();
    assert_eq!(store.audit().violations(), 0, "{}", store.audit());
}

fn a_row_that_the_index_lacks_is_found<S: Store>() {
    let (store, shard) = indexed::<S>();
    store.shard(shard, &format!("DELETE FROM room_index WHERE result_id = {}", id(TODAY, 2)));
    let (kind, count, text) = store.only();
    assert_eq!((kind, count), (Kind::Misread, 1), "{text}");
    assert!(text.contains(&format!("the room index lacks result {}", id(TODAY, 2))), "{text}");
    // Until the services are drained, it may lack what was stored last.
    let trailing = store.data().audit(&Scope { drained: false, ..store.scope(None) }).unwrap();
    assert_eq!(trailing.violations(), 0, "{trailing}");
}

fn an_entry_without_its_row_is_found<S: Store>() {
    let (store, shard) = indexed::<S>();
    store.shard(shard, &entry(id(TODAY, 9), 9, 1));
    let (kind, count, text) = store.only();
    assert_eq!((kind, count), (Kind::Misread, 1), "{text}");
    assert!(text.contains(&format!("no shard stores, result {}", id(TODAY, 9))), "{text}");
}

fn an_entry_of_another_state_is_found<S: Store>() {
    let (store, _) = indexed::<S>();
    let used = format!(
        "UPDATE {TABLE_TODAY} SET use_status = 1, state = 2, use_time = grab_time + 5, state_time = grab_time + 5, \
         order_amount = 9.5 WHERE user_id = 1"
    );
    let start = store.data().remember().unwrap();
    store.shard(shard_of(TODAY), &used);
    let report = store.audit_since(&start);
    let finding = report.findings.get(&Kind::Misread).unwrap();
    assert_eq!(finding.count, 1, "{report}");
    assert!(finding.examples[0].contains("another account of result"), "{report}");
}

fn an_entry_on_a_shard_that_is_not_its_rooms_is_found<S: Store>() {
    let (store, shard) = indexed::<S>();
    store.shard(shard, "DELETE FROM room_index WHERE user_id = 3");
    store.shard(1 - shard, &entry(id(YESTERDAY, 3), 3, 1));
    let (kind, count, text) = store.only();
    assert_eq!((kind, count), (Kind::Misread, 1), "{text}");
    assert!(text.contains(&format!("whose room is kept on shard {shard}")), "{text}");
}

on_every_store! {
    an_index_that_has_each_row_once_is_no_fault,
    a_row_that_the_index_lacks_is_found,
    an_entry_without_its_row_is_found,
    an_entry_of_another_state_is_found,
    an_entry_on_a_shard_that_is_not_its_rooms_is_found,
}
