//! A service on files that is killed, again and again, while it archives old results.

use std::thread::sleep;
use std::time::{Duration, Instant};

use coupon_core::CouponId;
use coupon_core::catalogue_change::{CatalogueChange, CouponPatch, Operator};
use coupon_store::clock::Clock;
use serde_json::Value;

use crate::growing::{COUPON, ROWS, audit, close, fill, open, run, sold, stored};
use crate::process::{PATIENCE, Service};

const DAY_MS: i64 = 86_400_000;

#[test]
fn a_service_that_is_killed_while_it_archives_leaves_books_that_balance_and_goes_on_when_asked_again() {
    let dir = tempfile::tempdir().unwrap();
    let backend = open(dir.path(), true);
    run(async {
        fill(&backend, 3 * DAY_MS).await;
        let end_time = Some(Clock::system().now().plus_millis(-DAY_MS));
        let over = CouponPatch { end_time, ..CouponPatch::default() };
        let change = CatalogueChange::ChangeCoupon(CouponId::new(COUPON).unwrap(), over);
        backend.catalogue.change(change, Operator::new("tests").unwrap()).await.unwrap();
    });
    close(backend);

    let body = format!(r#"{{"before":"{}"}}"#, Clock::system().now().plus_millis(-DAY_MS).day());
    for wait in [0, 5, 20, 40] {
        let service = Service::on(dir.path(), true);
        service.until_done("POST /admin/archive", &body);
        sleep(Duration::from_millis(wait));
        drop(service);
        audit(dir.path(), false);
    }
    let service = Service::on(dir.path(), true);
    service.until_done("POST /admin/archive", &body);
    let deadline = Instant::now() + PATIENCE;
    while service.until_done("GET /admin/archive", "")["archive"]["runs"] != Value::Bool(false) {
        assert!(Instant::now() < deadline, "it still runs");
        sleep(Duration::from_millis(10));
    }
    drop(service);

    let backend = open(dir.path(), true);
    run(async {
        backend.lifecycle.drain().await.unwrap();
        assert_eq!((stored(&backend).await.len(), sold(&backend).await), (0, 0));
        let coupon =
            backend.catalogue.coupon(CouponId::new(COUPON).unwrap(), false).await.unwrap().unwrap().0;
        assert_eq!(u64::from(coupon.total_stock), 100_000 - ROWS, "what went took its stock along, once");
    });
    close(backend);
    audit(dir.path(), true);
}
