//! The part of the catalogue that grabs need, in memory.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use coupon_core::{CouponId, Money, RoomId, Timestamp, UserId};

use super::id_set::IdSet;
use super::terms::Terms;
use super::{Offer, Offered};

/// The users that there are.
#[derive(Debug, Clone, Default)]
pub struct Users {
    /// All of them.
    pub all: IdSet,
    /// The users among them who may not grab.
    pub inactive: IdSet,
    /// True if users whom main does not know may grab as well: their accounts live elsewhere.
    pub accepts_unknown: bool,
}

/// The users, rooms and coupons that exist: needed before the gate is asked. Another state of it shares with this one what
/// has not changed.
#[derive(Debug, Clone, Default)]
pub struct Known {
    users: Arc<Users>,
    rooms: Arc<HashSet<RoomId>>,
    coupons: HashMap<CouponId, KnownCoupon>,
}

#[derive(Debug, Clone, Copy)]
struct KnownCoupon {
    offered: Offered,
    /// The time from which the gate need not have it.
    forgotten: Timestamp,
    min_purchase: Money,
}

impl Known {
    /// The knowledge of these users and rooms, and of the coupons of these terms.
    pub fn new(users: Users, rooms: HashSet<RoomId>, coupons: &[Terms]) -> Self {
        let none = Self { users: Arc::new(users), rooms: Arc::new(rooms), coupons: HashMap::new() };
        none.with_coupons(coupons)
    }

    /// The same, with these coupons as they are now.
    pub fn with_coupons(mut self, changed: &[Terms]) -> Self {
        self.coupons.extend(changed.iter().map(|terms| {
            let Terms { coupon, room, min_purchase, grab, .. } = *terms;
            let offered = Offered { room, terms: grab };
            (coupon, KnownCoupon { offered, forgotten: terms.forgotten_from(), min_purchase })
        }));
        self
    }

    /// The same, with these rooms as well.
    pub fn with_rooms(mut self, made: impl IntoIterator<Item = RoomId>) -> Self {
        Arc::make_mut(&mut self.rooms).extend(made);
        self
    }

    /// The same, with these users as well; some of them may not grab.
    pub fn with_users(mut self, added: &IdSet, inactive: &IdSet) -> Self {
        let users = Arc::make_mut(&mut self.users);
        users.all = users.all.union(added);
        users.inactive = users.inactive.union(inactive);
        self
    }

    /// The knowledge of these users, rooms and coupons: every one of the users may grab.
    #[must_use]
    pub fn offering(
        users: impl IntoIterator<Item = UserId>,
        rooms: impl IntoIterator<Item = RoomId>,
        coupons: &[Terms],
    ) -> Self {
        let users = Users { all: users.into_iter().collect(), ..Users::default() };
        Self::new(users, rooms.into_iter().collect(), coupons)
    }

    /// Says whether that user may ask for that coupon at all.
    #[must_use]
    pub fn offer(&self, user: UserId, coupon: CouponId) -> Offer {
        match self.coupons.get(&coupon) {
            None => Offer::UnknownCoupon,
            Some(_) if !self.knows_user(user) => Offer::UnknownUser,
            Some(_) if self.users.inactive.contains(user) => Offer::InactiveUser,
            Some(coupon) => Offer::InRoom(coupon.offered),
        }
    }

    /// True if the user exists, here or, where that is enough, elsewhere.
    #[must_use]
    pub fn knows_user(&self, user: UserId) -> bool {
        self.users.accepts_unknown || self.users.all.contains(user)
    }

    /// True if the room exists.
    #[must_use]
    pub fn knows_room(&self, room: RoomId) -> bool {
        self.rooms.contains(&room)
    }

    /// A coupon's room and terms; `None` for one that is not known.
    #[must_use]
    pub fn offered(&self, coupon: CouponId) -> Option<Offered> {
        self.coupons.get(&coupon).map(|coupon| coupon.offered)
    }

    /// The room of a coupon.
    pub fn room_of(&self, coupon: CouponId) -> Option<RoomId> {
        self.offered(coupon).map(|offered| offered.room)
    }

    /// The least amount of an order that a coupon can be spent on; `None` for a coupon that is not known.
    #[must_use]
    pub fn min_purchase(&self, coupon: CouponId) -> Option<Money> {
        self.coupons.get(&coupon).map(|coupon| coupon.min_purchase)
    }

    /// True if a coupon is over for so long that the gate need not have it.
    pub fn is_forgotten(&self, coupon: CouponId, time: Timestamp) -> bool {
        self.coupons.get(&coupon).is_some_and(|coupon| coupon.forgotten <= time)
    }
}
