//! Changes that an operator may ask for, and their effects.

use super::*;
use crate::books::Stock;
use crate::{Coupon, CouponDetails, CouponKind, CouponStatus, GrabTerms, Money};

fn at(hour: i64) -> Timestamp {
    Timestamp::from_millis(1_800_000_000_000 + hour * 3_600_000)
}

fn new_coupon() -> NewCoupon {
    NewCoupon {
        coupon_id: CouponId::new(7).unwrap(),
        room_id: RoomId::new(1).unwrap(),
        coupon_name: "Ten off".to_owned(),
        coupon_type: CouponKind::NoThreshold,
        discount_amount: Some(Money::from_cents(1_000)),
        discount_rate: None,
        min_purchase: Money::default(),
        total_stock: 100,
        start_time: at(0),
        end_time: at(2),
        status: CouponStatus::Active,
        terms: GrabTerms::default(),
        details: None,
    }
}

/// The coupon's row after so many were sold.
fn row(sold: i64) -> CouponRow {
    let row = new_coupon().write(at(0)).row;
    CouponRow { stock: Stock::of(100, 100 - sold), ..row }
}

fn refused(patch: &CouponPatch) -> Refused {
    let checked = CatalogueChange::ChangeCoupon(CouponId::new(7).unwrap(), patch.clone()).check();
    checked.err().or_else(|| patch.write(&row(0), at(1)).err()).unwrap_or_else(|| panic!("{patch:?}"))
}

#[test]
fn a_new_coupon_begins_its_log_and_has_no_time_before() {
    let CouponWrite { row, line, before, what, .. } = new_coupon().write(at(1));
    let line = line.unwrap();
    assert_eq!((line.before, line.after, before), (0, 100, None));
    assert_eq!((row.coupon.remaining_stock, row.coupon.create_time), (100, at(1)));
    assert_eq!(what, "coupon 7 made in room 1: Ten off, total_stock 100");
}

#[test]
fn the_same_coupon_made_twice_is_one_and_another_is_a_conflict() {
    let sold =
        CouponRow { coupon: Coupon { remaining_stock: 3, update_time: at(9), ..row(97).coupon }, ..row(97) };
    assert_eq!(new_coupon().is(&sold), Ok(()));
    let other = NewCoupon { coupon_name: "Eleven off".to_owned(), ..new_coupon() };
    let refused = other.is(&sold).unwrap_err().to_string();
    assert!(refused.contains("it differs in coupon_name: change that one"), "{refused}");
    let terms = GrabTerms { user_limit: 9, ..other.terms };
    let refused = NewCoupon { total_stock: 5, terms, ..other }.is(&sold).unwrap_err().to_string();
    assert!(refused.contains("it differs in coupon_name, total_stock, user_limit:"), "{refused}");
}

#[test]
fn a_change_that_changes_nothing_writes_nothing() {
    let same = CouponPatch {
        coupon_name: Some("Ten off".to_owned()),
        total_stock: Some(100),
        end_time: Some(at(2)),
        status: Some(CouponStatus::Active),
        ..CouponPatch::default()
    };
    assert_eq!(same.write(&row(5), at(1)), Ok(None));
    assert_eq!(CouponPatch::default().write(&row(5), at(1)), Ok(None));
}

/// The wide half of the coupon, with that range of products.
fn details(product_range: &str) -> CouponDetails {
    let (description, usage_rules) = ("Ten off".to_owned(), String::new());
    CouponDetails {
        coupon_id: CouponId::new(7).unwrap(),
        description,
        usage_rules,
        product_range: product_range.to_owned(),
    }
}

