//! Users who ask for the same coupon before the gate is lost, and again while it is: none is granted it twice.

use anyhow::Result;
use coupon_loadgen::load::{GrabOutcome, GrabRecord};

use crate::deployment::CaseDeployment;
use crate::start::CATALOGUE;

/// Enough of them for every shard to have some.
const USERS: std::ops::RangeInclusive<u64> = 101..=120;

/// A coupon that does not sell out, and that no other grab beside the load is for.
const fn coupon() -> u64 {
    CATALOGUE.coupons() - 1
}

/// Each of them asks a process of each service that answers.
pub(super) fn grab(deployment: &CaseDeployment<'_>) -> Result<()> {
    for service in &deployment.services {
        let target = service.answering()?;
        USERS.for_each(|user| deployment.record.grab(service.name, &target, user, coupon()));
    }
    Ok(())
}

/// The results that a service has granted them so far.
pub(super) fn results(deployment: &CaseDeployment<'_>, service: &str) -> Vec<i64> {
    let theirs = |grab: GrabRecord| match grab.outcome {
        GrabOutcome::Granted { result_id } if USERS.contains(&grab.user_id) && grab.coupon_id == coupon() => {
            Some(result_id)
        }
        _ => None,
    };
    deployment.record.grabs_of(service).into_iter().filter_map(theirs).collect()
}
