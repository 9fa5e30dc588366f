//! Laws that hold on every backend.

use coupon_core::after_grab::Action;
use coupon_core::{
    CouponResult, GrabTerms, Money, ResultId, ResultQuery, ResultState, RoomId, ShardId, TableId, TimeRange,
    UseStatus, UserId,
};
use coupon_store::{
    Attempt, Backend, Change, Changed, Decision, GateStock, Offer, Offered, PageRequest, PlacedResult,
    Reservation, ResultSummary, Totals, Visit,
};

use crate::bench::{
    Bench, EARLY, ENDED, INACTIVE, PLENTY, SCARCE, USERS, attempt, changed, coupon_id, decide, grab, granted,
    handed_over, held_by, holding, placed, queries, remaining, row, shard_of, until,
};

pub(crate) async fn a_grab_is_stored_found_and_told_to_main(bench: &Bench) {
    let backend = bench.open();
    let attempt = attempt(&backend, bench, 7, PLENTY);
    let decided = backend.gate.reserve(1, &[attempt]).await.unwrap();
    assert_eq!(decided.decisions, [Decision::Granted(0)]);
    let row = placed(7, PLENTY, 1, attempt.id);
    backend.hand_over.hand_over(shard_of(7), decided.epoch, vec![row]).await.unwrap();
    backend.lifecycle.drain().await.unwrap();

    assert_eq!(held_by(&backend, 7).await.first(), Some(&row.result));
    let found = backend.shards.find(shard_of(7).into(), Visit::All, attempt.id).await.unwrap();
    assert_eq!(found.value, Some((row.placement.table, row.result)));
    assert!(found.as_of >= attempt.id.time());
    assert_eq!(remaining(&backend, PLENTY).await, 999);
    // It is looked at now and then.
    until("nothing is left to be told", async || backend.catalogue.lag_entries() == 0).await;
    let stock = backend.gate.stock(coupon_id(PLENTY)).await.unwrap();
    assert_eq!(stock, Some(GateStock { total: 1_000, sold: 1 }));
    let report = backend.shards.report(shard_of(7)).await.unwrap();
    assert!(report.up && report.connections > 0);
    assert_eq!((report.rows, report.parked), (16, 0));
    // How much waits is looked at now and then, and a look may have met what drained.
    until("a queue that is drained is seen to be empty", async || {
        backend.shards.report(shard_of(7)).await.unwrap().queue_depth == 0
    })
    .await;
    assert!(backend.shards.report(ShardId::new(2)).await.is_none());
    backend.lifecycle.close();
}

pub(crate) async fn what_is_acknowledged_is_never_called_absent(bench: &Bench) {
    let (backend, queries) = queries(bench.open());
    for user in 1..=USERS {
        let attempt = attempt(&backend, bench, user, PLENTY);
        handed_over(&backend, &attempt).await;
        // It is there, or on its way.
        if let Ok((found, _)) = queries.find(attempt.id, None, bench.clock().now()).await {
            assert_eq!(found.map(|(_, result)| result.user_id), Some(attempt.user));
        }
    }
    backend.lifecycle.close();
}

pub(crate) async fn a_user_who_asks_again_holds_the_same_result(bench: &Bench) {
    let backend = bench.open();
    let first = attempt(&backend, bench, 7, PLENTY);
    let decided = backend.gate.reserve(1, &[first]).await.unwrap();
    let again = attempt(&backend, bench, 7, PLENTY);
    assert_eq!(decide(&backend, &[again]).await, [Decision::Pending(Reservation::plain(first.id))]);
    let rows = vec![placed(7, PLENTY, 1, first.id)];
    backend.hand_over.hand_over(shard_of(7), decided.epoch, rows).await.unwrap();
    backend.lifecycle.drain().await.unwrap();
    let again = attempt(&backend, bench, 7, PLENTY);
    assert_eq!(decide(&backend, &[again]).await, [Decision::Duplicate(first.id)]);
    assert_eq!(backend.gate.stock(coupon_id(PLENTY)).await.unwrap().unwrap().sold, 1);
    backend.lifecycle.close();
}

