//! Laws of what becomes of a result after its grab.

use coupon_core::after_grab::{Action, StepRefusal, StepVerdict};
use coupon_core::{
    CouponResult, Money, Placement, RequestKey, ResultId, ResultState, RowKey, ShardingStrategy, TableId,
    Timestamp, UserId,
};
use coupon_store::{Attempt, Backend, Changed, Decision, PlacedResult, Reservation, Totals, Visit};

use crate::bench::{
    Bench, MINUTE, PLENTY, ParityAndDay, SCARCE, USERS, attempt, change, changed, coupon_id, decide, grab,
    granted, held_by, holding, placed, queries, row, settles_at, shard_of, sold, sums, until,
};

pub(crate) async fn a_result_takes_each_step_once_and_says_so_when_asked_again(bench: &Bench) {
    let backend = bench.open();
    let amount = Money::from_cents(9_950);
    let now = bench.clock().now();
    for (user, steps, live) in [
        (1, vec![Action::Confirm, Action::Use(amount)], true),
        (2, vec![Action::Release], false),
        (3, vec![Action::Confirm, Action::Return], false),
    ] {
        let row = granted(&backend, &holding(&backend, bench, user, PLENTY, "a")).await;
        assert_eq!(held_by(&backend, user).await[0], row.result, "it is stored as it was granted");
        assert_eq!(row.result.state, ResultState::Held);
        for (number, action) in (1..).zip(&steps) {
            let time = now.plus_millis(number);
            let after = changed(&backend, &row, *action, time).await;
            assert_eq!(after.state, action.transition().to);
            assert_eq!(after.state_time, Some(time));
            assert_eq!(after.slot, after.state.is_live().then_some(0));
            assert_eq!(held_by(&backend, user).await[0], after);
            // Asked again it has been done, and nothing of it is done twice.
            let again = change(&backend, &row, *action, time.plus_millis(50)).await;
            assert_eq!(again, Changed::Stands(after));
            assert_eq!(action.judge(&after, time), StepVerdict::Done);
        }
        let other = change(&backend, &row, Action::Release, now).await;
        assert!(matches!(other, Changed::Stands(_)), "{other:?}");
        assert_eq!(sold(&backend, PLENTY).await, if live { user as u32 } else { 1 });
    }
    settles_at(&backend, PLENTY, 999).await;
    assert_eq!(sums(&backend, 1).await, Totals { results: 17, used: 1, order_amount: amount, given_back: 1 });
    assert_eq!(sums(&backend, 2).await, Totals { results: 16, given_back: 1, ..Totals::default() });
    backend.lifecycle.close();
}

pub(crate) async fn what_is_held_is_counted_by_coupon_until_it_is_confirmed_or_gone(bench: &Bench) {
    let backend = bench.open();
    let now = bench.clock().now();
    let held = async |user| {
        let mut held = backend.shards.held(shard_of(user)).await.unwrap().value;
        held.sort_unstable();
        held
    };
    assert_eq!(held(1).await, []);
    let mut rows = Vec::new();
    for (user, coupon) in [(1, PLENTY), (3, PLENTY), (5, SCARCE), (2, PLENTY)] {
        rows.push(granted(&backend, &holding(&backend, bench, user, coupon, "a")).await);
    }
    assert_eq!(held(1).await, [(coupon_id(SCARCE), 1), (coupon_id(PLENTY), 2)]);
    assert_eq!(held(2).await, [(coupon_id(PLENTY), 1)]);
    changed(&backend, &rows[0], Action::Confirm, now).await;
    changed(&backend, &rows[2], Action::Release, now).await;
    assert_eq!(held(1).await, [(coupon_id(PLENTY), 1)]);
    backend.lifecycle.close();
}

