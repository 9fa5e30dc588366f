use coupon_service::api::{GlobalStatistics, PlanView, ResultPage, RoomCoupons, RoomStats};

use crate::fixture::{Api, ENDED, OF_ROOM_3, PLENTY};

/// Every page of a list: the ids in order, and how many pages there were.
fn walk(api: &Api, path: &str, limit: usize) -> (Vec<String>, usize) {
    let join = if path.contains('?') { '&' } else { '?' };
    let (mut ids, mut pages, mut next) = (Vec::new(), 0, String::new());
    loop {
        let page: ResultPage = api.get(&format!("{path}{join}limit={limit}{next}")).json();
        assert!(page.items.len() <= limit && !page.partial && page.missing_shards.is_empty());
        ids.extend(page.items.into_iter().map(|item| item.result_id));
        pages += 1;
        match page.next_cursor {
            Some(cursor) => next = format!("&cursor={cursor}"),
            None => return (ids, pages),
        }
    }
}

fn is_latest_first(ids: &[String]) -> bool {
    let ids: Vec<i64> = ids.iter().map(|id| id.parse().unwrap()).collect();
    ids.is_sorted_by(|earlier, later| earlier > later)
}

#[test]
fn a_list_is_the_same_in_pages_and_in_one() {
    let api = Api::start();
    let whole = walk(&api, "/api/room/2/orders", 1_000);
    assert_eq!((whole.0.len(), whole.1), (30, 1));
    assert!(is_latest_first(&whole.0));
    for (limit, pages) in [(1, 30), (7, 5), (10, 3), (30, 1)] {
        assert_eq!(walk(&api, "/api/room/2/orders", limit), (whole.0.clone(), pages), "{limit}");
    }
}

#[test]
fn a_list_is_whole_although_one_shard_has_all_of_it_and_its_share_is_asked_for() {
    let api = Api::start();
    // All on the first of four shards, of which the strategy says that they have equal parts.
    for (user, coupon) in (4..=40).step_by(4).flat_map(|user| OF_ROOM_3.map(|coupon| (user, coupon))) {
        assert_eq!(api.grab(user, coupon).grab_status, 1, "{user} {coupon}");
    }
    // A shard that is kept busy sorts what it has acknowledged into its tables a moment later.
    let whole = std::iter::repeat_with(|| walk(&api, "/api/room/3/orders", 1_000))
        .take(1_000)
        .find(|(ids, _)| ids.len() == 50);
    let whole = whole.unwrap();
    assert!(is_latest_first(&whole.0));
    for (limit, pages) in [(1, 50), (8, 7), (30, 2), (49, 2), (50, 1)] {
        assert_eq!(walk(&api, "/api/room/3/orders", limit), (whole.0.clone(), pages), "{limit}");
    }
}

#[test]
fn a_users_list_visits_one_shard_and_holds_only_theirs() {
    let api = Api::start();
    api.grab(6, PLENTY);
    let answer = api.get("/api/user/6/coupons");
    let page: ResultPage = answer.json();
    assert_eq!(page.plan, PlanView { shards: vec![2], tables: 1, moving: false });
    assert!(page.items.iter().all(|item| item.user_id == 6));
    assert_eq!(page.items.iter().map(|item| item.coupon_id).collect::<Vec<_>>(), [PLENTY, ENDED]);
    let timing = answer.header("server-timing").unwrap();
    assert!(timing.starts_with("shard2;dur=") && !timing.contains(','), "{timing}");
}

#[test]
fn a_user_who_holds_nothing_has_an_empty_list() {
    let page: ResultPage = Api::start().get("/api/user/39/coupons").json();
    assert!(page.items.is_empty() && page.next_cursor.is_none() && !page.partial);
}

#[test]
fn recent_orders_are_those_of_the_window() {
    let api = Api::start();
    for (hours, expected) in [("", 2), ("?hours=1", 2), ("?hours=10", 20), ("?hours=8760", 30)] {
        let answer = api.get(&format!("/api/orders/recent{hours}"));
        let page: ResultPage = answer.json();
        assert_eq!(page.items.len(), expected, "{hours}");
        assert_eq!(page.plan, PlanView { shards: vec![0, 1, 2, 3], tables: 4, moving: false });
        assert_eq!(answer.header("server-timing").unwrap().matches(";dur=").count(), 4);
    }
    api.grab(40, PLENTY);
    let page: ResultPage = api.get("/api/orders/recent").json();
    assert_eq!(page.items.first().unwrap().user_id, 40);
}

