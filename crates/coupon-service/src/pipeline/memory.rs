//! A worker's memory of the gate's refusals: at a flash sale most grabs come too late, and many come again and again.
//!
//! An entry holds in one [`Life`] of what the gate decides by, and expires: the gate decides, this only repeats what it said a
//! moment ago. Of a coupon that is sold out it knows the holders, as of when they were asked for: a user who is not one of them
//! is refused; the grab of a holder goes to the gate, which has the result's state. Stock may come back, and go to others, so
//! what is known is not older than a lifetime, which is a second at most: a client whose grab got no clear answer comes back
//! later than that. A grab that names its request is never answered from here: it may be one that was granted before.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::time::Duration;

use coupon_core::{CouponId, ResultId, UserId};
use tokio::time::Instant;

use super::grab::{Grab, GrabDecision};

/// The most holders that are remembered, of all coupons together: 8 bytes each.
const HOLDERS_MAX: usize = 2_000_000;
/// The most duplicates that half a lifetime remembers.
const HELD_MAX: usize = 32_768;
/// A coupon's holders are asked for so seldom that this takes a twentieth of the time at most.
const ASKING_SHARE: u32 = 20;

/// The time for which the gate's answers hold: its epoch, and the version of the catalogue that it decided by at least.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Life {
    pub(super) epoch: u64,
    pub(super) version: u64,
}

#[derive(Debug)]
struct SoldOut {
    /// The time at which its holders were asked for: what is known is of then.
    asked: Instant,
    /// They are not asked for again before this.
    again: Instant,
    /// In ascending order, once they are known.
    holders: Option<Box<[UserId]>>,
}

impl SoldOut {
    fn count(&self) -> usize {
        self.holders.as_ref().map_or(0, |holders| holders.len())
    }
}

