//! The gate in memory: rebuilt from the files at start, so it never holds more or less than they do.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use coupon_core::{CouponId, CouponResult, ResultId, TimeRange, Timestamp, UserId};

use crate::terms::Terms;
use crate::{Attempt, Decided, Decision, Gate, LocalFuture, Reservation, Stock, Unavailable};

/// Its memory is this process's: a gate that has lost it is gone itself.
const EPOCH: u64 = 0;

/// The holders of a coupon, and whether their results are known to be stored.
#[derive(Debug, Clone, Copy)]
struct Holder {
    id: ResultId,
    pending: bool,
}

#[derive(Debug)]
struct CouponGate {
    total: u32,
    window: TimeRange,
    holders: HashMap<UserId, Holder>,
    /// Stored results beyond a holder's one. There should be none; those there are have used up stock all the same.
    surplus: u32,
}

impl CouponGate {
    fn decide(&mut self, attempt: &Attempt) -> Decision {
        if let Some(holder) = self.holders.get(&attempt.user) {
            return if holder.pending {
                Decision::Pending(Reservation::plain(holder.id))
            } else {
                Decision::Duplicate(holder.id)
            };
        }
        if !self.window.contains(attempt.id.time()) {
            return Decision::InvalidTime;
        }
        if self.sold() >= self.total {
            return Decision::OutOfStock;
        }
        self.holders.insert(attempt.user, Holder { id: attempt.id, pending: true });
        Decision::Granted(0)
    }

    fn sold(&self) -> u32 {
        u32::try_from(self.holders.len()).unwrap_or(u32::MAX).saturating_add(self.surplus)
    }
}

/// Stock and one-per-user of every coupon that can still be grabbed.
#[derive(Debug, Default)]
pub(super) struct MemoryGate {
    coupons: HashMap<CouponId, Mutex<CouponGate>>,
    /// Over or withdrawn: their holders need not be remembered.
    ended: HashSet<CouponId>,
}

