//! Past results, row by row in the order of time, as skewed as the live load.
//!
//! A row's room follows the load's four scenarios: of 31.9 grabs, 20 come from viewers of the hot rooms and the
//! rest from viewers of all. Each room sells one coupon after the other, each for a while and to each user at
//! most once, by a permutation of the users: so no pair of user and coupon needs to be remembered.

use anyhow::{Context, Result};
use coupon_core::{
    Coupon, CouponId, CouponResult, CouponStatus, ResultState, RoomId, RowKey, TimeRange, Timestamp,
    UseStatus, UserId,
};

use crate::SeedOptions;
use crate::catalogue;
use crate::grab_times::GrabTimes;
use crate::options::{DAY_MS, HOT_STOCK, STOCK};
use crate::random::{Permutation, Stream};

/// Grabs of hot rooms' viewers, of all grabs, in thousandths: 20 / 31.9.
const HOT_PER_MILLE: u64 = 627;
/// Results that have been used.
const USED_PER_MILLE: u64 = 300;
/// The most that a coupon which did not sell out may have left.
const MOST_LEFT: u64 = 50;

/// A coupon of the past, and how much of it was sold.
#[derive(Debug, Clone)]
pub(crate) struct Sold {
    coupon: CouponId,
    room: RoomId,
    rows: u32,
    /// All there was is gone, rather than history having ended first.
    sold_out: bool,
    first: Timestamp,
    last: Timestamp,
}

/// A coupon being sold.
struct Selling {
    sold: Sold,
    buyers: Permutation,
}

pub(crate) struct History {
    clock: GrabTimes,
    random: Stream,
    users: u64,
    hot_rooms: u64,
    rooms: Vec<Option<Selling>>,
    sold: Vec<Sold>,
    next_coupon: u64,
    as_of: Timestamp,
}

/// The keys of the results of the past that these options seed, in the order of time.
pub fn history_keys(options: &SeedOptions) -> impl Iterator<Item = Result<RowKey>> + use<> {
    let mut history = History::new(options);
    std::iter::from_fn(move || Some(history.next().transpose()?.map(|row| row.key())))
}

impl History {
    pub(crate) fn new(options: &SeedOptions) -> Self {
        Self {
            clock: GrabTimes::new(options),
            random: Stream::new(options.seed, "history"),
            users: options.users,
            hot_rooms: options.hot_rooms,
            rooms: (0..options.rooms).map(|_| None).collect(),
            sold: Vec::new(),
            next_coupon: options.live_coupons() + 1,
            as_of: options.as_of,
        }
    }

    /// The next result, or `None` when there are as many as wanted.
    pub(crate) fn next(&mut self) -> Result<Option<CouponResult>> {
        let Some(id) = self.clock.next()? else { return Ok(None) };
        let among = if self.hot_rooms > 0 && self.random.per_mille(HOT_PER_MILLE) {
            self.hot_rooms
        } else {
            self.rooms.len() as u64
        };
        let room = self.random.below(among) + 1;
        let (coupon, user) = self.sell(room, id.time())?;
        let row = CouponResult::granted(id, UserId::new(user)?, coupon, RoomId::new(room)?);
        Ok(Some(self.use_some(row)))
    }

    /// Every coupon that was sold, once there are no more results.
    pub(crate) fn into_sold(self) -> Vec<Sold> {
        let open = self.rooms.into_iter().flatten().map(|selling| selling.sold);
        let mut all: Vec<Sold> = self.sold.into_iter().chain(open).collect();
        all.sort_unstable_by_key(|sold| sold.coupon);
        all
    }

    /// Sells one coupon of a room: which, and to whom.
    fn sell(&mut self, room: u64, time: Timestamp) -> Result<(CouponId, u64)> {
        let stock = if room <= self.hot_rooms { *HOT_STOCK.end() } else { *STOCK.end() };
        let stock = stock.min(self.users);
        let place = usize::try_from(room - 1).ok().and_then(|at| self.rooms.get_mut(at));
        let place = place.with_context(|| format!("there is no room {room}"))?;
        let selling = match place {
            Some(selling) => selling,
            None => {
                let sold = Sold {
                    coupon: CouponId::new(self.next_coupon)?,
                    room: RoomId::new(room)?,
                    rows: 0,
                    sold_out: false,
                    first: time,
                    last: time,
                };
                self.next_coupon += 1;
                place.insert(Selling { sold, buyers: Permutation::new(self.users, &mut self.random) })
            }
        };
        let buyer = selling.buyers.at(u64::from(selling.sold.rows)) + 1;
        let coupon = selling.sold.coupon;
        selling.sold.rows += 1;
        selling.sold.last = time;
        if u64::from(selling.sold.rows) == stock {
            selling.sold.sold_out = true;
            self.sold.extend(place.take().map(|selling| selling.sold));
        }
        Ok((coupon, buyer))
    }

