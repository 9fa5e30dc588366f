//! Laws of the gate's server.

use std::time::Duration;

use coupon_servers::seam::{
    Epoch, GateError, GateServer, Held, Hold, Mark, Remembers, Servers, Terms, Versions,
};
use coupon_store::{Attempt, Decision, GateStock, Reservation};

use crate::bench::{coupon, held, hold_of, id, noon, request, result, terms, user};

pub(crate) fn server(servers: &Servers) -> Box<dyn GateServer> {
    servers.gates.iter().next().unwrap()(Duration::from_secs(30))
}

/// A gate with an epoch in which two of coupon 1 are on offer.
pub(crate) async fn filled(servers: &Servers) -> (Box<dyn GateServer>, Epoch) {
    let (gate, epoch) = (server(servers), Epoch::new(&servers.dataset, 1));
    gate.probe().await.unwrap();
    gate.begin(&epoch).await.unwrap();
    gate.offer(&epoch, 3, &[&terms(1, 2)]).await.unwrap();
    (gate, epoch)
}

fn attempt(by: u64, of: u64, after_ms: i64) -> Attempt {
    Attempt::plain(user(by), coupon(of), id(after_ms))
}

pub(crate) async fn decide(gate: &dyn GateServer, epoch: &Epoch, attempts: &[Attempt]) -> Vec<Decision> {
    let attempts: Vec<&Attempt> = attempts.iter().collect();
    gate.decide(epoch, 1, &attempts).await.unwrap()
}

fn mark(by: u64, after_ms: i64) -> Mark {
    Mark::of(&result(by, after_ms))
}

fn plain(after_ms: i64) -> Reservation {
    Reservation::plain(id(after_ms))
}

fn hold(by: u64, after_ms: i64) -> Hold {
    hold_of(&result(by, after_ms))
}

pub(crate) async fn a_coupon_is_granted_once_a_user_until_none_is_left(servers: &Servers) {
    let (gate, epoch) = filled(servers).await;
    let first = [attempt(1, 1, 1), attempt(1, 1, 2), attempt(2, 1, 3), attempt(3, 1, 4), attempt(4, 7, 5)];
    let decided = decide(&*gate, &epoch, &first).await;
    let expected = [
        Decision::Granted(0),
        Decision::Pending(plain(1)),
        Decision::Granted(0),
        Decision::OutOfStock,
        Decision::NotLoaded,
    ];
    assert_eq!(decided, expected);
    let again = [attempt(1, 1, 1), attempt(2, 1, 9)];
    assert_eq!(decide(&*gate, &epoch, &again).await, [Decision::Granted(0), Decision::Pending(plain(3))]);
    gate.unmark(&epoch, &[mark(2, 3)]).await.unwrap();
    let late = [attempt(2, 1, 9), attempt(5, 1, -1), attempt(5, 1, 3_600_000)];
    let expected = [Decision::Duplicate(id(3)), Decision::InvalidTime, Decision::InvalidTime];
    assert_eq!(decide(&*gate, &epoch, &late).await, expected);
    assert_eq!(gate.stock(&epoch, coupon(1)).await, Ok(Some(GateStock { total: 2, sold: 2 })));
    let mut holders = gate.holders(&epoch, coupon(1)).await.unwrap();
    holders.users.sort_unstable();
    assert_eq!((holders.users, holders.holds), (vec![user(1), user(2)], 2));
}

pub(crate) async fn without_its_script_an_epoch_decides_nothing_and_without_the_sentinel_it_is_not_whole(
    servers: &Servers,
) {
    let (gate, epoch) = filled(servers).await;
    let other = Epoch::new(&servers.dataset, 2);
    assert_eq!(gate.decide(&other, 1, &[&attempt(1, 1, 1)]).await, Err(GateError::Forgot));
    let nothing = Remembers { script: false, sentinel: false };
    assert_eq!(gate.remembers(&other).await, Ok(nothing));
    assert_eq!(gate.remembers(&epoch).await, Ok(Remembers { script: true, sentinel: true }));
    assert_eq!(gate.offers_all(&epoch).await, Ok(true));
    assert_eq!(gate.stock(&epoch, coupon(7)).await, Ok(None));
}

