//! A room index whose making is cut short, and goes on.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use coupon_seeding::{Progress, Silent, build_room_index};

use crate::copying::site::Here;

/// Results, so many that the index takes in each shard's rows in two parts at least.
const PAST: u64 = 24_000;
/// The most rows of a part.
const PART: u64 = 8_192;
/// The longest that an index may take until it has some.
const PATIENCE: Duration = Duration::from_secs(60);
/// Asks whether main has noted the progress of one that is being made.
const NOTED: &str = "SELECT COUNT(*) FROM meta WHERE name = 'room_index_making'";

/// Takes note of how many rows the index has, and may cut the work short then.
struct Hears {
    first: Option<u64>,
    cuts: bool,
}

impl Progress for Hears {
    fn stage(&mut self, _: &'static str, _: u64) {}

    fn reached(&mut self, rows: u64) {
        self.first.get_or_insert(rows);
        assert!(!self.cuts, "cut short");
    }

    fn done(&mut self) {}
}

/// Makes the index, or a part more of it; returns how many rows it had after its first part, and whether it came to its end.
fn build(here: &Here, cuts: bool) -> (u64, bool) {
    let mut hears = Hears { first: None, cuts };
    let built = catch_unwind(AssertUnwindSafe(|| {
        build_room_index(&here.site(), Some(here.strategy.name()), &mut hears).unwrap();
    }));
    (hears.first.unwrap(), built.is_ok())
}

fn seeded(namespace: &str) -> [Here; 2] {
    let both = Here::both(namespace, "hash", 2);
    both.iter().for_each(|here| here.seed(PAST));
    both
}

#[test]
fn an_index_that_is_cut_short_after_every_part_goes_on_and_is_whole() {
    for here in seeded("rooms_cut") {
        let mut told = 0;
        while told < PAST {
            let (rows, whole) = build(&here, true);
            assert!(rows > told && !whole, "{rows} after {told}");
            assert_eq!(here.number_in_main(NOTED), Some(1));
            told = rows;
        }
        // Nothing is left but to say so.
        build_room_index(&here.site(), Some(here.strategy.name()), &mut Silent).unwrap();
        assert_eq!(here.number_in_main(NOTED), Some(0));
        here.assert_sound(PAST);
    }
}

#[test]
fn an_index_is_begun_anew_where_rows_may_have_changed_since_it_was_cut_short() {
    for here in seeded("rooms_changed") {
        let (first, _) = build(&here, true);
        if here.is_folder() {
            drop(here.service());
        } else {
            here.change_shard(0, "UPDATE shard_state SET commits = commits + 1");
        }
        assert_eq!(build(&here, false), (first, true));
        // One that is there is made anew, too.
        assert_eq!(build(&here, false), (first, true));
        here.assert_sound(PAST);
    }
}

#[test]
fn a_killed_build_goes_on_by_the_same_command() {
    for here in seeded("rooms_killed") {
        let settings = here.settings();
        let mut seeder = Command::new(env!("CARGO_BIN_EXE_seeder"));
        seeder.args(["room-index", "build"]).stderr(Stdio::null());
        // How it is laid out is the data set's to say.
        for set in settings.iter().filter(|set| !set.starts_with("shards=")) {
            seeder.args(["--set", set]);
        }
        let (mut running, began) = (seeder.spawn().unwrap(), Instant::now());
        while here.number_in_main(NOTED) != Some(1) {
            assert!(running.try_wait().unwrap().is_none(), "it ended by itself");
            assert!(began.elapsed() < PATIENCE, "it notes nothing");
            std::thread::sleep(Duration::from_millis(2));
        }
        running.kill().unwrap();
        running.wait().unwrap();
        let first = build(&here, true).0;
        assert!(first > PART, "it was told of {first} rows");
        assert!(seeder.output().unwrap().status.success());
        here.assert_sound(PAST);
    }
}
