//! Asks again for each grab that ended without a clear answer, as its client would, until there is one.

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

use super::ablation::AskingAgain;
use super::service::TestedService;

const PAUSE: Duration = Duration::from_millis(100);
/// The number of clients that ask at once.
const CLIENTS: usize = 8;

fn is_unclear(grab: &GrabRecord) -> bool {
    matches!(grab.outcome, GrabOutcome::Unknown(_))
}

/// Counts of the grabs without a clear answer by the one that came when they were asked again, each user and coupon
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
/// leaves an unclear grab unclear; of one who does, only the last answer counts. Each user asks for as long as `limit`;
/// returns of one who got no clear answer all the while the last one.
pub(super) fn ask_again(
    service: &TestedService,
    grabs: &[GrabRecord],
    (asking, limit): (AskingAgain, Duration),
    claims: &mut Claims,
) -> Result<(AskedAgain, Option<String>)> {
    let unclear = grabs.iter().filter(|grab| is_unclear(grab));
    let unclear: BTreeSet<(u64, u64)> = unclear.map(|grab| (grab.user_id, grab.coupon_id)).collect();
    let asks = |(number, _): &(usize, (u64, u64))| match asking {
        AskingAgain::EverySecond => number % 2 == 0,
        AskingAgain::Everybody => true,
        AskingAgain::Nobody => false,
    };
    let unclear: Vec<(u64, u64)> =
        unclear.into_iter().enumerate().filter(asks).map(|(_, pair)| pair).collect();
    for grab in grabs {
        if !is_unclear(grab) || unclear.binary_search(&(grab.user_id, grab.coupon_id)).is_err() {
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
        some.iter().map(|&pair| ask_until(&target, pair, end)).collect::<Result<Vec<_>>>()
    })?;
    for (&(user, coupon), answer) in unclear.iter().zip(answers.into_iter().flatten()) {
        let claim = match answer {
            LastAnswer::Granted(id) => {
                counts.granted += 1;
                Claim::Granted(id)
            }
            LastAnswer::Held(id) => {
                counts.held += 1;
                Claim::Granted(id)
            }
            LastAnswer::SoldOut => {
                counts.refused += 1;
                Claim::SoldOut
            }
            LastAnswer::Refused => {
                counts.refused += 1;
                Claim::Refused
            }
            LastAnswer::Never(said) => {
                counts.unanswered += 1;
                unanswered.get_or_insert_with(|| {
                    format!("user {user}, coupon {coupon}: no clear answer in {} s: {said}", limit.as_secs())
                });
                Claim::Unknown
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

fn ask_until(target: &Target, (user, coupon): (u64, u64), end: Instant) -> Result<LastAnswer> {
    loop {
        let asked = post_json::<GrabResponse>(
            target,
            "/api/coupon/grab",
            &json!({ "user_id": user, "coupon_id": coupon }),
        );
        match asked {
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