pub(crate) async fn marks_are_found_by_their_time_and_taken_away(servers: &Servers) {
    let (gate, epoch) = filled(servers).await;
    decide(&*gate, &epoch, &[attempt(1, 1, 5), attempt(2, 1, 9)]).await;
    let at = |after_ms| noon().plus_millis(after_ms);
    let (remembers, marks) = gate.pending_at(&epoch, at(5)).await.unwrap();
    assert_eq!((remembers, marks), (Remembers { script: true, sentinel: true }, vec![mark(1, 5)]));
    assert_eq!(gate.pending_until(&epoch, at(8)).await, Ok(vec![mark(1, 5)]));
    let mut all = gate.pending(&epoch).await.unwrap();
    all.sort_unstable();
    assert_eq!(all, [mark(1, 5), mark(2, 9)], "the sentinel is no mark");
    let held = gate.held(&epoch, &[mark(1, 5), mark(3, 5)]).await;
    assert_eq!(held, Ok(vec![Some(Held::Result(plain(5))), None]));
    gate.unmark(&epoch, &[mark(1, 5), mark(2, 8)]).await.unwrap();
    let asked = [mark(1, 5), mark(2, 9), mark(2, 8)];
    let pending = gate.are_pending(&epoch, &asked).await;
    assert_eq!(pending, Ok(vec![false, true, false]), "a mark of another result is another's");
}

pub(crate) async fn a_hold_takes_stock_and_the_first_of_a_user_stays(servers: &Servers) {
    let (gate, epoch) = filled(servers).await;
    let lacking = gate.lacking(&epoch, &[hold(1, 5), Hold { coupon: 7, ..hold(1, 5) }]).await;
    assert_eq!(lacking, Ok(vec![hold(1, 5)]), "of a coupon that is not on offer nothing is lacking");
    assert_eq!(gate.hold(&epoch, &[hold(1, 5), hold(1, 6)]).await, Ok(vec![true, false]));
    assert_eq!(gate.held(&epoch, &[mark(1, 0)]).await, Ok(vec![Some(Held::Result(plain(5)))]));
    assert_eq!(gate.lacking(&epoch, &[hold(1, 5)]).await, Ok(Vec::new()));
    assert_eq!(decide(&*gate, &epoch, &[attempt(1, 1, 9)]).await, [Decision::Duplicate(id(5))]);
    gate.hold_beside(&epoch, hold(1, 6)).await.unwrap();
    assert_eq!(decide(&*gate, &epoch, &[attempt(2, 1, 9)]).await, [Decision::OutOfStock]);
    assert_eq!(gate.holders(&epoch, coupon(1)).await.unwrap().holds, 2);
}

pub(crate) async fn a_parked_hold_is_told_from_others_and_gives_way_to_a_stored_one(servers: &Servers) {
    let (gate, epoch) = filled(servers).await;
    gate.hold_parked(&epoch, &[hold(1, 5)]).await.unwrap();
    assert_eq!(gate.held(&epoch, &[mark(1, 0)]).await, Ok(vec![Some(Held::Parked(id(5).number()))]));
    assert_eq!(decide(&*gate, &epoch, &[attempt(1, 1, 9)]).await, [Decision::Parked]);
    gate.hold_instead(&epoch, hold(1, 6)).await.unwrap();
    assert_eq!(decide(&*gate, &epoch, &[attempt(1, 1, 9)]).await, [Decision::Duplicate(id(6))]);
    gate.park(&epoch, &[result(1, 5), result(2, 7)]).await.unwrap();
    let held = gate.held(&epoch, &[mark(1, 0), mark(2, 0)]).await.unwrap();
    assert_eq!(held, [Some(Held::Result(plain(6))), Some(Held::Parked(id(7).number()))]);
}

pub(crate) async fn a_parked_hold_takes_stock_in_its_own_slot_beside_a_stored_one(servers: &Servers) {
    let (gate, epoch) = filled(servers).await;
    gate.hold(&epoch, &[hold(1, 5)]).await.unwrap();
    gate.hold_parked(&epoch, &[Hold { slot: 1, ..hold(1, 6) }, hold(1, 7)]).await.unwrap();
    let held = gate.held(&epoch, &[mark(1, 0), Mark { slot: 1, ..mark(1, 0) }]).await.unwrap();
    assert_eq!(held, [Some(Held::Result(plain(5))), Some(Held::Parked(id(6).number()))]);
    assert_eq!(decide(&*gate, &epoch, &[attempt(2, 1, 9)]).await, [Decision::OutOfStock]);
    // A user may have as many as before: what is parked counts among them.
    let more = Attempt { limit: 2, ..attempt(1, 1, 9) };
    assert_eq!(decide(&*gate, &epoch, &[more]).await, [Decision::Duplicate(id(5))]);
}

