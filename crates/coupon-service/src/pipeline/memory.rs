//! A worker's memory of the gate's refusals: at a flash sale most grabs come too late, and many come again and again.
//!
//! An entry holds in one epoch of the gate, and expires: the gate decides, this only repeats what it said a moment
//! ago. A coupon's holders do not change once it is sold out, since no epoch releases what it granted and its total
//! stands. So a user who is not one of them is refused; one who is asks the gate, which has the result's state.

use std::collections::HashMap;
use std::time::Duration;

use coupon_core::{CouponId, ResultId, UserId};
use tokio::time::Instant;

use super::{Answer, Grab};

/// The most holders that are remembered, of all coupons together: 8 bytes each.
const HOLDERS_MAX: usize = 2_000_000;
/// The most duplicates that half a lifetime remembers.
const HELD_MAX: usize = 32_768;

#[derive(Debug)]
struct SoldOut {
    until: Instant,
    /// In ascending order, once they are known.
    holders: Option<Box<[UserId]>>,
    asked: Option<Instant>,
}

/// One worker's memory.
#[derive(Debug)]
pub(super) struct Memory {
    /// The lifetime of an entry; at zero nothing is remembered.
    lifetime: Duration,
    epoch: u64,
    sold_out: HashMap<CouponId, SoldOut>,
    holders: usize,
    /// Results that are known to be stored: those of this half lifetime, and of the last.
    held: [HashMap<(UserId, CouponId), ResultId>; 2],
    half_since: Instant,
}

impl Memory {
    pub(super) fn new(lifetime: Duration) -> Self {
        Self {
            lifetime,
            epoch: 0,
            sold_out: HashMap::new(),
            holders: 0,
            held: Default::default(),
            half_since: Instant::now(),
        }
    }

    /// The answer that the gate would give to this grab, if it is remembered.
    pub(super) fn recall(&mut self, grab: &Grab, epoch: u64) -> Option<Answer> {
        if self.lifetime.is_zero() || (self.sold_out.is_empty() && self.held.iter().all(HashMap::is_empty)) {
            return None;
        }
        let now = Instant::now();
        self.turn(epoch, now);
        let key = (grab.user, grab.coupon);
        if let Some(id) = self.held.iter().find_map(|held| held.get(&key)) {
            return Some(Answer::Duplicate(*id));
        }
        let sold_out = self.sold_out.get(&grab.coupon).filter(|sold_out| now < sold_out.until)?;
        let holders = sold_out.holders.as_ref()?;
        holders.binary_search(&grab.user).is_err().then_some(Answer::OutOfStock)
    }

    /// The gate said that the coupon is sold out. True: the caller should find out who holds it.
    pub(super) fn sold_out(&mut self, coupon: CouponId, epoch: u64) -> bool {
        if self.lifetime.is_zero() {
            return false;
        }
        let now = Instant::now();
        self.turn(epoch, now);
        let until = now + self.lifetime;
        let known = self.sold_out.entry(coupon).or_insert(SoldOut { until, holders: None, asked: None });
        known.until = until;
        // After a failure it is not asked for all the time.
        let long_ago = known.asked.is_none_or(|asked| now.duration_since(asked) >= self.lifetime);
        let ask = known.holders.is_none() && long_ago && self.holders < HOLDERS_MAX;
        if ask {
            known.asked = Some(now);
        }
        ask
    }

    /// Remembers the holders of a coupon that was sold out in that epoch.
    pub(super) fn held_by(&mut self, coupon: CouponId, epoch: u64, mut holders: Vec<UserId>) {
        if epoch != self.epoch {
            return;
        }
        let Some(known) = self.sold_out.get_mut(&coupon) else { return };
        if known.holders.is_none() {
            holders.sort_unstable();
            self.holders += holders.len();
            known.holders = Some(holders.into());
        }
    }

    /// The gate said that this result is stored.
    pub(super) fn duplicate(&mut self, user: UserId, coupon: CouponId, id: ResultId, epoch: u64) {
        if self.lifetime.is_zero() {
            return;
        }
        self.turn(epoch, Instant::now());
        let [recent, _] = &mut self.held;
        if recent.len() < HELD_MAX {
            recent.insert((user, coupon), id);
        }
    }

