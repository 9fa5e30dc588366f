//! Laws of the gate's server: several results for one user, and results that give their stock back.

use std::time::Duration;

use coupon_core::{RequestKey, ResultId, ShardId, TableId};
use coupon_servers::seam::{Epoch, GateError, GateServer, Held, Hold, Mark, Release, Servers, Unchecked};
use coupon_store::{Attempt, Decision, GateStock, Reservation};

use crate::bench::{coupon, held, hold_of, id, noon, request, result, terms, user};
use crate::gate::{decide, filled};

const HOUR: Duration = Duration::from_secs(3_600);

/// A grab that is held, of a coupon that each user may have two of.
fn attempt(by: u64, after_ms: i64, request: RequestKey) -> Attempt {
    let (limit, hold_until) = (2, Some(noon().plus_millis(60_000)));
    let plain = Attempt::plain(user(by), coupon(1), id(after_ms));
    Attempt { limit, hold_until, request: Some(request), ..plain }
}

fn reserved(after_ms: i64, slot: u8) -> Reservation {
    attempt(1, after_ms, request(after_ms)).reservation(slot)
}

fn release(by: u64, id: ResultId, slot: u8, request: Option<RequestKey>) -> Release {
    Release { coupon: coupon(1), user: user(by), id, slot, request }
}

async fn sold(gate: &dyn GateServer, epoch: &Epoch) -> u32 {
    let GateStock { sold, .. } = gate.stock(epoch, coupon(1)).await.unwrap().unwrap();
    sold
}

pub(crate) async fn a_user_gets_as_many_as_they_may_and_a_request_gets_one_answer(servers: &Servers) {
    let (gate, epoch) = filled(servers).await;
    let of = |after_ms, asked| attempt(1, after_ms, request(asked));
    let first = [of(1, 1), of(2, 1), of(3, 3), of(4, 4), attempt(2, 5, request(5))];
    let expected = [
        Decision::Granted(0),
        Decision::Pending(reserved(1, 0)),
        Decision::Granted(1),
        Decision::Pending(reserved(1, 0)),
        Decision::OutOfStock,
    ];
    assert_eq!(decide(&*gate, &epoch, &first).await, expected);
    let mark = |slot, after_ms| Mark { slot, ..Mark::of(&result(1, after_ms)) };
    let mut marks = gate.pending(&epoch).await.unwrap();
    marks.sort_unstable();
    assert_eq!(marks, [mark(0, 1), mark(1, 3)]);
    let held = gate.held(&epoch, &[mark(1, 3)]).await.unwrap();
    assert_eq!(held, [Some(Held::Result(reserved(3, 1)))]);
    gate.unmark(&epoch, &marks).await.unwrap();
    let expected =
        [Decision::Granted(1), Decision::Repeated(reserved(3, 1).grant()), Decision::Duplicate(id(1))];
    assert_eq!(decide(&*gate, &epoch, &[of(3, 3), of(6, 3), of(7, 7)]).await, expected);
    let holders = gate.holders(&epoch, coupon(1)).await.unwrap();
    assert_eq!((holders.users, holders.holds), (vec![user(1)], 2));
}

