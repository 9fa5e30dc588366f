//! Users, rooms and the coupons on offer.

use anyhow::Result;
use coupon_core::{
    Coupon, CouponId, CouponKind, CouponStatus, GrabTerms, LiveRoom, Money, RoomId, RoomStatus, StockLog,
    StockOperation, TimeRange, Timestamp, User, UserId, UserLevel,
};

use crate::SeedOptions;
use crate::options::{DAY_MS, HOT_STOCK, STOCK};
use crate::random::{Permutation, Stream};
use crate::words;

/// The number of days for which coupons are on offer, counted from the start of the first.
const OFFER_DAYS: i64 = 30;
/// The operator in the stock logs of generated data.
const OPERATOR: &str = "seeder";

/// Makes users, some thousands at a time.
pub(crate) struct Users<'a> {
    options: &'a SeedOptions,
    random: Stream,
    /// Spreads the levels over the ids: the first users would all be normal otherwise.
    ranks: Permutation,
    next: u64,
    count: u64,
    day: Timestamp,
}

impl<'a> Users<'a> {
    pub(crate) fn new(options: &'a SeedOptions) -> Self {
        let mut random = Stream::new(options.seed, "users");
        let ranks = Permutation::new(options.users, &mut random);
        Self { options, random, ranks, next: 1, count: options.users, day: options.as_of.day().start() }
    }

    /// The next users, at most so many; none when all are made.
    pub(crate) fn chunk(&mut self, most: u64) -> Result<Vec<User>> {
        let end = self.count.min(self.next - 1 + most);
        let users = (self.next..=end).map(|number| self.user(number)).collect();
        self.next = end + 1;
        users
    }

    fn user(&mut self, number: u64) -> Result<User> {
        let id = self.options.user_id(number);
        let random = &mut self.random;
        let username = format!("{}.{}{id}", random.pick(words::GIVEN), random.pick(words::FAMILY));
        let days_ago = random.between(1, 1_000).cast_signed();
        let register_time = self.day.plus_millis(-days_ago * DAY_MS + random.below(86_400_000).cast_signed());
        let since = (self.day.millis() - register_time.millis()).cast_unsigned();
        let login = register_time.plus_millis(random.below(since).cast_signed());
        Ok(User {
            user_id: UserId::new(id)?,
            email: format!("{username}@example.com"),
            username,
            // There is no area 555, so no real telephone has such a number.
            phone: format!("+1555{:07}", id % 10_000_000),
            register_time,
            last_login: random.per_mille(900).then_some(login),
            user_level: level(self.ranks.at(number - 1), self.count),
            is_active: true,
        })
    }
}

/// 70% of the ranks are normal, 25% VIP, 5% SVIP, to the nearest user.
fn level(rank: u64, count: u64) -> UserLevel {
    let rank = u128::from(rank) * 100;
    let count = u128::from(count);
    if rank < count * 70 {
        UserLevel::Normal
    } else if rank < count * 95 {
        UserLevel::Vip
    } else {
        UserLevel::Svip
    }
}

/// The rooms, all of them live; the first ones are hot.
pub(crate) fn rooms(options: &SeedOptions) -> Result<Vec<LiveRoom>> {
    let mut random = Stream::new(options.seed, "rooms");
    let day = options.as_of.day().start();
    let mut room = |id| {
        let is_hot = id <= options.hot_rooms;
        let (show, host) = (random.pick(words::SHOWS), random.pick(words::GIVEN));
        Ok(LiveRoom {
            room_id: RoomId::new(id)?,
            room_name: format!("{show} with {}", capitalised(host)),
            anchor_id: 900_000 + id,
            room_status: RoomStatus::Live,
            viewer_count: if is_hot { random.between(50_000, 200_000) } else { random.between(100, 5_000) },
            start_time: day,
            end_time: None,
            create_time: day.plus_millis(-random.between(1, 365).cast_signed() * DAY_MS),
            is_hot,
        })
    };
    (1..=options.rooms).map(|number| room(options.room_id(number))).collect()
}

/// The coupons on offer. Nothing of their stock is gone yet.
pub(crate) fn coupons(options: &SeedOptions) -> Result<Vec<Coupon>> {
    let mut random = Stream::new(options.seed, "coupons");
    let day = options.as_of.day().start();
    let window = TimeRange::new(day, day.plus_millis(OFFER_DAYS * DAY_MS));
    let coupon = |id| {
        let room = options.room_of(id);
        let stock = if room <= options.hot_rooms { HOT_STOCK } else { STOCK };
        let drawn = u32::try_from(random.between(*stock.start(), *stock.end()))?;
        let stock = options.stock.unwrap_or(drawn);
        let offer = offer(CouponId::new(id)?, RoomId::new(room)?, window, &mut random);
        Ok(Coupon { total_stock: stock, remaining_stock: stock, terms: options.terms, ..offer })
    };
    (1..=options.live_coupons()).map(coupon).collect()
}

/// A coupon's terms and window; it has no stock yet.
pub(crate) fn offer(coupon_id: CouponId, room_id: RoomId, window: TimeRange, random: &mut Stream) -> Coupon {
    let minimum = random.price(50, 400);
    let amount = Money::from_cents(random.between(1, 40).cast_signed() * 500);
    let percent = random.between(1, 10) * 5;
    let category = random.pick(words::CATEGORIES);
    let (coupon_type, discount_amount, discount_rate, min_purchase, deal) = match random.below(3) {
        0 => {
            let minimum = minimum.max(amount);
            (CouponKind::AmountOff, Some(amount), None, minimum, format!("{amount} off above {minimum}"))
        }
        1 => {
            let rate = u8::try_from(percent).ok();
            (CouponKind::Percentage, None, rate, minimum, format!("{percent}% off"))
        }
        _ => {
            (CouponKind::NoThreshold, Some(amount), None, Money::default(), format!("{amount} off anything"))
        }
    };
    Coupon {
        coupon_id,
        room_id,
        coupon_name: format!("{deal}: {category}"),
        coupon_type,
        discount_amount,
        discount_rate,
        min_purchase,
        total_stock: 0,
        remaining_stock: 0,
        sold: 0,
        start_time: window.start,
        end_time: window.end,
        create_time: window.start,
        update_time: window.start,
        status: CouponStatus::Active,
        terms: GrabTerms::default(),
    }
}