#[test]
fn later_pages_keep_the_window_of_the_first() {
    let api = Api::start();
    let first: ResultPage = api.get("/api/orders/recent?hours=10&limit=12").json();
    let cursor = first.next_cursor.unwrap();
    // Five hours pass and a user grabs: neither may change what the first page began.
    api.clock.set(api.clock.now().plus_millis(5 * 3_600_000));
    api.grab(40, PLENTY);
    for hours in ["", "&hours=10"] {
        let second: ResultPage =
            api.get(&format!("/api/orders/recent?limit=12&cursor={cursor}{hours}")).json();
        assert_eq!((second.items.len(), second.next_cursor), (8, None));
        let ids: Vec<String> =
            first.items.iter().chain(&second.items).map(|item| item.result_id.clone()).collect();
        assert!(is_latest_first(&ids) && second.items.iter().all(|item| item.user_id != 40));
    }
}

#[test]
fn a_cursor_that_no_list_gave_or_another_one_is_refused() {
    let api = Api::start();
    api.grab(6, PLENTY);
    let page: ResultPage = api.get("/api/user/6/coupons?limit=1").json();
    let of_user = page.next_cursor.unwrap();
    let page: ResultPage = api.get("/api/orders/recent?hours=10&limit=1").json();
    let recent = page.next_cursor.unwrap();
    let (forged, cut) = (of_user.replacen(|_| true, "Z", 1), &of_user[..of_user.len() - 1]);
    for path in [
        format!("/api/user/6/coupons?cursor={forged}"),
        format!("/api/user/6/coupons?cursor={cut}"),
        format!("/api/user/6/coupons?cursor={recent}"),
        format!("/api/user/7/coupons?cursor={of_user}"),
        format!("/api/room/1/orders?cursor={of_user}"),
        format!("/api/room/1/coupons?cursor={of_user}"),
        format!("/api/orders/recent?cursor={of_user}"),
        format!("/api/orders/recent?hours=1&cursor={recent}"),
        "/api/user/6/coupons?cursor=".to_owned(),
        "/api/user/6/coupons?cursor=1".to_owned(),
        "/api/user/6/coupons?cursor=%00%ff".to_owned(),
        format!("/api/user/6/coupons?cursor={}", "A".repeat(5_000)),
    ] {
        assert_eq!(api.get(&path).problem(400).field.as_deref(), Some("cursor"), "{path}");
    }
}

#[test]
fn a_rooms_coupons_come_by_id_in_pages() {
    let api = Api::start();
    let first: RoomCoupons = api.get("/api/room/3/coupons?limit=3").json();
    let cursor = first.next_cursor.unwrap();
    let second: RoomCoupons =
        api.get(&format!("/api/room/3/coupons?limit=3&details=true&cursor={cursor}")).json();
    let ids: Vec<u64> = first.items.iter().chain(&second.items).map(|coupon| coupon.coupon_id).collect();
    assert_eq!((ids.as_slice(), second.next_cursor), (OF_ROOM_3.as_slice(), None));
    assert!(first.items.iter().all(|coupon| coupon.details.is_none()));
    assert!(second.items.iter().all(|coupon| coupon.details.is_some()));
}

#[test]
fn a_rooms_statistics_are_counted_now_unless_they_may_be_kept() {
    let fresh = Api::start();
    let stats: RoomStats = fresh.get("/api/room/2/stats").json();
    assert_eq!((stats.results, stats.age_ms, stats.partial), (30, 0, false));
    assert_eq!(stats.last_grab_time.as_deref(), Some("2026-11-22T11:35:00.000Z"));
    assert_eq!(stats.plan.shards.len(), 4);
    fresh.grab(40, 3);
    assert_eq!(fresh.get("/api/room/2/stats").json::<RoomStats>().results, 31);

    let kept = Api::with(&["cache.room_stats_ms=3600000"]);
    kept.get("/api/room/2/stats").json::<RoomStats>();
    kept.grab(40, 3);
    let answer = kept.get("/api/room/2/stats");
    let stats: RoomStats = answer.json();
    assert_eq!((stats.results, stats.plan), (30, PlanView { shards: vec![], tables: 0, moving: false }));
    assert_eq!(answer.header("server-timing"), None);
}

#[test]
fn a_room_that_sold_nothing_has_no_last_grab() {
    let stats: RoomStats = Api::start().get("/api/room/3/stats").json();
    assert_eq!((stats.results, stats.last_grab_time), (0, None));
}

#[test]
fn global_sums_are_the_same_counted_or_kept() {
    let api = Api::start();
    api.grab(40, PLENTY);
    for (path, exact, tables) in
        [("/api/statistics/global", true, 4), ("/api/statistics/global?exact=false", false, 0)]
    {
        let sums: GlobalStatistics = api.get(path).json();
        assert_eq!((sums.results, sums.used, sums.order_amount), (31, 0, 0.0), "{path}");
        assert_eq!((sums.exact, sums.partial, sums.plan.tables), (exact, false, tables), "{path}");
        let by_shard: Vec<(u16, u64)> = sums.shards.iter().map(|part| (part.shard, part.results)).collect();
        assert_eq!(by_shard, [(0, 8), (1, 8), (2, 8), (3, 7)]);
    }
}
