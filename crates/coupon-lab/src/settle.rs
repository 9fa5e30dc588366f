//! The end of a measurement: a service stores everything that it took, and its data is held against clients' answers.

use std::time::{Duration, Instant};

use anyhow::Result;
use coupon_audit::{AnsweredQuestion, AuditReport, Claims, Data, Scope, fetch};
use coupon_loadgen::http::{Target, ask, post_json};
use coupon_service::api::Drained;

use super::wait::POLL;

/// The limit of one answer of a read endpoint: a scatter over much data takes its time.
const READ: Duration = Duration::from_secs(30);

/// Attempts at an audit that no client comes between.
const ATTEMPTS: u32 = 3;

/// The limit of a wait for a service that cannot say yet that everything is stored.
#[derive(Debug, Clone, Copy)]
pub enum Patience {
    /// It is asked again as long as more rows are stored meanwhile: a long backlog takes longer than one request may.
    WhileRowsAreStored,
    /// It is asked again for so long.
    AtMost(Duration),
}

/// Waits until everything handed over is stored and main has applied it; returns the time that took. `target` names a
/// process that answers. Without data the stored rows cannot be counted.
///
/// # Errors
/// When no process answers, or patience ends; then the error is the last answer.
pub fn drain(
    data: Option<&Data>,
    target: &dyn Fn() -> Result<Target>,
    patience: Patience,
) -> Result<Duration> {
    let began = Instant::now();
    let mut stored = None;
    loop {
        let drained = post_json::<Drained>(&target()?, "/admin/drain", &serde_json::json!({}));
        let Err(error) = drained else { return Ok(began.elapsed()) };
        let again = match patience {
            Patience::AtMost(limit) => began.elapsed() < limit,
            Patience::WhileRowsAreStored => {
                let now = data.and_then(|data| data.kept_counts().ok().flatten());
                let more = now.is_some() && now != stored;
                stored = now;
                more
            }
        };
        if !again {
            return Err(error);
        }
        std::thread::sleep(POLL);
    }
}

/// Waits until everything granted is stored, main has applied it, and no reservation is pending.
///
/// # Errors
/// As [`drain`]; or the data cannot be read.
pub fn settle(data: &Data, target: &dyn Fn() -> Result<Target>, patience: Patience) -> Result<()> {
    drain(Some(data), target, patience)?;
    data.settle()?;
    // Reservations that were pending have been stored since, and main may not have applied them yet.
    drain(Some(data), target, patience)?;
    Ok(())
}

/// Holds the data of a service that has settled, and a sample of its answers, against clients' answers. Where clients go on
/// meanwhile, only what holds beside them is judged.
///
/// # Errors
/// When the data cannot be read, or the service does not answer or drain. A violation is no error.
pub fn audit(data: &Data, target: &Target, scope: &Scope<'_>) -> Result<AuditReport> {
    let report = of_still(data, target, scope)?;
    if report.doubtful() == 0 {
        return Ok(report);
    }
    // What was found may have come between the questions and the audit: it stands if nothing changes around the two.
    let drain = || drain(Some(data), &|| Ok(target.clone()), Patience::WhileRowsAreStored);
    for _ in 0..ATTEMPTS {
        drain()?;
        let before = data.moment()?;
        let report = of_still(data, target, scope)?;
        if report.doubtful() == 0 || data.moment()? == before {
            return Ok(report);
        }
    }
    let before = data.moment()?;
    drain()?;
    data.audit(&Scope { beside: Some(&before), ..*scope })
}

/// The same, of a service that gets no other requests meanwhile.
fn of_still(data: &Data, target: &Target, scope: &Scope<'_>) -> Result<AuditReport> {
    let reads = reads(data, target, scope.claims)?;
    data.audit(&Scope { reads: Some(&reads), drained: true, ..*scope })
}

/// Asks a service for a sample of everything that its read endpoints answer.
fn reads(data: &Data, target: &Target, claims: Option<&Claims>) -> Result<Vec<AnsweredQuestion>> {
    let sample = match claims {
        Some(claims) => data.sample(claims)?,
        None => data.sample(&Claims::default())?,
    };
    fetch(&sample, |path| ask(target, "GET", path, &[], READ))
}