pub(crate) async fn a_result_that_is_held_is_not_used_and_nobody_elses_is_changed(bench: &Bench) {
    let backend = bench.open();
    let row = granted(&backend, &holding(&backend, bench, 1, PLENTY, "a")).await;
    let now = bench.clock().now();
    let using = Action::Use(Money::from_cents(9_950));
    assert_eq!(change(&backend, &row, using, now).await, Changed::Stands(row.result));
    assert_eq!(using.judge(&row.result, now), StepVerdict::Refused(StepRefusal::State(ResultState::Held)));
    let result = CouponResult { user_id: UserId::new(3).unwrap(), ..row.result };
    let others = PlacedResult { result, ..row };
    assert_eq!(change(&backend, &others, Action::Confirm, now).await, Changed::NotFound);
    let id = ResultId::from_number(row.result.result_id.number() + 1).unwrap();
    let unknown = PlacedResult { result: CouponResult { result_id: id, ..row.result }, ..row };
    assert_eq!(change(&backend, &unknown, Action::Release, now).await, Changed::NotFound);
    backend.lifecycle.close();
}

pub(crate) async fn at_the_very_moment_a_hold_expires_and_is_not_confirmed(bench: &Bench) {
    let backend = bench.open();
    let row = granted(&backend, &holding(&backend, bench, 1, SCARCE, "a")).await;
    let due = row.result.hold_until.unwrap();
    assert_eq!(
        change(&backend, &row, Action::Expire, due.plus_millis(-1)).await,
        Changed::Stands(row.result)
    );
    assert_eq!(change(&backend, &row, Action::Confirm, due).await, Changed::Stands(row.result));
    assert_eq!(Action::Confirm.judge(&row.result, due), StepVerdict::Refused(StepRefusal::TooLate));
    let expired = changed(&backend, &row, Action::Expire, due).await;
    assert_eq!(change(&backend, &row, Action::Confirm, due.plus_millis(-1)).await, Changed::Stands(expired));
    settles_at(&backend, SCARCE, 2).await;
    // The other way round.
    let row = granted(&backend, &holding(&backend, bench, 1, SCARCE, "b")).await;
    let due = row.result.hold_until.unwrap();
    let confirmed = changed(&backend, &row, Action::Confirm, due.plus_millis(-1)).await;
    assert_eq!(change(&backend, &row, Action::Expire, due).await, Changed::Stands(confirmed));
    settles_at(&backend, SCARCE, 1).await;
    backend.lifecycle.close();
}

pub(crate) async fn what_is_not_confirmed_expires_by_itself_and_is_sold_again(bench: &Bench) {
    let backend = bench.open();
    let mut rows = Vec::new();
    for user in [1, 2] {
        rows.push(granted(&backend, &holding(&backend, bench, user, SCARCE, "a")).await);
    }
    changed(&backend, &rows[0], Action::Confirm, bench.clock().now()).await;
    assert_eq!(grab(&backend, bench, 3, SCARCE).await, Decision::OutOfStock);
    bench.clock().set(rows[1].result.hold_until.unwrap());
    settles_at(&backend, SCARCE, 1).await;
    let expired = held_by(&backend, 2).await[0];
    assert_eq!((expired.state, expired.slot), (ResultState::Expired, None));
    assert!(expired.state_time >= expired.hold_until);
    assert_eq!(held_by(&backend, 1).await[0].state, ResultState::Owned);
    assert_eq!(grab(&backend, bench, 3, SCARCE).await, Decision::Granted(0));
    settles_at(&backend, SCARCE, 0).await;
    backend.lifecycle.close();
}

pub(crate) async fn hundreds_of_due_holds_expire_while_grabs_go_on(bench: &Bench) {
    let backend = bench.open();
    let mut last = None;
    for user in 1..=USERS {
        // Twenty each, in as many slots.
        let wishes: Vec<Attempt> = (0..20)
            .map(|n| Attempt {
                limit: 100,
                ..holding(&backend, bench, user, PLENTY, &format!("request {n}"))
            })
            .collect();
        let decided = backend.gate.reserve(1, &wishes).await.unwrap();
        let slots = (0..20).map(Decision::Granted).collect::<Vec<_>>();
        assert_eq!(decided.decisions, slots);
        let rows: Vec<PlacedResult> =
            wishes.iter().zip(0..).map(|(wish, slot)| row(wish, wish.reservation(slot))).collect();
        last = rows.last().and_then(|row| row.result.hold_until).max(last);
        backend.hand_over.hand_over(shard_of(user), decided.epoch, rows).await.unwrap();
    }
    settles_at(&backend, PLENTY, 200).await;
    bench.clock().set(last.unwrap());
    for user in [1, 2] {
        assert_eq!(grab(&backend, bench, user, SCARCE).await, Decision::Granted(0));
    }
    settles_at(&backend, PLENTY, 1_000).await;
    let totals = sums(&backend, 1).await;
    assert_eq!((totals.results, totals.given_back), (416, 400));
    backend.lifecycle.close();
}

