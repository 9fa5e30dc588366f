//! Keys judged by queries, as people run it.

use super::{loadtest, loadtest_in};

const SQL: &str = "SELECT * FROM orders WHERE user_id = 'secret-value';\nSELECT * FROM orders WHERE room_id = 2;\nCOMMIT;\n";

#[test]
fn a_file_of_queries_says_which_a_key_scatters_and_keeps_no_value() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("queries.sql"), SQL).unwrap();
    let arguments = [
        "advise",
        "--queries",
        "queries.sql",
        "--key",
        "user_id",
        "--key",
        "room_id",
        "--json",
        "found.json",
    ];
    let output = loadtest_in(folder.path(), &arguments);
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("scatters, to all shards: 50 % of the statements"), "{said}");
    let kept = std::fs::read_to_string(folder.path().join("found.json")).unwrap();
    assert!(!said.contains("secret-value") && !kept.contains("secret-value"));
    let kept: serde_json::Value = serde_json::from_str(&kept).unwrap();
    assert_eq!((&kept["keys"][0]["key"], &kept["keys"][0]["reads"]["one"]), (&"user_id".into(), &1.into()));
}

#[test]
fn a_packed_file_of_queries_is_read_as_it_would_be_unpacked_and_one_that_was_cut_short_is_an_error() {
    use std::io::Write as _;

    let folder = tempfile::tempdir().unwrap();
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(SQL.as_bytes()).unwrap();
    let packed = packed.finish().unwrap();
    std::fs::write(folder.path().join("queries.sql.gz"), &packed).unwrap();
    std::fs::write(folder.path().join("short.gz"), &packed[..packed.len() - 9]).unwrap();
    let advise = |file: &str| {
        loadtest_in(folder.path(), &["advise", "--queries", file, "--key", "user_id", "--key", "room_id"])
    };
    let output = advise("queries.sql.gz");
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && said.contains("scatters, to all shards: 50 %"), "{said}");
    let output = advise("short.gz");
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(1) && error.contains("short.gz"), "{error}");
}

#[test]
fn what_is_missing_or_makes_no_sense_is_named() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("none.sql"), "COMMIT;").unwrap();
    std::fs::write(folder.path().join("t.csv"), "user_id,room_id,coupon_id,grab_time\n1,1,1,1456665255\n")
        .unwrap();
    for (arguments, named) in [
        (&["--queries", "none.sql", "--key", "a"][..], "no statement on rows"),
        (&["--queries", "no-such.sql", "--key", "a"], "no-such.sql"),
        (&["--queries", "none.sql"], "--key"),
        (&["--queries", ".", "--key", "a"], "folder"),
        (&["--queries", "none.sql", "--key", "a,a"], "twice"),
        (&["--from", "mysql://a:secret@b/c.d", "--key", "a"], "MYSQL_PWD"),
        (&["--from", "b/c.d", "--key", "a"], "mysql://USER@HOST"),
        (&["--from", "mysql://a@b/c.d", "--key", "a", "--shard-writes", "0"], "--shard-writes"),
        (&[], "trace"),
    ] {
        let output = loadtest_in(folder.path(), &[&["advise"], arguments].concat());
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && error.contains(named), "{arguments:?}: {error}");
        assert!(!error.contains("secret"), "{error}");
    }
    let queries = &["--queries", "none.sql", "--key", "a"][..];
    let from = &["--from", "mysql://a@b/c.d", "--key", "a"][..];
    // What would do nothing is refused.
    for (asked, more) in [
        (&[][..], &["t.csv", "--rows", "5"][..]),
        (&[], &["t.csv", "--rows-a-second", "5"]),
        (queries, &["--html", "x.html"]),
        (queries, &["--rows", "5"]),
        (queries, &["--time-column", "at"]),
        (queries, &["--yes"]),
        (from, &["--table", "orders"]),
        (queries, &["--shards", "4"]),
        (queries, &["--shard-writes", "5"]),
        (queries, &["--mix", "grabs"]),
        (queries, &["--seconds", "5"]),
        (queries, &["--backend", "embedded"]),
        (queries, &["--set", "a=b"]),
        (queries, &["--sample", "1%"]),
        (queries, &["t.csv"]),
        (from, &["--no-proof"]),
        (from, &["--room-width", "5"]),
        (from, &["--mix", "grabs"]),
        (from, &["--out", "out"]),
        (from, &["t.csv"]),
    ] {
        let output = loadtest_in(folder.path(), &[&["advise"], asked, more].concat());
        let error = String::from_utf8(output.stderr).unwrap();
        let told = error.contains("cannot be used with") || error.contains("--from <ADDRESS>");
        assert!(output.status.code() != Some(0) && told, "{asked:?} {more:?}: {error}");
    }
    assert!(loadtest(&["advise", "--help"]).status.success());
}

#[test]
fn a_page_on_a_trace_needs_nothing_from_elsewhere_and_has_a_map_of_each_key() {
    let folder = tempfile::tempdir().unwrap();
    let lines: String = (0..300).map(|n| format!("{n},{},1,{}\n", n % 7, 1_456_665_255 + 60 * n)).collect();
    std::fs::write(folder.path().join("t.csv"), format!("user_id,room_id,coupon_id,grab_time\n{lines}"))
        .unwrap();
    for (keys, maps) in
        [(&[][..], &["room", "user"][..]), (&["--key", "coupon,user_id"], &["coupon,user_id"])]
    {
        let asked = ["advise", "t.csv", "--no-proof", "--html", "page.html"];
        let output = loadtest_in(folder.path(), &[&asked, keys].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let page = std::fs::read_to_string(folder.path().join("page.html")).unwrap();
        assert!(page.starts_with("<!DOCTYPE html>") && !page.contains("http") && !page.contains("<script"));
        assert_eq!(page.matches("<svg").count(), maps.len(), "{page}");
        assert!(maps.iter().all(|key| page.contains(&format!("Rows by {key} and time"))), "{page}");
        // The command that is printed is the page's too.
        let said = String::from_utf8(output.stdout).unwrap();
        let is_first = |line: &str| line.starts_with("Best: ") || line.starts_with("Perhaps the best: ");
        let command = said.lines().skip_while(|line| !is_first(line)).nth(1).unwrap().trim();
        assert!(page.contains(&format!("<code>{command}</code>")), "{command}: {page}");
    }
}

/// What is said of a table whose rows cannot be sampled by its key: rows that were exported, and the columns named for it.
#[test]
fn exported_rows_of_any_table_are_judged_by_an_id_its_keys_and_a_time() {
    let folder = tempfile::tempdir().unwrap();
    for column in ["created_at", "number"] {
        let time = |n: u64| match column {
            "created_at" => format!("2026-11-01 10:{:02}:{:02}", n / 60, n % 60),
            _ => (n + 1).to_string(),
        };
        let row = |n: u64| format!("{:08x}-aaaa-4bbb-8ccc-{:012x},{},{}\n", n * 40_503, n, n % 3, time(n));
        let rows: String = (0..600).map(row).collect();
        std::fs::write(folder.path().join("rows.csv"), format!("id,tenant,{column}\n{rows}")).unwrap();
        let map = format!("user=id,room=id,coupon=id,time={column}");
        let asked = ["advise", "rows.csv", "--key", "tenant", "--key", "id", "--map", &map];
        let output = loadtest_in(folder.path(), &asked);
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(said.contains("600 rows") && said.contains("tenant: "), "{said}");
    }
}
