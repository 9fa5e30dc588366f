//! A coupon that is offered again while its rows move.

use super::*;
use crate::embedded::tests::over_for_long;

/// Offers a coupon that was over for long, and sells it all the same; returns it and its rows.
async fn sell_what_is_over(folder: &DataFolder, backend: &Backend) -> (CouponId, Vec<CouponResult>) {
    let over = over_for_long(5_000);
    let id = over.coupon_id;
    backend.catalogue.change(CatalogueChange::CreateCoupon(over), operator()).await.unwrap();
    let rows: Vec<CouponResult> = (1..2_000)
        .map(|user| CouponResult {
            coupon_id: id,
            state: ResultState::Owned,
            hold_until: None,
            ..row(folder, user, user as u16)
        })
        .collect();
    for rows in rows.chunks(500) {
        hand_over(backend, rows).await;
    }
    (id, rows)
}

/// Puts it on offer again: its holders are read from the files.
async fn offer_again(backend: &Backend, id: CouponId) -> Option<GateStock> {
    let end_time = Some("2099-01-01T00:00:00Z".parse().unwrap());
    let again = CatalogueChange::ChangeCoupon(id, CouponPatch { end_time, ..CouponPatch::default() });
    backend.catalogue.change(again, operator()).await.unwrap();
    backend.gate.stock(id).await.unwrap()
}

#[tokio::test(flavor = "current_thread")]
async fn a_coupon_that_is_offered_again_has_its_holders_while_rows_move() {
    let folder = DataFolder::new();
    let backend = folder.open();
    let (id, rows) = sell_what_is_over(&folder, &backend).await;
    change(&folder, &backend, 5, 1).await;
    backend.growth.start_moving(CRAWLING, operator()).await.unwrap();
    assert_eq!(offer_again(&backend, id).await, Some(GateStock { total: 5_000, sold: 1_999 }));
    move_all(&backend).await;
    assert_all_at_home(&folder, &backend, &rows).await;
    backend.lifecycle.close();
}

#[tokio::test(flavor = "current_thread")]
async fn a_coupon_that_is_offered_again_has_those_holders_too_whose_rows_have_left_and_cannot_arrive() {
    let folder = DataFolder::new();
    let backend = folder.open();
    let (id, rows) = sell_what_is_over(&folder, &backend).await;
    change(&folder, &backend, 5, 1).await;
    // A shard that takes none in; the same batch has arrived on others.
    let refuse = "CREATE TRIGGER full BEFORE INSERT ON arrivals BEGIN SELECT RAISE(ABORT, 'disk full'); END";
    folder.db(3).execute_batch(refuse).unwrap();
    backend.growth.start_moving(UNTHROTTLED, operator()).await.unwrap();
    assert!(trouble(&backend).await.contains("disk full"));
    let left = "SELECT COUNT(*) FROM leaving";
    assert!(folder.db(0).query_row(left, [], |row| row.get::<_, i64>(0)).unwrap() > 0);
    assert_eq!(offer_again(&backend, id).await, Some(GateStock { total: 5_000, sold: 1_999 }));
    folder.db(3).execute_batch("DROP TRIGGER full").unwrap();
    finished(&backend).await;
    assert_all_at_home(&folder, &backend, &rows).await;
    backend.lifecycle.close();
}
