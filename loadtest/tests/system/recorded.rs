//! A run whose answers are kept, and an audit on another day.

use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use rusqlite::Connection;

use crate::system::common::SeededFolder;
use crate::went_well;

fn loadtest(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_loadtest")).args(arguments).output().unwrap()
}

#[test]
fn an_audit_on_another_day_sees_what_became_of_rows_from_before_the_run() {
    let mut seeded = SeededFolder::of("hash");
    let (service, target) = seeded.start();
    seeded.load(&target, Duration::from_millis(300), 1);
    let (folder, data) = (tempfile::tempdir().unwrap(), seeded.data());
    let acks = folder.path().join("acks.csv").to_str().unwrap().to_owned();
    let url = target.url("");
    let run = loadtest(&["run", "--target", &url, "--closed", "4", "--duration", "500ms", "--acks", &acks]);
    assert!(went_well(run.status), "{run:?}");

    let audit = loadtest(&["audit", "--target", &url, "--acks", &acks]);
    let text = String::from_utf8_lossy(&audit.stdout).into_owned();
    assert!(audit.status.success() && text.contains("misread") && !text.contains("n/a"), "{text}");
    service.stop().unwrap();

    let audit = || loadtest(&["audit", "--data", data.to_str().unwrap(), "--acks", &acks]);
    assert_eq!(audit().status.code(), Some(0));
    let shard = Connection::open(data.join("shard-0.sqlite")).unwrap();
    let oldest =
        "UPDATE coupon_results SET use_status = 1, use_time = grab_time + 1, order_amount = 5, state = 2,
                  state_time = grab_time + 1
                  WHERE result_id = (SELECT MIN(result_id) FROM coupon_results)";
    assert_eq!(shard.execute(oldest, []).unwrap(), 1);
    let audit = audit();
    let text = String::from_utf8_lossy(&audit.stdout);
    assert!(audit.status.code() == Some(2) && text.contains("it has been used since"), "{text}");
    // Without the state of before, it cannot be judged.
    std::fs::remove_file(format!("{acks}.start")).unwrap();
    let known = loadtest(&["audit", "--data", data.to_str().unwrap(), "--acks", &acks]);
    assert_eq!(known.status.code(), Some(0), "{known:?}");
}

/// A load that goes on until it is dropped.
struct Load(Child);

impl Load {
    fn on(url: &str) -> Self {
        let arguments = ["run", "--target", url, "--rate", "300", "--duration", "600s"];
        let mut load = Command::new(env!("CARGO_BIN_EXE_loadtest"));
        let load = load.args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        Self(load.unwrap())
    }

    fn goes_on(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn an_audit_beside_a_load_finds_what_is_broken_and_calls_nothing_else_so() {
    let mut seeded = SeededFolder::of("hash");
    let (_service, target) = seeded.start();
    seeded.load(&target, Duration::from_millis(300), 1);
    let url = target.url("");
    let mut load = Load::on(&url);
    let before = seeded.audited(&target).rows;
    // It is under way once rows come of it.
    while seeded.audited(&target).rows == before && load.goes_on() {}
    let audit = || loadtest(&["audit", "--target", &url]);
    let beside = audit();
    let text = String::from_utf8_lossy(&beside.stdout).into_owned();
    assert!(load.goes_on(), "the load has ended: nothing was audited beside it");
    assert_eq!(beside.status.code(), Some(0), "{text}");
    assert!(text.contains("end the load, and audit again"), "{text}");

    let shard = Connection::open(seeded.data().join("shard-0.sqlite")).unwrap();
    shard.busy_timeout(Duration::from_secs(30)).unwrap();
    let oldest = "DELETE FROM coupon_results WHERE result_id = (SELECT MIN(result_id) FROM coupon_results)";
    assert_eq!(shard.execute(oldest, []).unwrap(), 1);
    let damaged = audit();
    let text = String::from_utf8_lossy(&damaged.stdout).into_owned();
    assert!(load.goes_on());
    assert!(damaged.status.code() == Some(2) && text.contains("− remaining"), "{text}");
}
