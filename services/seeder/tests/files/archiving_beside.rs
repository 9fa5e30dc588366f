//! Old results archived by the service that has the folder, while it takes grabs.

use std::path::Path;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicBool, Ordering};

use coupon_audit::{Data, Scope};
use coupon_core::{Day, Timestamp};
use coupon_seeding::SeedOptions;

use super::common::{rows, seed, small, strategy};
use crate::service::Service;

const DAY_MS: i64 = 86_400_000;
/// The results that the folder is seeded with, of the last six days.
const HISTORY: u64 = 6_000;
/// Users who grab meanwhile.
const GRABS: u64 = 300;

fn seeder(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_seeder")).args(arguments).output().unwrap()
}

/// The first day that is kept: half of the results are older.
fn kept_from() -> Day {
    a_day_ago().plus_millis(-3 * DAY_MS).day()
}

/// Coupons that were over by then are over for a day.
fn a_day_ago() -> Timestamp {
    coupon_seeding::now().plus_millis(-DAY_MS)
}

fn service(data: &Path, name: &str) -> Service {
    let data = format!("embedded.data={:?}", data.display().to_string());
    Service::start(strategy(name), vec![data, "room_index=true".to_owned()])
}

#[test]
fn old_results_are_archived_at_a_service_that_takes_grabs_meanwhile() {
    for name in ["hash", "range-time"] {
        let dir = tempfile::tempdir().unwrap();
        let options =
            SeedOptions { as_of: a_day_ago(), stock: Some(1_000), room_index: true, ..small(HISTORY) };
        seed(dir.path(), name, &options);
        let older =
            rows(dir.path(), 4).iter().filter(|(row, _)| row.time < kept_from().start().millis()).count();
        let service = service(dir.path(), name);
        let (target, before, granted) = (service.url(), kept_from().to_string(), AtomicBool::new(false));
        let archived = std::thread::scope(|scope| {
            let grabs = scope.spawn(|| {
                for user in 1..=GRABS {
                    let body = format!(r#"{{"user_id":{user},"coupon_id":1}}"#);
                    let told = service.done("POST", "/api/coupon/grab", &body);
                    assert_eq!(told["grab_status"], 1, "{told}");
                    granted.store(true, Ordering::Relaxed);
                }
            });
            while !granted.load(Ordering::Relaxed) && !grabs.is_finished() {
                std::thread::yield_now();
            }
            let archived =
                seeder(&["archive", "--target", &target, "--before", &before, "--operator", "Ann"]);
            grabs.join().unwrap();
            archived
        });
        let (said, error) =
            (String::from_utf8(archived.stdout).unwrap(), String::from_utf8(archived.stderr).unwrap());
        assert!(archived.status.success(), "{name}: {error}");
        assert!(said.contains("took them off") && said.contains("coupons' stock"), "{name}: {said}");
        let changes = service.done("GET", "/admin/changes", "");
        assert_eq!(changes["items"][0]["operator"], "Ann", "{name}: {changes}");
        service.drain();
        drop(service);

        let left = rows(dir.path(), 4);
        assert_eq!(left.len() as u64, HISTORY - older as u64 + GRABS, "{name}");
        let scope = Scope { drained: true, ..Scope::default() };
        let report = Data::Folder(dir.path().to_owned()).audit(&scope).unwrap();
        assert_eq!(report.violations(), 0, "{name}: {report}");
    }
}

#[test]
fn a_folder_that_a_service_has_is_archived_by_that_service_alone() {
    let dir = tempfile::tempdir().unwrap();
    seed(dir.path(), "hash", &SeedOptions { as_of: a_day_ago(), room_index: true, ..small(100) });
    let service = service(dir.path(), "hash");
    let (data, before) = (dir.path().to_str().unwrap(), kept_from().to_string());
    let target = service.url();
    for (arguments, said) in [
        (&["--data", data][..], ": name the service with --target, or stop it first"),
        (&["--data", data, "--target", &target], "--data has no effect"),
        (&["--data", data, "--set", "range.spread=2"], "--set range.spread has no effect"),
    ] {
        let output = seeder(&[&["archive", "--before", &before], arguments].concat());
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && stderr.contains(said), "{arguments:?}: {stderr}");
    }
    drop(service);
    let output = seeder(&["archive", "--before", &before, "--data", data]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
