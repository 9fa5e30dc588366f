//! Daily tables at the ends of days, months and years, seen through the API.

use std::path::Path;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use coupon_core::Timestamp;
use coupon_loadgen::http::{Target, get_json, post_json};
use coupon_service::api::{GrabRequest, GrabResponse, ResultAnswer, ResultPage, StepRequest};
use coupon_service::app::Application;
use coupon_store::clock::Clock;
use coupon_store::settings::Sources;
use range_svc::RangeSettings;

/// The coupon of the sample catalogue that is held for ten minutes, to be confirmed.
const HELD: u64 = 51;

/// A service by time on the sample catalogue, in this process, with a clock that can be set.
struct Served {
    target: Target,
    clock: Clock,
    stop: actix_web::dev::ServerHandle,
    thread: Option<JoinHandle<()>>,
}

impl Served {
    fn at(now: &str, data: &Path, flags: &[&str]) -> Self {
        let clock = Clock::starting_at(time(now));
        let mut flags: Vec<String> = flags.iter().map(|flag| (*flag).to_owned()).collect();
        flags.push(format!("embedded.data={:?}", data.display().to_string()));
        let (ready, started) = mpsc::channel();
        let its_clock = clock.clone();
        let thread = std::thread::spawn(move || {
            let service_defaults = "listen = \"127.0.0.1:0\"".to_owned();
            let sources = Sources { service_defaults, flags, ..Sources::default() };
            let (settings, own) = sources.read::<RangeSettings>("range").unwrap();
            actix_web::rt::System::new().block_on(async {
                let strategy = own.strategy(settings.shards).unwrap();
                let app = Application::build("range-svc", settings, strategy, its_clock).unwrap();
                ready.send((app.address(), app.handle())).unwrap();
                app.run().await.unwrap();
            });
        });
        let (addr, stop) = started.recv().unwrap();
        Self { target: Target::new("range-time", addr), clock, stop, thread: Some(thread) }
    }

    fn grab(&self, user_id: u64) -> GrabResponse {
        let request = GrabRequest { user_id, coupon_id: 1, room_id: None, request_id: None };
        let answer: GrabResponse = post_json(&self.target, "/api/coupon/grab", &request).unwrap();
        assert_eq!(answer.grab_status, 1, "{answer:?}");
        answer
    }

    /// A grab of the coupon that is held for ten minutes.
    fn hold(&self, user_id: u64) -> String {
        let request_id = Some(format!("cart of {user_id}"));
        let request = GrabRequest { user_id, coupon_id: HELD, room_id: None, request_id };
        let answer: GrabResponse = post_json(&self.target, "/api/coupon/grab", &request).unwrap();
        assert_eq!(answer.state.as_deref(), Some("held"), "{answer:?}");
        answer.result_id.unwrap()
    }

    fn confirm(&self, user_id: u64, result_id: &str) -> anyhow::Result<ResultAnswer> {
        let step = StepRequest { user_id, result_id: result_id.to_owned() };
        post_json(&self.target, "/api/coupon/confirm", &step)
    }

    fn state_of(&self, result_id: &str) -> String {
        let answer: ResultAnswer = get_json(&self.target, &format!("/api/result/{result_id}")).unwrap();
        answer.result.state
    }