    /// Some are spent on an order within a day, and before the moment that the data is made for.
    fn use_some(&mut self, row: CouponResult) -> CouponResult {
        if !self.random.per_mille(USED_PER_MILLE) {
            return row;
        }
        let until = (self.as_of.millis() - row.grab_time.millis()).clamp(1, DAY_MS);
        let after = 1 + self.random.below(until.cast_unsigned()).cast_signed();
        let use_time = Some(row.grab_time.plus_millis(after));
        CouponResult {
            state: ResultState::Used,
            state_time: use_time,
            use_status: UseStatus::Used,
            use_time,
            order_amount: Some(self.random.price(20, 500)),
            ..row
        }
    }
}

impl Sold {
    /// The coupon's row: over, and sold as often as it has results.
    pub(crate) fn coupon(&self, random: &mut Stream) -> Result<Coupon> {
        let left = if self.sold_out { 0 } else { u32::try_from(random.below(MOST_LEFT + 1))? };
        let window = TimeRange::new(self.first.day().start(), self.last.day().next().start());
        Ok(Coupon {
            total_stock: self.rows + left,
            remaining_stock: left,
            sold: self.rows,
            update_time: self.last,
            status: CouponStatus::Inactive,
            ..catalogue::offer(self.coupon, self.room, window, random)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};

    use super::*;

    fn options() -> SeedOptions {
        let as_of = "2026-11-22T15:00:00Z".parse().unwrap();
        SeedOptions { users: 700, history: 20_000, days: 4, as_of, ..SeedOptions::default() }
    }

    fn generate(options: &SeedOptions) -> (Vec<CouponResult>, Vec<Sold>) {
        let mut history = History::new(options);
        let rows = std::iter::from_fn(|| history.next().unwrap()).collect();
        (rows, history.into_sold())
    }

    #[test]
    fn no_user_has_a_coupon_twice_even_when_coupons_outnumber_users() {
        let (rows, sold) = generate(&options());
        let pairs: HashSet<_> = rows.iter().map(|row| (row.user_id, row.coupon_id)).collect();
        assert_eq!(pairs.len(), rows.len());
        assert!(sold.iter().any(|sold| sold.sold_out), "the test should see a coupon sell out");
        assert!(rows.iter().all(|row| row.user_id.get() <= 700));
    }

    #[test]
    fn a_coupon_has_as_many_results_as_it_says_all_of_its_room() {
        let (rows, sold) = generate(&options());
        let mut counted = HashMap::<_, u32>::new();
        rows.iter().for_each(|row| *counted.entry((row.coupon_id, row.room_id)).or_default() += 1);
        let said: HashMap<_, _> = sold.iter().map(|sold| ((sold.coupon, sold.room), sold.rows)).collect();
        assert_eq!(counted, said);
        assert!(sold.iter().map(|sold| sold.coupon.get()).eq(501..501 + sold.len() as u64));
    }

    #[test]
    fn coupons_of_the_past_are_over_and_their_logs_agree() {
        let options = options();
        let (rows, sold) = generate(&options);
        let mut random = Stream::new(1, "test");
        for sold in &sold {
            let coupon = sold.coupon(&mut random).unwrap();
            assert_eq!(coupon.total_stock - coupon.remaining_stock, sold.rows);
            assert_eq!(coupon.status, CouponStatus::Inactive);
            assert!(coupon.end_time <= options.as_of.day().start());
            let of_coupon = rows.iter().filter(|row| row.coupon_id == coupon.coupon_id);
            let window = TimeRange::new(coupon.start_time, coupon.end_time);
            assert!(of_coupon.clone().all(|row| window.contains(row.grab_time)));
            let logs = catalogue::logs(1, &coupon);
            let [came, went] = logs.as_slice() else { panic!("{logs:?}") };
            assert_eq!((came.stock_after, went.stock_before), (coupon.total_stock, coupon.total_stock));
            assert_eq!((went.stock_after, went.log_id), (coupon.remaining_stock, 2));
        }
    }

    #[test]
    fn about_72_percent_hit_the_first_25_rooms() {
        let (rows, _) = generate(&options());
        let hits = rows.iter().filter(|row| row.room_id.get() <= 25).count();
        assert!((14_100..=14_700).contains(&hits), "{hits} of 20,000");
    }

    #[test]
    fn without_hot_rooms_all_rooms_are_alike() {
        let (rows, _) = generate(&SeedOptions { hot_rooms: 0, ..options() });
        let hits = rows.iter().filter(|row| row.room_id.get() <= 25).count();
        assert!((4_700..=5_300).contains(&hits), "{hits} of 20,000");
    }

    #[test]
    fn some_results_are_used_after_their_grab_and_before_now() {
        let options = options();
        let (rows, _) = generate(&options);
        let used: Vec<_> = rows.iter().filter(|row| row.use_status == UseStatus::Used).collect();
        assert!((5_700..=6_300).contains(&used.len()), "{}", used.len());
        for row in used {
            let time = row.use_time.unwrap();
            assert!(row.grab_time < time && time <= options.as_of && row.order_amount.is_some());
        }
        assert!(rows.iter().all(|row| row.grab_time == row.result_id.time()));
    }

    #[test]
    fn the_same_seed_gives_the_same_rows_and_another_gives_others() {
        let (one, again) = (generate(&options()).0, generate(&options()).0);
        assert_eq!(one, again);
        let other = generate(&SeedOptions { seed: 2, ..options() }).0;
        assert_ne!(one, other);
    }
}
