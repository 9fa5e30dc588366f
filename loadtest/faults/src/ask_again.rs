//! Asks again for each grab that ended without a clear answer, as its client would, until there is one.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use coupon_audit::{Claims, GrabClaim};
use coupon_lab::acks;
use coupon_lab::wait::at_once;
use coupon_loadgen::http::{Target, post_json};
use coupon_loadgen::load::{GrabOutcome, GrabRecord};
use coupon_loadgen::workload::RequestName;
use coupon_service::api::GrabResponse;
use serde::Serialize;
use serde_json::json;

use super::ablation::AskingAgain;
use super::service::TestedService;

pub(super) const PAUSE: Duration = Duration::from_millis(100);
/// The number of clients that ask at once.
pub(super) const CLIENTS: usize = 8;

fn is_unclear(grab: &GrabRecord) -> bool {
    matches!(grab.outcome, GrabOutcome::Unknown(_))
}

/// A grab as it is asked again: its user, its coupon, and its name if it had one.
type Asked = (u64, u64, Option<RequestName>);

fn asked(grab: &GrabRecord) -> Asked {
    (grab.user_id, grab.coupon_id, grab.request)
}

/// Counts of the grabs without a clear answer by the one that came when they were asked again, each user, coupon and name
/// once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct AskedAgain {
    /// Asked again, and granted then.
    pub granted: u64,
    /// Asked again, and refused since they hold it already: under an id that the audit looks for.
    pub held: u64,
    /// Asked again, and refused: then nothing may be stored.
    pub refused: u64,
    /// Asked again until the end, and never answered.
    pub unanswered: u64,
}

impl AskedAgain {
    /// Their number.
    #[must_use]
    pub const fn all(self) -> u64 {
        self.granted + self.held + self.refused + self.unanswered
    }
}

/// Asks again, and adds what is answered to the claims, and every other grab as it ended. A user who does not ask again
/// leaves an unclear grab unclear; if the user asks again, only the last answer counts. Each user asks for as long as
/// `limit`; returned is the last answer to a user who got no clear one all the while.
pub(super) fn ask_again(
    service: &TestedService,
    grabs: &[GrabRecord],
    (asking, limit): (AskingAgain, Duration),
    claims: &mut Claims,
) -> Result<(AskedAgain, Option<String>)> {
    let unclear = grabs.iter().filter(|grab| is_unclear(grab));
    let unclear: BTreeSet<Asked> = unclear.map(asked).collect();
    let unclear: Vec<Asked> = asking.choose(unclear).collect();
    for grab in grabs {
        if !is_unclear(grab) || unclear.binary_search(&asked(grab)).is_err() {
            acks::claim(grab, claims);
        }
    }
    let (mut counts, mut unanswered) = (AskedAgain::default(), None);
    if unclear.is_empty() {
        return Ok((counts, unanswered));
    }
    let target = service.answering()?;
    let end = Instant::now() + limit;
    let answers = at_once(unclear.chunks(unclear.len().div_ceil(CLIENTS)), |some| {
        some.iter().map(|grab| ask_until(&target, grab, end)).collect::<Result<Vec<_>>>()
    })?;
    for (&(user, coupon, _), answer) in unclear.iter().zip(answers.into_iter().flatten()) {
        let claim = match answer {
            LastAnswer::Granted(id) => {
                counts.granted += 1;
                GrabClaim::Granted(id)
            }
            LastAnswer::Held(id) => {
                counts.held += 1;
                GrabClaim::Granted(id)
            }
            LastAnswer::SoldOut => {
                counts.refused += 1;
                GrabClaim::SoldOut
            }
            LastAnswer::Refused => {
                counts.refused += 1;
                GrabClaim::Refused
            }
            LastAnswer::Never(said) => {
                counts.unanswered += 1;
                unanswered.get_or_insert_with(|| {
                    format!("user {user}, coupon {coupon}: no clear answer in {} s: {said}", limit.as_secs())
                });
                GrabClaim::Unknown
            }
        };
        claims.add(user, coupon, claim);
    }
    Ok((counts, unanswered))
}

/// The answer that ends the asking for one grab.
enum LastAnswer {
    Granted(i64),
    Held(i64),
    SoldOut,
    Refused,
    /// None: the last error.
    Never(String),
}

fn ask_until(target: &Target, (user, coupon, name): &Asked, end: Instant) -> Result<LastAnswer> {
    let name = name.map(|name| name.to_string());
    let body = json!({ "user_id": user, "coupon_id": coupon, "request_id": name });
    loop {
        match post_json::<GrabResponse>(target, "/api/coupon/grab", &body) {
            Ok(answer) => return decided(&answer),
            Err(error) if Instant::now() >= end => return Ok(LastAnswer::Never(format!("{error:#}"))),
            Err(_) => std::thread::sleep(PAUSE),
        }
    }
}

fn decided(answer: &GrabResponse) -> Result<LastAnswer> {
    let id = || {
        let id = answer.result_id.as_ref().and_then(|id| id.parse().ok());
        id.with_context(|| format!("{answer:?} has no result_id"))
    };
    Ok(match (answer.grab_status, answer.fail_reason.as_deref()) {
        (1, _) => LastAnswer::Granted(id()?),
        (0, Some("duplicate")) => LastAnswer::Held(id()?),
        (0, Some("out_of_stock")) => LastAnswer::SoldOut,
        (0, Some("invalid_time")) => LastAnswer::Refused,
        _ => bail!("{answer:?} decides nothing"),
    })
}