    fn recent(&self) -> ResultPage {
        get_json(&self.target, "/api/orders/recent?hours=1").unwrap()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // The handle only sends a message; the server's own thread does the rest.
        drop(self.stop.stop(true));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// The tables of a shard's file, with how many rows each holds, but for the empty ones.
fn filled(data: &Path) -> Vec<(u16, String)> {
    let mut found = Vec::new();
    for shard in 0..4_u16 {
        let db = rusqlite::Connection::open(data.join(format!("shard-{shard}.sqlite"))).unwrap();
        let mut names = db
            .prepare("SELECT name FROM sqlite_master WHERE name LIKE 'coupon_results%' AND type = 'table'")
            .unwrap();
        let names: Vec<String> = names.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
        for name in names {
            let rows: i64 =
                db.query_row(&format!("SELECT COUNT(*) FROM {name}"), [], |row| row.get(0)).unwrap();
            if rows > 0 {
                found.push((shard, name));
            }
        }
    }
    found.sort_by(|a, b| a.1.cmp(&b.1));
    found
}

#[test]
fn a_new_day_gets_a_new_table_on_the_next_shard() {
    for (before, after, tables) in [
        (
            "2026-11-22T23:59:50Z",
            "2026-11-23T00:00:01Z",
            ["coupon_results_2026_11_22", "coupon_results_2026_11_23"],
        ),
        (
            "2026-11-30T23:59:50Z",
            "2026-12-01T00:00:01Z",
            ["coupon_results_2026_11_30", "coupon_results_2026_12_01"],
        ),
        (
            "2026-12-31T23:59:50Z",
            "2027-01-01T00:00:01Z",
            ["coupon_results_2026_12_31", "coupon_results_2027_01_01"],
        ),
        (
            "2028-02-28T23:59:50Z",
            "2028-02-29T00:00:01Z",
            ["coupon_results_2028_02_28", "coupon_results_2028_02_29"],
        ),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let served = Served::at(before, dir.path(), &[]);
        served.grab(1);
        let early = served.recent();
        assert_eq!(
            (early.items.len(), early.plan.shards.len()),
            (1, 1),
            "before midnight one table is enough"
        );
        served.clock.set(time(after));
        served.grab(2);
        let late = served.recent();
        assert_eq!(
            (late.items.len(), late.plan.shards.len()),
            (2, 2),
            "an hour that crosses midnight needs both days"
        );
        let filled = filled(dir.path());
        let names: Vec<&str> = filled.iter().map(|(_, name)| name.as_str()).collect();
        assert_eq!(names, tables);
        assert_eq!((filled[0].0 + 1) % 4, filled[1].0, "days follow each other around the shards");
    }
}

#[test]
fn a_table_that_nobody_made_ahead_is_made_when_it_is_needed() {
    let dir = tempfile::tempdir().unwrap();
    let served = Served::at("2026-11-22T12:00:00Z", dir.path(), &["range.bucket=hour"]);
    served.grab(1);
    // Weeks pass, and no upkeep ran in between.
    served.clock.set(time("2027-01-15T05:30:00Z"));
    served.grab(2);
    let names: Vec<String> = filled(dir.path()).into_iter().map(|(_, name)| name).collect();
    assert_eq!(names, ["coupon_results_2026_11_22_12", "coupon_results_2027_01_15_05"]);
}

#[test]
fn a_user_has_one_coupon_even_across_midnight() {
    let dir = tempfile::tempdir().unwrap();
    let served = Served::at("2026-11-22T23:59:50Z", dir.path(), &[]);
    let first = served.grab(1);
    served.clock.set(time("2026-11-23T00:00:01Z"));
    let request = GrabRequest { user_id: 1, coupon_id: 1, room_id: None, request_id: None };
    let again: GrabResponse = post_json(&served.target, "/api/coupon/grab", &request).unwrap();
    assert_eq!((again.grab_status, again.fail_reason.as_deref()), (0, Some("duplicate")));
    assert_eq!(again.result_id, first.result_id);
}

#[test]
fn what_is_held_across_midnight_is_confirmed_or_expires_in_the_table_of_its_grab() {
    for (before, after, table) in [
        ("2026-11-22T23:59:50Z", "2026-11-23T00:00:01Z", "coupon_results_2026_11_22"),
        ("2026-11-30T23:59:50Z", "2026-12-01T00:00:01Z", "coupon_results_2026_11_30"),
        ("2026-12-31T23:59:50Z", "2027-01-01T00:00:01Z", "coupon_results_2026_12_31"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let served = Served::at(before, dir.path(), &[]);
        let [confirmed, left] = [1, 2].map(|user| served.hold(user));
        served.clock.set(time(after));
        assert_eq!(served.confirm(1, &confirmed).unwrap().result.state, "owned");
        assert_eq!(served.state_of(&left), "held", "{after}");
        served.clock.set(time(before).plus_millis(600_000));
        let deadline = Instant::now() + Duration::from_secs(60);
        while served.state_of(&left) != "expired" {
            assert!(Instant::now() < deadline, "it does not expire after {after}");
            std::thread::sleep(Duration::from_millis(5));
        }
        let late = served.confirm(2, &left).unwrap_err();
        assert!(format!("{late:#}").contains("409"), "{late:#}");
        assert_eq!(served.state_of(&confirmed), "owned");
        let tables: Vec<String> = filled(dir.path()).into_iter().map(|(_, name)| name).collect();
        assert_eq!(tables, [table], "both rows stay where they were stored");
        // What is grabbed now goes to the table of the new day.
        served.hold(3);
        assert_eq!(filled(dir.path()).len(), 2);
    }
}
