//! Answers of the read endpoints, held against what is stored.

use std::collections::BTreeMap;

use coupon_audit::{AuditReport, Kind, Scope, fetch};
use coupon_core::ResultId;

use crate::moved::moving;
use crate::store::{Store, TODAY, YESTERDAY, end, id, on_every_store, shard_of};

/// A service's view of a result.
fn view(result: i64, user: u64, coupon: u64) -> serde_json::Value {
    serde_json::json!({
        "result_id": result.to_string(), "user_id": user, "coupon_id": coupon, "room_id": 1, "grab_status": 1,
        "fail_reason": null, "grab_time": ResultId::from_number(result).unwrap().time().to_string(),
        "use_status": 0, "use_time": null, "order_amount": null,
    })
}

/// The answers of a sound service about a sound store, today's two results and yesterday's one, by path.
fn answers() -> BTreeMap<&'static str, serde_json::Value> {
    let views = || [view(id(TODAY, 2), 2, 2), view(id(TODAY, 1), 1, 1), view(id(YESTERDAY, 3), 3, 1)];
    let page = |items: Vec<serde_json::Value>| serde_json::json!({ "items": items, "next_cursor": null, "partial": false });
    let of_user = |user: usize| page(vec![views()[user].clone()]);
    let sums = |results: i64| serde_json::json!({ "results": results, "used": 0, "order_amount": 0.0 });
    let shards: Vec<serde_json::Value> = (0..2)
        .map(|shard| {
            let results = if shard == shard_of(TODAY) { 2 } else { 1 };
            serde_json::json!({ "shard": shard, "results": results, "used": 0, "order_amount": 0.0 })
        })
        .collect();
    let mut global = sums(3);
    global["shards"] = shards.into();
    global["partial"] = false.into();
    let last = ResultId::from_number(id(TODAY, 2)).unwrap().time().to_string();
    BTreeMap::from([
        ("/api/user/2/", of_user(0)),
        ("/api/user/1/", of_user(1)),
        ("/api/user/3/", of_user(2)),
        ("/api/room/1/orders", page(views().to_vec())),
        (
            "/api/room/1/stats",
            serde_json::json!({ "results": 3, "last_grab_time": last, "partial": false, "age_ms": 0 }),
        ),
        ("/api/orders/recent", page(Vec::new())),
        ("/api/statistics/global", global),
    ])
}

/// The audit's findings about read endpoints that answer so.
fn told_by<S: Store>(store: &mut S, answers: &BTreeMap<&str, serde_json::Value>) -> String {
    let report = report_of(store, answers);
    report.findings.get(&Kind::Misread).map(|found| found.examples.join("\n")).unwrap_or_default()
}

/// The audit's report, where read endpoints answer so and nothing else is wrong.
fn report_of<S: Store>(store: &mut S, answers: &BTreeMap<&str, serde_json::Value>) -> AuditReport {
    report_after(store, answers, |_| {})
}

/// The same, where something happens to the store between the answers and the audit.
fn report_after<S: Store>(
    store: &mut S,
    answers: &BTreeMap<&str, serde_json::Value>,
    happens: impl FnOnce(&S),
) -> AuditReport {
    let sample = store.data().sample(store.claims()).unwrap();
    let reads = fetch(&sample, |path| {
        if let Some(result) = path.strip_prefix("/api/result/") {
            let user = (1..=3)
                .find(|user| [TODAY, YESTERDAY].iter().any(|day| id(day, *user).to_string() == result));
            let user = user.unwrap();
            let coupon = if user == 2 { 2 } else { 1 };
            let result = view(result.parse().unwrap(), user.into(), coupon);
            return Ok((200, serde_json::json!({ "result": result }).to_string().into_bytes()));
        }
        let (_, answer) = answers.iter().find(|(beginning, _)| path.starts_with(**beginning)).unwrap();
        Ok((200, answer.to_string().into_bytes()))
    })
    .unwrap();
    happens(store);
    let report = store.data().audit(&Scope { reads: Some(&reads), ..store.scope(None) }).unwrap();
    assert!(report.findings.keys().all(|kind| *kind == Kind::Misread), "{report}");
    report
}