pub(crate) async fn what_a_user_holds_counts_in_whatever_slot_it_is_when_the_limit_changes(
    servers: &Servers,
) {
    let (gate, epoch) = filled(servers).await;
    gate.offer(&epoch, 4, &[&terms(1, 9)]).await.unwrap();
    let of = |limit, after_ms| Attempt { limit, ..attempt(1, after_ms, request(after_ms)) };
    let three = [1, 2, 3].map(|after_ms| of(3, after_ms));
    assert_eq!(decide(&*gate, &epoch, &three).await, [0, 1, 2].map(Decision::Granted));
    assert_eq!(sold(&*gate, &epoch).await, 3);
    let holders = gate.holders(&epoch, coupon(1)).await.unwrap();
    assert_eq!((holders.users, holders.holds), (vec![user(1)], 3));
    let gone = [(1, 0), (2, 1)].map(|(after_ms, slot)| release(1, id(after_ms), slot, None));
    gate.let_go(&epoch, &gone).await.unwrap();
    gate.unmark(&epoch, &[Mark { slot: 2, ..Mark::of(&result(1, 3)) }]).await.unwrap();
    changes_of_limit(&*gate, &epoch).await;
    // So it is where a filling or the reconciler has put it there.
    let row = hold_of(&held(1, 3, 2, 60_000));
    let next = Epoch::new(&servers.dataset, 2);
    gate.begin(&next).await.unwrap();
    gate.offer(&next, 1, &[&terms(1, 9)]).await.unwrap();
    assert_eq!(gate.hold(&next, &[row]).await, Ok(vec![true]));
    changes_of_limit(&*gate, &next).await;
}

/// The user holds one, stored, in the third slot.
async fn changes_of_limit(gate: &dyn GateServer, epoch: &Epoch) {
    let of = |limit, after_ms| Attempt { limit, ..attempt(1, after_ms, request(after_ms)) };
    let again = Attempt { id: id(13), ..of(1, 3) };
    let plain = |by, after_ms| Attempt::plain(user(by), coupon(1), id(after_ms));
    let stored = Decision::Duplicate(id(3));
    let lowered = [again, of(1, 14)];
    assert_eq!(decide(gate, epoch, &lowered).await, [Decision::Repeated(reserved(3, 2).grant()), stored]);
    let final_ones = [plain(1, 15), plain(2, 16), plain(2, 17)];
    let second = Decision::Pending(Reservation::plain(id(16)));
    assert_eq!(decide(gate, epoch, &final_ones).await, [stored, Decision::Granted(0), second]);
    let first = Decision::Pending(reserved(18, 0));
    let raised = [of(2, 18), of(2, 19), of(3, 20), of(3, 21)];
    assert_eq!(
        decide(gate, epoch, &raised).await,
        [Decision::Granted(0), first, Decision::Granted(1), first]
    );
    assert_eq!(sold(gate, epoch).await, 4);
}

pub(crate) async fn what_is_let_go_of_is_free_and_its_request_keeps_its_answer(servers: &Servers) {
    let (gate, epoch) = filled(servers).await;
    let first = [attempt(1, 1, request(1)), attempt(1, 2, request(2))];
    decide(&*gate, &epoch, &first).await;
    let gone = [release(1, id(2), 1, Some(request(2)))];
    gate.let_go(&epoch, &gone).await.unwrap();
    gate.let_go(&epoch, &gone).await.unwrap();
    assert_eq!(sold(&*gate, &epoch).await, 1);
    assert_eq!(gate.pending(&epoch).await, Ok(vec![Mark::of(&result(1, 1))]), "its mark goes with it");
    let again = [attempt(1, 3, request(2)), attempt(2, 4, request(4)), attempt(1, 5, request(5))];
    let expected = [Decision::Repeated(reserved(2, 0).grant()), Decision::Granted(0), Decision::OutOfStock];
    assert_eq!(decide(&*gate, &epoch, &again).await, expected);
    gate.let_go(&epoch, &[release(2, id(4), 0, Some(request(4)))]).await.unwrap();
    let mut holders = gate.holders(&epoch, coupon(1)).await.unwrap();
    holders.users.sort_unstable();
    assert_eq!((holders.users, holders.holds), (vec![user(1), user(2)], 1), "an answer is no hold");
}

