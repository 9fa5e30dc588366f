use coupon_service::api::{
    ChangeList, LayoutChanged, LayoutView, Rebalance, RebalanceView, ResultPage, ShardsStatus,
};

use crate::client::{Answer, request};
use crate::fixture::{Api, PLENTY, until};

const JSON: &str = "Content-Type: application/json\r\n";
/// Every path about the layout, with a body that would do.
const PATHS: [(&str, &str, &str); 5] = [
    ("GET", "/admin/layout", ""),
    ("POST", "/admin/layout", r#"{"shards":8,"dry_run":true}"#),
    ("GET", "/admin/rebalance", ""),
    ("POST", "/admin/rebalance", r#"{"rows_per_s":100}"#),
    ("POST", "/admin/rebalance/stop", ""),
];

fn ask(api: &Api, method: &str, path: &str, body: &str) -> Answer {
    api.send(&request(method, path, JSON, body.as_bytes()))
}

fn dry_run(api: &Api, change: &str) -> LayoutChanged {
    ask(api, "POST", "/admin/layout", &format!(r#"{{{change},"dry_run":true}}"#)).json()
}

#[test]
fn every_path_about_the_layout_asks_for_the_token_and_without_one_for_this_machine() {
    let (guarded, open) = (Api::with(&["admin.token=open sesame"]), Api::start());
    for (method, path, body) in PATHS {
        assert_eq!(ask(&guarded, method, path, body).problem(401).kind, "/problems/unauthorized", "{path}");
        let passed_on = format!("{JSON}X-Forwarded-For: 192.0.2.7\r\n");
        open.send(&request(method, path, &passed_on, body.as_bytes())).problem(403);
        let other_page = format!("{JSON}Origin: http://evil.example\r\n");
        open.send(&request(method, path, &other_page, body.as_bytes())).problem(403);
    }
}

/// A user's results, and the shards that were asked for them.
fn coupons(api: &Api, user: u64) -> (usize, Vec<u16>) {
    let page: ResultPage = api.get(&format!("/api/user/{user}/coupons")).json();
    (page.items.len(), page.plan.shards)
}

#[test]
fn a_layout_is_changed_while_it_serves_rows_are_moved_and_it_is_all_undone() {
    let api = Api::start();
    let three = request("POST", "/admin/layout", &format!("{JSON}X-Operator: Ann\r\n"), br#"{"shards":3}"#);
    let changed: LayoutChanged = api.send(&three).json();
    let version = changed.version.unwrap();
    assert!(!version.in_force);
    assert_eq!((version.version, &*version.operator, changed.gate), (2, "Ann", true));
    // Rows of before are where they were, and new ones follow once the version is in force.
    assert_eq!(coupons(&api, 3), (1, vec![0, 3]));
    until("the version is in force", || {
        api.grab(3, PLENTY);
        api.clock.now() > version.valid_from.parse().unwrap()
    });
    api.grab(35, PLENTY);
    assert_eq!(coupons(&api, 35), (1, vec![2, 3]));

    let begun: RebalanceView = ask(&api, "POST", "/admin/rebalance", r#"{"rows_per_s":1000000}"#).json();
    assert_eq!((begun.to_version, begun.rows_per_s_most), (2, 1_000_000));
    until("all rows have moved", || {
        let now: Rebalance = api.get("/admin/rebalance").json();
        assert_eq!((1..=30).map(|user| coupons(&api, user).0).min(), Some(1), "none is ever missing");
        now.rebalance.is_some_and(|moving| !moving.runs)
    });
    let layout: LayoutView = api.get("/admin/layout").json();
    let closed: Vec<bool> = layout.versions.iter().map(|version| version.closed).collect();
    assert_eq!((closed, layout.shards, layout.shards_prepared), (vec![true, false], 3, 4));
    let ShardsStatus { effective_shards, skew, .. } = api.get("/admin/shards/status").json();
    let shards = effective_shards.unwrap() * skew.unwrap();
    assert!((shards - 3.0).abs() < 1e-9, "a shard that no version uses has no part in it: {shards}");
    assert!(layout.versions.iter().all(|version| version.in_force));
    let moved = layout.rebalance.unwrap();
    assert!(moved.done);
    assert_eq!((moved.trouble, moved.moved >= 22), (None, true), "of 30 users, 8 stay where they are");
    assert_eq!(coupons(&api, 35), (1, vec![2]));
    assert_eq!((coupons(&api, 30), coupons(&api, 29)), ((1, vec![0]), (1, vec![2])));

    let undone: LayoutChanged = ask(&api, "POST", "/admin/layout", r#"{"undo":true}"#).json();
    assert_eq!((&*undone.layout, undone.version.unwrap().version), ("by-user, 4 shards", 3));
    let changes: ChangeList = api.get("/admin/changes").json();
    assert!(changes.items.iter().any(|change| change.operator == "Ann" && change.what.contains("3 shards")));
}

#[test]
fn a_layout_over_more_shards_than_are_prepared_is_refused() {
    let api = Api::start();
    let problem = ask(&api, "POST", "/admin/layout", r#"{"shards":5}"#).problem(409);
    assert!(problem.detail.contains("4 are prepared"), "{}", problem.detail);
    let refused = dry_run(&api, r#""shards":5"#).refused;
    assert_eq!(refused.as_deref(), Some(&*problem.detail), "a dry run says so too");
    assert_eq!(dry_run(&api, r#""shards":3"#).refused, None);
    let never: Rebalance = api.get("/admin/rebalance").json();
    assert!(never.rebalance.is_none());
}

/// Thirty users, from 1 on, have a row each; none is of the last minutes.
#[test]
fn a_dry_run_says_what_a_change_would_be_worth_by_the_rows_that_there_are() {
    let api = Api::start();
    let changed = dry_run(&api, r#""shards":8,"rows_per_s":5"#);
    assert_eq!((&*changed.layout, &*changed.what), ("by-user, 8 shards", "go on over 8 shards"));
    assert!(changed.version.is_none() && !changed.gate);
    let forecast = changed.forecast.unwrap();
    assert_eq!(forecast.counted, "rows of all times");
    assert_eq!((forecast.rows_counted, forecast.rows_needed), (30, 800));
    assert_eq!((forecast.effective_shards_before, forecast.effective_shards_after), (Some(3.75), Some(7.5)));
    assert_eq!((forecast.shares_before.len(), forecast.shares_after.len()), (4, 8));
    assert_eq!((forecast.rows, forecast.rows_to_move, forecast.rows_to_other_shards), (30, 15, 15));
    assert_eq!((forecast.bytes_to_move, forecast.rows_per_s, forecast.seconds), (2_250, 5, 3.0));
}

#[test]
fn a_dry_run_goes_by_what_is_grabbed_now() {
    let api = Api::start();
    for user in [4, 8, 12] {
        api.grab(user, PLENTY);
    }
    let forecast = dry_run(&api, r#""shards":8"#).forecast.unwrap();
    assert_eq!(forecast.counted, "rows of the last 10 minutes");
    assert_eq!((forecast.effective_shards_before, forecast.effective_shards_after), (Some(1.0), Some(1.5)));
    assert_eq!((forecast.rows, forecast.rows_per_s), (33, 1_000));
}

#[test]
fn a_dry_run_by_some_of_the_shards_is_none() {
    let api = Api::start();
    api.break_shard(2);
    let problem = ask(&api, "POST", "/admin/layout", r#"{"shards":8,"dry_run":true}"#).problem(503);
    assert!(problem.detail.contains("shard 2"), "{}", problem.detail);
    api.mend_shard(2);
}

#[test]
fn a_change_that_the_strategy_cannot_make_is_refused() {
    let api = Api::start();
    for (change, said) in [
        (r#"{"split":[1]}"#, "the strategy by-user cannot give ranges of their own to rooms 1"),
        (r#"{"spread":2}"#, "the strategy by-user cannot spread"),
        (r#"{"shards":4}"#, "there is nothing to change"),
    ] {
        let problem = ask(&api, "POST", "/admin/layout", change).problem(409);
        assert!(problem.detail.contains(said), "{}", problem.detail);
    }
}

#[test]
fn a_body_that_names_no_change_or_two_is_refused() {
    let api = Api::start();
    for body in ["{}", r#"{"shards":8,"spread":2}"#, r#"{"shards":0}"#, r#"{"shards":8,"rows_per_s":0}"#] {
        ask(&api, "POST", "/admin/layout", body).problem(422);
    }
    for body in ["", "[]", r#"{"shard":8}"#, r#"{"shards":"8"}"#] {
        ask(&api, "POST", "/admin/layout", body).problem(400);
    }
}
