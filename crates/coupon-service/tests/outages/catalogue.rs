//! Changes of the catalogue while a server is away.

use coupon_core::catalogue_change::{CatalogueChange, CouponPatch, Operator};
use coupon_stack::Server;
use coupon_store::{Applied, Backend, ChangeError, Decision, Stock};

use crate::alone;
use crate::bench::{Bench, PLENTY, SCARCE, coupon_id, eventually, grab, remaining, run, stack};
use crate::{drained, grab_at_last};

async fn change(backend: &Backend, total: u32) -> Result<Applied, ChangeError> {
    let patch = CouponPatch { total_stock: Some(total), ..CouponPatch::default() };
    let change = CatalogueChange::ChangeCoupon(coupon_id(SCARCE), patch);
    backend.catalogue.change(change, Operator::new("olga").unwrap()).await
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
        assert_eq!(stock, Some(Stock { total: 2, sold: 0 }));
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
