//! Every workload file that comes with the project can be run as it is.

use std::path::Path;
use std::process::Command;

use coupon_lab::built;

use crate::went_well;

#[test]
fn every_example_runs_without_an_error_and_passes_the_audit() {
    built("hash-svc").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let examples = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("workloads")).unwrap();
    for example in examples.map(|entry| entry.unwrap().path()) {
        let output = Command::new(env!("CARGO_BIN_EXE_loadtest"))
            .args(["compare", "--contestants", "hash", "--rounds", "1", "--out", "report", "--workload"])
            .arg(&example)
            // A spike, too, must have come by then.
            .args(["--seconds", "2.5"])
            .current_dir(&folder)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(went_well(output.status), "{}: {said}", example.display());
        let report = coupon_report::read(&folder.path().join("report/report.json")).unwrap();
        let round = &report.contestants[0].rounds[0];
        assert!(round.grabs.granted > 0, "{}: {round:?}", example.display());
        for (endpoint, figures) in &round.endpoints {
            // A machine that is busy with other tests may send late.
            let wrong: Vec<_> = figures.errors.keys().filter(|what| *what != "not sent in time").collect();
            assert!(wrong.is_empty(), "{}: {endpoint}: {wrong:?}", example.display());
        }
        assert!(report.audit.passed, "{}: {:?}", example.display(), report.audit);
    }
}
