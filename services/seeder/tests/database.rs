//! A data set whose database decides grabs, in the hands of every command: none of them asks Redis or RabbitMQ.

use std::process::Output;

use coupon_audit::Scope;
use coupon_core::catalogue_change::Operator;
use coupon_core::{ResultId, Timestamp};
use coupon_seeding::{ArchiveReport, Silent};
use coupon_store::clock::Clock;

use crate::copying::sale::{self, Sale};
use crate::copying::site::Here;
use crate::files::common::of_layout;
use crate::servers::command_line::seeder;
use crate::servers::common::{Place, integer, stack};
use crate::service::Service;

const PAST: u64 = 900;
const DAY_MS: i64 = 86_400_000;

/// A data set with a sale that stands still.
fn sold(at: &Here) -> Sale {
    sold_as_of(at, Clock::system().now())
}

/// The same, where the past ends at another moment.
fn sold_as_of(at: &Here, past: Timestamp) -> Sale {
    at.seed_as_of(PAST, past);
    let sale = sale::begin(&at.service());
    at.assert_sound(PAST + sale::RESULTS);
    sale
}

/// Copies a sale, and goes on with it there.
fn goes_on(from: &Here, sale: &Sale, to: &Here) {
    from.copy_to(to).unwrap();
    to.assert_sound(PAST + sale::RESULTS);
    sale::go_on(&to.service(), sale);
    to.assert_sound(PAST + sale::RESULTS + sale::MORE);
}

#[test]
fn a_sale_that_a_database_decided_goes_on_from_a_copy_wherever_that_is() {
    for (number, from) in Here::by_database("db_from").into_iter().enumerate() {
        let sale = sold(&from);
        let gates = Here::both(&format!("db_to_gate_{number}"), "range-room", 4);
        for to in Here::by_database(&format!("db_to_{number}")).into_iter().chain(gates) {
            goes_on(&from, &sale, &to);
        }
        from.assert_sound(PAST + sale::RESULTS);
    }
}

#[test]
fn a_sale_that_a_gate_decided_goes_on_from_a_copy_that_a_database_decides() {
    let from = Here::servers("db_of_gate", "hash", 4);
    let sale = sold(&from);
    for to in Here::by_database("db_from_gate") {
        goes_on(&from, &sale, &to);
    }
}

