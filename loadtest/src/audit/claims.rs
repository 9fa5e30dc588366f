//! What a service answered to each grab, to be held against what it stored.

use std::collections::BTreeSet;

use coupon_core::FailReason;

use crate::load::{GrabOutcome, GrabRecord, Refusal};

/// One grab, as its client saw it end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// Acknowledged: exactly this id must be stored.
    Granted(i64),
    /// Refused because the user holds the coupon already: then some shard must say so.
    Held,
    /// Refused because none are left: then none may be.
    SoldOut,
    /// Refused for another reason, or for one that is not known.
    Refused,
    /// A time-out, a 503, a connection lost: stored or not, but never twice.
    Unknown,
}

/// Every grab of a run, in the little space that the audit needs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Claims {
    /// (result, user, coupon)
    granted: Vec<(i64, u64, u64)>,
    /// (user, coupon)
    unknown: Vec<(u64, u64)>,
    /// (user, coupon)
    held: Vec<(u64, u64)>,
    sold_out: BTreeSet<u64>,
    refused: u64,
}

impl Claims {
    /// Remembers one grab.
    pub fn add(&mut self, user: u64, coupon: u64, claim: Claim) {
        match claim {
            Claim::Granted(result) => self.granted.push((result, user, coupon)),
            Claim::Unknown => self.unknown.push((user, coupon)),
            Claim::Held => self.held.push((user, coupon)),
            Claim::SoldOut => {
                self.sold_out.insert(coupon);
                self.refused += 1;
            }
            Claim::Refused => self.refused += 1,
        }
    }

    /// Remembers a grab of the load engine's.
    pub fn add_grab(&mut self, grab: &GrabRecord) {
        let claim = match grab.outcome {
            GrabOutcome::Granted { result_id } => Claim::Granted(result_id),
            GrabOutcome::Refused(Refusal::Decided(FailReason::Duplicate)) => Claim::Held,
            GrabOutcome::Refused(Refusal::Decided(FailReason::OutOfStock)) => Claim::SoldOut,
            GrabOutcome::Refused(_) => Claim::Refused,
            GrabOutcome::Unknown(_) => Claim::Unknown,
        };
        self.add(grab.user_id, grab.coupon_id, claim);
    }

    /// Whether no grab at all is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// How many grabs were decided against.
    #[must_use]
    pub const fn refused(&self) -> u64 {
        self.refused + self.held.len() as u64
    }

    /// How many grabs ended without a clear answer.
    #[must_use]
    pub fn unknown(&self) -> usize {
        self.unknown.len()
    }

    /// Sorted, for looking things up.
    pub(super) fn ledger(&self) -> Ledger {
        let mut granted = self.granted.clone();
        granted.sort_unstable();
        // A user who asks again while the first request is pending gets the same answer twice: it is one result.
        granted.dedup();
        let mut answered: Vec<(u64, u64)> = granted.iter().map(|&(_, user, coupon)| (user, coupon)).collect();
        answered.sort_unstable();
        let mut unknown = self.unknown.clone();
        unknown.sort_unstable();
        unknown.dedup();
        let mut held = self.held.clone();
        held.sort_unstable();
        held.dedup();
        Ledger { granted, answered, unknown, held, sold_out: self.sold_out.clone() }
    }
}

/// Claims, sorted.
#[derive(Debug)]
pub(super) struct Ledger {
    /// By result: (result, user, coupon), each once.
    pub(super) granted: Vec<(i64, u64, u64)>,
    answered: Vec<(u64, u64)>,
    unknown: Vec<(u64, u64)>,
    /// Who was told that they hold a coupon already: (user, coupon), each once.
    pub(super) held: Vec<(u64, u64)>,
    /// The coupons of which somebody was told that none are left.
    pub(super) sold_out: BTreeSet<u64>,
}

impl Ledger {
    /// Where in `granted` an id was acknowledged: a range, since one id might be acknowledged twice.
    pub(super) fn acknowledged(&self, result: i64) -> std::ops::Range<usize> {
        let start = self.granted.partition_point(|&(id, ..)| id < result);
        let same = self.granted.iter().skip(start).take_while(|&&(id, ..)| id == result).count();
        start..start + same
    }

    /// Whether a grab of that user for that coupon was acknowledged.
    pub(super) fn was_granted(&self, user: u64, coupon: u64) -> bool {
        self.answered.binary_search(&(user, coupon)).is_ok()
    }

    /// Whether a grab of that user for that coupon ended without a clear answer.
    pub(super) fn is_unknown(&self, user: u64, coupon: u64) -> bool {
        self.unknown.binary_search(&(user, coupon)).is_ok()
    }

    /// How many users may or may not hold a coupon.
    pub(super) fn unknowns_of(&self, coupon: u64) -> usize {
        self.unknown.iter().filter(|&&(_, unknown)| unknown == coupon).count()
    }

    /// The smallest id acknowledged.
    pub(super) fn first(&self) -> Option<i64> {
        self.granted.first().map(|&(id, ..)| id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claims_are_looked_up_by_user_and_coupon() {
        let mut claims = Claims::default();
        assert!(claims.is_empty());
        claims.add(1, 2, Claim::Granted(99));
        claims.add(3, 4, Claim::Refused);
        claims.add(5, 6, Claim::Unknown);
        let ledger = claims.ledger();
        assert_eq!((ledger.granted.len(), claims.refused(), claims.unknown()), (1, 1, 1));
        assert!(ledger.was_granted(1, 2) && ledger.is_unknown(5, 6) && !ledger.was_granted(3, 4));
        assert_eq!(ledger.acknowledged(99), 0..1);
        assert_eq!(ledger.acknowledged(98), 0..0);
        assert!(!claims.is_empty());
    }
}