impl MemoryGate {
    /// A gate for these coupons, nothing sold yet; those that are over by `now` stay shut.
    pub(super) fn new<'a>(coupons: impl IntoIterator<Item = &'a Terms>, now: Timestamp) -> Self {
        let mut gate = Self::default();
        for terms in coupons {
            if terms.over_from() <= now {
                gate.ended.insert(terms.coupon);
                continue;
            }
            let window = TimeRange::new(terms.start, terms.end);
            let (total, holders) = (terms.total, HashMap::new());
            let open = CouponGate { total, window, holders, surplus: 0 };
            gate.coupons.insert(terms.coupon, Mutex::new(open));
        }
        gate
    }

    /// True if the coupon can still be grabbed, so that its stored results matter here.
    pub(super) fn holds(&self, coupon: CouponId) -> bool {
        self.coupons.contains_key(&coupon)
    }

    /// Takes up a result that is stored; says whether it is the only one of that user so far.
    pub(super) fn restore(&self, coupon: CouponId, user: UserId, id: ResultId) -> bool {
        let Some(mut gate) = self.lock(coupon) else { return true };
        let before = gate.holders.insert(user, Holder { id, pending: false });
        // One that is pending here is parked, not stored.
        let only = before.is_none_or(|before| before.id == id || before.pending);
        if !only {
            gate.surplus += 1;
        }
        only
    }

    /// Takes up a result that was parked: it holds its stock, unless its user holds another one that is stored.
    pub(super) fn restore_parked(&self, coupon: CouponId, user: UserId, id: ResultId) {
        if let Some(mut gate) = self.lock(coupon) {
            gate.holders.entry(user).or_insert(Holder { id, pending: true });
        }
    }

    /// Results known to be stored: a user who asks again gets "duplicate".
    pub(super) fn settle<'a>(&self, results: impl IntoIterator<Item = &'a CouponResult>) {
        self.mark(results, false);
    }

    /// Results thought to be stored that turned out to be parked: a user who asks again does not get "duplicate".
    pub(super) fn unsettle<'a>(&self, results: impl IntoIterator<Item = &'a CouponResult>) {
        self.mark(results, true);
    }

    fn mark<'a>(&self, results: impl IntoIterator<Item = &'a CouponResult>, pending: bool) {
        for result in results {
            if let Some(mut gate) = self.lock(result.coupon_id)
                && let Some(holder) = gate.holders.get_mut(&result.user_id)
                && holder.id == result.result_id
            {
                holder.pending = pending;
            }
        }
    }

    /// Coupons of which more are stored than there ever were.
    pub(super) fn oversold(&self) -> Vec<CouponId> {
        let over = |gate: &Mutex<CouponGate>| {
            let gate = gate.lock().unwrap_or_else(PoisonError::into_inner);
            gate.sold() > gate.total
        };
        self.coupons.iter().filter(|(_, gate)| over(gate)).map(|(coupon, _)| *coupon).collect()
    }

    fn decide(&self, attempt: &Attempt) -> Decision {
        match self.lock(attempt.coupon) {
            Some(mut gate) => gate.decide(attempt),
            None if self.ended.contains(&attempt.coupon) => Decision::InvalidTime,
            None => Decision::NotLoaded,
        }
    }

    fn lock(&self, coupon: CouponId) -> Option<MutexGuard<'_, CouponGate>> {
        Some(self.coupons.get(&coupon)?.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Gate for std::sync::Arc<MemoryGate> {
    fn reserve<'a>(&'a self, attempts: &'a [Attempt]) -> LocalFuture<'a, Result<Decided, Unavailable>> {
        let decisions = attempts.iter().map(|attempt| self.decide(attempt)).collect();
        Box::pin(std::future::ready(Ok(Decided { decisions, epoch: EPOCH })))
    }

    fn ready(&self) -> Result<(), Unavailable> {
        Ok(())
    }

    fn epoch(&self) -> Option<u64> {
        Some(EPOCH)
    }

    fn holders(&self, coupon: CouponId) -> LocalFuture<'_, Option<(u64, Vec<UserId>)>> {
        let sold_out = self.lock(coupon).filter(|gate| gate.sold() >= gate.total);
        let holders = sold_out.map(|gate| (EPOCH, gate.holders.keys().copied().collect()));
        Box::pin(std::future::ready(holders))
    }

    fn stock(&self, coupon: CouponId) -> LocalFuture<'_, Result<Option<Stock>, Unavailable>> {
        let stock = self.lock(coupon).map(|gate| Stock { total: gate.total, sold: gate.sold() });
        Box::pin(std::future::ready(Ok(stock)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use coupon_core::{GrabTerms, Money, RoomId};

    fn coupon(total: u32) -> Terms {
        let (start, end) = (at("2026-11-22T00:00:00Z"), at("2026-11-23T00:00:00Z"));
        let (coupon, room) = (CouponId::new(1).unwrap(), RoomId::new(1).unwrap());
        let (min_purchase, grab) = (Money::default(), GrabTerms::default());
        Terms { coupon, room, total, start, end, active: true, min_purchase, grab }
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn attempt(user: u64, time: &str, sequence: u16) -> Attempt {
        let (user, coupon) = (UserId::new(user).unwrap(), CouponId::new(1).unwrap());
        Attempt::plain(user, coupon, ResultId::from_parts(at(time), 0, sequence).unwrap())
    }

    fn gate_for(coupon: &Terms) -> MemoryGate {
        MemoryGate::new([coupon], at(NOON))
    }

    const NOON: &str = "2026-11-22T12:00:00Z";

    #[test]
    fn the_last_one_goes_once_and_then_it_is_sold_out() {
        let gate = gate_for(&coupon(1));
        assert_eq!(gate.decide(&attempt(1, NOON, 0)), Decision::Granted(0));
        assert_eq!(gate.decide(&attempt(2, NOON, 1)), Decision::OutOfStock);
    }

    #[test]
    fn a_repeat_is_pending_until_stored_and_a_duplicate_after() {
        let gate = gate_for(&coupon(5));
        let first = attempt(1, NOON, 0);
        assert_eq!(gate.decide(&first), Decision::Granted(0));
        assert_eq!(gate.decide(&attempt(1, NOON, 1)), Decision::Pending(Reservation::plain(first.id)));
        gate.settle([&CouponResult::granted(first.id, first.user, first.coupon, RoomId::new(1).unwrap())]);
        assert_eq!(gate.decide(&attempt(1, NOON, 2)), Decision::Duplicate(first.id));
    }

    #[test]
    fn a_window_opens_at_its_start_and_is_shut_at_its_end() {
        let gate = gate_for(&coupon(5));
        assert_eq!(gate.decide(&attempt(1, "2026-11-21T23:59:59.999Z", 0)), Decision::InvalidTime);
        assert_eq!(gate.decide(&attempt(1, "2026-11-22T00:00:00Z", 0)), Decision::Granted(0));
        assert_eq!(gate.decide(&attempt(2, "2026-11-23T00:00:00Z", 0)), Decision::InvalidTime);
    }

    #[test]
    fn a_coupon_that_is_over_is_shut_without_remembering_who_holds_it() {
        let gate = gate_for(&Terms { active: false, ..coupon(5) });
        assert!(!gate.holds(CouponId::new(1).unwrap()));
        assert_eq!(gate.decide(&attempt(1, NOON, 0)), Decision::InvalidTime);
    }

    #[test]
    fn a_coupon_it_does_not_hold_is_not_called_sold_out() {
        assert_eq!(MemoryGate::default().decide(&attempt(1, NOON, 0)), Decision::NotLoaded);
    }

    #[test]
    fn restoring_finds_a_second_result_of_one_user_and_what_is_oversold() {
        let gate = gate_for(&coupon(1));
        let (one, two) = (attempt(1, NOON, 0), attempt(2, NOON, 1));
        assert!(gate.restore(one.coupon, one.user, one.id));
        assert!(!gate.restore(one.coupon, one.user, two.id));
        assert_eq!(gate.oversold(), [one.coupon], "both of them took stock");
        assert!(gate.restore(two.coupon, two.user, two.id));
        assert_eq!(gate.oversold(), [one.coupon]);
    }
}