pub(crate) async fn a_user_who_released_may_grab_again_also_in_one_batch_with_others(bench: &Bench) {
    let backend = bench.open();
    let first = holding(&backend, bench, 1, SCARCE, "a");
    let row_of_first = granted(&backend, &first).await;
    let now = bench.clock().now();
    let second = holding(&backend, bench, 1, SCARCE, "b");
    assert_eq!(decide(&backend, &[second]).await, [Decision::Duplicate(first.id)]);
    let released = changed(&backend, &row_of_first, Action::Release, now).await;
    // The new grab, a repeat of it, a repeat of the first, and another user's: in one batch.
    let repeat = holding(&backend, bench, 1, SCARCE, "b");
    let repeat_of_first = holding(&backend, bench, 1, SCARCE, "a");
    let other = holding(&backend, bench, 3, SCARCE, "b");
    let batch = [second, repeat, repeat_of_first, other];
    let decided = backend.gate.reserve(1, &batch).await.unwrap();
    assert_eq!(
        decided.decisions,
        [
            Decision::Granted(0),
            Decision::Pending(second.reservation(0)),
            Decision::Repeated(first.reservation(0).grant()),
            Decision::Granted(0),
        ]
    );
    // A late redelivery of the released one comes with them: it is a repeat, and adds nothing.
    let again = row(&second, second.reservation(0));
    let rows = vec![row_of_first, again, again, row(&other, other.reservation(0))];
    backend.hand_over.hand_over(shard_of(1), decided.epoch, rows).await.unwrap();
    settles_at(&backend, SCARCE, 0).await;
    let held: Vec<CouponResult> = held_by(&backend, 1).await.into_iter().take(2).collect();
    assert_eq!(held, [again.result, released]);
    assert_eq!(backend.shards.report(shard_of(1)).await.unwrap().parked, 0);
    assert_eq!(sums(&backend, 1).await.results, 18);
    backend.lifecycle.close();
}

pub(crate) async fn a_user_has_as_many_live_results_as_the_limit_says(bench: &Bench) {
    let backend = bench.open();
    let wish = |request: &str| Attempt { limit: 3, ..holding(&backend, bench, 1, PLENTY, request) };
    let mut rows = Vec::new();
    for request in ["a", "b", "c"] {
        rows.push(granted(&backend, &wish(request)).await);
    }
    let slots: Vec<Option<u8>> = rows.iter().map(|row| row.result.slot).collect();
    assert_eq!(slots, [Some(0), Some(1), Some(2)]);
    let first = rows[0].result.result_id;
    assert_eq!(decide(&backend, &[wish("d")]).await, [Decision::Duplicate(first)]);
    assert_eq!(
        decide(&backend, &[wish("b")]).await,
        [Decision::Repeated(Reservation::of(&rows[1].result).grant())],
        "the same request is the same result"
    );
    changed(&backend, &rows[1], Action::Release, bench.clock().now()).await;
    until("its slot is free", async || sold(&backend, PLENTY).await == 2).await;
    let fourth = granted(&backend, &wish("d")).await;
    assert_eq!(fourth.result.slot, Some(1));
    settles_at(&backend, PLENTY, 997).await;
    assert_eq!(held_by(&backend, 1).await.iter().filter(|row| row.coupon_id.get() == PLENTY).count(), 4);
    backend.lifecycle.close();
}

