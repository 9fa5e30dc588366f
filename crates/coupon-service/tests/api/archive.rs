//! Old results, archived by the service that has them.

use coupon_service::api::{
    ArchiveView, ChangeList, CouponView, GlobalStatistics, LastArchive, OfferPage, ResultPage, StockView,
};

use crate::client::{Answer, request};
use crate::fixture::{Api, ENDED, PLENTY, USERS, until};

const JSON: &str = "Content-Type: application/json\r\n";
/// Users 25 to 30 got theirs the day before.
const TODAY: &str = r#"{"before":"2026-11-22"}"#;

/// Moves the end of the coupon that is over.
fn end(api: &Api, time: &str) -> Answer {
    let body = format!(r#"{{"end_time":"{time}"}}"#);
    api.send(&request("PATCH", &format!("/admin/coupons/{ENDED}"), JSON, body.as_bytes()))
}

/// A service at which that coupon is over for a day.
fn with_one_that_is_over() -> Api {
    let api = Api::start();
    assert_eq!(end(&api, "2026-11-21T11:00:00Z").status, 200);
    api
}

fn archive(api: &Api, body: &str) -> Answer {
    api.send(&request("POST", "/admin/archive", &format!("{JSON}X-Operator: Ann\r\n"), body.as_bytes()))
}

fn last(api: &Api) -> Option<ArchiveView> {
    api.get("/admin/archive").json::<LastArchive>().archive
}

/// The archive once it has ended; meanwhile something else is done.
fn ended(api: &Api, mut meanwhile: impl FnMut()) -> ArchiveView {
    until("the archive has ended", || {
        meanwhile();
        !last(api).unwrap().runs
    });
    last(api).unwrap()
}

#[test]
fn archives_ask_for_the_token_and_without_one_for_this_machine() {
    let (guarded, open) = (Api::with(&["admin.token=open sesame"]), Api::start());
    assert_eq!(archive(&guarded, TODAY).problem(401).kind, "/problems/unauthorized");
    guarded.get("/admin/archive").problem(401);
    let passed_on = format!("{JSON}X-Forwarded-For: 192.0.2.7\r\n");
    open.send(&request("POST", "/admin/archive", &passed_on, TODAY.as_bytes())).problem(403);
    assert!(last(&open).is_none());
}

#[test]
fn old_results_are_archived_between_grabs_and_the_rest_is_as_it_was() {
    let api = with_one_that_is_over();
    let begun: ArchiveView = archive(&api, TODAY).json();
    assert_eq!((&*begun.before, &*begun.operator, begun.rows, begun.coupons), ("2026-11-22", "Ann", 6, 1));
    let mut user = 0;
    let done = ended(&api, || {
        if user < USERS {
            user += 1;
            assert_eq!(api.grab(user, PLENTY).grab_status, 1, "user {user}");
        }
    });
    assert_eq!((done.rows_deleted, done.tables_dropped, done.held, done.trouble), (6, 0, 0, None));

    let of = |user: u64| api.get(&format!("/api/user/{user}/coupons")).json::<ResultPage>().items.len();
    assert_eq!((of(24), of(30)), (usize::from(user >= 24) + 1, usize::from(user >= 30)));
    let sums = |exact| api.get(&format!("/api/statistics/global?exact={exact}")).json::<GlobalStatistics>();
    let (counted, kept) = (sums(true), sums(false));
    assert_eq!((counted.results, kept.results), (24 + user, 24 + user));
    let coupon: CouponView = api.get(&format!("/api/coupon/{ENDED}")).json();
    assert_eq!((coupon.total_stock, coupon.remaining_stock), (44, 20), "what went took its stock along");
    let stock: StockView = api.get(&format!("/api/coupon/{ENDED}/stock")).json();
    assert_eq!((stock.total_stock, stock.remaining_stock, stock.sold), (44, 20, 24));
    let offers: OfferPage = api.get("/admin/coupons").json();
    let offer = offers.items.iter().find(|offer| offer.coupon_id == ENDED).unwrap();
    assert_eq!((offer.total_stock, offer.left, offer.sold), (44, 20, 24));
    let changes: ChangeList = api.get("/admin/changes").json();
    let line = changes.items.iter().find(|change| change.what.contains("archived")).unwrap();
    assert_eq!((&*line.operator, &*line.what), ("Ann", "results of the days before 2026-11-22 are archived"));
    // Not all who held one of it are known any more.
    assert!(end(&api, "2026-11-23T00:00:00Z").problem(409).detail.contains("archived"));

    assert_eq!(archive(&api, TODAY).json::<ArchiveView>().rows, 0);
    assert_eq!(ended(&api, || ()).rows_deleted, 0);
}

#[test]
fn what_is_in_the_way_of_an_archive_is_named_and_nothing_goes() {
    let api = Api::start();
    let refused = |said: &str| {
        let detail = archive(&api, TODAY).problem(409).detail;
        assert!(detail.contains(said), "{detail}");
    };
    // Results of today may still be on their way.
    let detail = archive(&api, r#"{"before":"2026-11-23"}"#).problem(409).detail;
    assert!(detail.contains("may still come"), "{detail}");
    // A user who was granted one may ask again for a day, and is answered by its results.
    refused("archive from 2026-11-23T11:59:59.999Z on");
    // A coupon that is over may be on offer again until its results are archived.
    assert_eq!(end(&api, "2026-11-23T00:00:00Z").status, 200);
    refused("coupon 4 ends at 2026-11-23T00:00:00.000Z");
    assert_eq!(end(&api, "2026-11-21T11:00:00Z").status, 200);
    // Rows on their way to another shard.
    let layout: serde_json::Value = api.post("/admin/layout", r#"{"shards":3}"#).json();
    let from = layout["version"]["valid_from"].as_str().unwrap().parse().unwrap();
    until("the layout is in force", || api.clock.now() > from);
    assert_eq!(api.post("/admin/rebalance", r#"{"rows_per_s":1}"#).status, 200);
    refused("moved to version 2");
    assert_eq!(api.send(&request("POST", "/admin/rebalance/stop", "", b"")).status, 200);
    assert!(last(&api).is_none(), "none was begun");
    assert_eq!(archive(&api, TODAY).json::<ArchiveView>().rows, 6);
    assert_eq!(ended(&api, || ()).rows_deleted, 6);
}

#[test]
fn a_day_that_is_none_is_refused_by_name() {
    let api = Api::start();
    for (body, status, field) in [
        (r#"{"before":"yesterday"}"#, 422, Some("before")),
        (r#"{"before":"2026-02-30"}"#, 422, Some("before")),
        (r#"{"before":5}"#, 400, Some("before")),
        (r#"{"after":"2026-11-22"}"#, 400, Some("after")),
        ("{}", 400, Some("before")),
    ] {
        let problem = archive(&api, body).problem(status);
        assert_eq!(problem.field.as_deref(), field, "{body}: {}", problem.detail);
    }
    assert!(last(&api).is_none());
}