fn a_read_endpoint_that_tells_otherwise_than_is_stored_is_found<S: Store>() {
    type Damage = fn(&mut serde_json::Value);
    let mut store = S::sound();
    assert_eq!(told_by(&mut store, &answers()), "");
    let damages: [(&str, Damage, &str); 9] = [
        (
            "/api/user/1/",
            |page| page["items"] = serde_json::json!([]),
            "of user 1, coupon 1 is stored, and not in it",
        ),
        (
            "/api/room/1/orders",
            |page| {
                page["items"].as_array_mut().unwrap().remove(1);
            },
            "is stored, and not in it",
        ),
        ("/api/room/1/orders", |page| page["items"].as_array_mut().unwrap().swap(0, 1), "not in order"),
        ("/api/user/2/", |page| page["items"][0]["order_amount"] = 5.into(), "order_amount 5.00; stored is"),
        ("/api/user/2/", |page| page["items"][0]["room_id"] = 7.into(), "room 7"),
        ("/api/user/3/", |page| page["items"][0] = view(id(TODAY, 1), 1, 1), "was not asked for"),
        (
            "/api/orders/recent",
            |page| page["items"] = serde_json::json!([view(id(TODAY, 9), 9, 1)]),
            "is in it, and not stored",
        ),
        ("/api/room/1/stats", |stats| stats["results"] = 4.into(), "4 results, the last at"),
        ("/api/statistics/global", |sums| sums["shards"][0]["results"] = 9.into(), "shard 0: 9 results"),
    ];
    for (path, damage, said) in damages {
        let mut damaged = answers();
        damage(damaged.get_mut(path).unwrap());
        let found = told_by(&mut store, &damaged);
        assert!(
            found.contains(said) && found.contains(&format!("GET {}", path.trim_end_matches('/'))),
            "{path}: {found:?}"
        );
    }
}

fn sums_that_are_told_while_rows_move_are_not_judged_and_lists_are<S: Store>() {
    let mut store = S::sound();
    moving(&store, true);
    let mut damaged = answers();
    for path in ["/api/room/1/stats", "/api/statistics/global"] {
        let sums = damaged.get_mut(path).unwrap();
        sums["results"] = 9.into();
        sums["plan"] = serde_json::json!({ "moving": true });
    }
    let report = report_of(&mut store, &damaged);
    assert!(report.findings.is_empty(), "{report}");
    assert!(report.not_checked[&Kind::Misread].contains("rows are being moved"), "{report}");
    damaged.get_mut("/api/room/1/orders").unwrap()["items"].as_array_mut().unwrap().pop();
    assert!(told_by(&mut store, &damaged).contains("is stored, and not in it"));
}

fn sums_of_shards_are_not_judged_if_rows_have_moved_since_and_those_of_all_are<S: Store>() {
    let mut store = S::sound();
    let mut damaged = answers();
    damaged.get_mut("/api/statistics/global").unwrap()["shards"][0]["results"] = 9.into();
    let report = report_after(&mut store, &damaged, |store| moving(store, true));
    assert!(report.findings.is_empty(), "{report}");
    assert!(report.not_checked[&Kind::Misread].contains("rows are being moved"), "{report}");
    let ends = |store: &S| moving(store, false);
    assert!(report_after(&mut store, &damaged, ends).findings.is_empty(), "it has ended since");
    damaged.get_mut("/api/statistics/global").unwrap()["results"] = 9.into();
    moving(&store, true);
    let report = report_after(&mut store, &damaged, |store| moving(store, false));
    assert!(report.findings[&Kind::Misread].examples.join("\n").contains("all: 9 results"), "{report}");
}

/// However short a time ago it was.
fn sums_that_are_told_after_rows_were_moved_are_judged<S: Store>() {
    let mut store = S::sound();
    moving(&store, false);
    store.main(&format!("UPDATE moves SET began = {}", end()));
    let mut damaged = answers();
    damaged.get_mut("/api/statistics/global").unwrap()["shards"][0]["results"] = 9.into();
    let report = report_of(&mut store, &damaged);
    assert!(!report.not_checked.contains_key(&Kind::Misread), "{report}");
    assert!(report.findings[&Kind::Misread].examples.join("\n").contains("shard 0: 9 results"), "{report}");
}

on_every_store! {
    sums_that_are_told_while_rows_move_are_not_judged_and_lists_are,
    sums_of_shards_are_not_judged_if_rows_have_moved_since_and_those_of_all_are,
    sums_that_are_told_after_rows_were_moved_are_judged,
    a_read_endpoint_that_tells_otherwise_than_is_stored_is_found,
}
