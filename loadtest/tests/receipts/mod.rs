//! Receipts of a size and skew that real ones have, made up: no real person's data.
//!
//! A real file has ids from anywhere, a day for a time, the word `null` where nothing is known, users who take the same
//! coupon again, purchases without any coupon, and one merchant that has a quarter of everything.

use std::fmt::Write as _;

use coupon_core::random::SplitMix64;

/// Numbers of users, merchants, coupons and receipts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Size {
    pub(crate) receipts: u64,
    pub(crate) users: u64,
    pub(crate) merchants: u64,
    /// Lines without a coupon, and so without a day on which it was received.
    pub(crate) purchases: u64,
}

impl Size {
    /// As a real file is.
    pub(crate) const REAL: Self =
        Self { receipts: 113_640, users: 76_309, merchants: 1_559, purchases: 1_500 };
}

/// User ids are 1 to this.
const HIGHEST_USER: u64 = 7_400_000;
const HIGHEST_MERCHANT: u64 = 8_856;
/// The merchant in whose shop so many percent of all receipts are.
const HOT_PER_CENT: u64 = 26;

/// The file, the same every time.
pub(crate) fn csv(size: Size) -> String {
    let mut random = SplitMix64::new(20_160_701);
    let mut out = String::from("User_id,Merchant_id,Coupon_id,Discount_rate,Distance,Date_received,Date\n");
    let hot = size.merchants / 3;
    let hot_receipts = (size.receipts * HOT_PER_CENT).div_ceil(100);
    let every = size.receipts / size.purchases.max(1);
    let mut last = (0, 0, 0);
    for number in 0..size.receipts {
        // Every user and every merchant comes up; those that come again are drawn, and one in five takes what was taken
        // just now.
        if number < size.users || number % 5 > 0 {
            let user = if number < size.users { number } else { random.below(size.users) };
            let merchant = if number < size.merchants {
                number
            } else if number < size.merchants + hot_receipts - 1 {
                hot
            } else {
                other_than(hot, &mut random, size.merchants)
            };
            last = (user_id(user), merchant_id(merchant), merchant * 7 + 1 + random.below(2));
        }
        let (user, merchant, coupon) = last;
        let _ = writeln!(out, "{user},{merchant},{coupon},{}", rest(&mut random));
        if size.purchases > 0 && number % every == every - 1 && number / every < size.purchases {
            let day = 1 + random.below(31);
            let _ = writeln!(out, "{user},{merchant},null,null,1,null,201607{day:02}");
        }
    }
    out
}

/// The discount, the distance, the day of the receipt, and the day of use.
fn rest(random: &mut SplitMix64) -> String {
    let discount = ["0.9", "150:20", "30:5"].get(random.below(3) as usize).copied().unwrap_or("0.8");
    let distance = random.below(11);
    let distance = if distance == 10 { "null".to_owned() } else { distance.to_string() };
    let day = 1 + random.below(31);
    let used = day + random.below(300);
    let used = if used > 31 { "null".to_owned() } else { format!("201607{used:02}") };
    format!("{discount},{distance},201607{day:02},{used}")
}

/// A few merchants have most of the rest: the square of a fraction is small more often than not.
fn other_than(hot: u64, random: &mut SplitMix64, merchants: u64) -> u64 {
    let drawn = random.below(merchants) * random.below(merchants) / merchants;
    // Scattered over the ids, since age is not popularity.
    let merchant = drawn * 619 % merchants;
    if merchant == hot { (hot + 1) % merchants } else { merchant }
}

/// Without a common factor of stride and range, all ids differ.
const fn user_id(number: u64) -> u64 {
    HIGHEST_USER - number * 3_999_971 % HIGHEST_USER
}

const fn merchant_id(number: u64) -> u64 {
    1 + number * 5 % HIGHEST_MERCHANT
}