pub(crate) async fn a_service_that_starts_again_knows_slots_holds_and_requests(bench: &Bench) {
    let backend = bench.open();
    let wish = |backend: &Backend, request: &str| Attempt {
        limit: 2,
        ..holding(backend, bench, 1, PLENTY, request)
    };
    let kept = granted(&backend, &wish(&backend, "kept")).await;
    let gone = granted(&backend, &wish(&backend, "gone")).await;
    changed(&backend, &gone, Action::Release, bench.clock().now()).await;
    // One more is handed over, and the service ends without waiting for anything.
    let late = wish(&backend, "late");
    until("the slot is free", async || sold(&backend, PLENTY).await == 1).await;
    let decided = backend.gate.reserve(1, &[late]).await.unwrap();
    assert_eq!(decided.decisions, [Decision::Granted(1)]);
    let rows = vec![row(&late, late.reservation(1))];
    backend.hand_over.hand_over(shard_of(1), decided.epoch, rows).await.unwrap();
    drop(backend);

    let backend = bench.open();
    until("the gate decides", async || backend.gate.ready().is_ok()).await;
    assert_eq!(sold(&backend, PLENTY).await, 2);
    let again = |request| wish(&backend, request);
    assert_eq!(
        decide(&backend, &[again("kept"), again("gone"), again("late"), again("new")]).await,
        [
            Decision::Repeated(Reservation::of(&kept.result).grant()),
            Decision::Repeated(Reservation::of(&gone.result).grant()),
            Decision::Repeated(late.reservation(1).grant()),
            Decision::Duplicate(kept.result.result_id),
        ]
    );
    settles_at(&backend, PLENTY, 998).await;
    backend.lifecycle.close();
}

pub(crate) async fn what_is_due_while_nothing_runs_expires_at_the_next_start(bench: &Bench) {
    let backend = bench.open();
    let held = granted(&backend, &holding(&backend, bench, 1, SCARCE, "a")).await;
    let longer = holding(&backend, bench, 2, SCARCE, "a");
    let hold_until = longer.hold_until.map(|until| until.plus_millis(60 * MINUTE));
    let longer = granted(&backend, &Attempt { hold_until, ..longer }).await;
    backend.lifecycle.close();
    drop(backend);
    bench.clock().set(held.result.hold_until.unwrap().plus_millis(MINUTE));
    let backend = bench.open();
    settles_at(&backend, SCARCE, 1).await;
    assert_eq!(held_by(&backend, 1).await[0].state, ResultState::Expired);
    assert_eq!(held_by(&backend, 2).await[0], longer.result);
    backend.lifecycle.close();
}

pub(crate) async fn a_row_stays_in_the_table_of_its_grab_whenever_it_is_confirmed(bench: &Bench) {
    for (grabbed, confirmed, day) in [
        ("2026-11-22T23:59:59.500Z", "2026-11-23T00:00:00.500Z", "2026-11-22"),
        ("2026-11-30T23:59:59.500Z", "2026-12-01T00:00:00.000Z", "2026-11-30"),
    ] {
        let (grabbed, confirmed): (Timestamp, Timestamp) =
            (grabbed.parse().unwrap(), confirmed.parse().unwrap());
        let (backend, queries) = queries(bench.open());
        let id = ResultId::from_parts(grabbed, 1_018, 0).unwrap();
        let user = UserId::new(5).unwrap();
        let hold_until = Some(grabbed.plus_millis(MINUTE));
        let reserved =
            Reservation { hold_until, request: Some(RequestKey::of(day)), ..Reservation::plain(id) };
        let row = row(&Attempt::plain(user, coupon_id(PLENTY), id), reserved);
        let epoch = backend.gate.reserve(1, &[]).await.unwrap().epoch;
        // It is held at the gate as a grab of that time would be.
        bench.clock().set(grabbed);
        backend.hand_over.hand_over(row.placement.shard, epoch, vec![row]).await.unwrap();
        backend.lifecycle.drain().await.unwrap();
        bench.clock().set(confirmed);
        let (found, _) = queries.find(id, Some(user), confirmed).await.unwrap();
        let (placement, found) = found.unwrap();
        assert_eq!((placement, found), (row.placement, row.result));
        let table = TableId::Day(day.parse().unwrap());
        assert_eq!(placement, Placement::new(shard_of(5), table));
        let owned = changed(&backend, &row, Action::Confirm, confirmed).await;
        let (found, _) = queries.find(id, Some(user), confirmed).await.unwrap();
        assert_eq!(found, Some((placement, owned)));
        assert_eq!(owned.state, ResultState::Owned);
        let key = RowKey { user, room: owned.room_id, time: owned.grab_time };
        assert_eq!(ParityAndDay.place(&key).unwrap(), placement);
        backend.lifecycle.close();
        drop((backend, queries));
    }
}

