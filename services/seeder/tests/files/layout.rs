//! Layouts of folders that no service is using, changed from the command line.

use std::num::NonZeroU16;
use std::path::Path;
use std::process::{Command, Output};

use coupon_audit::{Data, Scope};

use super::common::{rows, seed, small};

fn seeder(data: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_seeder")).args(arguments).arg("--data").arg(data).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_dry_run_says_what_a_change_would_be_worth() {
    let dir = tempfile::tempdir().unwrap();
    seed(dir.path(), "hash", &small(2_000));
    let output = seeder(dir.path(), &["layout", "shards", "8", "--dry-run", "--rate", "100"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let said = text(&output.stdout);
    assert!(
        said.starts_with("not done, only looked at: go on over 8 shards\nlayout: hash of user_id, "),
        "{said}"
    );
    assert!(said.contains("mix xxh3, 8 shards") && said.contains("of 2000 rows, "), "{said}");
}

#[test]
fn a_dry_run_of_a_split_names_every_room() {
    let dir = tempfile::tempdir().unwrap();
    seed(dir.path(), "range-room", &small(500));
    let output = seeder(dir.path(), &["layout", "split", "--room", "1,2", "--room", "3", "--dry-run"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let said = text(&output.stdout);
    assert!(said.contains("starting at rooms 1@1, 2@2, 3@3, 4@0 up to 25, then 25 rooms each"), "{said}");
}

#[test]
fn a_folder_goes_on_over_twice_as_many_shards_and_its_rows_are_moved() {
    let dir = tempfile::tempdir().unwrap();
    seed(dir.path(), "hash", &small(500));
    for arguments in [&["layout", "shards", "8"][..], &["rebalance"]] {
        let output = seeder(dir.path(), arguments);
        assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
    }
    let over_eight = coupon_strategies::strategy("hash", NonZeroU16::new(8).unwrap(), &[]).unwrap();
    let rows = rows(dir.path(), 8);
    assert_eq!(rows.len(), 500);
    assert!(rows.iter().all(|(row, at)| over_eight.place(&row.key()).unwrap() == *at));
    let report =
        Data::Folder(dir.path().to_owned()).audit(&Scope { drained: true, ..Scope::default() }).unwrap();
    assert!(report.findings.is_empty(), "{report:?}");
}

#[test]
fn a_change_that_cannot_be_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    seed(dir.path(), "hash", &small(10));
    for (arguments, said) in [
        (&["layout", "split", "--room", "1", "--dry-run"][..], "hash cannot give ranges of their own"),
        (&["layout", "shards", "4", "--dry-run"], "there is nothing to change"),
        (&["layout", "shards", "0", "--dry-run"], "invalid value '0'"),
        (&["layout", "split", "--room", "0"], "room_id must be"),
        (&["layout", "shards", "8", "--rate", "5"], "--dry-run"),
        (&["layout", "show", "--target", "http://127.0.0.1:1"], "--data has no effect"),
        (&["rebalance", "--stop", "--rate", "5"], "cannot be used with"),
    ] {
        let output = seeder(dir.path(), arguments);
        let stderr = text(&output.stderr);
        assert!(!output.status.success() && stderr.contains(said), "{arguments:?}: {stderr}");
    }
    let nowhere = seeder(&dir.path().join("nowhere"), &["layout", "show"]);
    assert!(text(&nowhere.stderr).contains("nowhere"), "{}", text(&nowhere.stderr));
}