pub(crate) async fn two_grabs_of_one_user_in_one_batch_are_one(bench: &Bench) {
    let backend = bench.open();
    let ids = backend.ids.generator(bench.clock(), 0);
    let mut ids = ids;
    let of = |id| Attempt::plain(UserId::new(7).unwrap(), coupon_id(PLENTY), id);
    let (first, second) = (of(ids.make().unwrap()), of(ids.make().unwrap()));
    let decided = backend.gate.reserve(1, &[first, second]).await.unwrap();
    assert_eq!(decided.decisions, [Decision::Granted(0), Decision::Pending(Reservation::plain(first.id))]);
    // Both are handed over under the one id, as the pipeline does.
    let row = placed(7, PLENTY, 1, first.id);
    backend.hand_over.hand_over(shard_of(7), decided.epoch, vec![row, row]).await.unwrap();
    backend.lifecycle.drain().await.unwrap();
    assert_eq!(held_by(&backend, 7).await.iter().filter(|held| held.coupon_id.get() == PLENTY).count(), 1);
    assert_eq!(remaining(&backend, PLENTY).await, 999);
    backend.lifecycle.close();
}

pub(crate) async fn what_is_sold_out_over_or_unknown_is_refused_for_what_it_is(bench: &Bench) {
    let backend = bench.open();
    for (user, decision) in [(1, Decision::Granted(0)), (2, Decision::Granted(0)), (3, Decision::OutOfStock)]
    {
        assert_eq!(grab(&backend, bench, user, SCARCE).await, decision, "{user}");
    }
    for coupon in [ENDED, EARLY] {
        assert_eq!(grab(&backend, bench, 40, coupon).await, Decision::InvalidTime, "{coupon}");
    }
    assert_eq!(grab(&backend, bench, 40, 99).await, Decision::NotLoaded);
    assert_eq!(backend.gate.stock(coupon_id(99)).await.unwrap(), None);
    assert_eq!(backend.gate.reserve(1, &[]).await.unwrap().decisions, []);
    backend.lifecycle.close();
}

pub(crate) async fn a_result_handed_over_twice_is_stored_and_counted_once(bench: &Bench) {
    let backend = bench.open();
    let stored = granted(&backend, &attempt(&backend, bench, 1, PLENTY)).await;
    // Beside one that is new.
    let other = attempt(&backend, bench, 3, PLENTY);
    let epoch = backend.gate.reserve(1, &[other]).await.unwrap().epoch;
    let both = vec![stored, placed(3, PLENTY, 1, other.id)];
    backend.hand_over.hand_over(shard_of(1), epoch, both).await.unwrap();
    backend.lifecycle.drain().await.unwrap();
    let report = backend.shards.report(shard_of(1)).await.unwrap();
    assert_eq!((report.rows, report.parked), (17, 0));
    assert_eq!(remaining(&backend, PLENTY).await, 998);
    let kept = backend.shards.kept_totals(shard_of(1)).await.unwrap().value;
    assert_eq!(kept, backend.shards.totals(shard_of(1).into(), Visit::All).await.unwrap().value);
    backend.lifecycle.close();
}

pub(crate) async fn a_result_that_contradicts_what_is_stored_is_parked_and_keeps_its_stock(bench: &Bench) {
    let backend = bench.open();
    assert_eq!(grab(&backend, bench, 1, SCARCE).await, Decision::Granted(0));
    backend.lifecycle.drain().await.unwrap();
    // The gate never grants this; a mistake of its would look so.
    let epoch = backend.gate.reserve(1, &[]).await.unwrap().epoch;
    let mistaken = attempt(&backend, bench, 1, SCARCE);
    let fine = attempt(&backend, bench, 3, PLENTY);
    backend.gate.reserve(1, &[fine]).await.unwrap();
    let rows = vec![placed(1, SCARCE, 1, mistaken.id), placed(3, PLENTY, 1, fine.id)];
    // A backend that stores at once says so; one that stores later cannot.
    let _ = backend.hand_over.hand_over(shard_of(1), epoch, rows).await;
    backend.lifecycle.drain().await.unwrap();
    let report = backend.shards.report(shard_of(1)).await.unwrap();
    assert_eq!((report.parked, report.rows), (1, 17));
    assert_eq!(held_by(&backend, 1).await.iter().filter(|held| held.coupon_id.get() == SCARCE).count(), 1);
    assert_eq!((remaining(&backend, SCARCE).await, remaining(&backend, PLENTY).await), (1, 999));
    backend.lifecycle.close();
}

