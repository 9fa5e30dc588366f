//! Contestants whose layout changes in the middle of their turns.

use std::path::Path;
use std::process::Command;

use coupon_lab::built;
use coupon_report::Report;

use crate::went_well;

/// Compares for a round, in a folder.
fn compare(folder: &Path, arguments: &[&str]) -> Report {
    built("hash-svc").unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_loadtest"))
        .args(["compare", "--history", "4000", "--rounds", "2", "--rate", "200", "--out", "report"])
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(went_well(output.status), "{said}");
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(told.contains("routing alone says") && !told.contains("NOT AS PREDICTED"), "{told}");
    coupon_report::read(&folder.join("report/report.json")).unwrap()
}

#[test]
fn every_strategy_goes_on_over_more_shards_and_moves_what_routing_says() {
    let folder = tempfile::tempdir().unwrap();
    let grow = ["--grow", "2:4@1s", "--seconds", "4", "--rebalance-rate", "20000"];
    let names = ["--contestants", "hash,range-time,range-room,single"];
    let report = compare(folder.path(), &[&names[..], &grow].concat());
    assert!(report.audit.passed, "{:?}", report.audit);
    let [grown @ .., single] = &report.contestants[..] else { panic!("no contestants") };
    assert!(single.unchanged.as_ref().unwrap().contains("by definition"), "{single:?}");
    assert!(single.growths().next().is_none());
    for contestant in grown {
        assert_eq!((contestant.rounds.len(), contestant.growths().count()), (2, 2), "{}", contestant.name);
        for round in &contestant.rounds {
            let growth = round.growth.as_ref().unwrap();
            assert!(growth.asked_s > 0.5 && growth.in_force_s > growth.asked_s, "{growth:?}");
            assert_eq!(growth.is_as_predicted(), Some(true), "{}: {growth:?}", contestant.name);
            assert_eq!((growth.written_before.len(), growth.written_after.len()), (4, 4));
            assert!(growth.written_before[2..].iter().all(|rows| *rows == 0.0), "{growth:?}");
            assert!(growth.before.reads.requests > 0 && growth.before.grabs.requests > 0, "{growth:?}");
            // What was written is counted by the grabs, not by counters that rows which move go through.
            let written: f64 = round.shards.iter().map(|shard| shard.rows_written.value().unwrap()).sum();
            assert_eq!(written, round.grabs.granted as f64);
        }
    }
    let hash = grown[0].rounds[0].growth.as_ref().unwrap();
    let past = 4_000.0;
    assert!((0.4 * past..0.7 * past).contains(&hash.rows_moved.value().unwrap()), "{hash:?}");
    assert!(hash.effective_after.value().unwrap() > hash.effective_before.value().unwrap(), "{hash:?}");
}

#[test]
fn rooms_that_a_service_names_as_hot_are_set_apart() {
    let folder = tempfile::tempdir().unwrap();
    let split = ["--split", "hot@2s", "--seconds", "5", "--rebalance-rate", "20000"];
    let report = compare(folder.path(), &[&["--contestants", "range-room,hash"][..], &split].concat());
    assert!(report.audit.passed, "{:?}", report.audit);
    let [rooms, hash] = &report.contestants[..] else { panic!("no contestants") };
    assert!(hash.unchanged.as_ref().unwrap().contains("cannot give ranges of their own"), "{hash:?}");
    for growth in rooms.growths() {
        assert!(growth.what.starts_with("give ranges of their own to rooms"), "{growth:?}");
        assert_eq!(growth.is_as_predicted(), Some(true), "{growth:?}");
        let (before, after) =
            (growth.effective_before.value().unwrap(), growth.effective_after.value().unwrap());
        assert!(after > 1.5 * before, "{before} → {after}: {growth:?}");
    }
    assert_eq!(rooms.growths().count(), 2);
}
