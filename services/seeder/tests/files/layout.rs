//! Layouts of folders that no service is using, changed from the command line.

use std::path::Path;
use std::process::{Command, Output};

use coupon_audit::{Data, Scope};
use coupon_core::Placement;
use tempfile::TempDir;

use super::common::{Row, main_db, of_layout, rows, seed, small};

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
    assert!(said.contains("effective shards, by 2000 rows of all times: "), "{said}");
    assert!(!said.contains("refused"), "a folder is given the shards that it lacks: {said}");
}

#[test]
fn a_dry_run_of_a_split_names_every_room() {
    let dir = tempfile::tempdir().unwrap();
    seed(dir.path(), "range-room", &small(500));
    let output = seeder(dir.path(), &["layout", "split", "--room", "1,2", "--room", "3", "--dry-run"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let said = text(&output.stdout).split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(said.contains("starting at rooms 1@1, 2@2, 3@3, 4@0 up to 25, then 25 rooms each"), "{said}");
    let none = seeder(dir.path(), &["layout", "split", "--room", "1,4711"]);
    assert!(
        !none.status.success() && text(&none.stderr).contains("there is no room 4711 to set apart"),
        "{none:?}"
    );
}

/// Changes the layout of a folder and moves its rows. Each is where the new layout says then, and some are elsewhere than before.
fn changed_and_moved(name: &str, change: &[&str], shards: u16) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    seed(dir.path(), name, &small(500));
    let before = rows(dir.path(), 4);
    let changed = seeder(dir.path(), &[&["layout"][..], change].concat());
    assert!(changed.status.success(), "{}", text(&changed.stderr));
    // A version is in force a second after it was announced, which is waited for.
    let moved = seeder(dir.path(), &["rebalance"]);
    assert!(moved.status.success(), "{}", text(&moved.stderr));
    let said = text(&moved.stdout);
    let last = said.lines().last().unwrap();
    assert!(last.contains("moved, done: every row is where that says"), "{said}");
    let latest = "SELECT layout FROM layouts ORDER BY version DESC LIMIT 1";
    let layout: String = main_db(dir.path()).query_row(latest, [], |row| row.get(0)).unwrap();
    let (strategy, after) = (of_layout(&layout).unwrap(), rows(dir.path(), shards));
    assert!(after.iter().all(|(row, at)| strategy.place(&row.key()).unwrap() == *at), "{layout}");
    let all = |rows: &[(Row, Placement)]| rows.iter().map(|(row, _)| *row).collect::<Vec<_>>();
    assert!(all(&before) == all(&after) && before != after, "{layout}");
    let report =
        Data::Folder(dir.path().to_owned()).audit(&Scope { drained: true, ..Scope::default() }).unwrap();
    assert!(report.findings.is_empty(), "{report:?}");
    dir
}

#[test]
fn a_folder_goes_on_over_twice_as_many_shards_and_its_rows_are_moved() {
    let dir = changed_and_moved("hash", &["shards", "8"], 8);
    let again = seeder(dir.path(), &["rebalance"]);
    assert!(again.status.success(), "{}", text(&again.stderr));
    let said = text(&again.stdout);
    assert!(said.contains("nothing to move: every row is where version 2 of the layout says"), "{said}");
}

#[test]
fn ranges_of_rooms_that_are_split_have_their_rows_moved() {
    changed_and_moved("range-room", &["split", "--room", "1,2,3"], 4);
}

#[test]
fn ranges_that_are_spread_have_their_rows_moved() {
    for name in ["range-time", "range-room"] {
        changed_and_moved(name, &["spread", "--k", "2"], 4);
    }
}

#[test]
fn looking_at_a_layout_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    seed(dir.path(), "hash", &small(500));
    assert!(seeder(dir.path(), &["layout", "shards", "8"]).status.success());
    // As a rebalance leaves it that was killed at its beginning.
    let main = rusqlite::Connection::open(dir.path().join("main.sqlite")).unwrap();
    let begun = "INSERT INTO moves (id, to_version, began, operator, runs, rows_to_look_at, rows_looked_at, rows_moved, rate) \
                 VALUES (1, 2, 0, 'Ann', 1, 500, 0, 0, 1000)";
    main.execute(begun, []).unwrap();
    drop(main);
    for (arguments, said) in [
        (&["layout", "show"][..], "8 shards are used, 8 are prepared"),
        (&["rebalance", "--show"], "rows to version 2: 0 moved, 0 of 500 looked at"),
    ] {
        for _ in 0..2 {
            let output = seeder(dir.path(), arguments);
            assert!(
                output.status.success() && text(&output.stdout).contains(said),
                "{}",
                text(&output.stdout)
            );
        }
    }
    assert_eq!(rows(dir.path(), 8).len(), 500);
}

#[test]
fn a_change_that_cannot_be_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    seed(dir.path(), "hash", &small(10));
    for (arguments, said) in [
        (&["layout", "split", "--room", "1", "--dry-run"][..], "hash cannot give ranges of their own"),
        (&["layout", "shards", "4", "--dry-run"], "there is nothing to change"),
        (&["layout", "shards", "0", "--dry-run"], "it must be at least 1"),
        (&["layout", "shards", "65536"], "give 65535 at most"),
        (&["layout", "spread", "--k", "0"], "it must be at least 1"),
        (&["rebalance", "--rate", "0"], "it must be at least 1"),
        (&["layout", "split", "--room", "0"], "room_id must be"),
        (&["layout", "shards", "8", "--rate", "5"], "--dry-run"),
        (&["layout", "show", "--shards", "8"], "--shards has no effect"),
        (&["rebalance", "--show", "--set", "range.spread=2"], "--set range.spread has no effect"),
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