/// The data opened again with what was granted to user 1 parked: another user's result came first with its id, which
/// only a mistake can bring about.
async fn opened_again_with_a_parked_result(
    bench: &Bench,
    backend: Backend,
    epoch: u64,
    granted: PlacedResult,
) -> Backend {
    let mistaken = placed(3, PLENTY, 1, granted.result.result_id);
    for row in [mistaken, granted] {
        let _ = backend.hand_over.hand_over(shard_of(1), epoch, vec![row]).await;
    }
    backend.lifecycle.drain().await.unwrap();
    assert_eq!(backend.shards.report(shard_of(1)).await.unwrap().parked, 1);
    backend.lifecycle.close();
    drop(backend);
    let backend = bench.open();
    until("the gate decides", async || backend.gate.ready().is_ok()).await;
    backend
}

pub(crate) async fn a_parked_result_keeps_its_stock_in_the_slot_that_it_was_granted_also_after_a_start(
    bench: &Bench,
) {
    let backend = bench.open();
    let wish = |backend: &Backend, limit| Attempt { limit, ..attempt(backend, bench, 1, PLENTY) };
    let first = granted(&backend, &wish(&backend, 2)).await.result.result_id;
    let second = wish(&backend, 2);
    let decided = backend.gate.reserve(1, &[second]).await.unwrap();
    assert_eq!(decided.decisions, [Decision::Granted(1)]);
    let row = row(&second, second.reservation(1));
    let backend = opened_again_with_a_parked_result(bench, backend, decided.epoch, row).await;
    let stock = backend.gate.stock(coupon_id(PLENTY)).await.unwrap().unwrap();
    assert_eq!(stock.sold, 3, "two are stored, and one is parked");
    let asked = [wish(&backend, 2), wish(&backend, 3)];
    assert_eq!(decide(&backend, &asked).await, [Decision::Duplicate(first), Decision::Granted(2)]);
    backend.lifecycle.close();
}

pub(crate) async fn a_request_whose_result_is_parked_is_granted_once_also_after_a_start(bench: &Bench) {
    let backend = bench.open();
    let wish = Attempt { limit: 3, ..holding(&backend, bench, 1, PLENTY, "a") };
    let decided = backend.gate.reserve(1, &[wish]).await.unwrap();
    assert_eq!(decided.decisions, [Decision::Granted(0)]);
    let row = row(&wish, wish.reservation(0));
    let backend = opened_again_with_a_parked_result(bench, backend, decided.epoch, row).await;
    let again = Attempt { id: attempt(&backend, bench, 1, PLENTY).id, ..wish };
    // Files hand it over once more, as it was granted.
    let told = decide(&backend, &[again]).await;
    let known = [[Decision::Parked], [Decision::Pending(wish.reservation(0))]];
    assert!(known.iter().any(|known| told == known), "{told:?}");
    backend.lifecycle.close();
}