pub(crate) async fn lists_give_every_state_or_the_one_that_is_asked_for(bench: &Bench) {
    let backend = bench.open();
    let plain = granted(&backend, &attempt(&backend, bench, 1, PLENTY)).await;
    let held = granted(&backend, &holding(&backend, bench, 1, SCARCE, "a")).await;
    let released = changed(&backend, &held, Action::Release, bench.clock().now()).await;
    let of = async |state: Option<ResultState>| -> Vec<CouponResult> {
        let query =
            coupon_core::ResultQuery { state, ..coupon_core::ResultQuery::of_user(UserId::new(1).unwrap()) };
        let page = coupon_store::PageRequest { before: None, limit: 10 };
        let visited = backend.shards.page(shard_of(1).into(), Visit::All, query, page).await.unwrap();
        visited.value.into_iter().map(|(_, result)| result).collect()
    };
    // Beside those two, one of the day before.
    let old = placed(1, 3, 2, held_by(&backend, 1).await[2].result_id).result;
    assert_eq!(of(None).await, [released, plain.result, old]);
    assert_eq!(of(Some(ResultState::Owned)).await, [plain.result, old]);
    assert_eq!(of(Some(ResultState::Released)).await, [released]);
    assert_eq!(of(Some(ResultState::Used)).await, []);
    backend.lifecycle.close();
}

pub(crate) async fn every_way_back_is_a_line_of_the_log_and_the_lines_are_a_chain(bench: &Bench) {
    let backend = bench.open();
    let now = bench.clock().now();
    let mut due = now;
    // Users of both shards, with two of the coupon: what one gives back another may take before main knows.
    for (user, steps) in [
        (1, vec![]),
        (2, vec![Action::Release]),
        (3, vec![Action::Confirm]),
        (4, vec![Action::Release]),
        (5, vec![Action::Release]),
    ] {
        let row = granted(&backend, &holding(&backend, bench, user, SCARCE, "a")).await;
        for action in &steps {
            changed(&backend, &row, *action, now).await;
        }
        if steps == [Action::Confirm] {
            changed(&backend, &row, Action::Return, now).await;
        }
        due = due.max(row.result.hold_until.unwrap());
        until("what was given back is free", async || sold(&backend, SCARCE).await == 1).await;
    }
    bench.clock().set(due);
    settles_at(&backend, SCARCE, 2).await;
    let lines = bench.log_of(SCARCE).await;
    let mut at = 2;
    for (operation, before, after, operator) in &lines {
        assert_eq!(*before, at, "{lines:?}");
        let lawful = match operation {
            2 => before > after && operator == "grab",
            3 => before < after && ["release", "return", "expire"].contains(&operator.as_str()),
            _ => false,
        };
        assert!(lawful, "{lines:?}");
        at = *after;
    }
    assert_eq!(at, 2);
    let back = |word: &str| -> i64 {
        lines.iter().filter(|line| line.3 == word).map(|(_, before, after, _)| after - before).sum()
    };
    assert_eq!((back("release"), back("return"), back("expire")), (3, 1, 1));
    assert_eq!(backend.catalogue.set_aside().0, 0);
    backend.lifecycle.close();
}
