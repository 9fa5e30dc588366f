//! Every promise holds in every schedule, and a schedule is its seed.

use coupon_core::after_grab::Action;
use coupon_core::{CouponId, GateCount, GateId, ShardId};
use protocol_schedules::world::{ProcessId, Server};
use protocol_schedules::{Fault, FaultKind, Played, SeededSchedule, Wish, play, search};

#[test]
fn every_promise_holds_in_every_schedule() {
    let searched = search(GateCount::ONE, 0, 150, 1, || {});
    assert_eq!(searched.found, [], "`protocol-schedules --seed` shows its history");
    assert!(searched.answered > 2_000, "users hear next to nothing: {}", searched.answered);
}

/// Each gate fails by itself, and is filled anew by itself.
#[test]
fn every_promise_holds_in_every_schedule_of_several_gates() {
    for gates in [2, 3] {
        let searched = search(GateCount::new(gates).unwrap(), 0, 100, 1, || {});
        assert_eq!(searched.found, [], "`protocol-schedules --gates {gates} --seed` shows its history");
        assert!(searched.answered > 1_300, "users hear next to nothing: {}", searched.answered);
    }
}

/// A gate that is away keeps none of the other's users from an answer.
#[test]
fn while_one_gate_is_away_the_other_answers() {
    let gates = GateCount::new(2).unwrap();
    let of = |coupon| gates.of(CouponId::new(coupon).unwrap());
    let answered = |away: GateId| {
        let coupons = (1..=5).filter(|coupon| of(*coupon) != away);
        let asks_once = |coupon| Wish { asks_again: false, ..wish(2_000 + 100 * coupon, coupon, coupon) };
        let wishes: Vec<Wish> = coupons.map(asks_once).collect();
        let faults = vec![Fault { at: 1_000, kind: FaultKind::Down(Server::Gate(away), 6_000) }];
        let plan = SeededSchedule { seed: 7, gates, wishes, faults };
        assert_eq!(plays(7, &plan), plan.wishes.len(), "without {away}");
        plan.wishes.len()
    };
    assert_eq!(gates.all().map(answered).sum::<usize>(), 5, "each coupon has one gate");
}

#[test]
fn the_same_seed_twice_is_the_same_history() {
    for seed in 0..20 {
        let (once, again) = (play(&SeededSchedule::of(seed), true), play(&SeededSchedule::of(seed), true));
        assert_eq!(once, again, "seed {seed}");
        assert_ne!(once.digest, play(&SeededSchedule::of(seed + 1), false).digest);
    }
}

fn wish(at: u64, user: u64, coupon: u64) -> Wish {
    let process = ProcessId(1);
    Wish { at, user, coupon, process, asks_again: true, repeats: false, then: None }
}

/// Plays a plan in which nothing is broken.
fn holds(seed: u64, wishes: &[Wish], faults: &[Fault]) {
    let (gates, wishes, faults) = (GateCount::ONE, wishes.to_vec(), faults.to_vec());
    let plan = SeededSchedule { seed, gates, wishes, faults };
    let outcome = play(&plan, true);
    let Played { broken, history, .. } = outcome;
    assert!(broken.is_empty(), "{:?}: {broken:?}\n{}", plan.faults, history.join("\n"));
}

/// The gatekeeper looked after queues only once a grab's message had found none.
#[test]
fn a_queue_that_is_deleted_is_made_again_though_nobody_grabs() {
    let wishes = [2, 4].map(|user| Wish { process: ProcessId(0), ..wish(1_000, user, 3) });
    for after_ms in [1, 5, 500] {
        holds(7, &wishes, &[Fault { at: 1_000 + after_ms, kind: FaultKind::Deleted(ShardId::new(0)) }]);
    }
}

/// One copy would stand in for another, and would be taken for the full one then.
#[test]
fn a_stale_copy_gives_way_to_the_full_one_though_another_comes_meanwhile() {
    let wishes = [(1_100, 2, 3), (1_250, 4, 3), (1_600, 6, 3), (2_500, 8, 5)];
    let wishes = wishes.map(|(at, user, coupon)| wish(at, user, coupon));
    let stale = |at| Fault { at, kind: FaultKind::Stale(ShardId::new(0), 900) };
    holds(7, &wishes, &[stale(2_300), stale(2_700)]);
}

/// The reconciler gave the gate a row that had given its stock back in the full copy.
#[test]
fn rows_of_a_stale_copy_are_not_told_to_the_gate() {
    let wishes = [wish(1_154, 6, 5), wish(1_154, 8, 3), wish(1_237, 8, 4)];
    for at in (2_180..2_400).step_by(20) {
        holds(3_363, &wishes, &[Fault { at, kind: FaultKind::Stale(ShardId::new(0), 988) }]);
    }
}

