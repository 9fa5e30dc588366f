//! A sale that was interrupted to be copied, and what must be so when it goes on.

use serde_json::Value;

use crate::service::Service;

/// A coupon of which all three are taken.
const SCARCE: u64 = 1;
/// Another, of which a user has spent one and handed one back.
const SPENT: u64 = 2;
/// Results that it adds to a data set.
pub(crate) const RESULTS: u64 = 7;

/// The ids of what users hold.
pub(crate) struct Sale {
    confirmed: String,
    held: String,
    also_held: String,
    released: String,
    spent: String,
}

fn grab(service: &Service, user: u64, coupon: u64, request: &str) -> Value {
    let body = format!(r#"{{"user_id":{user},"coupon_id":{coupon},"request_id":"{request}"}}"#);
    service.done("POST", "/api/coupon/grab", &body)
}

fn granted(service: &Service, user: u64, coupon: u64, request: &str) -> String {
    let told = grab(service, user, coupon, request);
    assert_eq!(told["grab_status"], 1, "{told}");
    told["result_id"].as_str().unwrap().to_owned()
}

fn refused(service: &Service, user: u64, coupon: u64, request: &str) -> String {
    let told = grab(service, user, coupon, request);
    assert_eq!(told["grab_status"], 0, "{told}");
    told["fail_reason"].as_str().unwrap().to_owned()
}

fn step(service: &Service, step: &str, user: u64, result: &str) {
    let more = if step == "use" { r#","order_amount":59900.25"# } else { "" };
    let body = format!(r#"{{"user_id":{user},"result_id":"{result}"{more}}}"#);
    service.done("POST", &format!("/api/coupon/{step}"), &body);
}

/// Grabs, every step after a grab, and changes by operators; then all of it is drained.
pub(crate) fn begin(service: &Service) -> Sale {
    let confirmed = granted(service, 1, SCARCE, "first");
    step(service, "confirm", 1, &confirmed);
    let held = granted(service, 2, SCARCE, "second");
    let released = granted(service, 3, SCARCE, "given up");
    step(service, "release", 3, &released);
    let also_held = granted(service, 1, SCARCE, "first again");
    assert_eq!(refused(service, 1, SCARCE, "third"), "duplicate");
    assert_eq!(refused(service, 4, SCARCE, "late"), "out_of_stock");
    let spent = granted(service, 5, SPENT, "spent");
    step(service, "confirm", 5, &spent);
    step(service, "use", 5, &spent);
    let returned = granted(service, 5, SPENT, "returned");
    step(service, "confirm", 5, &returned);
    step(service, "return", 5, &returned);
    // Below what is sold, and up again but not as far: both lines of the log, and a total that was larger once.
    for (coupon, total) in [(SCARCE, 2), (3, 0), (3, 2)] {
        let body = format!(r#"{{"total_stock":{total}}}"#);
        service.done("PATCH", &format!("/admin/coupons/{coupon}"), &body);
    }
    let sold_out = granted(service, 6, SPENT, "of the rest");
    step(service, "confirm", 6, &sold_out);
    service.drain();
    Sale { confirmed, held, also_held, released, spent }
}

/// The sale goes on as if nothing had been: no user gets more, a request that is asked again gets its answer, and what was
/// held can be confirmed or given up.
pub(crate) fn go_on(service: &Service, sale: &Sale) {
    assert_eq!(granted(service, 1, SCARCE, "first"), sale.confirmed);
    assert_eq!(granted(service, 2, SCARCE, "second"), sale.held);
    assert_eq!(granted(service, 3, SCARCE, "given up"), sale.released);
    assert_eq!(refused(service, 1, SCARCE, "a third"), "duplicate");
    assert_eq!(refused(service, 4, SCARCE, "late"), "out_of_stock");
    let (status, found) = service.ask("GET", &format!("/api/result/{}", sale.spent), "");
    assert_eq!((status, &found["result"]["order_amount"]), (200, &59900.25.into()), "{found}");
    step(service, "confirm", 2, &sale.held);
    step(service, "release", 1, &sale.also_held);
    // Three were sold of what are two by now: what comes back is not sold again.
    assert_eq!(refused(service, 4, SCARCE, "later"), "out_of_stock");
    service.done("PATCH", &format!("/admin/coupons/{SCARCE}"), r#"{"total_stock":3}"#);
    granted(service, 4, SCARCE, "at last");
    let (_, changes) = service.ask("GET", "/admin/changes", "");
    assert!(changes["items"].as_array().is_some_and(|changes| changes.len() >= 4), "{changes}");
    service.drain();
}

/// Results that going on adds.
pub(crate) const MORE: u64 = 1;
