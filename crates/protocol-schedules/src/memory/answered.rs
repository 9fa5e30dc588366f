//! Coupons as operators were answered about them: no grab is decided by what was before.

use std::collections::BTreeMap;

use coupon_core::CouponId;
use coupon_servers::seam::Terms;
use coupon_store::{Attempt, Decision};

/// The terms by which the gate has to decide, of coupons that were changed.
#[derive(Debug, Clone, Default)]
pub struct AnsweredTerms {
    terms: BTreeMap<CouponId, Terms>,
    /// The changes of each coupon that are under way, and of which it is not known yet by which the gate decides.
    under_way: BTreeMap<CouponId, u32>,
}

impl AnsweredTerms {
    /// An operator asks for a change of a coupon.
    pub fn begins(&mut self, coupon: CouponId) {
        *self.under_way.entry(coupon).or_default() += 1;
        self.terms.remove(&coupon);
    }

    /// They are answered: the gate has these terms from now on, unless the answer leaves that open.
    pub fn ends(&mut self, coupon: CouponId, terms: Option<Terms>) {
        let under_way = self.under_way.entry(coupon).or_default();
        *under_way = under_way.saturating_sub(1);
        if let (0, Some(terms)) = (*under_way, terms) {
            self.terms.insert(coupon, terms);
        }
    }

    /// Says whether a fresh decision about a coupon, of which so many are sold then, is by other terms than those.
    #[must_use]
    pub fn contradicts(&self, attempt: &Attempt, decision: Decision, sold: usize) -> Option<String> {
        let terms = self.terms.get(&attempt.coupon)?;
        let time = attempt.id.time();
        let on_offer = time >= terms.start && time < terms.over_from();
        let lawful = match decision {
            Decision::Granted(_) => on_offer && sold <= terms.total as usize,
            Decision::InvalidTime => !on_offer,
            _ => true,
        };
        let Attempt { user, coupon, id, .. } = attempt;
        (!lawful).then(|| {
            format!(
                "no grab is decided by what was before an answered change: user {user} gets {decision:?} for {id}, \
                 coupon {coupon}, of which {sold} are sold, and {terms:?} was answered"
            )
        })
    }
}