/// There are three of a coupon, and whichever process is asked, the database sells them.
#[test]
fn several_processes_on_one_database_sell_what_there_is() {
    let [_, at] = Here::by_database("db_shared");
    at.seed(PAST);
    let services = [at.service(), at.service()];
    let asked = (1..=8_u64).map(|user| {
        let body = format!(r#"{{"user_id":{user},"coupon_id":9,"request_id":"{user}"}}"#);
        let service = &services[usize::from(user.is_multiple_of(2))];
        service.done("POST", "/api/coupon/grab", &body)["grab_status"] == 1
    });
    assert_eq!(asked.filter(|granted| *granted).count(), 3);
    services.iter().for_each(Service::drain);
    at.assert_sound(PAST + 3);
}

/// Retires what is older than today.
fn archive(at: &Here) -> ArchiveReport {
    let (clock, silent) = (Clock::system(), &mut Silent);
    let (today, operator) = (clock.now().day(), Operator::new("ann").unwrap());
    if at.is_folder() {
        return coupon_seeding::archive(&at.folder_path(), of_layout, today, operator, &clock, silent)
            .unwrap();
    }
    coupon_seeding::archive_servers(&at.place().settings, None, today, &operator, clock.now(), silent)
        .unwrap()
}

/// Stores a result by hand.
fn store(place: &Place, id: ResultId, user: i64, coupon: i64) {
    let room = place.number(None, &format!("SELECT room_id FROM coupons WHERE coupon_id = {coupon}"));
    place.run(
        Some(0),
        &format!(
            "INSERT INTO coupon_results (result_id, user_id, coupon_id, room_id, grab_status, grab_time) \
             VALUES ({id}, {user}, {coupon}, {room}, 1, {})",
            id.time().millis()
        ),
    );
}

/// Has a database store a result of a coupon of the past which has some left, without an entry in its outbox yet.
fn stored_and_untold(place: &Place) {
    let now = Clock::system().now();
    let lately = format!("end_time <= {} AND end_time > {}", now.millis(), now.millis() - 2 * DAY_MS);
    let coupons =
        place.ask(None, &format!("SELECT coupon_id FROM coupons WHERE {lately} AND remaining_stock > 0"));
    let coupon = integer(&coupons.first().unwrap()[0]);
    let holders =
        place.ask(Some(0), &format!("SELECT user_id FROM coupon_results WHERE coupon_id = {coupon}"));
    let user = (1..).find(|user| holders.iter().all(|held| integer(&held[0]) != *user)).unwrap();
    let last = format!("SELECT MAX(grab_time) FROM coupon_results WHERE coupon_id = {coupon}");
    let time = Timestamp::from_millis(place.number(Some(0), &last));
    store(place, ResultId::from_parts(time, 9, 0).unwrap(), user, coupon);
    let told = format!("UPDATE stock SET sold = sold + 1, untold = untold + 1 WHERE coupon_id = {coupon}");
    place.run(Some(0), &told);
}

#[test]
fn old_results_are_archived_and_what_main_was_not_told_of_is_told_first() {
    for at in Here::by_database("db_archived") {
        // All that is past is over for a day.
        sold_as_of(&at, Clock::system().now().plus_millis(-DAY_MS));
        if !at.is_folder() {
            stored_and_untold(at.place());
        }
        let start = at.data().remember().unwrap();
        let retired = archive(&at).rows_deleted;
        assert_eq!(retired, PAST + u64::from(!at.is_folder()));
        let report =
            at.data().audit(&Scope { start: Some(&start), drained: true, ..Scope::default() }).unwrap();
        assert_eq!((report.violations(), report.rows), (0, sale::RESULTS), "{report}");
        // A service goes on.
        grabbed(&at.service(), 200);
        at.assert_sound(sale::RESULTS + 1);
    }
}

/// Has a user grab a coupon that no user has had yet.
fn grabbed(service: &Service, user: u64) {
    let body = format!(r#"{{"user_id":{user},"coupon_id":9,"request_id":"{user}"}}"#);
    assert_eq!(service.done("POST", "/api/coupon/grab", &body)["grab_status"], 1);
    service.drain();
}

/// The environment of a command on servers whose settings name neither Redis nor RabbitMQ, or others' places for them.
fn environment(namespace: &str, elsewhere: bool) -> Vec<(&'static str, String)> {
    let mut all = stack().addresses().environment();
    for (name, value) in [
        ("COUPON__SERVERS__REDIS", "redis://127.0.0.1:1"),
        ("COUPON__SERVERS__RABBITMQ", "amqp://127.0.0.1:1"),
    ] {
        all.retain(|(key, _)| *key != name);
        all.extend(elsewhere.then(|| (name, value.to_owned())));
    }
    all.push(("COUPON__SERVERS__NAMESPACE", namespace.to_owned()));
    all
}

fn said(output: &Output) -> String {
    [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes)).concat()
}

/// Runs a command, and returns what it says.
fn ends_with(code: i32, arguments: &[&str], environment: &[(&'static str, String)]) -> String {
    let output = seeder(arguments, environment);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", said(&output));
    said(&output)
}

const SEED: [&str; 8] = ["--strategy", "hash", "--shards", "1", "--users", "300", "--history", "300"];

#[test]
fn commands_on_servers_do_without_redis_and_rabbitmq() {
    let [_, at] = Here::by_database("db_commands");
    let (none, dead) = (environment("db_commands", false), environment("db_commands", true));
    ends_with(0, &SEED, &none);
    // No process has had it.
    ends_with(0, &[&SEED[..], &["--reset"]].concat(), &none);
    grabbed(&at.service(), 1);
    for environment in [&none, &dead] {
        let text = ends_with(0, &["verify"], environment);
        assert!(text.contains("neither Redis nor RabbitMQ was asked"), "{text}");
        ends_with(0, &["books"], environment);
    }
    let place = at.place();
    place.run(Some(0), "UPDATE stock SET sold = sold + 1 WHERE coupon_id = 9");
    let text = ends_with(1, &["verify"], &dead);
    assert!(text.contains("another number is sold than stored: 1") && text.contains("coupon 9"), "{text}");
    place.run(Some(0), "DELETE FROM stock WHERE coupon_id = 9");
    let text = ends_with(1, &["verify"], &dead);
    assert!(text.contains("coupons on offer that the database has no stock of: 1"), "{text}");
    ends_with(0, &["archive", "--before", "2026-01-01"], &dead);
    let dataset = place.ask(None, "SELECT value FROM meta WHERE name = 'dataset'");
    ends_with(0, &[&SEED[..], &["--reset"]].concat(), &dead);
    assert_ne!(place.ask(None, "SELECT value FROM meta WHERE name = 'dataset'"), dataset);
    at.service().drain();
    at.assert_sound(
        place
            .number(None, "SELECT CAST(SUM(total_stock - remaining_stock) AS SIGNED) FROM coupons")
            .cast_unsigned(),
    );
}

/// Main has forgotten one result, and another has no entry in the outbox yet: the books that are made anew have the one, and
/// main applies the other in time.
#[test]
fn books_that_are_made_anew_leave_what_is_to_be_told_in_time() {
    let [_, at] = Here::by_database("db_books");
    at.seed(PAST);
    grabbed(&at.service(), 1);
    let place = at.place();
    let now = Clock::system().now();
    for (user, more) in [(2, ""), (3, ", untold = untold + 1")] {
        store(place, ResultId::from_parts(now, 9, user).unwrap(), user.into(), 7);
        place.run(Some(0), &format!("UPDATE stock SET sold = sold + 1{more} WHERE coupon_id = 7"));
    }
    let environment = environment("db_books", true);
    place.run(Some(0), "UPDATE shard_state SET results = results + 1, outbox_id = outbox_id + 1");
    let text = ends_with(1, &["books"], &environment);
    assert!(text.contains("1 results of 1 coupons too few"), "{text}");
    ends_with(0, &["books", "--rebuild"], &environment);
    let left = "SELECT remaining_stock FROM coupons WHERE coupon_id = 7";
    assert_eq!(place.number(None, left), 2);
    at.service().drain();
    assert_eq!(place.number(None, left), 1);
    at.assert_sound(PAST + 3);
}
