//! Data sets that are not copied.

use coupon_seeding::{CopyOptions, Progress, Silent};

use super::sale;
use super::site::Here;

fn error(from: &Here, to: &Here) -> String {
    format!("{:#}", from.copy_to(to).unwrap_err())
}

#[test]
fn a_source_that_a_service_is_at_work_on_is_refused() {
    for from in Here::both("copy_running", "hash", 2) {
        from.seed(100);
        let service = from.service();
        let error = error(&from, &Here::folder("hash", 3));
        assert!(error.contains("in use by another process") || error.contains("/admin/drain"), "{error}");
        drop(service);
        assert!(from.copy_to(&Here::folder("hash", 3)).is_ok());
    }
}

#[test]
fn a_source_that_something_waits_for_is_refused_with_what_it_is() {
    for from in Here::both("copy_waits", "hash", 2) {
        from.seed(100);
        sale::begin(&from.service());
        let (entry, undo) = (
            "INSERT INTO outbox (outbox_id, deltas, create_time) VALUES (1000, '[[1,1]]', 0)",
            "DELETE FROM outbox WHERE outbox_id = 1000",
        );
        from.change_shard(1, entry);
        let told = error(&from, &Here::folder("hash", 3));
        assert!(told.contains("shard 1: 1 entries in its outbox") && told.contains("/admin/drain"), "{told}");
        from.change_shard(1, undo);
        from.change_shard(
            0,
            "INSERT INTO parked_results (result_id, user_id, coupon_id, room_id, table_name, reason, park_time) \
             VALUES (1, 1, 1, 1, 'coupon_results', 'a contradiction', 0)",
        );
        let told = error(&from, &Here::folder("hash", 3));
        assert!(told.contains("shard 0: 1 parked results") && told.contains("resolve"), "{told}");
    }
}

#[test]
fn results_that_nobody_stores_yet_are_waited_for() {
    let (from, to) = (Here::servers("copy_queued", "hash", 2), Here::folder("hash", 3));
    from.seed(100);
    // The first filling of a gate sends markers, which a consumer must store.
    let consumer = from.service_of("consumer");
    let api = from.service_of("api");
    drop(consumer);
    let body = r#"{"user_id":1,"coupon_id":1,"request_id":"queued"}"#;
    let told = api.done("POST", "/api/coupon/grab", body);
    assert_eq!(told["grab_status"], 1, "{told}");
    drop(api);
    let refused = error(&from, &to);
    assert!(refused.contains("messages with results in its queue"), "{refused}");
    assert!(refused.contains("1 reservations that are not known to be stored"), "{refused}");
    from.service().drain();
    from.copy_to(&to).unwrap();
    to.assert_sound(101);
}

#[test]
fn a_target_that_holds_data_is_refused_and_stays_as_it_is() {
    let from = Here::folder("hash", 2);
    from.seed(100);
    for to in Here::both("copy_full", "hash", 2) {
        to.seed(50);
        let told = error(&from, &to);
        assert!(told.contains("data set") && told.contains("choose another"), "{told}");
        assert!(!told.contains("--reset"), "that would remove it: {told}");
        to.assert_sound(50);
    }
}

#[test]
fn a_row_that_the_source_has_twice_is_named() {
    let (from, to) = (Here::folder("range-time", 2), Here::folder("hash", 2));
    from.seed(100);
    let id = from.double_a_row();
    let told = error(&from, &to);
    assert!(told.contains("twice") && told.contains(&id.to_string()), "{told}");
    assert!(error(&to, &Here::folder("hash", 3)).contains("seeder copy"));
}

/// Does something once, when results begin to be copied.
struct Meanwhile<F>(Option<F>);

impl<F: FnOnce()> Progress for Meanwhile<F> {
    fn stage(&mut self, what: &'static str, _: u64) {
        if what == "results"
            && let Some(done) = self.0.take()
        {
            done();
        }
    }

    fn reached(&mut self, _: u64) {}

    fn done(&mut self) {}
}

/// A service that was frozen for longer than its leases last wakes: it renews them, stores, and takes changes.
#[test]
fn a_source_that_goes_on_while_it_is_copied_is_noticed_and_the_copy_stays_closed() {
    let changes = [
        (None, "UPDATE catalogue_state SET version = version + 1", "the catalogue was changed"),
        (None, "INSERT INTO worker_leases VALUES (9, 'woken', 0, 1)", "a worker number"),
        (Some(1), "UPDATE shard_state SET commits = commits + 1", "shard 1 was written to"),
    ];
    let (from, to) = (Here::servers("copy_woken", "hash", 2), Here::folder("hash", 3));
    from.seed(100);
    sale::begin(&from.service());
    let anew = CopyOptions { anew: true, ..CopyOptions::default() };
    for (database, sql, said) in changes {
        let mut meanwhile = Meanwhile(Some(|| drop(from.place().try_to_ask(database, sql).unwrap())));
        let told = format!("{:#}", from.copy_with(&to, anew, &mut meanwhile).unwrap_err());
        assert!(told.contains(said) && told.contains("--anew"), "{told}");
        let closed = error(&to, &Here::folder("hash", 2));
        assert!(closed.contains("run the same `seeder copy` again"), "{closed}");
    }
    from.copy_with(&to, anew, &mut Silent).unwrap();
    to.assert_sound(100 + sale::RESULTS);
}

#[test]
fn a_source_whose_books_are_in_hand_is_refused() {
    let from = Here::servers("copy_in_hand", "hash", 2);
    from.seed(100);
    let in_hand = from.place().take_lock("archive");
    let told = error(&from, &Here::folder("hash", 3));
    assert!(told.contains("an archive, or a rebuild of the books, is at work"), "{told}");
    drop(in_hand);
    from.copy_to(&Here::folder("hash", 3)).unwrap();
}
