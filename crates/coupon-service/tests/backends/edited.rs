//! Laws that hold on every backend although people edit main as well.

use coupon_core::catalogue_change::{CatalogueChange, CouponPatch, Operator};
use coupon_core::{RoomId, UserId};
use coupon_store::{Backend, Decision};

use crate::bench::{
    Bench, EARLY, PLENTY, SCARCE, attempt, coupon_id, decide, epoch_of, eventually, filled_after, forget,
    grab, remaining, run, until, verified,
};

/// Waits until so many coupons are set aside.
async fn set_aside(backend: &Backend, wanted: usize) -> Vec<(i64, String)> {
    eventually("so many are set aside", async || {
        let (count, all) = backend.catalogue.set_aside();
        if count == wanted { Ok(all) } else { Err(all) }
    })
    .await
}

pub(crate) async fn a_coupon_that_was_deleted_stops_nobody_elses_books_and_is_told_once_it_is_back(
    bench: &Bench,
) {
    let backend = bench.open();
    bench.edit_main(&format!("CREATE TABLE aside AS SELECT * FROM coupons WHERE coupon_id = {SCARCE}")).await;
    bench.edit_main(&format!("DELETE FROM coupons WHERE coupon_id = {SCARCE}")).await;
    assert_eq!(grab(&backend, bench, 1, SCARCE).await, Decision::Granted(0));
    assert_eq!(grab(&backend, bench, 1, PLENTY).await, Decision::Granted(0));
    backend.lifecycle.drain().await.unwrap();
    assert_eq!(remaining(&backend, PLENTY).await, 999);
    let named = set_aside(&backend, 1).await;
    assert!(named[0].0 == SCARCE.cast_signed() && named[0].1.contains("no such coupon"), "{named:?}");
    backend.lifecycle.close();
    drop(backend);

    let backend = bench.open();
    set_aside(&backend, 1).await;
    assert_eq!(grab(&backend, bench, 3, PLENTY).await, Decision::Granted(0));
    backend.lifecycle.close();
    drop(backend);

    bench.edit_main("INSERT INTO coupons SELECT * FROM aside").await;
    let backend = bench.open();
    until("what was parked is applied", async || remaining(&backend, SCARCE).await == 1).await;
    backend.lifecycle.drain().await.unwrap();
    assert_eq!(remaining(&backend, PLENTY).await, 998);
    set_aside(&backend, 0).await;
    backend.lifecycle.close();
}

pub(crate) async fn a_stock_below_zero_concerns_its_coupon_alone(bench: &Bench) {
    bench.edit_main(&format!("UPDATE coupons SET remaining_stock = -5 WHERE coupon_id = {SCARCE}")).await;
    let backend = bench.open();
    let named = set_aside(&backend, 1).await;
    assert!(named[0].1.contains("remaining_stock is -5"), "{named:?}");
    assert_eq!(remaining(&backend, SCARCE).await, 0);
    assert_eq!(grab(&backend, bench, 1, PLENTY).await, Decision::Granted(0));
    assert_eq!(grab(&backend, bench, 1, SCARCE).await, Decision::Granted(0));
    backend.lifecycle.drain().await.unwrap();
    assert_eq!((remaining(&backend, SCARCE).await, remaining(&backend, PLENTY).await), (0, 999));
    backend.lifecycle.close();
}

pub(crate) async fn a_coupon_that_was_moved_keeps_the_room_of_its_results(bench: &Bench) {
    let backend = bench.open();
    backend.lifecycle.close();
    drop(backend);
    bench.edit_main(&format!("UPDATE coupons SET room_id = 2 WHERE coupon_id = {PLENTY}")).await;
    let backend = bench.open();
    let named = set_aside(&backend, 1).await;
    assert!(named[0].1.contains("moved to room 2"), "{named:?}");
    let offered = backend.catalogue.known().offered(coupon_id(PLENTY)).unwrap();
    assert_eq!(offered.room, RoomId::new(1).unwrap());
    backend.lifecycle.close();
}

pub(crate) async fn rooms_and_users_without_an_id_are_left_out_and_all_others_go_on(bench: &Bench) {
    let add = async |id: i64| {
        let room = "INSERT INTO live_rooms (room_id, room_name, anchor_id, start_time, create_time)";
        bench.edit_main(&format!("{room} VALUES ({id}, 'none', 1, 0, 0)")).await;
        let user = "INSERT INTO users (user_id, username, phone, email, register_time, is_active)";
        bench.edit_main(&format!("{user} VALUES ({id}, 'none', '', '', 0, {})", id.abs() % 2)).await;
    };
    for id in [0, -1, -2, i64::MAX] {
        add(id).await;
    }
    let backend = bench.open();
    let known = backend.catalogue.known();
    assert!(known.knows_room(RoomId::new(1).unwrap()) && known.knows_user(UserId::new(1).unwrap()));
    assert_eq!(grab(&backend, bench, 1, PLENTY).await, Decision::Granted(0));
    // One more, while a service runs: what operators change is read again.
    add(-3).await;
    let raised = CouponPatch { total_stock: Some(3), ..CouponPatch::default() };
    let raised = CatalogueChange::ChangeCoupon(coupon_id(SCARCE), raised);
    let raised = backend.catalogue.change(raised, Operator::new("ann").unwrap()).await.unwrap();
    assert!(raised.changed, "{raised:?}");
    backend.lifecycle.drain().await.unwrap();
    assert_eq!((remaining(&backend, SCARCE).await, backend.catalogue.set_aside().0), (3, 0));
    backend.lifecycle.close();
}

#[test]
fn an_emptied_gate_is_filled_although_rows_make_no_sense_and_agrees_with_the_shards() {
    run(&Bench::servers(), async |bench| {
        let backend = bench.open();
        for (user, coupon) in [(1, SCARCE), (1, PLENTY), (2, PLENTY)] {
            assert_eq!(grab(&backend, bench, user, coupon).await, Decision::Granted(0));
        }
        backend.lifecycle.drain().await.unwrap();
        for edit in [
            format!("UPDATE coupons SET remaining_stock = -5 WHERE coupon_id = {SCARCE}"),
            format!("UPDATE coupons SET room_id = 2 WHERE coupon_id = {PLENTY}"),
            format!("UPDATE coupons SET coupon_id = -7 WHERE coupon_id = {EARLY}"),
            "UPDATE live_rooms SET room_id = -2 WHERE room_id = 2".to_owned(),
            "UPDATE users SET user_id = -40 WHERE user_id = 40".to_owned(),
        ] {
            bench.edit_main(&edit).await;
        }
        let epoch = epoch_of(&backend).await;
        forget(bench, &backend, epoch, PLENTY).await;
        decide(&backend, &[attempt(&backend, bench, 3, PLENTY)]).await;
        filled_after(&backend, epoch).await;
        let again = decide(&backend, &[attempt(&backend, bench, 1, PLENTY)]).await;
        assert!(matches!(again[..], [Decision::Duplicate(_)]), "{again:?}");
        assert_eq!(grab(&backend, bench, 3, PLENTY).await, Decision::Granted(0));
        backend.lifecycle.close();
        drop(backend);

        // Also by a process that starts on them.
        let backend = bench.open();
        assert_eq!(grab(&backend, bench, 4, PLENTY).await, Decision::Granted(0));
        backend.lifecycle.drain().await.unwrap();
        let differences = verified(bench);
        assert_eq!(differences.count(), 0, "{differences}");
        backend.lifecycle.close();
    });
}