pub(crate) async fn a_table_that_is_missing_is_made_when_a_result_needs_it(bench: &Bench) {
    let backend = bench.open();
    // Far from the days for which tables are made ahead.
    let day = "2026-11-28".parse::<coupon_core::Day>().unwrap();
    let row = placed(1, PLENTY, 1, ResultId::from_parts(day.start().plus_millis(5), 1_019, 0).unwrap());
    let (query, page) = (ResultQuery::everything(), PageRequest { before: None, limit: 100 });
    let listed =
        async || backend.shards.page(shard_of(1).into(), Visit::All, query, page).await.unwrap().value;
    assert!(listed().await.iter().all(|(table, _)| *table != TableId::Day(day)));
    let epoch = backend.gate.reserve(1, &[]).await.unwrap().epoch;
    backend.hand_over.hand_over(shard_of(1), epoch, vec![row]).await.unwrap();
    backend.lifecycle.drain().await.unwrap();
    assert_eq!(listed().await.first(), Some(&(TableId::Day(day), row.result)));
    // Made ahead or not, a table that is there already is no obstacle.
    backend.lifecycle.make_tables(&[row.placement]);
    backend.lifecycle.drain().await.unwrap();
    assert_eq!(listed().await.first(), Some(&(TableId::Day(day), row.result)));
    backend.lifecycle.close();
}

pub(crate) async fn pages_come_latest_first_across_tables_and_go_on_where_they_stopped(bench: &Bench) {
    let backend = bench.open();
    for user in [2, 4, 6] {
        assert_eq!(grab(&backend, bench, user, PLENTY).await, Decision::Granted(0));
    }
    backend.lifecycle.drain().await.unwrap();
    let (shard, everything) = (shard_of(2), ResultQuery::everything());
    let all = PageRequest { before: None, limit: 100 };
    let whole: Vec<ResultId> = backend
        .shards
        .page(shard.into(), Visit::All, everything, all)
        .await
        .unwrap()
        .value
        .iter()
        .map(|(_, result)| result.result_id)
        .collect();
    assert_eq!(whole.len(), 18);
    assert!(whole.is_sorted_by(|a, b| a > b));
    let (mut paged, mut before) = (Vec::new(), None);
    loop {
        let page = PageRequest { before, limit: 4 };
        let found = backend.shards.page(shard.into(), Visit::All, everything, page).await.unwrap().value;
        let Some((_, last)) = found.last() else { break };
        before = Some(last.result_id);
        paged.extend(found.iter().map(|(_, result)| result.result_id));
    }
    assert_eq!(paged, whole);
    // Of one room, and from one table alone.
    let room = ResultQuery::of_room(RoomId::new(2).unwrap());
    let page = PageRequest { before: Some(whole[5]), limit: 3 };
    let found = backend.shards.page(shard.into(), Visit::All, room, page).await.unwrap().value;
    let ids: Vec<ResultId> = found.iter().map(|(_, result)| result.result_id).collect();
    assert_eq!(ids, whole[6..9]);
    let today = Visit::Tables(vec![TableId::Day("2026-11-22".parse().unwrap())]);
    let visited = backend.shards.page(shard.into(), today, everything, all).await.unwrap();
    assert_eq!((visited.value.len(), visited.tables), (3, 1));
    let never = Visit::Tables(vec![TableId::Day("2020-01-01".parse().unwrap())]);
    let visited = backend.shards.page(shard.into(), never, everything, all).await.unwrap();
    assert_eq!((visited.value.len(), visited.tables), (0, 0));
    backend.lifecycle.close();
}

pub(crate) async fn a_list_in_a_state_is_read_so_far_at_a_time_and_goes_on_from_there(bench: &Bench) {
    let many = 6_000;
    let sql = format!(
        "UPDATE coupons SET total_stock = {many}, remaining_stock = {many} WHERE coupon_id = {PLENTY}"
    );
    bench.edit_main(&sql).await;
    let (backend, queries) = queries(bench.open());
    let mut ids = backend.ids.generator(bench.clock(), 0);
    let rows: Vec<PlacedResult> =
        (0..many).map(|n| placed(1_000 + n, PLENTY, 1, ids.make().unwrap())).collect();
    let epoch = backend.gate.reserve(1, &[]).await.unwrap().epoch;
    for shard in [0, 1].map(shard_of) {
        let of_shard = rows.iter().filter(|row| row.placement.shard == shard).copied().collect();
        backend.hand_over.hand_over(shard, epoch, of_shard).await.unwrap();
    }
    backend.lifecycle.drain().await.unwrap();
    let now = bench.clock().now().plus_millis(1);
    let first = rows.first().unwrap();
    let returned = changed(&backend, first, Action::Return, now).await;
    let state = Some(ResultState::Returned);
    let week = TimeRange::new(now.plus_millis(-7 * 86_400_000), now);
    for of_any in [ResultQuery::of_room(RoomId::new(1).unwrap()), ResultQuery::within(week)] {
        let query = ResultQuery { state, ..of_any };
        let page = queries.page(query, PageRequest { before: None, limit: 10 }, now).await.unwrap();
        assert!(page.items.is_empty() && page.next.is_some(), "{:?}", page.next);
        let page = queries.page(query, PageRequest { before: page.next, limit: 10 }, now).await.unwrap();
        assert_eq!((page.items, page.next), (vec![returned], None));
    }
    backend.lifecycle.close();
}

