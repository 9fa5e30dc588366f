//! The benchmark as people run it: what it says and how it ends.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::Path;
use std::process::{Command, Output};

fn bench(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_loadtest-bench")).args(arguments).current_dir(folder).output().unwrap()
}

#[test]
fn a_bench_that_cannot_be_is_refused_before_anything_is_measured() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    let (file, none, missing) = (path("file"), path("none.json"), path("no/such/folder/bench.json"));
    std::fs::write(&file, "{}").unwrap();
    let out = path("bench.json");
    for (flags, named) in [
        (vec!["--only", "speed", "--out", &out], "routing"),
        (vec!["--only", "routing", "--out", &missing], "--out"),
        (vec!["--doc", "file/BENCHMARKS.md", "--out", &out], "--doc"),
        (vec!["--from", &none], "--from"),
        (vec!["--from", &file], "--from"),
    ] {
        let output = bench(folder.path(), &flags);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{flags:?}: {error}");
        assert!(error.starts_with("error: ") && error.contains(named), "{flags:?}: {error}");
        assert_eq!(error.lines().count(), 1, "{flags:?}: {error}");
    }
    let both = bench(folder.path(), &["--from", &file, "--quick"]);
    assert!(!both.status.success());
}

#[test]
fn a_partial_bench_leaves_the_document_and_an_earlier_run_writes_it_anew() {
    let folder = tempfile::tempdir().unwrap();
    let doc = folder.path().join("docs/BENCHMARKS.md");
    let output = bench(folder.path(), &["--quick", "--only", "routing"]);
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("routing-range-room") && text.contains("written to bench.json"), "{text}");
    assert!(!doc.exists());

    let notes = folder.path().join("docs/benchmarks");
    std::fs::create_dir_all(&notes).unwrap();
    let note = "# Notes\n\n## One multiplication\n\nOf `routing-hash`.\n";
    std::fs::write(notes.join("NOTES.md"), note).unwrap();
    assert!(bench(folder.path(), &["--from", "bench.json"]).status.success());
    let doc = std::fs::read_to_string(doc).unwrap();
    assert!(
        doc.contains("`loadtest-bench --quick --only routing`")
            && doc.contains("(benchmarks/NOTES.md#one-multiplication)"),
        "{doc}"
    );
}
