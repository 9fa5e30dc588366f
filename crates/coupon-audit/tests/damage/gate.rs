//! Damages that only servers can have: to the gate, to a shard's own sums, and to the way to them.

use coupon_audit::{Addresses, GrabClaim, Kind, Scope, Servers};

use crate::site::Site;
use crate::store::{Store as _, TABLE_YESTERDAY, TODAY, YESTERDAY, id, only, shard_of};

#[test]
fn a_shard_that_miscounts_its_results_is_found() {
    let site = Site::sound();
    site.shard(0, "UPDATE shard_state SET results = results + 2");
    let (kind, count, text) = site.only();
    assert_eq!((kind, count), (Kind::Miscounted, 1));
    assert!(text.contains("shard 0 counts"), "{text}");
}

#[test]
fn stock_held_in_the_gate_and_stored_nowhere_has_leaked() {
    let site = Site::sound();
    site.hold(6, 1, 123);
    site.hold(7, 1, 124);
    let (kind, count, text) = site.only();
    assert_eq!((kind, count), (Kind::Miscounted, 2));
    assert!(text.contains("coupon 1: 2 held in the gate but not stored"), "{text}");
    assert!(text.contains("user 6, result 123"), "{text}");
}

#[test]
fn a_row_that_the_gate_has_forgotten_is_found() {
    let site = Site::sound();
    site.redis(redis::cmd("HDEL").arg(site.holders(2)).arg(2));
    let (kind, count, text) = site.only();
    assert_eq!((kind, count), (Kind::Miscounted, 1));
    assert!(text.contains("coupon 2: 1 stored but not held in the gate, for example by user 2"), "{text}");
}

#[test]
fn a_coupon_on_offer_that_the_gate_does_not_know_is_found() {
    let site = Site::new();
    site.redis(redis::cmd("DEL").arg(site.holders(2)));
    let (kind, _, text) = site.only();
    assert_eq!(kind, Kind::Miscounted);
    assert!(text.contains("coupon 2 is on offer, and the gate does not know it"), "{text}");
    site.main("UPDATE coupons SET status = 0 WHERE coupon_id = 2");
    assert_eq!(site.audit().violations(), 0);
}

#[test]
fn a_total_or_a_window_that_was_changed_in_the_gate_is_found() {
    for (field, value, said) in [
        ("t", "12", "coupon 2: the gate has total 12 and main 10"),
        ("s", "1", "coupon 2: the gate has start 1 and main 0"),
        ("e", "1", "coupon 2: the gate has end 1 and main"),
        ("e", "never", "coupon 2: the gate has end none and main"),
    ] {
        let site = Site::sound();
        let start = site.data().remember().unwrap();
        site.gate_has(2, field, value);
        let (kind, count, text) = only(&site.audit_since(&start));
        assert_eq!((kind, count), (Kind::Miscounted, 1), "{text}");
        assert!(text.contains(said), "{text:?} does not say {said:?}");
        // Without a start, what can be read may be what main said when the gate was filled.
        let report = site.audit();
        if value == "never" {
            assert_eq!(report.count(Kind::Miscounted), 1, "{report}");
        } else {
            assert_eq!(report.violations(), 0, "{report}");
            let why = &report.not_checked[&Kind::Miscounted];
            assert!(why.contains("of 1 that differ nobody recorded") && why.contains(said), "{report}");
        }
    }
}

/// Raises the stock of coupon 2 in main, moves its window to another year and withdraws coupon 1.
const EDITED: [&str; 3] = [
    "INSERT INTO stock_logs VALUES (50, 2, 1, 9, 14, 'operator', NULL, NULL, 0)",
    "UPDATE coupons SET total_stock = 15, remaining_stock = 14, start_time = 1900000000000, end_time = 2000000000000
     WHERE coupon_id = 2",
    "UPDATE coupons SET status = 0 WHERE coupon_id = 1",
];

#[test]
fn what_main_says_of_a_coupon_reaches_the_gate_when_it_is_filled() {
    let mut site = Site::sound();
    let before = site.data().remember().unwrap();
    EDITED.iter().for_each(|sql| site.main(sql));
    let after = site.data().remember().unwrap();
    assert!(
        site.audit().not_checked[&Kind::Miscounted].contains("coupon 2: the gate has total 10 and main 15")
    );
    for start in [&before, &after] {
        let report = site.audit_since(start);
        assert_eq!((report.violations(), report.not_checked.len()), (0, 0), "{report}");
    }
    // Until then it is the gate that decides: what it grants is as it should be.
    site.grab(TODAY, 9, 2);
    site.grab(TODAY, 10, 1);
    for start in [&before, &after] {
        assert_eq!(site.audit_since(start).violations(), 0, "{}", site.audit_since(start));
    }
    site.gate_has(2, "e", "1950000000000");
    for start in [&before, &after] {
        let (kind, count, text) = only(&site.audit_since(start));
        assert_eq!((kind, count), (Kind::Miscounted, 1), "{text}");
        assert!(text.contains("coupon 2: the gate has end 1950000000000"), "{text}");
    }
}

#[test]
fn a_window_that_the_gate_had_not_taken_over_was_refused_rightly() {
    let mut site = Site::new();
    site.claims.add(6, 1, GrabClaim::InvalidTime(Some(TODAY.parse().unwrap())));
    let open = site.data().remember().unwrap();
    let (kind, count, text) = only(&site.audit_since(&open));
    assert_eq!((kind, count), (Kind::Misjudged, 1), "{text}");
    site.gate_has(1, "s", "1900000000000");
    let closed = site.data().remember().unwrap();
    assert_eq!(site.audit_since(&closed).violations(), 0, "{}", site.audit_since(&closed));
}