pub(crate) async fn queries_count_what_they_cover(bench: &Bench) {
    let backend = bench.open();
    let of = async |query| backend.shards.summary(shard_of(1).into(), Visit::All, query).await.unwrap().value;
    let room_2 = of(ResultQuery::of_room(RoomId::new(2).unwrap())).await;
    // The latest of the odd users' is the first one's, a minute and a day ago.
    assert_eq!(room_2.results, 15);
    assert_eq!(room_2.last_grab.unwrap().to_string(), "2026-11-21T11:59:00.000Z");
    assert_eq!(of(ResultQuery::of_room(RoomId::new(1).unwrap())).await, ResultSummary::default());
    let minutes =
        TimeRange::new("2026-11-21T11:55:00Z".parse().unwrap(), "2026-11-21T11:59:00Z".parse().unwrap());
    // Users 3 and 5, not 1: a window's end is not within it.
    assert_eq!(of(ResultQuery::within(minutes)).await.results, 2);
    assert_eq!(of(ResultQuery::of_user(UserId::new(5).unwrap())).await.results, 1);
    let totals = backend.shards.totals(shard_of(1).into(), Visit::All).await.unwrap();
    assert_eq!(totals.value, Totals { results: 15, ..Totals::default() });
    assert_eq!(backend.shards.kept_totals(shard_of(1)).await.unwrap().value, totals.value);
    assert!(backend.shards.totals(ShardId::new(9).into(), Visit::All).await.is_err());
    backend.lifecycle.close();
}

pub(crate) async fn a_result_is_spent_once(bench: &Bench) {
    let backend = bench.open();
    let held = held_by(&backend, 5).await[0];
    let placement = placed(5, ENDED, 2, held.result_id).placement;
    let amount = Money::from_cents(5_999);
    let time = bench.clock().now();
    let spending = Change { user: held.user_id, id: held.result_id, action: Action::Use(amount), time };
    let used = CouponResult {
        use_status: UseStatus::Used,
        use_time: Some(time),
        order_amount: Some(amount),
        state: ResultState::Used,
        state_time: Some(time),
        ..held
    };
    assert_eq!(backend.shards.change(placement, spending).await.unwrap(), Changed::Now(used));
    assert_eq!(backend.shards.change(placement, spending).await.unwrap(), Changed::Stands(used));
    let other = Change { user: UserId::new(7).unwrap(), ..spending };
    assert_eq!(backend.shards.change(placement, other).await.unwrap(), Changed::NotFound);
    backend.lifecycle.drain().await.unwrap();
    assert_eq!(held_by(&backend, 5).await[0], used);
    let totals = Totals { results: 15, used: 1, order_amount: amount, given_back: 0 };
    assert_eq!(backend.shards.totals(shard_of(5).into(), Visit::All).await.unwrap().value, totals);
    assert_eq!(backend.shards.kept_totals(shard_of(5)).await.unwrap().value, totals);
    backend.lifecycle.close();
}

