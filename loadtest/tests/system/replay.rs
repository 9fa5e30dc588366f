//! Receipts recorded elsewhere, read, replayed and audited.

use std::path::Path;
use std::process::{Command, Output};

use coupon_lab::built;
use loadtest::replay::{ReadOptions, read};

use crate::receipts::{Size, csv};
use crate::went_well;

const MAP: &str = "user=User_id,room=Merchant_id,coupon=Coupon_id,time=Date_received";
const SMALL: Size = Size { receipts: 600, users: 400, merchants: 30, purchases: 40 };

fn loadtest(folder: &Path, arguments: &[&str]) -> Output {
    read_by(folder, &[arguments, &["receipts.csv", "--map", MAP]].concat())
}

fn read_by(folder: &Path, arguments: &[&str]) -> Output {
    built("hash-svc").unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_loadtest"))
        .args(arguments)
        .args(["--out", "report"])
        .current_dir(folder)
        .output()
        .unwrap();
    assert!(went_well(output.status), "{}", String::from_utf8_lossy(&output.stderr));
    output
}

fn folder_with(size: Size) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("receipts.csv"), csv(size)).unwrap();
    folder
}

#[test]
fn a_file_as_large_and_skewed_as_a_real_one_is_read_whole() {
    let folder = folder_with(Size::REAL);
    let reading = ReadOptions { columns: Some(MAP.parse().unwrap()), ..ReadOptions::default() };
    let recording = read(&folder.path().join("receipts.csv"), &reading).unwrap();
    assert_eq!((recording.rows().len(), recording.users()), (113_640, 76_309));
    let busiest = recording.rooms.grabs.iter().max().unwrap();
    assert_eq!((recording.rooms.labels.len(), busiest * 100 / 113_640), (1_559, 26));
    assert!(recording.days_only() && recording.repeated > 1_000, "{}", recording.repeated);
    assert_eq!(recording.left_out.reasons(), [("nothing in Coupon_id", 1_500, 77)]);
}

#[test]
fn a_replay_sends_every_receipt_once_to_everybody_and_the_audit_finds_each() {
    let folder = folder_with(SMALL);
    let reading = ReadOptions { columns: Some(MAP.parse().unwrap()), ..ReadOptions::default() };
    let recording = read(&folder.path().join("receipts.csv"), &reading).unwrap();
    let output =
        loadtest(folder.path(), &["replay", "--seconds", "6", "--rounds", "3", "--mix", "flash-sale"]);
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("nothing in Coupon_id: 40") && told.contains("clocks"), "{told}");

    let report = coupon_report::read(&folder.path().join("report/report.json")).unwrap();
    assert_eq!(report.contestants.len(), 3);
    for contestant in &report.contestants {
        let rounds = &contestant.rounds;
        assert_eq!(rounds.len(), 3);
        let granted: u64 = rounds.iter().map(|round| round.grabs.granted).sum();
        let duplicates: u64 = rounds.iter().filter_map(|round| round.grabs.refused.get("duplicate")).sum();
        // A machine that is busy elsewhere leaves some without an answer; each receipt is accounted for all the same.
        let unanswered: u64 = rounds.iter().flat_map(|round| round.endpoints["grab"].errors.values()).sum();
        assert_eq!(granted + duplicates + unanswered, recording.rows().len() as u64);
        // A repeat that comes while the first is on its way gets the same result, and nothing is stored for it.
        let written =
            rounds.iter().flat_map(|round| &round.shards).map(|shard| shard.rows_written.value().unwrap());
        let (written, distinct) = (written.sum::<f64>() as u64, recording.stored().count() as u64);
        assert!(
            written <= distinct && written + unanswered >= distinct,
            "{written} of {distinct}, {unanswered} unclear"
        );
        assert!(rounds.iter().all(|round| round.audit.known().is_some()), "{rounds:?}");
        assert!(rounds.iter().all(|round| round.endpoints.contains_key("user_coupons")));
    }
    assert!(report.audit.passed && report.audit.rounds_audited == 9, "{:?}", report.audit);
}