#[test]
fn a_range_of_products_that_the_database_wrote_in_its_own_way_is_the_same() {
    let (asked, kept) = (r#"{"skus":[1,2],"all":false}"#, r#"{"all": false, "skus": [1, 2]}"#);
    let new = NewCoupon { details: Some(details(asked)), ..new_coupon() };
    let there = |range| CouponRow { details: Some(details(range)), ..row(5) };
    assert_eq!(new.is(&there(kept)), Ok(()));
    let patch = CouponPatch { product_range: Some(asked.to_owned()), ..CouponPatch::default() };
    assert_eq!(patch.write(&there(kept), at(1)), Ok(None));
    for other in [r#"{"all": false, "skus": [2, 1]}"#, r#"{"all": false}"#, "{", "{}"] {
        assert!(matches!(new.is(&there(other)), Err(Refused::Conflict(_))), "{other}");
        let written = patch.write(&there(other), at(1)).unwrap().unwrap();
        assert_eq!(written.row.details, Some(details(asked)), "{other}");
    }
    let described = CouponDetails { description: "Eleven off".to_owned(), ..details(kept) };
    let there = CouponRow { details: Some(described), ..row(5) };
    assert!(matches!(new.is(&there), Err(Refused::Conflict(_))), "the rest is compared as it is written");
    assert!(matches!(new.is(&row(5)), Err(Refused::Conflict(_))));
}

#[test]
fn a_changed_total_moves_what_is_left_and_names_both_totals() {
    let raise = CouponPatch { total_stock: Some(150), ..CouponPatch::default() };
    let written = raise.write(&row(80), at(1)).unwrap().unwrap();
    assert_eq!(written.row.stock, Stock::of(150, 70));
    assert_eq!((written.row.coupon.total_stock, written.row.coupon.remaining_stock), (150, 70));
    assert_eq!(written.what, "total_stock 100 → 150");
    assert_eq!(written.before.unwrap().total_stock, 100);
    let lower = CouponPatch { total_stock: Some(50), ..CouponPatch::default() };
    let written = lower.write(&row(80), at(1)).unwrap().unwrap();
    assert_eq!((written.row.stock.remaining, written.row.coupon.remaining_stock), (-30, 0));
}

#[test]
fn every_field_of_a_change_is_told_in_words_and_written() {
    let patch = CouponPatch {
        end_time: Some(at(1)),
        hold_s: Some(60),
        description: Some("New".to_owned()),
        ..CouponPatch::withdrawal()
    };
    let written = patch.write(&row(0), at(1)).unwrap().unwrap();
    let end = format!("end_time {} → {}", at(2), at(1));
    assert_eq!(written.what, format!("{end}; status 1 → 0; hold_s 0 → 60; description changed"));
    let Coupon { status, terms, update_time, .. } = written.row.coupon;
    assert_eq!((status, terms.hold_s, update_time), (CouponStatus::Inactive, 60, at(1)));
    let columns: Vec<&str> = written.columns.iter().map(|(name, _)| *name).collect();
    assert_eq!(columns, ["end_time", "status", "hold_s", "update_time"]);
    assert_eq!(written.row.details.unwrap().product_range, "{}");
    assert_eq!(written.line, None);
}

#[test]
fn what_cannot_be_so_is_refused_by_the_name_of_its_field() {
    let none = CouponPatch::default;
    for (patch, named) in [
        (CouponPatch { coupon_name: Some(" ".to_owned()), ..none() }, "coupon_name must not be empty"),
        (CouponPatch { coupon_name: Some("é".repeat(129)), ..none() }, "coupon_name must have at most 128"),
        (CouponPatch { coupon_name: Some("a\nb".to_owned()), ..none() }, "control characters"),
        (
            CouponPatch { discount_amount: Some(Money::from_cents(-1)), ..none() },
            "discount_amount must be from 0",
        ),
        (
            CouponPatch { discount_amount: Some(Money::default()), ..none() },
            "discount_amount must be above 0",
        ),
        (CouponPatch { min_purchase: Some(Money::from_cents(i64::MAX)), ..none() }, "min_purchase must be"),
        (CouponPatch { total_stock: Some(1 << 31), ..none() }, "total_stock must be from 0 to 2147483647"),
        (CouponPatch { end_time: Some(at(0)), ..none() }, "end_time must be after start_time"),
        (CouponPatch { start_time: Some(at(2)), ..none() }, "start_time must be before end_time, which is"),
        (CouponPatch { discount_rate: Some(101), ..none() }, "discount_rate must be from 1 to 100"),
        (CouponPatch { discount_rate: Some(10), ..none() }, "discount_rate must be left out: coupon_type 3"),
        (CouponPatch { hold_s: Some(2_592_001), ..none() }, "hold_s must be from 0 to 2592000"),
        (CouponPatch { user_limit: Some(0), ..none() }, "user_limit must be from 1 to 100"),
        (CouponPatch { description: Some("a\0".to_owned()), ..none() }, "description must not hold"),
        (CouponPatch { product_range: Some("{".to_owned()), ..none() }, "product_range must be JSON"),
    ] {
        let why = refused(&patch).to_string();
        assert!(why.contains(named), "{why:?} does not say {named:?}");
    }
    let backwards = NewCoupon { end_time: at(0), ..new_coupon() };
    assert!(CatalogueChange::CreateCoupon(backwards).check().is_err());
}

#[test]
fn a_coupon_has_the_discount_of_its_type_and_no_other() {
    let (amount, rate) = (Some(Money::from_cents(1_000)), Some(10));
    let checked = |coupon_type, discount_amount, discount_rate| {
        let coupon = NewCoupon { coupon_type, discount_amount, discount_rate, ..new_coupon() };
        CatalogueChange::CreateCoupon(coupon).check().map_err(|why| why.to_string())
    };
    assert_eq!(checked(CouponKind::Percentage, None, rate), Ok(()));
    for (kind, amount, rate, named) in [
        (CouponKind::Percentage, None, None, "discount_rate must be from 1 to 100"),
        (CouponKind::Percentage, amount, rate, "discount_amount must be left out: coupon_type 2"),
        (CouponKind::AmountOff, None, None, "discount_amount must be above 0"),
        (CouponKind::AmountOff, amount, rate, "discount_rate must be left out: coupon_type 1"),
        (CouponKind::NoThreshold, amount, rate, "discount_rate must be left out: coupon_type 3"),
    ] {
        let why = checked(kind, amount, rate).unwrap_err();
        assert!(why.contains(named), "{why:?} does not say {named:?}");
    }
    // Both may have been typed into main: this change is not to blame.
    let typed = CouponRow { coupon: Coupon { discount_rate: rate, ..row(0).coupon }, ..row(0) };
    let cheaper = CouponPatch { discount_amount: Some(Money::from_cents(500)), ..CouponPatch::default() };
    assert!(cheaper.write(&typed, at(1)).unwrap().is_some());
}

#[test]
fn a_row_that_makes_no_sense_has_its_total_left_alone_and_can_be_withdrawn() {
    let typed = CouponRow { stock: Stock::of(100, -5), ..row(0) };
    let raise = CouponPatch { total_stock: Some(150), ..CouponPatch::default() };
    let why = raise.write(&typed, at(1)).unwrap_err();
    assert_eq!(why, Refused::Conflict("coupon 7: its remaining_stock is -5".to_owned()));
    assert!(CouponPatch::withdrawal().write(&typed, at(1)).unwrap().is_some());
}

#[test]
fn an_operators_name_can_be_seen_and_is_no_word_of_the_log() {
    assert_eq!(Operator::new("Ann, night shift").unwrap().as_str(), "Ann, night shift");
    assert!(Operator::new(&"é".repeat(64)).is_ok());
    for wrong in
        ["", &"a".repeat(65), "a\tb", " a", "grab", "archive", "rebuild", "seeder", "expire", "release"]
    {
        let refused = Operator::new(wrong).unwrap_err();
        assert!(matches!(&refused, Refused::Invalid { field, .. } if field == "operator"), "{wrong:?}");
    }
}

#[test]
fn a_record_of_many_words_fits_into_its_column() {
    let patch = CouponPatch { coupon_name: Some("é".repeat(128)), ..CouponPatch::default() };
    let mut long = row(0);
    long.coupon.coupon_name = "x".repeat(2_000);
    let what = patch.write(&long, at(1)).unwrap().unwrap().what;
    assert_eq!(what.chars().count(), 1_000);
}

#[test]
fn a_room_is_made_once_and_no_new_room_has_ended() {
    let room = NewRoom {
        room_id: RoomId::new(3).unwrap(),
        room_name: "Night".to_owned(),
        anchor_id: 4,
        room_status: RoomStatus::Live,
        start_time: at(0),
        is_hot: false,
    };
    let there = LiveRoom { viewer_count: 9, ..room.row(at(1)) };
    assert_eq!(room.is(&there), Ok(()));
    assert!(room.is(&LiveRoom { room_status: RoomStatus::Ended, ..there }).is_err());
    let ended = NewRoom { room_status: RoomStatus::Ended, ..room };
    assert!(CatalogueChange::CreateRoom(ended).check().is_err());
}

#[test]
fn no_more_users_are_added_at_once_than_the_most() {
    let user = |id| NewUser {
        user_id: UserId::new(id).unwrap(),
        username: format!("user {id}"),
        phone: String::new(),
        email: String::new(),
        user_level: UserLevel::Normal,
        is_active: true,
    };
    let users = |most: u64| CatalogueChange::AddUsers((1..=most).map(user).collect());
    assert_eq!(users(10_000).check(), Ok(()));
    let why = users(10_001).check().unwrap_err().to_string();
    assert_eq!(why, "users must be from 1 to 10000");
    assert_eq!(users(0).check().unwrap_err().to_string(), why);
    let twice = CatalogueChange::AddUsers(vec![user(1), user(2), user(1)]).check().unwrap_err().to_string();
    assert_eq!(twice, "users[2].user_id must not be given twice");
    let unseen = NewUser { username: " ".to_owned(), ..user(2) };
    let why = CatalogueChange::AddUsers(vec![user(1), unseen]).check().unwrap_err().to_string();
    assert_eq!(why, "users[1].username must not be empty");
    assert_eq!(
        users_added(&[UserId::new(9).unwrap(), UserId::new(4).unwrap()]),
        "2 users added, from 4 to 9"
    );
}

#[test]
fn a_coupon_is_reopened_by_an_end_that_has_not_come_and_by_nothing_else() {
    let there = row(0);
    let end = there.coupon.end_time;
    let (before, after) = (end.plus_millis(-1), end.plus_millis(1));
    let moved = |to| CouponPatch { end_time: Some(to), ..CouponPatch::default() };
    assert!(moved(after).reopens(&there, end));
    assert!(!moved(after).reopens(&there, before), "it is on offer still");
    assert!(!moved(end).reopens(&there, end), "it is as much over as before");
    let active = CouponPatch { status: Some(CouponStatus::Active), ..CouponPatch::default() };
    assert!(!active.reopens(&there, end));
}