/// Releases of more than one call of the script.
pub(crate) async fn whatever_many_give_back_at_once_is_free(servers: &Servers) {
    let (gate, epoch) = filled(servers).await;
    let holds: Vec<Hold> = (1..=250).map(|number| hold_of(&result(number, number.cast_signed()))).collect();
    assert_eq!(gate.hold(&epoch, &holds).await, Ok(vec![true; 250]));
    let gone: Vec<Release> = (1..=249)
        .map(|number: u64| release(number, id(number.cast_signed()), 0, Some(request(number.cast_signed()))))
        .collect();
    gate.let_go(&epoch, &gone).await.unwrap();
    let holders = gate.holders(&epoch, coupon(1)).await.unwrap();
    assert_eq!((holders.users.len(), holders.holds), (250, 1));
}

pub(crate) async fn only_what_is_held_exactly_so_is_let_go_of(servers: &Servers) {
    let (gate, epoch) = filled(servers).await;
    let (ours, parked) = (hold_of(&result(1, 1)), hold_of(&result(2, 2)));
    gate.hold(&epoch, &[ours]).await.unwrap();
    gate.hold_parked(&epoch, &[parked]).await.unwrap();
    gate.hold_beside(&epoch, Hold { id: id(3).number(), ..ours }).await.unwrap();
    let others = [release(1, id(9), 0, None), release(1, id(1), 1, None), release(2, id(2), 0, None)];
    gate.let_go(&epoch, &others).await.unwrap();
    assert_eq!(sold(&*gate, &epoch).await, 3);
    gate.let_go(&epoch, &[release(1, id(3), 0, None)]).await.unwrap();
    assert_eq!(sold(&*gate, &epoch).await, 2, "one beside another goes by its id");
    gate.let_go(&epoch, &[release(1, id(1), 0, None)]).await.unwrap();
    assert_eq!(sold(&*gate, &epoch).await, 1);
    let other = Epoch::new(&servers.dataset, 2);
    assert_eq!(gate.let_go(&other, &others).await, Err(GateError::Forgot));
}

pub(crate) async fn a_request_that_was_answered_before_a_filling_is_remembered(servers: &Servers) {
    let (gate, epoch) = filled(servers).await;
    let row = held(1, 1, 1, 60_000);
    let answered = Hold { slot: 0, given_back: Some(noon()), ..hold_of(&row) };
    gate.remember(&epoch, &[(answered, HOUR)]).await.unwrap();
    let asked = [attempt(1, 5, request(1)), attempt(2, 6, request(1)), attempt(1, 7, request(7))];
    let expected = [Decision::Repeated(reserved(1, 0).grant()), Decision::Granted(0), Decision::Granted(0)];
    assert_eq!(decide(&*gate, &epoch, &asked).await, expected);
    assert_eq!(sold(&*gate, &epoch).await, 2);
}

pub(crate) async fn a_row_is_restored_where_nothing_is_held_and_stays_to_be_looked_at(servers: &Servers) {
    let (gate, epoch) = filled(servers).await;
    let row = held(1, 1, 1, 60_000);
    let unchecked = Unchecked { shard: ShardId::new(1), table: TableId::Single, release: Release::of(&row) };
    let other = Unchecked { release: Release::of(&held(1, 2, 1, 60_000)), ..unchecked };
    let hold = hold_of(&row);
    assert_eq!(gate.lacking(&epoch, &[hold]).await, Ok(vec![hold]));
    let rows = [(unchecked, hold), (other, Hold { id: id(2).number(), ..hold })];
    assert_eq!(gate.restore(&epoch, &rows).await, Ok(vec![true, false]));
    assert_eq!(gate.restore(&epoch, &rows).await, Ok(vec![false, false]));
    assert_eq!(gate.unchecked(&epoch).await, Ok(vec![unchecked]));
    let held = gate.held(&epoch, &[Mark { slot: 1, ..Mark::of(&row) }]).await.unwrap();
    assert_eq!(held, [Some(Held::Result(Reservation::of(&row)))]);
    assert_eq!(gate.pending(&epoch).await, Ok(Vec::new()), "it is no pending reservation");
    gate.checked(&epoch, &[unchecked]).await.unwrap();
    assert_eq!(gate.unchecked(&epoch).await, Ok(Vec::new()));
}