#[test]
fn a_hold_under_another_id_than_stored_is_found() {
    let site = Site::sound();
    site.hold(2, 2, id(TODAY, 99));
    let (kind, count, text) = site.only();
    assert_eq!((kind, count), (Kind::Miscounted, 1));
    let told = format!("by user 2: result {}, and stored is {}", id(TODAY, 99), id(TODAY, 2));
    assert!(text.contains(&told), "{text}");
    site.redis(redis::cmd("HSET").arg(site.holders(2)).arg(2).arg(format!("x{}", id(TODAY, 2))));
    assert!(site.only().2.contains("under another id"), "what is stored is not set aside");
}

#[test]
fn a_second_result_of_a_user_takes_stock_in_the_gate_and_has_leaked_unless_it_is_stored() {
    let site = Site::sound();
    let second = id(YESTERDAY, 40);
    site.redis(redis::cmd("HSET").arg(site.holders(1)).arg(format!("+{second}")).arg(1));
    let (kind, count, text) = site.only();
    assert_eq!((kind, count), (Kind::Miscounted, 1));
    let told = format!("coupon 1: 1 held in the gate but not stored, for example by user 1, result {second}");
    assert!(text.contains(&told), "{text}");
    // It should not be there; but as long as its row is, the gate has it for a reason.
    site.store(shard_of(YESTERDAY), TABLE_YESTERDAY, second, 1, 1);
    site.post(shard_of(YESTERDAY), 1);
    let report = site.audit();
    assert_eq!((report.count(Kind::Duplicate), report.count(Kind::Miscounted)), (1, 0), "{report}");
}

#[test]
fn a_gate_that_cannot_be_looked_at_is_said() {
    let mut site = Site::sound();
    site.main("UPDATE gate_state SET epoch = epoch + 1");
    let report = site.audit();
    assert!(report.not_checked[&Kind::Miscounted].contains("being rebuilt"), "{report}");
    assert!(
        report.to_string().contains("0 (in part n/a: the gate was not held against the rows"),
        "{report}"
    );
    site.addresses.redis = Default::default();
    let report = site.audit();
    assert!(report.not_checked[&Kind::Miscounted].contains("servers.redis"), "{report}");
    assert_eq!(report.violations(), 0);
}

#[test]
fn each_of_several_gates_is_held_against_the_rows_of_its_coupons() {
    let mut site = Site::sound();
    site.main(
        "INSERT INTO gates (gate, named, epoch, open_epoch, address, seen)
         VALUES (0, 'one', 4, 4, '', 0), (1, 'other', 3, 3, '', 0)",
    );
    // Coupon 1 is of the first gate, coupon 2 of the second, which is another database of the same Redis.
    let second = format!("{}/1", site.addresses.redis[0]);
    let (of_first, of_second) = (site.holders(1), site.holders(2));
    site.redis(redis::cmd("RENAME").arg(&of_first).arg(of_first.replace(".3.1.", ".4.1.")));
    site.redis(redis::cmd("MOVE").arg(&of_second).arg(1));
    let error = format!("{:#}", site.data().audit(&site.scope(None)).unwrap_err());
    assert!(error.contains("servers.redis") && error.contains("1 gates"), "{error}");
    site.addresses.redis.push(second.clone());
    let report = site.audit();
    assert_eq!((report.violations(), report.not_checked.len()), (0, 0), "{report}");

    let mut second = redis::Client::open(second).unwrap().get_connection().unwrap();
    redis::cmd("HDEL").arg(of_second).arg(2).exec(&mut second).unwrap();
    let (kind, count, text) = site.only();
    assert_eq!((kind, count), (Kind::Miscounted, 1));
    assert!(text.contains("coupon 2: 1 stored but not held in the gate"), "{text}");
    site.main("UPDATE gates SET epoch = epoch + 2 WHERE gate = 0");
    let report = site.audit();
    assert!(report.not_checked[&Kind::Miscounted].contains("being rebuilt"), "{report}");
}

#[test]
fn a_shard_of_another_data_set_is_refused_wherever_it_says_so() {
    for (table, column, rest) in
        [("shard_meta", "value", " WHERE name = 'dataset'"), ("shard_state", "dataset", "")]
    {
        let site = Site::sound();
        site.shard(1, &format!("UPDATE {table} SET {column} = 'another'{rest}"));
        let error = format!("{:#}", site.data().audit(&Scope::default()).unwrap_err());
        assert!(error.contains(table) && error.contains("another") && error.contains("shards[1]"), "{error}");
    }
}

#[test]
fn a_table_that_no_reader_knows_by_name_is_refused() {
    let site = Site::sound();
    site.shard(0, "CREATE TABLE coupon_results_old LIKE coupon_results_2026_11_22");
    let error = format!("{:#}", site.data().audit(&Scope::default()).unwrap_err());
    assert!(error.contains("coupon_results_old") && error.contains("shards[0]"), "{error}");
}

#[test]
fn a_missing_address_is_named() {
    let sound = Site::new().addresses.clone();
    let refused = |addresses: Addresses| Servers::new(addresses, "audited").unwrap_err().to_string();
    assert!(refused(Addresses { shards: Vec::new(), ..sound.clone() }).contains("servers.shards"));
    assert!(refused(Addresses { main: String::new(), ..sound.clone() }).contains("servers.main"));
    let nameless = Servers::new(sound, "").unwrap_err().to_string();
    assert!(nameless.contains("servers.namespace"), "{nameless}");
}
