//! Archives while services take grabs and store them.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::scope;

use coupon_audit::{AuditReport, Kind, Scope};
use coupon_core::Timestamp;
use coupon_core::catalogue_change::Operator;
use coupon_seeding::{SeedOptions, Silent, audited};
use coupon_store::NotOver;
use coupon_store::clock::Clock;
use coupon_strategies::REGISTER;

use crate::servers::common::{Place, small, strategy};
use crate::service::Service;

const DAY_MS: i64 = 86_400_000;
/// The coupon of the first room that all users grab.
const COUPON: i64 = 1;

/// Starts a service on a place's servers.
fn start(place: &Place, name: &str, role: &str) -> Service {
    let mut flags = crate::servers::common::stack().addresses().settings();
    flags.push(format!("servers.namespace={}", place.settings.namespace));
    flags.push(format!("servers.role={role}"));
    Service::start(strategy(name), flags)
}

/// The id in the answer to a user's grab, if it was granted.
fn grab(service: &Service, user: u64) -> Option<i64> {
    let body = format!(r#"{{"user_id":{user},"coupon_id":{COUPON}}}"#);
    let (status, told) = service.ask("POST", "/api/coupon/grab", &body);
    if status != 200 {
        return None;
    }
    assert_eq!(told["grab_status"], 1, "{told}");
    Some(told["result_id"].as_str().unwrap().parse().unwrap())
}

/// The coupons of the past are over for a day.
fn seeded(namespace: &str, name: &str) -> Place {
    let place = Place::new(namespace);
    let as_of = Clock::system().now().plus_millis(-DAY_MS);
    let options = SeedOptions { stock: Some(5_000), as_of, ..small(3_000) };
    place.seed(name, &options, false);
    place
}

/// Retires what is older than today.
fn archive(place: &Place) -> anyhow::Result<coupon_seeding::ArchiveReport> {
    let now = Clock::system().now();
    let (before, operator) = (NotOver::latest(now), Operator::new("Ann")?);
    coupon_seeding::archive_servers(&place.settings, None, before, &operator, now, &mut Silent)
}

/// The ids that are stored of a coupon.
fn stored(place: &Place) -> BTreeSet<i64> {
    let of_table = |shard, table| {
        place.ask(Some(shard), &format!("SELECT result_id FROM {table} WHERE coupon_id = {COUPON}"))
    };
    let tables = (0..4).flat_map(|shard| place.tables(shard).into_iter().map(move |table| (shard, table)));
    let rows = tables.flat_map(|(shard, table)| of_table(shard, table));
    rows.map(|row| crate::servers::common::integer(&row[0])).collect()
}

#[test]
fn what_waits_in_the_queues_is_stored_before_an_archive_counts() {
    for name in REGISTER.of_each_program().into_iter().map(|family| family.name) {
        let place = seeded(&format!("on_its_way_{}", name.replace('-', "_")), name);
        // The first filling of a gate sends markers, which a consumer must store.
        let consumer = start(&place, name, "consumer");
        let service = start(&place, name, "api");
        drop(consumer);
        let told: BTreeSet<i64> = (1..=20).map(|user| grab(&service, user).unwrap()).collect();
        assert!(stored(&place).is_empty(), "{name}");

        let error = archive(&place).unwrap_err().to_string();
        assert!(error.contains("wait in its queue") && error.contains("consumer"), "{name}: {error}");
        let consumer = start(&place, name, "consumer");
        archive(&place).unwrap();
        assert_eq!(stored(&place), told, "{name}: the archive waited for all of them");
        assert_eq!(place.rows(), 20, "{name}: all that was old has gone");
        service.drain();
        place.assert_books_balance();
        drop(consumer);
    }
}

/// The state after a person has deleted a row by hand.
#[test]
fn a_gate_that_differs_from_its_shards_is_told_by_the_exit_code() {
    let place = seeded("differs", "hash");
    let service = start(&place, "hash", "all");
    let id = grab(&service, 1).unwrap();
    service.drain();
    let mut environment = crate::servers::common::stack().addresses().environment();
    environment.push(("COUPON__SERVERS__NAMESPACE", "differs".to_owned()));
    let verified = || {
        let output = crate::servers::command_line::seeder(&["verify"], &environment);
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let (code, said) = verified();
    assert_eq!(code, Some(0), "{said}");
    // On its way to another place it is stored as well.
    for shard in 0..4 {
        place
            .tables(shard)
            .into_iter()
            .for_each(|table| place.leaves(shard, table, &format!("result_id = {id}")));
    }
    let (code, said) = verified();
    assert_eq!(code, Some(0), "{said}");
    (0..4).for_each(|shard| place.run(Some(shard), "DELETE FROM leaving"));
    let (code, said) = verified();
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.contains("held in the gate, and stored nowhere: 1") && said.contains(&id.to_string()),
        "{said}"
    );
}

#[test]
fn grabs_go_on_while_old_days_are_retired_and_none_is_lost() {
    for name in REGISTER.of_each_program().into_iter().map(|family| family.name) {
        let place = seeded(&format!("beside_{}", name.replace('-', "_")), name);
        let service = start(&place, name, "all");
        let over = AtomicBool::new(false);
        let told: BTreeSet<i64> = std::thread::scope(|scope| {
            let grabbing = scope.spawn(|| {
                let users = (1..=800).take_while(|_| !over.load(Ordering::Relaxed));
                users.filter_map(|user| grab(&service, user)).collect()
            });
            let retired = archive(&place);
            over.store(true, Ordering::Relaxed);
            retired.unwrap();
            grabbing.join().unwrap()
        });
        assert!(!told.is_empty(), "{name}");
        service.drain();
        assert_eq!(stored(&place), told, "{name}");
        assert_eq!(place.rows(), i64::try_from(told.len()).unwrap(), "{name}: all that was old has gone");
        place.assert_books_balance();
    }
}

/// A place with a coupon that is over and has results, a service, and the path of the coupon.
fn with_one_that_is_over(namespace: &str) -> (Place, Service, i64) {
    let place = seeded(namespace, "hash");
    let service = start(&place, "hash", "all");
    let coupon = *place.counts().keys().next().unwrap();
    (place, service, coupon)
}

#[test]
fn an_end_that_an_operator_moves_just_before_an_archive_stops_it_before_anything_goes() {
    let (place, service, coupon) = with_one_that_is_over("moved_first");
    // An operator's change has the catalogue; the archive has counted, and waits for it.
    let make =
        "INSERT INTO catalogue_state (id, version) VALUES (1, 0) ON DUPLICATE KEY UPDATE version = version";
    let mut changing = place.begin(None, make);
    let archived = scope(|scope| {
        let archiving = scope.spawn(|| archive(&place));
        let waits = "SELECT COUNT(*) FROM information_schema.processlist WHERE info LIKE 'INSERT INTO catalogue_state%'";
        place.until_some(waits);
        let tomorrow = Clock::system().now().plus_millis(DAY_MS).millis();
        changing.run(&format!("UPDATE coupons SET end_time = {tomorrow} WHERE coupon_id = {coupon}"));
        changing.run("UPDATE catalogue_state SET version = version + 1");
        changing.run(&format!(
            "INSERT INTO catalogue_changes (version, change_time, operator, what, coupon_id) \
             SELECT version, 0, 'ann', 'end_time', {coupon} FROM catalogue_state"
        ));
        changing.run("COMMIT");
        archiving.join().unwrap()
    });
    let error = archived.unwrap_err().to_string();
    assert!(error.contains(&format!("coupon {coupon} ends at")), "{error}");
    assert_eq!(place.rows(), 3_000, "nothing was retired");
    let named = "SELECT COUNT(*) FROM catalogue_changes WHERE operator = 'archive'";
    assert_eq!(place.number(None, named), 0, "no coupon is over for good");
    service.drain();
    place.assert_books_balance();
}

/// The gate remembers who held a coupon that was on offer when it was filled, also once an archive has taken their results.
#[test]
fn what_people_see_of_a_coupon_adds_up_after_an_archive_beside_a_gate_that_has_its_holders() {
    let place = seeded("adds_up", "hash");
    let (&coupon, &sold) = place.counts().iter().next().unwrap();
    let end = |time: Timestamp| format!(r#"{{"end_time":"{time}"}}"#);
    let now = Clock::system().now();
    let tomorrow = now.plus_millis(DAY_MS).millis();
    place.run(None, &format!("UPDATE coupons SET end_time = {tomorrow} WHERE coupon_id = {coupon}"));
    let service = start(&place, "hash", "all");
    let shown = || {
        let stock = service.done("GET", &format!("/api/coupon/{coupon}/stock"), "");
        let offers = service.done("GET", "/admin/coupons?limit=1000", "");
        let offers = offers["items"].as_array().unwrap();
        let offer = offers.iter().find(|offer| offer["coupon_id"] == coupon).unwrap();
        let number = |of: &serde_json::Value| of.as_i64().unwrap();
        let shown = [&stock["total_stock"], &stock["remaining_stock"], &stock["sold"]].map(number);
        assert_eq!([&offer["total_stock"], &offer["left"], &offer["sold"]].map(number), shown);
        shown
    };
    let [total, left, sold_by_gate] = shown();
    assert_eq!((sold_by_gate, left), (sold, total - sold), "it was filled with its holders");
    service.done("PATCH", &format!("/admin/coupons/{coupon}"), &end(now.plus_millis(-DAY_MS - 1)));
    archive(&place).unwrap();
    service.drain();
    assert_eq!(shown(), [left, left, 0]);
    let grab = format!(r#"{{"user_id":1,"coupon_id":{coupon}}}"#);
    assert_eq!(service.done("POST", "/api/coupon/grab", &grab)["grab_status"], 0);
    assert_eq!(place.rows(), 0);
}

#[test]
fn an_end_stays_where_it_is_once_an_archive_has_begun_and_operators_see_why_totals_fall() {
    let (place, service, coupon) = with_one_that_is_over("moved_later");
    // The archive has begun, and waits before the first result goes.
    let oldest =
        format!("SELECT result_id FROM {} ORDER BY result_id LIMIT 1 FOR UPDATE", place.tables(0)[0]);
    let mut holding = place.begin(Some(0), &oldest);
    let tomorrow = Clock::system().now().plus_millis(DAY_MS);
    let (status, told) = scope(|scope| {
        let archiving = scope.spawn(|| archive(&place));
        let named = format!(
            "SELECT COUNT(*) FROM catalogue_changes WHERE operator = 'archive' AND coupon_id = {coupon}"
        );
        place.until_some(&named);
        assert_eq!(place.rows(), 3_000);
        let path = format!("/admin/coupons/{coupon}");
        let moved = service.ask("PATCH", &path, &format!(r#"{{"end_time":"{tomorrow}"}}"#));
        holding.run("COMMIT");
        archiving.join().unwrap().unwrap();
        moved
    });
    assert_eq!(status, 409, "{told}");
    assert!(told["detail"].as_str().unwrap().contains("an archive of them has begun"), "{told}");
    service.drain();
    assert_eq!(place.rows(), 0);
    place.assert_books_balance();
    let (_, changes) = service.ask("GET", "/admin/changes?limit=1000", "");
    let changes = changes["items"].as_array().unwrap();
    let named: Vec<_> = changes.iter().filter(|change| change["operator"] == "Ann").collect();
    let [asked] = named[..] else { panic!("{named:?}") };
    assert!(asked["what"].as_str().unwrap().starts_with("results of the days before"), "{asked}");
    let line = changes.iter().find(|change| change["coupon_id"] == coupon).unwrap();
    assert_eq!(line["operator"], "archive", "{line}");
    assert!(line["what"].as_str().unwrap().contains("are archived: total_stock falls"), "{line}");
    let audit = || -> AuditReport {
        let data = audited(&place.settings, &place.settings.namespace).unwrap();
        data.audit(&Scope::default()).unwrap()
    };
    assert_eq!(audit().violations(), 0, "{}", audit());
    place.run(None, &format!("DELETE FROM catalogue_changes WHERE coupon_id = {coupon}"));
    let found = audit();
    assert_eq!((found.count(Kind::Miscounted), found.violations()), (1, 1), "{found}");
    assert!(found.to_string().contains("names no archive of it"), "{found}");
}
