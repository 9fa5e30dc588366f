//! Requests: a grab that names its request is granted once, also for an hour after its stock was given back.

use anyhow::Result;
use coupon_core::ResultId;

use super::source::{Snapshot, Stored};
use super::{AuditReport, Kind};

/// The time for which a request is answered as before, once its stock was given back. A minute less than a service's hour:
/// a grab is dated a moment before it is decided.
const ANSWERED_MS: i64 = 59 * 60_000;

/// A row that names its request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Asked {
    user: i64,
    coupon: i64,
    request: i64,
    id: i64,
    /// The moment until which its request must be granted nothing else; none while it takes stock.
    until: Option<i64>,
}

impl Asked {
    /// The part of a row that is kept; nothing of one that names none.
    pub(super) fn of(row: &Stored) -> Option<Self> {
        let given_back = row.life.state_time.unwrap_or(row.time);
        let until = (!row.life.is_live()).then_some(given_back + ANSWERED_MS);
        Some(Self {
            user: row.grab.user,
            coupon: row.grab.coupon,
            request: row.request?,
            id: row.grab.id,
            until,
        })
    }

    /// True if it keeps a later row of the same request from being granted.
    fn forbids(&self, later: &Self) -> bool {
        let granted = ResultId::from_number(later.id).map_or(i64::MAX, |id| id.time().millis());
        self.until.is_none_or(|until| granted < until)
    }
}

/// Finds requests that were granted a second time.
pub(super) fn granted_twice(
    snapshot: &mut Snapshot,
    mut asked: Vec<Asked>,
    report: &mut AuditReport,
) -> Result<()> {
    asked.sort_unstable();
    // One that is stored twice is found as such.
    asked.dedup_by_key(|asked| asked.id);
    let of_one = asked
        .chunk_by(|one, next| (one.user, one.coupon, one.request) == (next.user, next.coupon, next.request));
    for of_one in of_one {
        let twice = of_one.iter().zip(of_one.iter().skip(1));
        for (first, second) in twice.filter(|(first, second)| first.forbids(second)) {
            let held = if report.shows(Kind::Duplicate) {
                snapshot.holdings(first.user, first.coupon)?
            } else {
                Vec::new()
            };
            report.add(Kind::Duplicate, 1, || {
                let (user, coupon) = (first.user, first.coupon);
                format!(
                    "one request of user {user} for coupon {coupon} was granted twice, as results {} and {}: {}",
                    first.id,
                    second.id,
                    held.join(", ")
                )
            });
        }
    }
    Ok(())
}
