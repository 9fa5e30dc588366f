//! `loadtest vertical`: two services over the same coupons, one of which has one wide table.

use std::process::Command;

use coupon_lab::built;
use coupon_report::model::Vertical;

#[test]
fn the_same_reads_are_answered_from_two_tables_and_from_one_and_the_answers_size_is_told_apart() {
    built("hash-svc").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_loadtest"))
        .args(["vertical", "--rounds", "5", "--seconds", "0.1", "--json", "vertical.json"])
        .current_dir(folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    let json = std::fs::read(folder.path().join("vertical.json")).unwrap();
    let found: Vertical = serde_json::from_slice(&json).unwrap();
    assert_eq!((found.rounds, found.pairs.len()), (5, 2));
    for pair in &found.pairs {
        for layouts in [&pair.narrow, &pair.wide] {
            for read in [&layouts.split, &layouts.one_table] {
                let rate = read.per_second.as_ref().unwrap();
                assert!(rate.n == 5 && rate.median > 0.0, "{layouts:?}");
            }
            assert_eq!(layouts.throughput_ratio.as_ref().unwrap().n, 5);
        }
        assert!(pair.size_ratio.as_ref().unwrap().median > 0.0, "{pair:?}");
        assert!(pair.meaning.contains("one wide one"), "{}", pair.meaning);
        assert!(said.contains(&pair.meaning), "{said}");
    }
    assert!(said.contains("two tables") && said.contains("one table"), "{said}");
}