/// A filling took the process's own clock for how long ago stock was given back.
#[test]
fn a_clock_that_is_set_ahead_while_a_gate_is_filled_has_no_request_forgotten() {
    let wishes = [Wish { repeats: true, then: Some((Action::Release, 262)), ..wish(2_095, 5, 5) }];
    for at in (4_800..5_400).step_by(20) {
        let wrong = FaultKind::Wrong(ProcessId(1), 3_600_000, 624);
        holds(
            3_707,
            &wishes,
            &[Fault { at: 4_791, kind: FaultKind::Forgets(GateId::FIRST) }, Fault { at, kind: wrong }],
        );
    }
}

/// A worker took a coupon that was just over, and that the gate had lost, for one that was over for long when the gate was
/// filled: the answer to a user who had been granted it was that it is not on offer.
#[test]
fn a_coupon_that_the_gate_loses_after_its_end_is_told_of_once_the_gate_is_filled_anew() {
    let wishes = [Wish { then: Some((Action::Confirm, 50)), ..wish(1_000, 3, 4) }];
    for lost_at in [1_600, 3_000] {
        let faults = [(1_500, FaultKind::Ends(4)), (lost_at, FaultKind::ForgetsCoupon(4))];
        holds(54, &wishes, &faults.map(|(at, kind)| Fault { at, kind }));
    }
}

/// Plays a plan that breaks no promise; returns how many grabs got a clear answer.
fn plays(seed: u64, plan: &SeededSchedule) -> usize {
    let outcome = play(plan, false);
    if !outcome.broken.is_empty() {
        let history = play(plan, true).history.join("\n");
        panic!("seed {seed}: {:?}: {:?}\n{history}", plan.faults, outcome.broken);
    }
    outcome.answered
}

/// A layout that changes in the middle of everything else, while processes are killed or frozen, or main loses what it is asked.
fn turning(seed: u64) -> SeededSchedule {
    let mut plan = SeededSchedule::of(seed);
    let (at, process) = (900 + 25 * (seed % 40), ProcessId(usize::from(seed.is_multiple_of(2))));
    plan.faults.push(Fault { at, kind: FaultKind::Turns(process) });
    let beside = at + 1 + seed % 30;
    match seed % 4 {
        0 => plan.faults.push(Fault { at: beside, kind: FaultKind::Crash(process, 3_500) }),
        1 => plan.faults.push(Fault { at: beside, kind: FaultKind::Freeze(process, 4_000) }),
        2 => plan.faults.push(Fault { at: at - 5, kind: FaultKind::Freeze(other(process), 5_000) }),
        _ => plan.faults.push(Fault { at: at + 1, kind: FaultKind::Loses(Server::Main, 400, 60) }),
    }
    plan.faults.sort_by_key(|fault| fault.at);
    plan
}

/// Rows that move from each shard to the other in the middle of everything else, while a process is killed or frozen,
/// the gate loses its memory, or main loses what it is asked.
fn moving(seed: u64) -> SeededSchedule {
    let mut plan = SeededSchedule::of(seed);
    let (at, process) = (900 + 10 * (seed % 40), ProcessId(usize::from(seed.is_multiple_of(2))));
    let moves = at + 2_600;
    plan.faults.push(Fault { at, kind: FaultKind::Turns(process) });
    plan.faults.push(Fault { at: moves, kind: FaultKind::Moves(process) });
    let beside = moves + 20 * (seed % 70);
    let faults = match seed % 6 {
        0 => vec![FaultKind::Crash(process, 900), FaultKind::Crash(other(process), 2_000)],
        1 => vec![FaultKind::Freeze(process, 3_000)],
        2 => vec![FaultKind::Freeze(other(process), 3_000)],
        3 => vec![FaultKind::Forgets(GateId::FIRST)],
        4 => vec![FaultKind::Cut(Server::Main), FaultKind::Forgets(GateId::FIRST)],
        _ => vec![FaultKind::Loses(Server::Main, 1_500, 40)],
    };
    plan.faults.extend(faults.into_iter().map(|kind| Fault { at: beside, kind }));
    plan.faults.sort_by_key(|fault| fault.at);
    plan
}

#[test]
fn every_promise_holds_while_the_layout_changes() {
    let mut answered = 0;
    for seed in 0..100 {
        let plan = turning(seed);
        answered += plays(seed, &plan);
    }
    assert!(answered > 1_000, "users hear next to nothing: {answered}");
}

#[test]
fn every_promise_holds_while_rows_move() {
    let mut answered = 0;
    for seed in 0..100 {
        let plan = moving(seed);
        answered += plays(seed, &plan);
    }
    assert!(answered > 1_000, "users hear next to nothing: {answered}");
}

