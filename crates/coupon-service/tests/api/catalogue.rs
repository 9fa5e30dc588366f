use coupon_service::api::{CouponView, StockView};

use crate::fixture::{Api, EARLY, ENDED, PLENTY};

#[test]
fn a_coupon_is_narrow_unless_its_details_are_asked_for() {
    let api = Api::start();
    let narrow = api.get(&format!("/api/coupon/{PLENTY}"));
    let coupon: CouponView = narrow.json();
    assert_eq!((coupon.coupon_id, coupon.room_id, coupon.total_stock), (PLENTY, 1, 1_000));
    assert_eq!((coupon.discount_amount, coupon.discount_rate, coupon.min_purchase), (Some(20.5), None, 99.0));
    assert_eq!(coupon.start_time, "2026-11-20T12:00:00.000Z");
    assert!(coupon.details.is_none() && !narrow.text().contains("details"));
    let wide: CouponView = api.get(&format!("/api/coupon/{PLENTY}?details=true")).json();
    assert_eq!(wide.details.unwrap().product_range["categories"][0], "tea");
}

#[test]
fn stock_is_what_the_gate_has_left() {
    let api = Api::start();
    api.grab(1, PLENTY);
    let stock: StockView = api.get(&format!("/api/coupon/{PLENTY}/stock")).json();
    assert_eq!((stock.total_stock, stock.remaining_stock, stock.sold), (1_000, 999, 1));
    let early: StockView = api.get(&format!("/api/coupon/{EARLY}/stock")).json();
    assert_eq!((early.total_stock, early.remaining_stock), (10, 10));
}

#[test]
fn the_stock_of_a_coupon_that_is_over_is_still_known() {
    let stock: StockView = Api::start().get(&format!("/api/coupon/{ENDED}/stock")).json();
    assert_eq!((stock.total_stock, stock.remaining_stock, stock.sold), (50, 20, 30));
}

#[test]
fn the_main_database_learns_of_grabs_before_a_drain_ends() {
    let api = Api::start();
    for user in 1..=5 {
        api.grab(user, PLENTY);
    }
    assert_eq!(api.post("/admin/drain", "").status, 200);
    let coupon: CouponView = api.get(&format!("/api/coupon/{PLENTY}")).json();
    assert_eq!(coupon.remaining_stock, 995);
}
