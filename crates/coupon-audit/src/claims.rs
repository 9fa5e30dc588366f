//! A service's answers to each grab, to be held against what it stored.

use std::collections::BTreeSet;

use coupon_core::Timestamp;

use super::acks::ClientAnswer;
use super::ledger::Ledger;
use super::spent::UseAnswer;
use super::steps::StepAnswer;

/// One grab, as its client saw it end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GrabClaim {
    /// Acknowledged: exactly this id must be stored.
    Granted(i64),
    /// Refused because the user holds the coupon already: then some shard must say so, under this id if the answer
    /// had one.
    Held(Option<i64>),
    /// Refused because none are left: then none may be.
    SoldOut,
    /// Refused because the coupon cannot be grabbed now, if it is known when that was: then it could not.
    InvalidTime(Option<Timestamp>),
    /// Refused for another reason, or for one that is not known.
    Refused,
    /// A time-out, a 503, a connection lost: stored or not, but never twice.
    Unknown,
}

/// Every grab of a run, in the little space that the audit needs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Claims {
    /// (result, user, coupon)
    pub(super) granted: Vec<(i64, u64, u64)>,
    /// (user, coupon)
    pub(super) unknown: Vec<(u64, u64)>,
    /// (user, coupon, result)
    pub(super) held: Vec<(u64, u64, Option<i64>)>,
    pub(super) sold_out: BTreeSet<u64>,
    /// (user, coupon, when)
    pub(super) outside: Vec<(u64, u64, Timestamp)>,
    refused: u64,
    /// (result, user)
    pub(super) uses: Vec<((i64, u64), UseAnswer)>,
    /// The same of other steps.
    pub(super) steps: Vec<((i64, u64), StepAnswer)>,
}

impl Claims {
    /// Remembers one grab.
    pub fn add(&mut self, user: u64, coupon: u64, claim: GrabClaim) {
        match claim {
            GrabClaim::Granted(result) => self.granted.push((result, user, coupon)),
            GrabClaim::Unknown => self.unknown.push((user, coupon)),
            GrabClaim::Held(result) => self.held.push((user, coupon, result)),
            GrabClaim::SoldOut => {
                self.sold_out.insert(coupon);
                self.refused += 1;
            }
            GrabClaim::InvalidTime(at) => {
                self.outside.extend(at.map(|at| (user, coupon, at)));
                self.refused += 1;
            }
            GrabClaim::Refused => self.refused += 1,
        }
    }

    /// Remembers an answer to a user's grab.
    pub fn take(&mut self, user: u64, told: ClientAnswer) {
        match told {
            ClientAnswer::Grab(coupon, claim) => self.add(user, coupon, claim),
            ClientAnswer::Use(result, told) => self.add_use(user, result, told),
            ClientAnswer::Step(result, told) => self.steps.push(((result, user), told)),
        }
    }

    /// Remembers an answer about the use of a result.
    pub fn add_use(&mut self, user: u64, result: i64, told: UseAnswer) {
        self.uses.push(((result, user), told));
    }

    /// True if no grab at all is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The number of grabs decided against.
    #[must_use]
    pub const fn refused(&self) -> u64 {
        self.refused + self.held.len() as u64
    }

    /// The number of grabs that ended without a clear answer.
    #[must_use]
    pub fn unknown(&self) -> usize {
        self.unknown.len()
    }

    /// Sorted, for looking things up.
    pub(super) fn ledger(&self) -> Ledger {
        Ledger::of(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claims_are_looked_up_by_user_and_coupon() {
        let mut claims = Claims::default();
        assert!(claims.is_empty());
        claims.add(1, 2, GrabClaim::Granted(99));
        claims.add(3, 4, GrabClaim::Refused);
        claims.add(5, 6, GrabClaim::Unknown);
        let ledger = claims.ledger();
        assert_eq!((ledger.granted.len(), claims.refused(), claims.unknown()), (1, 1, 1));
        assert!(ledger.was_granted(1, 2) && ledger.is_unknown(5, 6) && !ledger.was_granted(3, 4));
        assert_eq!(ledger.acknowledged(99), 0..1);
        assert_eq!(ledger.acknowledged(98), 0..0);
        assert!(!claims.is_empty());
    }
}