/// The stock logs of a new coupon: all of it came, and what was sold, if any, went.
pub(crate) fn logs(first_id: i64, coupon: &Coupon) -> Vec<StockLog> {
    let initial = StockLog {
        log_id: first_id,
        coupon_id: coupon.coupon_id,
        operation_type: StockOperation::Initialise,
        stock_before: 0,
        stock_after: coupon.total_stock,
        operator: OPERATOR.to_owned(),
        shard: None,
        outbox_id: None,
        create_time: coupon.create_time,
    };
    let sold = (coupon.remaining_stock < coupon.total_stock).then(|| StockLog {
        log_id: first_id + 1,
        operation_type: StockOperation::Deduct,
        stock_before: coupon.total_stock,
        stock_after: coupon.remaining_stock,
        create_time: coupon.update_time,
        ..initial.clone()
    });
    std::iter::once(initial).chain(sold).collect()
}

fn capitalised(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().into_iter().flat_map(char::to_uppercase).chain(letters).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn all_users(count: u64) -> Vec<User> {
        let options = SeedOptions { users: count, ..SeedOptions::default() };
        let mut users = Users::new(&options);
        let mut all = users.chunk(300).unwrap();
        loop {
            let chunk = users.chunk(300).unwrap();
            if chunk.is_empty() {
                return all;
            }
            all.extend(chunk);
        }
    }

    #[test]
    fn levels_are_70_25_and_5_percent_and_not_in_blocks() {
        let users = all_users(2_000);
        let levels = |users: &[User]| {
            let count = |level| users.iter().filter(|user| user.user_level == level).count();
            (count(UserLevel::Normal), count(UserLevel::Vip), count(UserLevel::Svip))
        };
        assert_eq!(levels(&users), (1_400, 500, 100));
        let (_, vip, svip) = levels(&users[..1_000]);
        assert!((200..=300).contains(&vip) && (30..=70).contains(&svip), "{vip} {svip}");
    }

    #[test]
    fn users_have_ids_names_and_numbers_of_their_own() {
        let users = all_users(2_000);
        assert!(users.iter().map(|user| user.user_id.get()).eq(1..=2_000));
        let distinct = |field: fn(&User) -> &str| users.iter().map(field).collect::<HashSet<_>>().len();
        assert_eq!(distinct(|user| &user.username), 2_000);
        assert_eq!(distinct(|user| &user.phone), 2_000);
        assert!(users.iter().all(|user| user.email.ends_with("@example.com")));
        assert!(users.iter().all(|user| user.last_login.is_none_or(|login| login >= user.register_time)));
    }

    #[test]
    fn hot_rooms_have_more_stock_and_five_coupons_each() {
        let options = SeedOptions::default();
        let (rooms, coupons) = (rooms(&options).unwrap(), coupons(&options).unwrap());
        assert_eq!((rooms.len(), coupons.len()), (100, 500));
        for room in &rooms {
            assert_eq!(room.is_hot, room.room_id.get() <= 5);
            assert_eq!(room.room_status, RoomStatus::Live);
            let of_room: Vec<_> = coupons.iter().filter(|coupon| coupon.room_id == room.room_id).collect();
            let first = (room.room_id.get() - 1) * 5 + 1;
            assert!(of_room.iter().map(|coupon| coupon.coupon_id.get()).eq(first..first + 5));
            let range = if room.is_hot { HOT_STOCK } else { STOCK };
            assert!(of_room.iter().all(|coupon| range.contains(&u64::from(coupon.total_stock))));
        }
    }

    #[test]
    fn a_stock_that_is_given_is_every_coupons_and_changes_nothing_else() {
        let drawn = coupons(&SeedOptions::default()).unwrap();
        let given = coupons(&SeedOptions { stock: Some(7), ..SeedOptions::default() }).unwrap();
        assert!(given.iter().all(|coupon| (coupon.total_stock, coupon.remaining_stock) == (7, 7)));
        assert!(drawn.iter().zip(&given).all(|(a, b)| a.coupon_name == b.coupon_name && a.total_stock > 7));
    }

    #[test]
    fn coupons_are_on_offer_from_the_start_of_the_day_and_make_sense() {
        let as_of: Timestamp = "2026-11-22T15:00:00Z".parse().unwrap();
        let coupons = coupons(&SeedOptions { as_of, ..SeedOptions::default() }).unwrap();
        for coupon in &coupons {
            assert_eq!(coupon.start_time.to_string(), "2026-11-22T00:00:00.000Z");
            assert_eq!(coupon.end_time.to_string(), "2026-12-22T00:00:00.000Z");
            assert_eq!((coupon.status, coupon.remaining_stock), (CouponStatus::Active, coupon.total_stock));
            match coupon.coupon_type {
                CouponKind::Percentage => assert!(coupon.discount_rate.is_some_and(|rate| rate <= 50)),
                CouponKind::AmountOff => assert!(coupon.discount_amount.unwrap() <= coupon.min_purchase),
                CouponKind::NoThreshold => assert_eq!(coupon.min_purchase, Money::default()),
            }
        }
    }
}
