//! The question to the script that decides grabs, and its answer.

use coupon_core::{ResultId, VersionNumber};
use coupon_store::{Attempt, Decision, Reservation};
use deadpool_redis::redis::Pipeline;

use super::server::strange;
use super::{Epoch, fences, text};
use crate::names::Names;
use crate::seam::GateError;

/// The arguments of a grab that is final, of a coupon that each user gets one of, and names no request.
const PLAIN: usize = 3;
/// The arguments of any other.
const FULL: usize = 7;

/// One call of the script for the whole batch.
pub(super) fn question(
    names: &Names,
    epoch: &Epoch,
    knows: VersionNumber,
    attempts: &[&Attempt],
) -> Pipeline {
    let by_coupon = || attempts.chunk_by(|one, next| one.coupon == next.coupon);
    let mut pipeline = Pipeline::with_capacity(1);
    let call = pipeline.cmd("EVALSHA").arg(epoch.script.sha()).arg(1 + by_coupon().count());
    call.arg(names.pending(epoch.number));
    for coupon in by_coupon().filter_map(<[_]>::first).map(|attempt| attempt.coupon) {
        call.arg(names.holders(epoch.number, coupon));
    }
    call.arg(fences::member(knows + 1));
    for of_coupon in by_coupon() {
        let Some(coupon) = of_coupon.first().map(|attempt| attempt.coupon) else { continue };
        let plain = of_coupon.iter().all(|attempt| is_plain(attempt));
        call.arg(coupon.get()).arg(of_coupon.len()).arg(if plain { PLAIN } else { FULL });
        for attempt in of_coupon {
            let Attempt { user, id, .. } = attempt;
            call.arg(user.get()).arg(id.number()).arg(id.time().millis());
            if !plain {
                add_terms(call, names, epoch, attempt);
            }
        }
    }
    pipeline
}

const fn is_plain(attempt: &Attempt) -> bool {
    attempt.limit == 1 && attempt.hold_until.is_none() && attempt.request.is_none()
}

/// The arguments of a grab that is not plain.
fn add_terms(call: &mut Pipeline, names: &Names, epoch: &Epoch, attempt: &Attempt) {
    let Attempt { user, coupon, id, limit, hold_until, request } = *attempt;
    call.arg(limit).arg(text::value(id.number(), hold_until, request));
    match request {
        Some(request) => call.arg(request.number()).arg(names.answer(epoch.number, coupon, user, request)),
        None => call.arg("-").arg("-"),
    };
}

/// The script's answer to each grab: a letter, and for some of them what is held.
pub(super) struct Answers<'a> {
    letters: std::str::Chars<'a>,
    more: std::slice::Iter<'a, String>,
}

impl<'a> Answers<'a> {
    pub(super) fn of(answer: &'a [String], grabs: usize) -> Result<Self, GateError> {
        match answer.split_first() {
            Some((letters, more)) if letters.len() == grabs => {
                Ok(Self { letters: letters.chars(), more: more.iter() })
            }
            _ => Err(strange(&answer)),
        }
    }

    fn next_as<T>(&mut self, read: impl FnOnce(&str) -> Option<T>) -> Result<T, GateError> {
        let more = self.more.next();
        more.and_then(|text| read(text)).ok_or_else(|| strange(&more))
    }

    fn held(&mut self) -> Result<Reservation, GateError> {
        self.next_as(text::read_answer)
    }

    /// The id alone, which those who hold one plainly are asked for most.
    fn held_id(&mut self) -> Result<ResultId, GateError> {
        self.held().map(|held| held.id)
    }
}

impl Iterator for Answers<'_> {
    type Item = Result<Decision, GateError>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(match self.letters.next()? {
            'g' => Ok(Decision::Granted(0)),
            'G' => self.next_as(|slot| slot.parse().ok()).map(Decision::Granted),
            's' => Ok(Decision::OutOfStock),
            't' => Ok(Decision::InvalidTime),
            'x' => Ok(Decision::Parked),
            'n' => Ok(Decision::NotLoaded),
            'v' => Ok(Decision::OtherLayout),
            'p' => self.held().map(Decision::Pending),
            'r' => self.held().map(|held| Decision::Repeated(held.grant())),
            'd' => self.held_id().map(Decision::Duplicate),
            other => Err(strange(&other)),
        })
    }
}

#[cfg(test)]
mod tests {
    use coupon_core::Timestamp;

    use super::*;

    fn read(answer: &[&str], grabs: usize) -> Result<Vec<Decision>, GateError> {
        let answer: Vec<String> = answer.iter().map(|&text| text.to_owned()).collect();
        Answers::of(&answer, grabs)?.collect()
    }

    #[test]
    fn each_letter_that_speaks_of_what_is_held_takes_the_next() {
        let id = |number| ResultId::from_number(number).unwrap();
        let decisions = read(&["gdsptxnvGpr", "12", "13", "2", "14:9:-@1", "15:-:5"], 11).unwrap();
        let held = Reservation { hold_until: Some(Timestamp::from_millis(9)), ..Reservation::plain(id(14)) };
        assert_eq!(
            decisions,
            [
                Decision::Granted(0),
                Decision::Duplicate(id(12)),
                Decision::OutOfStock,
                Decision::Pending(Reservation::plain(id(13))),
                Decision::InvalidTime,
                Decision::Parked,
                Decision::NotLoaded,
                Decision::OtherLayout,
                Decision::Granted(2),
                Decision::Pending(Reservation { slot: 1, ..held }),
                Decision::Repeated(Reservation::plain(id(15)).grant()),
            ]
        );
    }

    #[test]
    fn an_answer_that_is_not_the_scripts_is_no_decision() {
        for (strange, grabs) in [
            (&[][..], 1),
            (&["g"][..], 2),
            (&["y"][..], 1),
            (&["d"][..], 1),
            (&["G", "y"][..], 1),
            (&["p", "-1"][..], 1),
            (&["gé"][..], 3),
        ] {
            assert!(read(strange, grabs).is_err(), "{strange:?}");
        }
    }
}
