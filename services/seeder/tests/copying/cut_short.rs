//! Copies that are cut short, and go on.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use coupon_seeding::{CopyOptions, Progress};

use super::site::{Here, slow};

const PAST: u64 = 3_000;
/// The longest that a copy may take to come half-way.
const PATIENCE: Duration = Duration::from_secs(60);

/// Ends the work after so many reports of progress.
struct Cut {
    left: u32,
}

impl Cut {
    fn count(&mut self) {
        assert!(self.left > 0, "cut short");
        self.left -= 1;
    }
}

impl Progress for Cut {
    fn stage(&mut self, _: &'static str, _: u64) {
        self.count();
    }

    fn reached(&mut self, _: u64) {
        self.count();
    }

    fn done(&mut self) {
        self.count();
    }
}

/// True if the copy came to its end.
fn cut_after(left: u32, from: &Here, to: &Here) -> bool {
    let copied = catch_unwind(AssertUnwindSafe(|| {
        // Half a thousand rows at a time, so that there are many moments.
        from.copy_with(to, slow(2_000_000), &mut Cut { left }).unwrap();
    }));
    copied.is_ok()
}

#[test]
fn a_copy_that_is_cut_short_anywhere_goes_on_and_is_whole() {
    let from = Here::folder("hash", 4);
    from.seed(PAST);
    for (to, stride) in Here::both("copy_cut", "range-time", 3).into_iter().zip([1, 7]) {
        let whole = from.copy_to(&Here::folder("hash", 2)).unwrap();
        let mut cuts = 0;
        while !cut_after(cuts * stride, &from, &to) {
            let error = to.copy_to(&Here::folder("hash", 2)).unwrap_err();
            let error = format!("{error:#}");
            assert!(error.contains("run the same `seeder copy` again") || error.contains("no"), "{error}");
            cuts += 1;
        }
        assert!(cuts > 3, "{cuts}");
        to.assert_sound(PAST);
        let back = to.copy_to(&Here::folder("hash", 2)).unwrap();
        assert_eq!(back.kinds, whole.kinds);
    }
}

/// Starts the program, and kills it once the copy has noted results.
fn killed(from: &Here, to: &Here, noted: impl Fn() -> bool) {
    let mut seeder = program(from, to).args(["--rate", "1000"]).spawn().unwrap();
    let began = Instant::now();
    while !noted() {
        assert!(seeder.try_wait().unwrap().is_none(), "it ended by itself");
        assert!(began.elapsed() < PATIENCE, "it notes no results");
        std::thread::sleep(Duration::from_millis(20));
    }
    seeder.kill().unwrap();
    seeder.wait().unwrap();
}

fn program(from: &Here, to: &Here) -> Command {
    let mut seeder = Command::new(env!("CARGO_BIN_EXE_seeder"));
    seeder.args(["copy", "--to-strategy", to.strategy.name()]).stderr(Stdio::null());
    for (flag, side) in [("--from-set", from), ("--to-set", to)] {
        for set in side.settings() {
            seeder.args([flag, &set]);
        }
    }
    seeder
}

#[test]
fn a_killed_copy_goes_on_by_the_same_command_and_no_service_opens_it_before() {
    let from = Here::folder("hash", 4);
    from.seed(PAST);
    for to in Here::both("copy_killed", "range-room", 6) {
        let noted = "SELECT COUNT(*) FROM meta WHERE name = 'copying.results'";
        killed(&from, &to, || to.number_in_main(noted).is_some_and(|n| n > 0));
        let opened = catch_unwind(AssertUnwindSafe(|| drop(to.service())));
        assert!(opened.is_err(), "no service opens half a copy");
        let output = program(&from, &to).output().unwrap();
        assert!(output.status.success());
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            said.contains("rows copied, verified, in") && said.contains("the sale stood still for"),
            "{said}"
        );
        to.assert_sound(PAST);
        drop(to.service());
    }
}