#[test]
fn advice_is_proved_by_a_replay_that_agrees_with_it() {
    let folder = folder_with(Size { receipts: 3_000, users: 2_000, ..SMALL });
    let output =
        loadtest(folder.path(), &["advise", "--seconds", "6", "--rounds", "2", "--json", "advice.json"]);
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(
        (said.contains("\nBest: ") || said.contains("\nPerhaps the best: "))
            && said.contains("skew of the rows"),
        "{said}"
    );
    // A machine that is busy elsewhere may prove nothing, but it never proves the opposite.
    let proved = said.contains("The proof agrees with the prediction.");
    assert!(proved || said.contains("this machine could not take the pace"), "{said}");
    assert!(!said.contains("does not agree"), "{said}");
    let json = std::fs::read_to_string(folder.path().join("advice.json")).unwrap();
    let advice: serde_json::Value = serde_json::from_str(&json).unwrap();
    let names = |of: &str| -> Vec<String> {
        let named = advice[of].as_array().unwrap().iter();
        named.map(|finding| finding["name"].as_str().unwrap().to_owned()).collect()
    };
    let (names, best) = (names("alternatives"), names("recommended"));
    assert!(
        ["hash", "range-room+equal+spread2"].iter().all(|name| names.contains(&(*name).to_owned())),
        "{names:?}"
    );
    // The JSON is the last that is written: it has the settings of the best, and what became of them.
    let report = coupon_report::read(&folder.path().join("report/report.json")).unwrap();
    assert_eq!(report.contestants.iter().map(|contestant| contestant.name.clone()).collect::<Vec<_>>(), best);
    assert!(report.contestants.len() == 2 && report.audit.passed);
    assert_eq!(advice["proof"], if proved { "agrees" } else { "unknown" }, "{json}");
    for best in advice["recommended"].as_array().unwrap() {
        assert!(best["program"].is_string() && best["settings"].is_array(), "{json}");
        assert_eq!(best["compared"][0]["figure"], "skew of the rows", "{json}");
    }
}

#[test]
fn a_trace_of_names_and_huge_ids_is_proved_by_the_ids_that_the_services_see() {
    let folder = tempfile::tempdir().unwrap();
    // Text, numbers beyond what a service takes, and two minutes in which nothing comes.
    let room = |n: u64| {
        if n.is_multiple_of(2) { format!("north {}", n % 10) } else { (u64::MAX - n % 7).to_string() }
    };
    let time = |n: u64| 1_500_000_000 + n / 8 + if n < 300 { 0 } else { 120 };
    let lines: String = (0..600).map(|n| format!("user {n},{},{},{}\n", room(n), n % 3, time(n))).collect();
    let csv = format!("user_id,room_id,coupon_id,grab_time\n{lines}");
    std::fs::write(folder.path().join("names.csv"), csv).unwrap();
    let output = read_by(
        folder.path(),
        &["advise", "names.csv", "--seconds", "6", "--rounds", "3", "--user-map", "users.csv"],
    );
    let said = String::from_utf8(output.stdout).unwrap();
    let proved = said.contains("The proof agrees with the prediction.");
    assert!(proved || said.contains("this machine could not take the pace"), "{said}");
    assert!(!said.contains("does not agree"), "{said}");
    let map = std::fs::read_to_string(folder.path().join("report/rooms.csv")).unwrap();
    assert!(map.lines().count() == 13 && map.contains("\n12,north 8,60,60\n"), "{map}");
    let users = std::fs::read_to_string(folder.path().join("users.csv")).unwrap();
    assert_eq!(users.lines().count(), 601);
    let report = coupon_report::read(&folder.path().join("report/report.json")).unwrap();
    assert!(report.audit.passed, "{:?}", report.audit);
    // The round that holds the gap waited for nothing.
    assert!(!String::from_utf8(output.stderr).unwrap().contains("waited for answers"), "{said}");
}
