//! Cursors: a client that has learnt how they are made can make any, and gets nothing that it could not have asked
//! for.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use coupon_core::Timestamp;
use coupon_service::api::{ResultPage, RoomCoupons};
use proptest::prelude::*;
use proptest::sample::select;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::send_each;
use crate::fixture::{Api, NOW};

const HOUR: i64 = 3_600_000;

/// A cursor made by the rules, which are public with the source.
fn forge(list: u8, key: u64, position: u64, start: i64) -> String {
    let mut bytes = vec![list];
    bytes.extend(key.to_le_bytes());
    bytes.extend(position.to_le_bytes());
    bytes.extend(start.to_le_bytes());
    bytes.extend(xxh3_64_with_seed(&bytes, 0x636f_7570_6f6e_7331).to_le_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

fn number() -> impl Strategy<Value = u64> {
    prop_oneof![0_u64..50, select(&[0, 1, 24, 8_760, 8_761, u64::MAX, i64::MAX as u64][..]), any::<u64>()]
}

fn start() -> impl Strategy<Value = i64> {
    let now = NOW.parse::<Timestamp>().unwrap().millis();
    let around = (-400 * 24..400 * 24_i64).prop_map(move |hours| now + hours * HOUR);
    prop_oneof![2 => around, 1 => any::<i64>(), 1 => select(&[0, 1, -1, i64::MAX, i64::MIN][..])]
}

#[test]
fn a_cursor_as_the_service_makes_them_is_forged_right() {
    let api = Api::start();
    let page: ResultPage = api.get("/api/room/2/orders?limit=5").json();
    let last: u64 = page.items.last().unwrap().result_id.parse().unwrap();
    assert_eq!(page.next_cursor.unwrap(), forge(2, 2, last, 0));
}

#[test]
fn a_forged_cursor_is_refused_or_gives_what_could_have_been_asked_for() {
    let api = Api::start();
    let now: Timestamp = NOW.parse().unwrap();
    let any = (
        select(
            &[
                "/api/user/3/coupons",
                "/api/room/2/orders",
                "/api/orders/recent",
                "/api/orders/recent?hours=24",
                "/api/room/2/coupons",
            ][..],
        ),
        0_u8..6,
        prop_oneof![3 => select(&[2_u64, 3, 24][..]), 1 => number()],
        prop_oneof![2 => number(), 1 => any::<i64>().prop_map(i64::unsigned_abs)],
        start(),
    );
    let send = |(path, list, key, position, start): (&str, u8, u64, u64, i64)| {
        let mark = if path.contains('?') { '&' } else { '?' };
        let answer = api.get(&format!("{path}{mark}cursor={}", forge(list, key, position, start)));
        prop_assert!([200, 400].contains(&answer.status), "{} {}", answer.status, answer.text());
        if answer.status == 400 {
            let problem = answer.problem(400);
            prop_assert_eq!(problem.field.as_deref(), Some("cursor"));
            return Ok(());
        }
        if path.ends_with("coupons") && path.starts_with("/api/room") {
            let page: RoomCoupons = answer.json();
            prop_assert!(page.items.iter().all(|coupon| coupon.room_id == 2 && coupon.coupon_id > position));
            return Ok(());
        }
        let page: ResultPage = answer.json();
        prop_assert!(!page.partial);
        for item in &page.items {
            prop_assert!(item.result_id.parse::<u64>().unwrap() < position);
            match path {
                "/api/user/3/coupons" => prop_assert_eq!(item.user_id, 3),
                "/api/room/2/orders" => prop_assert_eq!(item.room_id, 2),
                _ => {
                    // The longest window that there is, and a day to page through it.
                    let age = now.millis() - item.grab_time.parse::<Timestamp>().unwrap().millis();
                    prop_assert!(age <= (8_760 + 24) * HOUR && start >= now.millis() - (8_760 + 24) * HOUR);
                }
            }
        }
        Ok(())
    };
    send_each(&any, send);
}