#[test]
fn another_copy_does_not_go_on_with_it_unless_it_begins_anew() {
    let (from, other) = (Here::folder("hash", 4), Here::folder("hash", 4));
    from.seed(PAST);
    other.seed(500);
    for to in Here::both("copy_other", "range-room", 4) {
        assert!(!cut_after(12, &from, &to));
        let error = format!("{:#}", other.copy_to(&to).unwrap_err());
        assert!(error.contains("another one is asked for") && error.contains("--anew"), "{error}");
        let anew = CopyOptions { anew: true, ..CopyOptions::default() };
        other.copy_with(&to, anew, &mut coupon_seeding::Silent).unwrap();
        to.assert_sound(500);
        // What is whole is nothing to throw away.
        let error = format!("{:#}", other.copy_with(&to, anew, &mut coupon_seeding::Silent).unwrap_err());
        let refused = ["a copy takes the place of none", "already", "no copy"];
        assert!(refused.iter().any(|words| error.contains(words)), "{error}");
    }
}

#[test]
fn a_copy_whose_rows_are_not_those_that_were_read_stays_closed() {
    let from = Here::folder("range-room", 4);
    from.seed(PAST);
    for to in Here::both("copy_changed", "hash", 2) {
        let mut cuts = 30;
        while !to.try_to_change_shard(0, "UPDATE coupon_results SET room_id = room_id + 1000") {
            assert!(!cut_after(cuts, &from, &to), "it was never half-way");
            cuts += 3;
        }
        for _ in 0..2 {
            let error = format!("{:#}", from.copy_to(&to).unwrap_err());
            assert!(
                error.contains("is not what was read") && error.contains("results: 3000 rows"),
                "{error}"
            );
            let opened = catch_unwind(AssertUnwindSafe(|| drop(to.service())));
            assert!(opened.is_err(), "no service opens it");
        }
        let anew = CopyOptions { anew: true, ..CopyOptions::default() };
        from.copy_with(&to, anew, &mut coupon_seeding::Silent).unwrap();
        to.assert_sound(PAST);
    }
}

#[test]
fn a_source_that_sold_on_after_the_copy_was_cut_short_is_not_mixed_into_it() {
    let from = Here::folder("hash", 4);
    from.seed(PAST);
    let to = Here::folder("range-room", 4);
    assert!(!cut_after(40, &from, &to));
    super::sale::begin(&from.service());
    let error = format!("{:#}", from.copy_to(&to).unwrap_err());
    assert!(error.contains("is not what it was") && error.contains("--anew"), "{error}");
}

/// Ends the work where the room index has taken in some rows.
struct CutInTheIndex {
    stage: &'static str,
}

impl Progress for CutInTheIndex {
    fn stage(&mut self, name: &'static str, _: u64) {
        self.stage = name;
    }

    fn reached(&mut self, _: u64) {
        assert!(self.stage != "room index", "cut short");
    }

    fn done(&mut self) {}
}

#[test]
fn a_copy_that_is_cut_short_while_its_room_index_is_made_goes_on() {
    let from = Here::folder("range-room", 4);
    from.seed(PAST);
    for to in Here::both("copy_rooms", "hash", 2) {
        let options = CopyOptions { room_index: true, ..CopyOptions::default() };
        for _ in 0..2 {
            let mut cut = CutInTheIndex { stage: "" };
            let copied = catch_unwind(AssertUnwindSafe(|| from.copy_with(&to, options, &mut cut).unwrap()));
            assert!(copied.is_err() && cut.stage == "room index", "{}", cut.stage);
            let error = format!("{:#}", to.copy_to(&Here::folder("hash", 2)).unwrap_err());
            assert!(error.contains("run the same `seeder copy` again"), "{error}");
        }
        let report = from.copy_with(&to, options, &mut coupon_seeding::Silent).unwrap();
        assert_eq!(report.kinds.last().map(|kind| kind.rows), Some(PAST));
        let indexed = "SELECT COUNT(*) FROM meta WHERE name = 'room_index'";
        assert_eq!(to.number_in_main(indexed), Some(1));
        to.assert_sound(PAST);
        drop(to.service_set("room_index=true"));
    }
}

#[test]
fn a_copy_that_is_not_complete_is_nothing_to_be_audited_and_says_so() {
    let from = Here::folder("hash", 4);
    from.seed(PAST);
    for to in Here::both("copy_audited", "range-time", 3) {
        assert!(!cut_after(20, &from, &to));
        let error = format!("{:#}", to.try_audit().unwrap_err());
        assert!(error.contains("is to be a copy of data set") && error.contains("not complete"), "{error}");
        from.copy_to(&to).unwrap();
        to.assert_sound(PAST);
    }
}
