//! Asks again whatever ended without a clear answer, as its client would, until there is one.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use coupon_audit::{Claim, Claims};
use coupon_lab::acks;
use coupon_lab::wait::at_once;
use coupon_loadgen::http::{Target, post_json};
use coupon_loadgen::load::{GrabOutcome, GrabRecord};
use coupon_service::api::GrabResponse;
use serde::Serialize;
use serde_json::json;

use super::service::Subject;
use super::without::Who;

const PAUSE: Duration = Duration::from_millis(100);
/// How many clients ask at once.
const CLIENTS: usize = 8;

fn is_unclear(grab: &GrabRecord) -> bool {
    matches!(grab.outcome, GrabOutcome::Unknown(_))
}

/// What became of the grabs without a clear answer, each user and coupon once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Resolved {
    /// Asked again, and granted then.
    pub granted: u64,
    /// Asked again, and told that they hold it already: under an id that the audit looks for.
    pub held: u64,
    /// Asked again, and refused: then nothing may be stored.
    pub refused: u64,
    /// Asked again for as long as anybody does, and never told.
    pub unanswered: u64,
}

impl Resolved {
    /// How many there were.
    #[must_use]
    pub const fn all(self) -> u64 {
        self.granted + self.held + self.refused + self.unanswered
    }
}

/// Asks again, and adds what is answered to the claims, and every other grab as it ended. A user who does not ask again
/// leaves an unclear grab unclear; of one who does, only the last answer counts. Each user asks for as long as `patience`;
/// says of one who got no clear answer all the while what came instead.
pub(super) fn resolve(
    subject: &Subject,
    grabs: &[GrabRecord],
    (who, patience): (Who, Duration),
    claims: &mut Claims,
) -> Result<(Resolved, Option<String>)> {
    let unclear = grabs.iter().filter(|grab| is_unclear(grab));
    let unclear: BTreeSet<(u64, u64)> = unclear.map(|grab| (grab.user_id, grab.coupon_id)).collect();
    let asks = |(number, _): &(usize, (u64, u64))| match who {
        Who::EverySecond => number % 2 == 0,
        Who::Everybody => true,
        Who::Nobody => false,
    };
    let unclear: Vec<(u64, u64)> =
        unclear.into_iter().enumerate().filter(asks).map(|(_, pair)| pair).collect();
    for grab in grabs {
        if !is_unclear(grab) || unclear.binary_search(&(grab.user_id, grab.coupon_id)).is_err() {
            acks::claim(grab, claims);
        }
    }
    let (mut resolved, mut unanswered) = (Resolved::default(), None);
    if unclear.is_empty() {
        return Ok((resolved, unanswered));
    }
    let target = subject.one()?;
    let end = Instant::now() + patience;
    let answers = at_once(unclear.chunks(unclear.len().div_ceil(CLIENTS)), |some| {
        some.iter().map(|&pair| ask(&target, pair, end)).collect::<Result<Vec<_>>>()
    })?;
    for (&(user, coupon), answer) in unclear.iter().zip(answers.into_iter().flatten()) {
        let claim = match answer {
            Answer::Granted(id) => {
                resolved.granted += 1;
                Claim::Granted(id)
            }
            Answer::Held(id) => {
                resolved.held += 1;
                Claim::Granted(id)
            }
            Answer::SoldOut => {
                resolved.refused += 1;
                Claim::SoldOut
            }
            Answer::Refused => {
                resolved.refused += 1;
                Claim::Refused
            }
            Answer::Never(said) => {
                resolved.unanswered += 1;
                unanswered.get_or_insert_with(|| {
                    format!(
                        "user {user}, coupon {coupon}: no clear answer in {} s: {said}",
                        patience.as_secs()
                    )
                });
                Claim::Unknown
            }
        };
        claims.add(user, coupon, claim);
    }
    Ok((resolved, unanswered))
}

enum Answer {
    Granted(i64),
    Held(i64),
    SoldOut,
    Refused,
    /// What came instead of an answer last.
    Never(String),
}

fn ask(target: &Target, (user, coupon): (u64, u64), end: Instant) -> Result<Answer> {
    loop {
        let asked = post_json::<GrabResponse>(
            target,
            "/api/coupon/grab",
            &json!({ "user_id": user, "coupon_id": coupon }),
        );
        match asked {
            Ok(answer) => return decided(&answer),
            Err(error) if Instant::now() >= end => return Ok(Answer::Never(format!("{error:#}"))),
            Err(_) => std::thread::sleep(PAUSE),
        }
    }
}

fn decided(answer: &GrabResponse) -> Result<Answer> {
    let id = || {
        let id = answer.result_id.as_ref().and_then(|id| id.parse().ok());
        id.with_context(|| format!("{answer:?} has no result_id"))
    };
    Ok(match (answer.grab_status, answer.fail_reason.as_deref()) {
        (1, _) => Answer::Granted(id()?),
        (0, Some("duplicate")) => Answer::Held(id()?),
        (0, Some("out_of_stock")) => Answer::SoldOut,
        (0, Some("invalid_time")) => Answer::Refused,
        _ => bail!("{answer:?} decides nothing"),
    })
}
