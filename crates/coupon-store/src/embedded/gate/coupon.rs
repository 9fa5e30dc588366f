//! One coupon at the gate.

use std::collections::HashSet;

use coupon_core::{CouponResult, ResultId, TimeRange, Timestamp, UserId};

use crate::embedded::recent::Recent;
use crate::holders::Holders;
use crate::terms::Terms;
use crate::{Attempt, Decision, GateStock, Reservation};

/// A coupon's terms, and who holds it.
#[derive(Debug)]
pub(super) struct CouponGate {
    total: u32,
    /// The amount by which operators have made the total smaller: so many more may be sold already.
    taken_back: u32,
    window: TimeRange,
    pub(super) holders: Holders,
    /// Requests whose results gave their stock back lately.
    pub(super) recent: Recent,
    /// Stored results beyond the one of a holder's slot. There should be none; those there are take stock all the same.
    pub(super) surplus: HashSet<ResultId>,
    /// Results that gave their stock back while the holders are being read: what is read may be older. Nothing is decided
    /// until the holders are known; none from then on.
    reading: Option<HashSet<ResultId>>,
}

impl CouponGate {
    /// A coupon without holders, or one whose holders are still to be read.
    pub(super) fn new(terms: &Terms, holders_known: bool) -> Self {
        Self {
            total: terms.total,
            taken_back: terms.taken_back,
            window: window(terms),
            holders: Holders::default(),
            recent: Recent::default(),
            surplus: HashSet::new(),
            reading: (!holders_known).then(HashSet::new),
        }
    }

    /// Goes by other terms from now on.
    pub(super) fn offer(&mut self, terms: &Terms) {
        self.total = terms.total;
        self.taken_back = terms.taken_back;
        self.window = window(terms);
    }

    /// True while its holders are still to be read.
    pub(super) const fn is_reading(&self) -> bool {
        self.reading.is_some()
    }

    /// Takes note that all holders of the coupon are known from now on.
    pub(super) fn all_read(&mut self) {
        self.reading = None;
    }

    /// True if a row that was read, perhaps a moment ago, is still what it was.
    pub(super) fn takes_up(&self, id: ResultId) -> bool {
        self.reading.as_ref().is_none_or(|gone| !gone.contains(&id))
    }

    pub(super) fn decide(&mut self, attempt: &Attempt) -> Decision {
        let (user, time) = (attempt.user, attempt.id.time());
        if self.is_reading() {
            return Decision::NotLoaded;
        }
        if let Some(request) = attempt.request {
            if let Some(holder) = self.holders.by_request(user, request) {
                return holder.repeated();
            }
            if let Some(grant) = self.recent.answer(user, request, time) {
                return Decision::Repeated(grant);
            }
        }
        let slot = match self.holders.free_slot(user, attempt.limit) {
            Ok(slot) => slot,
            Err(lowest) => return lowest.refused(),
        };
        if !self.window.contains(time) {
            return Decision::InvalidTime;
        }
        if self.sold() >= self.total {
            return Decision::OutOfStock;
        }
        self.holders.take(user, attempt.reservation(slot), true);
        Decision::Granted(slot)
    }

    /// Forgets a result that gave its stock back, but not its request.
    pub(super) fn let_go(&mut self, result: &CouponResult, now: Timestamp) {
        match (self.holders.remove(result.user_id, result.result_id), &mut self.reading) {
            (Some(reserved), _) => self.recent.note(result.user_id, &reserved, now),
            (None, Some(gone)) => {
                gone.insert(result.result_id);
                self.recent.note(result.user_id, &Reservation::of(result), now);
            }
            (None, None) => drop(self.surplus.remove(&result.result_id)),
        }
    }

    pub(super) fn sold(&self) -> u32 {
        let sold = self.holders.len() + self.surplus.len();
        u32::try_from(sold).unwrap_or(u32::MAX)
    }

    /// The stock on offer and the part of it that is sold; `None` while that is not known.
    pub(super) fn stock(&self) -> Option<GateStock> {
        (!self.is_reading()).then(|| GateStock { total: self.total, sold: self.sold() })
    }

    /// All users whose answer may be another than "sold out"; `None` while there is some left, or they are not known.
    pub(super) fn holders_if_sold_out(&self) -> Option<Vec<UserId>> {
        let sold_out = !self.is_reading() && self.sold() >= self.total;
        sold_out.then(|| self.holders.users().chain(self.recent.users()).collect())
    }

    /// True if more are stored than there ever were.
    pub(super) fn is_oversold(&self) -> bool {
        self.sold() > self.total.saturating_add(self.taken_back)
    }
}

/// The time in which it can be grabbed; none when it is withdrawn.
fn window(terms: &Terms) -> TimeRange {
    TimeRange::new(terms.start, terms.over_from())
}