/// One worker's memory.
#[derive(Debug)]
pub(super) struct Memory {
    /// The lifetime of an entry; at zero nothing is remembered.
    lifetime: Duration,
    life: Life,
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
            life: Life::default(),
            sold_out: HashMap::new(),
            holders: 0,
            held: Default::default(),
            half_since: Instant::now(),
        }
    }

    /// The answer that the gate would give to this grab, if it is remembered.
    pub(super) fn recall(&mut self, grab: &Grab, life: Life) -> Option<GrabDecision> {
        if grab.request.is_some() || self.lifetime.is_zero() {
            return None;
        }
        if self.sold_out.is_empty() && self.held.iter().all(HashMap::is_empty) {
            return None;
        }
        let now = Instant::now();
        self.turn(life, now);
        let key = (grab.user, grab.coupon);
        if let Some(id) = self.held.iter().find_map(|held| held.get(&key)) {
            return Some(GrabDecision::Duplicate(*id));
        }
        let sold_out = self.sold_out.get(&grab.coupon)?;
        let holders = sold_out.holders.as_ref().filter(|_| now < sold_out.asked + self.lifetime)?;
        holders.binary_search(&grab.user).is_err().then_some(GrabDecision::OutOfStock)
    }

    /// The gate said that the coupon is sold out. True: the caller should find out who holds it.
    pub(super) fn sold_out(&mut self, coupon: CouponId, life: Life) -> bool {
        if self.lifetime.is_zero() {
            return false;
        }
        let now = Instant::now();
        self.turn(life, now);
        let again = now + self.lifetime;
        match self.sold_out.entry(coupon) {
            Entry::Occupied(known) if now < known.get().again => return false,
            Entry::Occupied(known) => self.holders -= known.remove().count(),
            Entry::Vacant(_) => {}
        }
        let ask = self.holders < HOLDERS_MAX;
        if ask {
            self.sold_out.insert(coupon, SoldOut { asked: now, again, holders: None });
        }
        ask
    }

    /// Remembers the holders of a coupon that was sold out in that life.
    pub(super) fn held_by(&mut self, coupon: CouponId, life: Life, mut holders: Vec<UserId>) {
        if life != self.life {
            return;
        }
        let Some(known) = self.sold_out.get_mut(&coupon).filter(|known| known.holders.is_none()) else {
            return;
        };
        holders.sort_unstable();
        self.holders += holders.len();
        known.holders = Some(holders.into());
        known.again = known.again.max(known.asked + known.asked.elapsed() * ASKING_SHARE);
    }

    /// The gate said that this result is stored.
    pub(super) fn duplicate(&mut self, user: UserId, coupon: CouponId, id: ResultId, life: Life) {
        if self.lifetime.is_zero() {
            return;
        }
        self.turn(life, Instant::now());
        let [recent, _] = &mut self.held;
        if recent.len() < HELD_MAX {
            recent.insert((user, coupon), id);
        }
    }

    /// Forgets what was of another life, or is too old.
    fn turn(&mut self, life: Life, now: Instant) {
        if life != self.life {
            *self = Self { life, ..Self::new(self.lifetime) };
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
    use coupon_core::{GrabTerms, RequestKey, RoomId};

    use super::*;

    fn grab(user: u64, coupon: u64) -> Grab {
        Grab {
            user: UserId::new(user).unwrap(),
            coupon: CouponId::new(coupon).unwrap(),
            room: RoomId::new(1).unwrap(),
            terms: GrabTerms::default(),
            request: None,
        }
    }

    /// The first life, and those that begin when the gate is filled anew and when the catalogue changes.
    const FIRST: Life = Life { epoch: 1, version: 1 };
    const LATER: [Life; 2] = [Life { epoch: 2, ..FIRST }, Life { version: 2, ..FIRST }];

    /// A memory in which coupon 1 is sold out, user 1 its only holder, in the first life.
    fn sold_out(lifetime: Duration) -> Memory {
        let mut memory = Memory::new(lifetime);
        let coupon = CouponId::new(1).unwrap();
        assert!(memory.sold_out(coupon, FIRST), "nobody knows its holders yet");
        assert!(!memory.sold_out(coupon, FIRST), "they are asked for once");
        assert_eq!(
            memory.recall(&grab(2, 1), FIRST),
            None,
            "a holder would be told that there are none left"
        );
        memory.held_by(coupon, FIRST, vec![UserId::new(1).unwrap()]);
        memory
    }

    const LONG: Duration = Duration::from_secs(3_600);

    #[test]
    fn of_a_sold_out_coupon_its_holders_alone_ask_the_gate() {
        let mut memory = sold_out(LONG);
        assert_eq!(memory.recall(&grab(2, 1), FIRST), Some(GrabDecision::OutOfStock));
        assert_eq!(memory.recall(&grab(1, 1), FIRST), None);
        assert_eq!(memory.recall(&grab(2, 2), FIRST), None, "another coupon");
    }

    #[test]
    fn a_stored_result_is_repeated() {
        let mut memory = Memory::new(LONG);
        let (Grab { user, coupon, .. }, id) = (grab(1, 1), ResultId::from_number(5).unwrap());
        memory.duplicate(user, coupon, id, FIRST);
        assert_eq!(memory.recall(&grab(1, 1), FIRST), Some(GrabDecision::Duplicate(id)));
        assert_eq!(memory.recall(&grab(2, 1), FIRST), None);
    }

    #[test]
    fn another_life_knows_nothing() {
        let (user, coupon) = (UserId::new(1).unwrap(), CouponId::new(1).unwrap());
        for later in LATER {
            let mut memory = sold_out(LONG);
            memory.duplicate(user, coupon, ResultId::from_number(5).unwrap(), FIRST);
            assert_eq!(memory.recall(&grab(2, 1), later), None);
            assert_eq!(memory.recall(&grab(1, 1), later), None);
            memory.held_by(coupon, FIRST, Vec::new());
            let recalled = memory.recall(&grab(2, 1), later);
            assert_eq!(recalled, None, "holders of the life before are no longer asked for");
        }
    }

    #[test]
    fn a_grab_that_names_its_request_asks_the_gate() {
        let mut memory = sold_out(LONG);
        let (user, coupon) = (UserId::new(1).unwrap(), CouponId::new(1).unwrap());
        memory.duplicate(user, coupon, ResultId::from_number(5).unwrap(), FIRST);
        for user in [1, 2] {
            let named = Grab { request: Some(RequestKey::of("a")), ..grab(user, 1) };
            assert!(memory.recall(&grab(user, 1), FIRST).is_some());
            assert_eq!(memory.recall(&named, FIRST), None, "user {user}");
        }
    }

    #[test]
    fn what_was_said_expires_and_holders_are_asked_for_again() {
        let lifetime = Duration::from_millis(2);
        let mut memory = sold_out(LONG);
        memory.lifetime = lifetime;
        let (user, coupon) = (UserId::new(1).unwrap(), CouponId::new(1).unwrap());
        memory.duplicate(user, coupon, ResultId::from_number(5).unwrap(), FIRST);
        std::thread::sleep(lifetime * 2);
        assert_eq!(memory.recall(&grab(2, 1), FIRST), None);
        assert_eq!(memory.recall(&grab(1, 1), FIRST), None);
        memory.lifetime = LONG;
        assert!(!memory.sold_out(coupon, FIRST), "not before their time");
        memory.sold_out.get_mut(&coupon).unwrap().again = Instant::now();
        assert!(memory.sold_out(coupon, FIRST), "others may hold it by now");
        assert_eq!((memory.recall(&grab(2, 1), FIRST), memory.holders), (None, 0));
        memory.held_by(coupon, FIRST, vec![UserId::new(2).unwrap()]);
        assert_eq!((memory.recall(&grab(2, 1), FIRST), memory.holders), (None, 1));
        assert_eq!(memory.recall(&grab(3, 1), FIRST), Some(GrabDecision::OutOfStock));
    }

    #[test]
    fn without_a_lifetime_nothing_is_remembered() {
        let mut memory = Memory::new(Duration::ZERO);
        assert!(!memory.sold_out(CouponId::new(1).unwrap(), FIRST));
        assert_eq!(memory.recall(&grab(2, 1), FIRST), None);
    }
}