    /// Forgets what was of another epoch, or is too old.
    fn turn(&mut self, epoch: u64, now: Instant) {
        if epoch != self.epoch {
            *self = Self { epoch, ..Self::new(self.lifetime) };
        }
        let half = self.lifetime / 2;
        let passed = now.saturating_duration_since(self.half_since);
        if passed >= half {
            let [recent, last] = &mut self.held;
            if passed >= self.lifetime {
                recent.clear();
            }
            last.clear();
            std::mem::swap(recent, last);
            self.half_since = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use coupon_core::RoomId;

    use super::*;

    fn grab(user: u64, coupon: u64) -> Grab {
        Grab {
            user: UserId::new(user).unwrap(),
            coupon: CouponId::new(coupon).unwrap(),
            room: RoomId::new(1).unwrap(),
        }
    }

    /// A memory in which coupon 1 is sold out, user 1 its only holder, in epoch 1.
    fn sold_out(lifetime: Duration) -> Memory {
        let mut memory = Memory::new(lifetime);
        let coupon = CouponId::new(1).unwrap();
        assert!(memory.sold_out(coupon, 1), "nobody knows its holders yet");
        assert!(!memory.sold_out(coupon, 1), "they are asked for once");
        assert_eq!(memory.recall(&grab(2, 1), 1), None, "a holder would be told that there are none left");
        memory.held_by(coupon, 1, vec![UserId::new(1).unwrap()]);
        memory
    }

    const LONG: Duration = Duration::from_secs(3_600);

    #[test]
    fn of_a_sold_out_coupon_its_holders_alone_ask_the_gate() {
        let mut memory = sold_out(LONG);
        assert_eq!(memory.recall(&grab(2, 1), 1), Some(Answer::OutOfStock));
        assert_eq!(memory.recall(&grab(1, 1), 1), None);
        assert_eq!(memory.recall(&grab(2, 2), 1), None, "another coupon");
    }

    #[test]
    fn a_stored_result_is_repeated() {
        let mut memory = Memory::new(LONG);
        let (Grab { user, coupon, .. }, id) = (grab(1, 1), ResultId::from_number(5).unwrap());
        memory.duplicate(user, coupon, id, 1);
        assert_eq!(memory.recall(&grab(1, 1), 1), Some(Answer::Duplicate(id)));
        assert_eq!(memory.recall(&grab(2, 1), 1), None);
    }

    #[test]
    fn another_epoch_knows_nothing() {
        let mut memory = sold_out(LONG);
        memory.duplicate(
            UserId::new(1).unwrap(),
            CouponId::new(1).unwrap(),
            ResultId::from_number(5).unwrap(),
            1,
        );
        assert_eq!(memory.recall(&grab(2, 1), 2), None);
        assert_eq!(memory.recall(&grab(1, 1), 2), None);
        memory.held_by(CouponId::new(1).unwrap(), 1, Vec::new());
        assert_eq!(
            memory.recall(&grab(2, 1), 2),
            None,
            "holders of the epoch before are no longer asked for"
        );
    }

    #[test]
    fn what_was_said_expires() {
        let lifetime = Duration::from_millis(2);
        let mut memory = sold_out(LONG);
        memory.lifetime = lifetime;
        let (user, coupon) = (UserId::new(1).unwrap(), CouponId::new(1).unwrap());
        memory.sold_out(coupon, 1);
        memory.duplicate(user, coupon, ResultId::from_number(5).unwrap(), 1);
        std::thread::sleep(lifetime * 2);
        assert_eq!(memory.recall(&grab(2, 1), 1), None);
        assert_eq!(memory.recall(&grab(1, 1), 1), None);
        assert!(!memory.sold_out(coupon, 1), "its holders are the same as before");
        memory.lifetime = LONG;
        memory.sold_out(coupon, 1);
        assert_eq!(memory.recall(&grab(2, 1), 1), Some(Answer::OutOfStock));
    }

    #[test]
    fn without_a_lifetime_nothing_is_remembered() {
        let mut memory = Memory::new(Duration::ZERO);
        assert!(!memory.sold_out(CouponId::new(1).unwrap(), 1));
        assert_eq!(memory.recall(&grab(2, 1), 1), None);
    }
}