/// Operators withdraw coupons, offer them again, move their ends and change their totals in the middle of everything else.
#[test]
fn no_grab_is_decided_by_what_was_before_a_change_that_was_answered() {
    let mut answered = 0;
    for seed in 0..100 {
        let plan = SeededSchedule::with_changes(seed);
        let outcome = play(&plan, false);
        assert!(outcome.broken.is_empty(), "seed {seed}: {plan:?}: {:?}", outcome.broken);
        answered += outcome.answered;
    }
    assert!(answered > 1_000, "users hear next to nothing: {answered}");
}

/// Coupons end in the middle of everything else. A user who was granted one gets the same answer whenever they ask, and confirms
/// it until the hold's own moment.
#[test]
fn every_promise_holds_while_coupons_end() {
    let mut answered = 0;
    for seed in 0..100 {
        answered += plays(seed, &SeededSchedule::with_ends(seed));
    }
    assert!(answered > 1_000, "users hear next to nothing: {answered}");
}

/// The gate fails over to a copy that lacks what was decided last, and a process goes on with the one of before.
#[test]
fn every_promise_holds_while_the_gate_fails_over() {
    let mut answered = 0;
    for seed in 0..100 {
        answered += plays(seed, &SeededSchedule::with_fail_over(seed));
    }
    assert!(answered > 1_000, "users hear next to nothing: {answered}");
}

/// The coupon's end, and then the loss of the gate, come between the grab and what is done with it.
#[test]
fn what_is_held_when_its_coupon_ends_is_confirmed_and_its_request_is_answered_alike() {
    for then in [Action::Confirm, Action::Release] {
        for lost_after in [1, 40, 300] {
            let wishes = [Wish { repeats: true, then: Some((then, 0)), ..wish(1_000, 3, 4) }];
            let faults = [
                Fault { at: 1_200, kind: FaultKind::Ends(4) },
                Fault { at: 1_200 + lost_after, kind: FaultKind::Forgets(GateId::FIRST) },
            ];
            holds(11, &wishes, &faults);
        }
    }
}

const fn other(process: ProcessId) -> ProcessId {
    ProcessId(1 - process.0)
}

#[cfg(feature = "failpoints")]
mod mutants {
    use coupon_core::GateCount;
    use coupon_store::failpoints::{Mechanism, leave_out};
    use protocol_schedules::{FOUND, SeededSchedule, play, search, shrink};

    use super::{moving, turning};

    #[test]
    fn each_mechanism_left_out_is_found_within_a_thousand_seeds() {
        let missed: Vec<Mechanism> = FOUND
            .into_iter()
            .filter(|mechanism| {
                search(GateCount::ONE, 0, 1_000, 1, || leave_out(Some(*mechanism))).found.is_empty()
            })
            .collect();
        assert_eq!(missed, []);
    }

    /// Random plans have few changes of the layout at the moment at which it matters.
    #[test]
    fn what_keeps_rows_where_they_are_found_is_missed_when_it_is_left_out() {
        let missed = |mechanism, plan: fn(u64) -> SeededSchedule| {
            leave_out(Some(mechanism));
            let missed = (0..1_000).all(|seed| play(&plan(seed), false).broken.is_empty());
            leave_out(None);
            missed
        };
        assert!(!missed(Mechanism::LayoutLead, turning));
        assert!(!missed(Mechanism::LayoutFence, turning));
        assert!(!missed(Mechanism::LateRows, moving));
    }

    #[test]
    fn an_operator_who_is_answered_before_the_gate_decides_by_the_change_is_found() {
        leave_out(Some(Mechanism::Enforced));
        let found = (0..100).find_map(|seed| {
            let broken = play(&SeededSchedule::with_changes(seed), false).broken;
            broken.into_iter().find(|broken| broken.contains("an answered change"))
        });
        leave_out(None);
        assert!(found.is_some());
    }

    /// Random plans have no coupon that ends.
    #[test]
    fn a_gate_that_is_filled_without_what_is_over_is_found() {
        leave_out(Some(Mechanism::OverForADay));
        let missed = (0..1_000).all(|seed| play(&SeededSchedule::with_ends(seed), false).broken.is_empty());
        leave_out(None);
        assert!(!missed);
    }

    #[test]
    fn a_history_is_shrunk_to_what_it_takes() {
        let prepare = || leave_out(Some(Mechanism::Parking));
        let found = search(GateCount::ONE, 0, 1_000, 1, prepare).found;
        prepare();
        let plan = shrink(&SeededSchedule::of(found[0].seed));
        assert!(!play(&plan, false).broken.is_empty());
        assert_eq!((plan.wishes.len(), plan.faults.len()), (0, 1), "{plan:?}");
    }
}