pub(crate) async fn a_request_whose_result_is_parked_is_granted_no_other(servers: &Servers) {
    let (gate, epoch) = filled(servers).await;
    let parked = held(1, 5, 0, 60_000);
    gate.hold_parked(&epoch, &[hold_of(&parked)]).await.unwrap();
    let again = Attempt { limit: 3, request: parked.request, ..attempt(1, 1, 9) };
    assert_eq!(decide(&*gate, &epoch, &[again]).await, [Decision::Parked]);
    let another = Attempt { request: Some(request(9)), ..again };
    assert_eq!(decide(&*gate, &epoch, &[another]).await, [Decision::Granted(1)]);
}

pub(crate) async fn terms_change_unless_those_of_a_later_version_are_there(servers: &Servers) {
    let (gate, epoch) = filled(servers).await;
    let ended = Terms { active: false, ..terms(1, 1) };
    let total = async || gate.stock(&epoch, coupon(1)).await.unwrap().unwrap().total;
    assert_eq!(gate.change_terms(&epoch, 2, &[&ended]).await, Ok(Vec::new()));
    assert_eq!(total().await, 2, "what it has is of a later version");
    let new = terms(7, 5);
    assert_eq!(gate.change_terms(&epoch, 5, &[&ended, &new]).await, Ok(vec![coupon(7)]));
    assert_eq!((total().await, gate.stock(&epoch, coupon(7)).await), (1, Ok(None)));
    assert_eq!(decide(&*gate, &epoch, &[attempt(1, 1, 1)]).await, [Decision::InvalidTime]);
    gate.offer(&epoch, 4, &[&terms(1, 9), &new]).await.unwrap();
    assert_eq!(
        (total().await, gate.stock(&epoch, coupon(7)).await),
        (1, Ok(Some(GateStock { total: 5, sold: 0 })))
    );
    gate.change_terms(&epoch, 5, &[&terms(1, 1)]).await.unwrap();
    let both = [attempt(1, 1, 1), attempt(2, 1, 2)];
    assert_eq!(decide(&*gate, &epoch, &both).await, [Decision::Granted(0), Decision::OutOfStock]);
    gate.change_terms(&epoch, 6, &[&terms(1, 0)]).await.unwrap();
    assert_eq!(gate.stock(&epoch, coupon(1)).await, Ok(Some(GateStock { total: 0, sold: 1 })));
    assert_eq!(gate.versions(&epoch).await, Ok(Some(Versions { first: 3, last: 6, layouts: 0 })));
    assert_eq!(gate.offers_all(&epoch).await, Ok(true));
}

pub(crate) async fn without_its_memory_a_gate_takes_no_change(servers: &Servers) {
    let (gate, epoch) = filled(servers).await;
    let other = Epoch::new(&servers.dataset, 2);
    assert_eq!(gate.change_terms(&other, 9, &[&terms(1, 1)]).await, Err(GateError::Forgot));
    assert_eq!((gate.versions(&other).await, gate.stock(&other, coupon(1)).await), (Ok(None), Ok(None)));
    assert_eq!(gate.change_terms(&epoch, 9, &[&terms(1, 1)]).await, Ok(Vec::new()));
}

pub(crate) async fn what_is_of_earlier_epochs_is_forgotten(servers: &Servers) {
    let (gate, epoch) = filled(servers).await;
    let next = Epoch::new(&servers.dataset, 2);
    gate.begin(&next).await.unwrap();
    gate.forget_before(2).await.unwrap();
    assert!(!gate.remembers(&epoch).await.unwrap().sentinel);
    assert_eq!(gate.stock(&epoch, coupon(1)).await, Ok(None));
    assert!(gate.remembers(&next).await.unwrap().sentinel);
}
