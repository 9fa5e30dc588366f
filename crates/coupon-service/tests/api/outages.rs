use coupon_service::api::{GlobalStatistics, ResultAnswer, ResultPage, RoomStats, ShardsStatus};

use crate::fixture::{Api, PLENTY};

#[test]
fn an_answer_that_lacks_a_shard_says_which() {
    let api = Api::start();
    api.break_shard(1);
    let page: ResultPage = api.get("/api/room/2/orders").json();
    assert_eq!((page.partial, page.missing_shards, page.items.len()), (true, vec![1], 22));
    assert_eq!(page.plan.shards, [0, 1, 2, 3]);
    let stats: RoomStats = api.get("/api/room/2/stats").json();
    assert_eq!((stats.partial, stats.missing_shards, stats.results), (true, vec![1], 22));
    let sums: GlobalStatistics = api.get("/api/statistics/global").json();
    assert_eq!((sums.partial, sums.missing_shards, sums.shards.len()), (true, vec![1], 3));
    api.mend_shard(1);
    let page: ResultPage = api.get("/api/room/2/orders").json();
    assert_eq!((page.partial, page.items.len()), (false, 30));
}

#[test]
fn without_any_shard_there_is_no_answer_and_no_word_of_why() {
    let api = Api::start();
    (0..4).for_each(|shard| api.break_shard(shard));
    for path in ["/api/room/2/orders", "/api/orders/recent", "/api/statistics/global", "/api/user/1/coupons"]
    {
        let answer = api.get(path);
        let problem = answer.problem(503);
        assert_eq!(answer.header("retry-after"), Some("1"));
        let said = answer.text().to_lowercase();
        assert!(!said.contains("sql") && !said.contains("table") && !said.contains("/tmp"), "{said}");
        assert!(problem.detail.contains("shard "), "{}", problem.detail);
    }
}

#[test]
fn a_result_that_a_missing_shard_may_hold_is_not_said_to_be_unknown() {
    let api = Api::start();
    let id = api.grab(7, PLENTY).result_id.unwrap();
    api.break_shard(3);
    api.get(&format!("/api/result/{id}")).problem(503);
    api.mend_shard(3);
    api.get(&format!("/api/result/{id}")).json::<ResultAnswer>();
}

#[test]
fn a_grab_whose_shard_is_down_is_unclear_until_it_is_back() {
    let api = Api::start();
    assert_eq!(api.get("/readyz").status, 200);
    api.break_shard(3);
    let body = format!(r#"{{"user_id":7,"coupon_id":{PLENTY}}}"#);
    let answer = api.post("/api/coupon/grab", &body);
    let problem = answer.problem(503);
    assert_eq!((problem.kind.as_str(), answer.header("retry-after")), ("/problems/unavailable", Some("1")));
    assert!(problem.detail.contains("shard 3") && !problem.detail.contains("coupon_results"));
    // The other shards go on; only this one is not ready.
    assert_eq!(api.grab(8, PLENTY).grab_status, 1);
    assert!(api.get("/readyz").problem(503).detail.contains("shard 3"));
    assert_eq!(api.get("/healthz").status, 200);
    let status: ShardsStatus = api.get("/admin/shards/status").json();
    assert_eq!(status.shards.iter().map(|shard| shard.up).collect::<Vec<_>>(), [true, true, true, false]);
    api.send(&crate::client::request("POST", "/admin/drain", "", b"")).problem(503);

    api.mend_shard(3);
    let again = api.grab(7, PLENTY);
    let held: ResultPage = api.get("/api/user/7/coupons").json();
    let stored = held.items.iter().filter(|item| item.coupon_id == PLENTY).map(|item| &item.result_id);
    assert_eq!(stored.collect::<Vec<_>>(), [&again.result_id.unwrap()]);
    assert_eq!(api.get("/readyz").status, 200);
}
