//! Compares the target's catalogue with the workload's.

use coupon_loadgen::http::{Target, get_status};
use coupon_loadgen::load::Outcome;
use coupon_loadgen::workload::{CatalogueSpec, Endpoint, Requests};

const NOT_FOUND: u16 = 404;
/// The answer to a grab that has to name its request and does not.
const UNPROCESSABLE: &str = "422";

/// A hint about grabs that were answered with 422, when the workload's grabs name no requests.
pub(super) fn unnamed(outcome: &Outcome, requests: &Requests) -> Option<String> {
    let names = match requests {
        Requests::Scenarios(scenarios) => scenarios.iter().all(|scenario| scenario.checkout.is_some()),
        _ => false,
    };
    let grabs = outcome.endpoints.get(&Endpoint::Grab)?;
    let refused = grabs.errors.get(UNPROCESSABLE).filter(|_| !names)?;
    Some(format!(
        "note: {refused} grabs were answered with 422. Of a coupon that is held for a checkout (hold_s), or that a user may have several \
         of (user_limit), each grab names its request: give every scenario of a --workload a checkout, as in \
         loadtest/workloads/checkout.toml"
    ))
}

/// A hint about many answers with 404 to come, when the target lacks the workload's last coupon or user.
///
/// A target that answers otherwise, or not at all, is none of its business.
pub(super) fn hint(target: &Target, wanted: CatalogueSpec) -> Option<String> {
    let lacks = |path: &str| get_status(target, path).is_ok_and(|status| status == NOT_FOUND);
    let missing = if lacks(&format!("/api/coupon/{}/stock", wanted.coupons())) {
        format!("coupon {}", wanted.coupons())
    } else if lacks(&format!("/api/user/{}/coupons?limit=1", wanted.users)) {
        format!("user {}", wanted.users)
    } else {
        return None;
    };
    let CatalogueSpec { users, rooms, coupons_per_room, .. } = wanted;
    Some(format!(
        "note: the target has no {missing}, so part of the requests will be answered with 404. The workload wants {users} \
         users and {rooms} rooms of {coupons_per_room} coupons: fill the target with the seeder, or give its own sizes in \
         [catalogue] of a --workload (--print-workload shows one)"
    ))
}
