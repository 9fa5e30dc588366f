//! The catalogue and the past results that a data set of the suite begins with.

use coupon_core::{
    Coupon, CouponDetails, CouponKind, CouponResult, CouponStatus, GrabTerms, LiveRoom, Money, Placement,
    ResultId, RoomId, RoomStatus, ShardingStrategy, Timestamp, User, UserId, UserLevel,
};

use super::{coupon_id, placed};

pub(crate) const NOW: &str = "2026-11-22T12:00:00.000Z";
const DAY: i64 = 86_400_000;
pub(crate) const USERS: u64 = 40;
/// A user who is not active.
pub(crate) const INACTIVE: u64 = 50;

/// Room 1: two of it.
pub(crate) const SCARCE: u64 = 1;
/// Room 1: plenty.
pub(crate) const PLENTY: u64 = 2;
/// Room 2: over. Users 1 to 30 hold one, grabbed on the day before.
pub(crate) const ENDED: u64 = 3;
/// Room 2: begins tomorrow.
pub(crate) const EARLY: u64 = 4;

pub(crate) fn now() -> Timestamp {
    NOW.parse().unwrap()
}

pub(crate) fn users() -> Vec<User> {
    let user = |id| User {
        user_id: UserId::new(id).unwrap(),
        username: format!("user{id}"),
        phone: format!("+8613800{id:06}"),
        email: format!("user{id}@example.com"),
        register_time: now(),
        last_login: None,
        user_level: UserLevel::Normal,
        is_active: true,
    };
    (1..=USERS).map(user).chain([User { is_active: false, ..user(INACTIVE) }]).collect()
}

pub(crate) fn rooms() -> Vec<LiveRoom> {
    let room = |id| LiveRoom {
        room_id: RoomId::new(id).unwrap(),
        room_name: format!("room {id}"),
        anchor_id: id,
        room_status: RoomStatus::Live,
        viewer_count: 10,
        start_time: now(),
        end_time: None,
        create_time: now(),
        is_hot: id == 1,
    };
    (1..=2).map(room).collect()
}

pub(crate) fn coupons() -> Vec<Coupon> {
    let coupon = |id, room, total| Coupon {
        coupon_id: coupon_id(id),
        room_id: RoomId::new(room).unwrap(),
        coupon_name: format!("coupon {id}, 'quoted' and 中文"),
        coupon_type: CouponKind::AmountOff,
        discount_amount: Some(Money::from_cents(2_050)),
        discount_rate: None,
        min_purchase: Money::from_cents(9_900),
        total_stock: total,
        remaining_stock: total,
        sold: 0,
        start_time: now().plus_millis(-3 * DAY),
        end_time: now().plus_millis(3 * DAY),
        create_time: now().plus_millis(-4 * DAY),
        update_time: now().plus_millis(-4 * DAY),
        status: CouponStatus::Active,
        terms: GrabTerms::default(),
    };
    vec![
        coupon(SCARCE, 1, 2),
        coupon(PLENTY, 1, 1_000),
        Coupon { end_time: now().plus_millis(-1), remaining_stock: 20, sold: 30, ..coupon(ENDED, 2, 50) },
        Coupon { start_time: now().plus_millis(DAY), ..coupon(EARLY, 2, 10) },
    ]
}

pub(crate) fn details() -> Vec<CouponDetails> {
    let details = |coupon: Coupon| CouponDetails {
        coupon_id: coupon.coupon_id,
        description: "Anything in the shop.".to_owned(),
        usage_rules: "Once; 100% yours \\ truly".to_owned(),
        product_range: r#"{"categories": ["tea"]}"#.to_owned(),
    };
    coupons().into_iter().map(details).collect()
}

/// The time at which the history's result of a user was grabbed.
fn grabbed(user: u64) -> Timestamp {
    now().plus_millis(-DAY - user.cast_signed() * 60_000)
}

pub(crate) fn history(strategy: &dyn ShardingStrategy) -> Vec<(Placement, CouponResult)> {
    let held = |user| {
        let row = placed(user, ENDED, 2, ResultId::from_parts(grabbed(user), 1_020, 0).unwrap()).result;
        (strategy.place(&row.key()).unwrap(), row)
    };
    (1..=30).rev().map(held).collect()
}
