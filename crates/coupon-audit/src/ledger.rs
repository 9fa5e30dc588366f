//! Claims, sorted for looking things up.

use std::collections::BTreeSet;
use std::ops::Range;

use coupon_core::Timestamp;

use super::claims::Claims;
use super::spent::UseAnswer;
use super::steps::StepAnswer;

/// Claims, sorted.
#[derive(Debug)]
pub(super) struct Ledger {
    /// By result: (result, user, coupon), each once.
    pub(super) granted: Vec<(i64, u64, u64)>,
    answered: Vec<(u64, u64)>,
    unknown: Vec<(u64, u64)>,
    /// Answers "you hold it already": (user, coupon, the result named), each once.
    pub(super) held: Vec<(u64, u64, Option<i64>)>,
    /// The coupons that at least one answer called sold out.
    pub(super) sold_out: BTreeSet<u64>,
    /// Answers that a coupon cannot be grabbed now: (user, coupon, time of the answer).
    pub(super) outside: Vec<(u64, u64, Timestamp)>,
    /// The answers about uses.
    pub(super) uses: About<UseAnswer>,
    /// The answers about other steps.
    pub(super) steps: About<StepAnswer>,
}

/// Answers about users' results.
#[derive(Debug)]
pub(super) struct About<T> {
    /// The results, each with its user, in order.
    results: Vec<(i64, u64)>,
    /// The answer about each of them.
    answers: Vec<T>,
}

impl<T: Ord + Clone> About<T> {
    fn of(all: &[((i64, u64), T)]) -> Self {
        let (results, answers) = sorted(all).into_iter().unzip();
        Self { results, answers }
    }

    pub(super) const fn len(&self) -> usize {
        self.results.len()
    }

    /// Every answer, with the result and the user that it is about.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&(i64, u64), &T)> {
        self.results.iter().zip(&self.answers)
    }

    /// The answers about a user's result, whose places are marked as found.
    pub(super) fn answers_about(&self, result: i64, user: i64, found: &mut [bool]) -> &[T] {
        let Ok(user) = u64::try_from(user) else { return &[] };
        let start = self.results.partition_point(|about| *about < (result, user));
        let same = self.results.iter().skip(start).take_while(|about| **about == (result, user)).count();
        if let Some(found) = found.get_mut(start..start + same) {
            found.fill(true);
        }
        self.answers.get(start..start + same).unwrap_or_default()
    }
}

impl Ledger {
    pub(super) fn of(claims: &Claims) -> Self {
        // A user who asks again while the first request is pending gets the same answer twice: it is one result.
        let granted = sorted(&claims.granted);
        let answered: Vec<(u64, u64)> = granted.iter().map(|&(_, user, coupon)| (user, coupon)).collect();
        Self {
            answered: sorted(&answered),
            granted,
            unknown: sorted(&claims.unknown),
            held: sorted(&claims.held),
            sold_out: claims.sold_out.clone(),
            outside: sorted(&claims.outside),
            uses: About::of(&claims.uses),
            steps: About::of(&claims.steps),
        }
    }

    /// The places in `granted` where an id was acknowledged: a range, since one id might be acknowledged twice.
    pub(super) fn acknowledged(&self, result: i64) -> Range<usize> {
        let start = self.granted.partition_point(|&(id, ..)| id < result);
        let same = self.granted.iter().skip(start).take_while(|&&(id, ..)| id == result).count();
        start..start + same
    }

    /// True if a grab of that user for that coupon was acknowledged.
    pub(super) fn was_granted(&self, user: u64, coupon: u64) -> bool {
        self.answered.binary_search(&(user, coupon)).is_ok()
    }

    /// True if a grab of that user for that coupon ended without a clear answer.
    pub(super) fn is_unknown(&self, user: u64, coupon: u64) -> bool {
        self.unknown.binary_search(&(user, coupon)).is_ok()
    }

    /// The number of users who may or may not hold a coupon.
    pub(super) fn unknowns_of(&self, coupon: u64) -> usize {
        self.unknown.iter().filter(|&&(_, unknown)| unknown == coupon).count()
    }

    /// The smallest id acknowledged.
    pub(super) fn first(&self) -> Option<i64> {
        self.granted.first().map(|&(id, ..)| id)
    }
}

/// Each once, in order.
fn sorted<T: Ord + Clone>(all: &[T]) -> Vec<T> {
    let mut all = all.to_vec();
    all.sort_unstable();
    all.dedup();
    all
}
