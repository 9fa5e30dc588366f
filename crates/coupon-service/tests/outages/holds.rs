//! A hold that is due while its shard is down.

use coupon_core::{RequestKey, ResultState, RoomId, ShardingStrategy as _};
use coupon_stack::Server;
use coupon_store::{Attempt, Decision, PlacedResult};

use crate::alone;
use crate::bench::{
    Bench, ParityAndDay, SCARCE, attempt, coupon_id, decide, grab, held_by, only, remaining, run, shard_of,
    stack, until,
};
use crate::drained;

#[test]
fn a_hold_that_is_due_while_its_shard_is_down_expires_once_it_is_back() {
    let _alone = alone();
    run(&Bench::servers(), async |bench| {
        let backend = bench.open();
        let plain = attempt(&backend, bench, 1, SCARCE);
        let due = plain.id.time().plus_millis(60_000);
        let held = Attempt { hold_until: Some(due), request: Some(RequestKey::of("a")), ..plain };
        let decided = backend.gate.reserve(1, &[held]).await.unwrap();
        assert_eq!(only(&decided), Decision::Granted(0));
        let result = held.reservation(0).result(held.user, held.coupon, RoomId::new(1).unwrap());
        let row = PlacedResult { placement: ParityAndDay.place(&result.key()).unwrap(), result };
        backend.hand_over.hand_over(shard_of(1), decided.epoch, vec![row]).await.unwrap();
        drained(&backend).await;
        stack().kill(Server::Shard(shard_of(1).number())).unwrap();
        bench.clock().set(due.plus_millis(5_000));
        // No sweeper can let it expire while its shard is down: its stock is kept.
        assert_eq!(grab(&backend, bench, 2, SCARCE).await, Decision::Granted(0));
        assert_eq!(decide(&backend, &[attempt(&backend, bench, 4, SCARCE)]).await, [Decision::OutOfStock]);
        stack().restart(Server::Shard(shard_of(1).number())).unwrap();
        until("its stock is free", async || {
            backend.gate.stock(coupon_id(SCARCE)).await.unwrap().unwrap().sold == 1
        })
        .await;
        let state = held_by(&backend, 1).await.first().map(|row| row.state);
        assert_eq!(state, Some(ResultState::Expired));
        until("main hears of it", async || remaining(&backend, SCARCE).await == 1).await;
        backend.lifecycle.close();
    });
}
