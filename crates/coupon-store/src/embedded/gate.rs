//! The gate in memory: rebuilt from the files at start, so it never holds more or less than they do.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use coupon_core::{CouponId, CouponResult, ResultId, TimeRange, Timestamp, UserId};

use super::holders::Holders;
use super::recent::Recent;
use crate::terms::Terms;
use crate::{Attempt, Decided, Decision, Gate, LocalFuture, Reservation, Stock, Unavailable};

/// Its memory is this process's: a gate that has lost it is gone itself.
const EPOCH: u64 = 0;

#[derive(Debug)]
struct CouponGate {
    total: u32,
    window: TimeRange,
    holders: Holders,
    /// Requests whose results gave their stock back lately.
    recent: Recent,
    /// Stored results beyond the one of a holder's slot. There should be none; those there are take stock all the same.
    surplus: HashSet<ResultId>,
}

impl CouponGate {
    fn decide(&mut self, attempt: &Attempt) -> Decision {
        let (user, time) = (attempt.user, attempt.id.time());
        if let Some(request) = attempt.request {
            if let Some(holder) = self.holders.by_request(user, request) {
                return holder.repeated();
            }
            if let Some(reserved) = self.recent.answer(user, request, time) {
                return Decision::Repeated(reserved);
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
    fn let_go(&mut self, result: &CouponResult, now: Timestamp) {
        match self.holders.remove(result.user_id, result.result_id) {
            Some(reserved) => self.recent.note(result.user_id, reserved, now),
            None => drop(self.surplus.remove(&result.result_id)),
        }
    }

    fn sold(&self) -> u32 {
        let sold = self.holders.len() + self.surplus.len();
        u32::try_from(sold).unwrap_or(u32::MAX)
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
            let open = CouponGate {
                total: terms.total,
                window,
                holders: Holders::default(),
                recent: Recent::default(),
                surplus: HashSet::new(),
            };
            gate.coupons.insert(terms.coupon, Mutex::new(open));
        }
        gate
    }

    /// True if the coupon can still be grabbed, so that its stored results matter here.
    pub(super) fn holds(&self, coupon: CouponId) -> bool {
        self.coupons.contains_key(&coupon)
    }

    /// Takes up a result that is stored; says whether it is the only one in its slot so far.
    pub(super) fn restore(&self, coupon: CouponId, user: UserId, reserved: Reservation) -> bool {
        let Some(mut gate) = self.lock(coupon) else { return true };
        let before = gate.holders.take(user, reserved, false);
        // One that is pending here is parked, not stored.
        let other = before.filter(|before| before.reserved.id != reserved.id && !before.pending);
        gate.surplus.extend(other.map(|other| other.reserved.id));
        other.is_none()
    }

    /// Takes up a result that was parked: it holds its stock, unless its user holds another one that is stored.
    pub(super) fn restore_parked(&self, coupon: CouponId, user: UserId, id: ResultId) {
        if let Some(mut gate) = self.lock(coupon)
            && gate.holders.in_slot(user, 0).is_none()
        {
            gate.holders.take(user, Reservation::plain(id), true);
        }
    }

    /// Takes up a result that gave its stock back at that time, so that its request gets the same answer again.
    pub(super) fn restore_recent(
        &self,
        coupon: CouponId,
        user: UserId,
        reserved: Reservation,
        time: Timestamp,
    ) {
        if let Some(mut gate) = self.lock(coupon) {
            gate.recent.note(user, reserved, time);
        }
    }

    /// Forgets a result that gave its stock back, once that is committed.
    pub(super) fn let_go(&self, result: &CouponResult, now: Timestamp) {
        if let Some(mut gate) = self.lock(result.coupon_id) {
            gate.let_go(result, now);
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
                && let Some(holder) = gate.holders.in_slot_mut(result.user_id, result.slot.unwrap_or(0))
                && holder.reserved.id == result.result_id
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
        let users =
            |gate: MutexGuard<'_, CouponGate>| gate.holders.users().chain(gate.recent.users()).collect();
        let holders = sold_out.map(|gate| (EPOCH, users(gate)));
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
    use coupon_core::{GrabTerms, Money, RequestKey, RoomId};

    fn coupon(total: u32) -> Terms {
        let (start, end) = (at("2026-11-22T00:00:00Z"), at("2026-11-23T00:00:00Z"));
        let (coupon, room) = (CouponId::new(1).unwrap(), RoomId::new(1).unwrap());
        let (min_purchase, grab) = (Money::default(), GrabTerms::default());
        Terms { coupon, room, total, taken_back: 0, start, end, active: true, min_purchase, grab }
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
        assert!(gate.restore(one.coupon, one.user, Reservation::plain(one.id)));
        assert!(!gate.restore(one.coupon, one.user, Reservation::plain(two.id)));
        assert_eq!(gate.oversold(), [one.coupon], "both of them took stock");
        assert!(gate.restore(two.coupon, two.user, Reservation::plain(two.id)));
        assert_eq!(gate.oversold(), [one.coupon]);
        // Either may go, each by its own id.
        gate.let_go(&stored(&one), at(NOON));
        gate.let_go(&CouponResult { user_id: one.user, ..stored(&two) }, at(NOON));
        assert_eq!(gate.oversold(), []);
    }

    fn asking(attempt: Attempt, limit: u8, request: &str) -> Attempt {
        Attempt { limit, request: Some(RequestKey::of(request)), ..attempt }
    }

    fn stored(attempt: &Attempt) -> CouponResult {
        attempt.reservation(0).result(attempt.user, attempt.coupon, RoomId::new(1).unwrap())
    }

    #[test]
    fn a_user_gets_as_many_as_the_limit_says_each_in_the_lowest_free_slot() {
        let gate = gate_for(&coupon(9));
        let grabs: Vec<Attempt> =
            (0..5).map(|n| asking(attempt(1, NOON, n), 3, &format!("request {n}"))).collect();
        for (slot, grab) in (0..3).zip(&grabs) {
            assert_eq!(gate.decide(grab), Decision::Granted(slot));
        }
        // With no slot left, the lowest is what the user is told of: once it is stored, it is a duplicate.
        assert_eq!(gate.decide(&grabs[3]), Decision::Pending(grabs[0].reservation(0)));
        gate.settle([&stored(&grabs[0])]);
        assert_eq!(gate.decide(&grabs[3]), Decision::Duplicate(grabs[0].id));
        gate.let_go(&stored(&grabs[1]), at(NOON));
        assert_eq!(gate.decide(&grabs[3]), Decision::Granted(1));
        assert_eq!(gate.decide(&grabs[4]), Decision::Duplicate(grabs[0].id));
        assert_eq!(
            gate.decide(&asking(attempt(2, NOON, 9), 3, "request 0")),
            Decision::Granted(0),
            "another user's"
        );
    }

    #[test]
    fn a_request_gets_its_first_answer_again_also_once_its_stock_is_given_back() {
        let gate = gate_for(&coupon(1));
        let first = asking(attempt(1, NOON, 0), 1, "a");
        let again = |sequence| asking(attempt(1, NOON, sequence), 1, "a");
        assert_eq!(gate.decide(&first), Decision::Granted(0));
        assert_eq!(gate.decide(&again(1)), Decision::Pending(first.reservation(0)));
        gate.settle([&stored(&first)]);
        assert_eq!(gate.decide(&again(2)), Decision::Repeated(first.reservation(0)));
        gate.let_go(&stored(&first), at(NOON));
        assert_eq!(gate.decide(&again(3)), Decision::Repeated(first.reservation(0)));
        // Another request is another grab, and an hour later so is this one.
        assert_eq!(gate.decide(&asking(attempt(1, NOON, 4), 1, "b")), Decision::Granted(0));
        let later = asking(attempt(1, "2026-11-22T13:00:00Z", 5), 1, "a");
        assert_eq!(
            gate.decide(&later),
            Decision::Pending(asking(attempt(1, NOON, 4), 1, "b").reservation(0))
        );
    }

    #[test]
    fn what_is_given_back_can_be_grabbed_by_anybody() {
        let gate = gate_for(&coupon(1));
        let (one, two) = (attempt(1, NOON, 0), attempt(2, NOON, 1));
        assert_eq!(gate.decide(&one), Decision::Granted(0));
        assert_eq!(gate.decide(&two), Decision::OutOfStock);
        // Another result than the one that holds the stock gives none back.
        gate.let_go(&CouponResult { user_id: one.user, ..stored(&two) }, at(NOON));
        assert_eq!(gate.decide(&two), Decision::OutOfStock);
        gate.let_go(&stored(&one), at(NOON));
        assert_eq!(gate.decide(&two), Decision::Granted(0));
    }
}
