//! Changes of the catalogue while a server is away.

use coupon_core::catalogue_change::{CatalogueChange, CouponPatch, Operator};
use coupon_stack::Server;
use coupon_store::{Applied, Backend, ChangeError, Decision, GateStock};

use crate::alone;
use crate::bench::{
    Bench, ENDED, PLENTY, SCARCE, coupon_id, eventually, grab, remaining, run, shard_of, stack,
};
use crate::{drained, grab_at_last};

const DAY: i64 = 86_400_000;

async fn patch(backend: &Backend, coupon: u64, patch: CouponPatch) -> Result<Applied, ChangeError> {
    let change = CatalogueChange::ChangeCoupon(coupon_id(coupon), patch);
    backend.catalogue.change(change, Operator::new("olga").unwrap()).await
}

async fn change(backend: &Backend, total: u32) -> Result<Applied, ChangeError> {
    patch(backend, SCARCE, CouponPatch { total_stock: Some(total), ..CouponPatch::default() }).await
}

#[test]
fn without_main_a_change_is_unavailable_and_nothing_of_it_is_done() {
    let _alone = alone();
    run(&Bench::servers(), async |bench| {
        let backend = bench.open();
        stack().kill(Server::Main).unwrap();
        let refused = change(&backend, 7).await.unwrap_err();
        assert!(matches!(refused, ChangeError::Unavailable(_)), "{refused}");
        let stock = backend.gate.stock(coupon_id(SCARCE)).await.unwrap();
        assert_eq!(stock, Some(GateStock { total: 2, sold: 0 }));
        assert_eq!(grab(&backend, bench, 1, PLENTY).await, Decision::Granted(0));
        stack().restart(Server::Main).unwrap();
        let applied = eventually("it is made", async || change(&backend, 7).await).await;
        assert_eq!((applied.version, applied.changed, applied.gate), (1, true, true));
        drained(&backend).await;
        let log = bench.log_of(SCARCE).await;
        assert_eq!(log, [(1, 2, 7, "olga".to_owned())]);
        assert_eq!(remaining(&backend, SCARCE).await, 7);
        backend.lifecycle.close();
    });
}

#[test]
fn what_changes_while_the_gate_is_away_is_in_the_gate_that_comes_back() {
    let _alone = alone();
    run(&Bench::servers(), async |bench| {
        let backend = bench.open();
        assert_eq!(grab(&backend, bench, 1, SCARCE).await, Decision::Granted(0));
        drained(&backend).await;
        stack().kill(Server::Redis).unwrap();
        let applied = change(&backend, 1).await.unwrap();
        assert_eq!((applied.version, applied.changed, applied.gate), (1, true, false));
        stack().restart(Server::Redis).unwrap();
        assert_eq!(grab_at_last(&backend, bench, 2, SCARCE).await, Decision::OutOfStock);
        let again = change(&backend, 1).await.unwrap();
        assert_eq!((again.version, again.changed, again.gate), (1, false, true));
        backend.lifecycle.close();
    });
}

#[test]
fn a_coupon_whose_holders_cannot_be_read_yet_holds_up_no_change_of_another() {
    let _alone = alone();
    run(&Bench::servers(), async |bench| {
        let now = bench.clock().now();
        let long_ago = now.plus_millis(-2 * DAY).millis();
        bench.edit_main(&format!("UPDATE coupons SET end_time = {long_ago} WHERE coupon_id = {ENDED}")).await;
        let (backend, other) = (bench.open(), bench.open());
        let down = shard_of(1).number();
        stack().kill(Server::Shard(down)).unwrap();
        // The gate does not have it: its holders have to be read from every shard first.
        let offered = CouponPatch { end_time: Some(now.plus_millis(DAY)), ..CouponPatch::default() };
        let waits = patch(&backend, ENDED, offered.clone()).await.unwrap();
        assert_eq!((waits.changed, waits.gate), (true, false));
        for (process, total) in [(&backend, 7), (&other, 8)] {
            let applied = change(process, total).await.unwrap();
            assert_eq!((applied.changed, applied.gate), (true, true));
            let stock = backend.gate.stock(coupon_id(SCARCE)).await.unwrap();
            assert_eq!(stock, Some(GateStock { total, sold: 0 }));
        }
        assert_eq!(backend.gate.stock(coupon_id(ENDED)).await.unwrap(), None);
        stack().restart(Server::Shard(down)).unwrap();
        let stock = eventually("it is in the gate, with its holders", async || {
            backend.gate.stock(coupon_id(ENDED)).await.unwrap().ok_or("it is not there")
        })
        .await;
        assert_eq!(stock, GateStock { total: 50, sold: 30 });
        let again = patch(&other, ENDED, offered).await.unwrap();
        assert_eq!((again.changed, again.gate), (false, true));
        backend.lifecycle.close();
        other.lifecycle.close();
    });
}
