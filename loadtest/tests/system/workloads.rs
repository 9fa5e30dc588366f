//! Every workload file that comes with the project can be run as it is.

use std::path::Path;
use std::process::Command;

use coupon_lab::built;

use crate::went_well;

/// The contestants with a checkout, whose cost differs by strategy: each has it, and each baseline.
const OF_A_CHECKOUT: [&str; 5] = ["hash", "range-time", "range-room", "update", "update-batched"];

#[test]
fn every_example_runs_without_an_error_and_passes_the_audit() {
    for program in ["hash-svc", "range-svc"] {
        built(program).unwrap();
    }
    let folder = tempfile::tempdir().unwrap();
    let examples = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("workloads")).unwrap();
    for example in examples.map(|entry| entry.unwrap().path()) {
        let checkout = example.file_stem().is_some_and(|name| name == "checkout");
        let contestants: &[&str] = if checkout { &OF_A_CHECKOUT[..] } else { &["hash"] };
        // A rate that each of several can be offered: otherwise the load is the limit, and there is no verdict.
        let rate: &[&str] = if checkout { &["--rate", "200"] } else { &[] };
        let output = Command::new(env!("CARGO_BIN_EXE_loadtest"))
            .args(["compare", "--contestants", &contestants.join(",")])
            .args(rate)
            .args(["--rounds", "1", "--out", "report", "--workload"])
            .arg(&example)
            // A spike, too, must have come by then.
            .args(["--seconds", "2.5"])
            .current_dir(&folder)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(went_well(output.status), "{}: {said}", example.display());
        let report = coupon_report::read(&folder.path().join("report/report.json")).unwrap();
        assert_eq!(report.contestants.len(), contestants.len());
        for contestant in &report.contestants {
            let (round, of) =
                (&contestant.rounds[0], format!("{} of {}", example.display(), contestant.name));
            assert!(round.grabs.granted > 0, "{of}: {round:?}");
            for (endpoint, figures) in &round.endpoints {
                // A machine that is busy with other tests may send late.
                let wrong: Vec<_> =
                    figures.errors.keys().filter(|what| *what != "not sent in time").collect();
                assert!(wrong.is_empty(), "{of}: {endpoint}: {wrong:?}");
            }
            assert_eq!(round.endpoints.contains_key("confirm"), checkout, "{of}");
        }
        assert!(report.audit.passed, "{}: {:?}", example.display(), report.audit);
    }
}