pub(crate) async fn a_service_that_starts_again_remembers_who_holds_what(bench: &Bench) {
    let backend = bench.open();
    let first = attempt(&backend, bench, 1, SCARCE);
    handed_over(&backend, &first).await;
    // Nothing is waited for: what was handed over is safe.
    backend.lifecycle.close();
    drop(backend);
    let backend = bench.open();
    backend.lifecycle.drain().await.unwrap();
    assert_eq!(
        decide(&backend, &[attempt(&backend, bench, 1, SCARCE)]).await,
        [Decision::Duplicate(first.id)]
    );
    assert_eq!(backend.gate.stock(coupon_id(SCARCE)).await.unwrap(), Some(GateStock { total: 2, sold: 1 }));
    assert_eq!(remaining(&backend, SCARCE).await, 1);
    assert_eq!(held_by(&backend, 1).await.first().map(|held| held.result_id), Some(first.id));
    backend.lifecycle.close();
}

pub(crate) async fn no_id_is_made_twice_by_services_one_after_the_other(bench: &Bench) {
    let backend = bench.open();
    // The clock of the second stands still at the time of the first one's last id.
    let first = attempt(&backend, bench, 1, PLENTY);
    granted(&backend, &first).await;
    backend.lifecycle.close();
    drop(backend);
    bench.clock().set(first.id.time());
    let backend = bench.open();
    let next = attempt(&backend, bench, 2, PLENTY).id;
    assert!(next != first.id && (next.worker() != first.id.worker() || next > first.id));
    backend.lifecycle.close();
}

pub(crate) async fn the_catalogue_is_read_as_it_was_filled(bench: &Bench) {
    let backend = bench.open();
    let catalogue = &backend.catalogue;
    let (user, stranger) = (UserId::new(USERS).unwrap(), UserId::new(USERS + 1).unwrap());
    let offered = Offered { room: RoomId::new(1).unwrap(), terms: GrabTerms::default() };
    assert_eq!(catalogue.known().offer(user, coupon_id(PLENTY)), Offer::InRoom(offered));
    assert_eq!(catalogue.known().offer(stranger, coupon_id(PLENTY)), Offer::UnknownUser);
    assert_eq!(catalogue.known().offer(user, coupon_id(99)), Offer::UnknownCoupon);
    let inactive = UserId::new(INACTIVE).unwrap();
    assert_eq!(catalogue.known().offer(inactive, coupon_id(PLENTY)), Offer::InactiveUser);
    assert!(
        catalogue.known().knows_room(RoomId::new(2).unwrap())
            && !catalogue.known().knows_room(RoomId::new(3).unwrap())
    );
    let (coupon, details) = catalogue.coupon(coupon_id(PLENTY), true).await.unwrap().unwrap();
    assert_eq!((coupon.total_stock, coupon.remaining_stock), (1_000, 1_000));
    assert_eq!(coupon.coupon_name, "coupon 2, 'quoted' and 中文");
    assert_eq!((coupon.discount_amount, coupon.discount_rate), (Some(Money::from_cents(2_050)), None));
    assert_eq!(coupon.min_purchase, Money::from_cents(9_900));
    let details = details.unwrap();
    assert_eq!(details.usage_rules, "Once; 100% yours \\ truly");
    assert_eq!(details.product_range, r#"{"categories": ["tea"]}"#);
    assert!(catalogue.coupon(coupon_id(PLENTY), false).await.unwrap().unwrap().1.is_none());
    assert!(catalogue.coupon(coupon_id(99), true).await.unwrap().is_none());
    let listed = async |room, after, limit| {
        let listed = catalogue.coupons(room, after, limit, false).await.unwrap();
        listed.iter().map(|(coupon, _)| coupon.coupon_id.get()).collect::<Vec<_>>()
    };
    let room = Some(RoomId::new(1).unwrap());
    assert_eq!(listed(room, None, 10).await, [SCARCE, PLENTY]);
    assert_eq!(listed(room, None, 1).await, [SCARCE]);
    assert_eq!(listed(room, Some(coupon_id(SCARCE)), 10).await, [PLENTY]);
    let all = listed(None, None, 100).await;
    assert!(all.len() > 2 && all.is_sorted(), "{all:?}");
    assert_eq!(listed(None, Some(coupon_id(SCARCE)), 2).await, all[1..3]);
    backend.lifecycle.close();
}
