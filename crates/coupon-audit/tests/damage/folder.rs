//! Each promise broken by hand, in a folder that is otherwise sound, and found.

use coupon_audit::{AuditReport, Claim, Claims, Data, Kind, SHOWN, Scope, Start};
use coupon_core::TableId;
use coupon_core::schema::{self, Dialect};
use rusqlite::Connection;
use tempfile::TempDir;

use crate::cases::{BY_DAY, CATALOGUE, Store, end, people, stored, taken};
use crate::cases::{TABLE_TODAY, TABLE_YESTERDAY, TODAY, YESTERDAY, id, shard_of};

/// A folder of two shards and two daily tables, whose coupons 1 and 2 belong to room 1, with 10 of each.
pub(crate) struct Folder {
    dir: TempDir,
    claims: Claims,
}

impl Store for Folder {
    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let main = Connection::open(dir.path().join("main.sqlite")).unwrap();
        main.pragma_update(None, "journal_mode", "wal").unwrap();
        for sql in schema::catalogue(Dialect::Sqlite) {
            main.execute_batch(&sql).unwrap();
        }
        main.execute_batch(&format!(
            "INSERT INTO meta VALUES ('format', '1'), ('dataset', 'd1'), ('layout', '{BY_DAY}'), ('shards', '2');
             INSERT INTO outbox_positions VALUES (0, 0), (1, 0);"
        ))
        .unwrap();
        for sql in CATALOGUE.into_iter().map(|sql| sql.replace("END", &end())).chain([people()]) {
            main.execute_batch(&sql).unwrap();
        }
        for shard in 0..2 {
            let file = Connection::open(dir.path().join(format!("shard-{shard}.sqlite"))).unwrap();
            file.pragma_update(None, "journal_mode", "wal").unwrap();
            for sql in schema::shard(Dialect::Sqlite) {
                file.execute_batch(&sql).unwrap();
            }
            file.execute("INSERT INTO shard_meta VALUES ('dataset', 'd1')", []).unwrap();
            for table in [TABLE_TODAY, TABLE_YESTERDAY] {
                let (create, indexes) = schema::results(Dialect::Sqlite, TableId::parse(table).unwrap());
                file.execute_batch(&create).unwrap();
                for index in indexes {
                    file.execute_batch(&index).unwrap();
                }
            }
        }
        Self { dir, claims: Claims::default() }
    }

    fn claims(&mut self) -> &mut Claims {
        &mut self.claims
    }

    fn main(&self, sql: &str) {
        Connection::open(self.dir.path().join("main.sqlite")).unwrap().execute_batch(sql).unwrap();
    }

    fn shard(&self, shard: usize, sql: &str) {
        let path = self.dir.path().join(format!("shard-{shard}.sqlite"));
        Connection::open(path).unwrap().execute_batch(sql).unwrap();
    }

    fn store(&self, shard: usize, table: &str, result: i64, user: u64, coupon: u64) {
        self.shard(shard, &stored(table, result, user, coupon));
    }

    fn take(&self, shard: usize, table: &str, user: u64, coupon: u64) {
        self.shard(shard, &taken(table, user, coupon));
    }

    fn note(&self, shard: usize, coupon: u64) {
        self.shard(
            shard,
            &format!(
                "INSERT INTO outbox SELECT COALESCE(MAX(outbox_id), 0) + 1, '[[{coupon}, 1]]', 0 FROM outbox"
            ),
        );
    }

    fn forget(&self, _shard: usize) {}

    fn hold(&self, _user: u64, _coupon: u64, _result: i64) {}

    fn gate_has(&self, _coupon: u64, _field: &str, _value: &str) {}

    fn drop_unique(&self, shard: usize, table: &str) {
        self.shard(shard, &format!("DROP INDEX {table}_idx_user_coupon"));
    }

    fn data(&self) -> Data {
        Data::Folder(self.dir.path().to_owned())
    }

    fn scope<'a>(&'a self, start: Option<&'a Start>) -> Scope<'a> {
        Scope { claims: Some(&self.claims), start, reads: Some(&[]), drained: true, ..Scope::default() }
    }
}

/// The only kind of violation there is, how often, and its examples.
fn only(report: &AuditReport) -> (Kind, u64, String) {
    crate::cases::only(report)
}

#[test]
fn a_sound_folder_passes() {
    let folder = Folder::sound();
    let report = folder.audit();
    assert_eq!((report.rows, report.shards, report.tables, report.violations()), (3, 2, 4, 0), "{report}");
    assert_eq!((report.acknowledged, report.refused, report.unknown), (Some(3), Some(1), Some(0)));
    assert!(report.not_checked.is_empty(), "{report}");
    assert_eq!(folder.data().newest_result().unwrap(), Some(id(TODAY, 2)));
}

#[test]
fn a_running_service_is_not_disturbed_and_its_uncommitted_rows_are_not_seen() {
    let folder = Folder::sound();
    let writer = Connection::open(folder.dir.path().join("shard-0.sqlite")).unwrap();
    writer.execute_batch("BEGIN IMMEDIATE; DELETE FROM coupon_results_2026_11_22").unwrap();
    assert_eq!(folder.audit().violations(), 0);
    writer.execute_batch("ROLLBACK").unwrap();
}

#[test]
fn a_lost_grab_is_found_and_named() {
    let mut folder = Folder::sound();
    folder.claims.add(7, 2, Claim::Granted(id(TODAY, 7)));
    let (kind, count, text) = only(&folder.audit());
    assert_eq!((kind, count), (Kind::Lost, 1));
    assert!(text.contains(&id(TODAY, 7).to_string()) && text.contains("user 7, coupon 2"), "{text}");
}

#[test]
fn a_grab_stored_under_another_id_is_lost() {
    let mut folder = Folder::new();
    folder.store(shard_of(TODAY), TABLE_TODAY, id(TODAY, 9), 1, 1);
    folder.post(shard_of(TODAY), 1);
    folder.claims.add(1, 1, Claim::Granted(id(TODAY, 1)));
    let (kind, _, text) = only(&folder.audit());
    assert_eq!(kind, Kind::Lost);
    assert!(text.contains(&format!("stored instead: result {}", id(TODAY, 9))), "{text}");
}

#[test]
fn a_user_with_the_same_coupon_in_two_daily_tables_is_found() {
    let folder = Folder::sound();
    folder.store(shard_of(YESTERDAY), TABLE_YESTERDAY, id(YESTERDAY, 50), 1, 1);
    folder.post(shard_of(YESTERDAY), 1);
    let (kind, count, text) = only(&folder.audit());
    assert_eq!((kind, count), (Kind::Duplicate, 1));
    assert!(text.contains("user 1 holds coupon 1 2 times"), "{text}");
    assert!(text.contains(TABLE_TODAY) && text.contains(TABLE_YESTERDAY), "{text}");
}

#[test]
fn an_id_stored_on_two_shards_is_found() {
    let folder = Folder::sound();
    folder.store(1 - shard_of(TODAY), TABLE_TODAY, id(TODAY, 1), 6, 2);
    folder.post(1 - shard_of(TODAY), 2);
    let report = folder.audit();
    assert_eq!(report.count(Kind::Duplicate), 1, "{report}");
    assert_eq!((report.count(Kind::Misplaced), report.count(Kind::Invented)), (1, 1), "{report}");
}

#[test]
fn one_more_row_than_stock_is_oversold() {
    let mut folder = Folder::new();
    for user in 1..=11 {
        folder.grab(TODAY, user, 1);
    }
    let (kind, count, text) = only(&folder.audit());
    assert_eq!((kind, count), (Kind::Oversold, 1));
    assert!(text.contains("coupon 1: 11 rows of a stock of 10"), "{text}");
}

#[test]
fn a_row_nobody_asked_for_is_invented_and_one_from_before_the_run_is_not() {
    let folder = Folder::sound();
    folder.store(shard_of(YESTERDAY), TABLE_YESTERDAY, id(YESTERDAY, 2), 2, 1);
    folder.store(shard_of(TODAY), TABLE_TODAY, id(TODAY, 8), 8, 1);
    folder.post(shard_of(YESTERDAY), 1);
    folder.post(shard_of(TODAY), 1);
    let (kind, count, text) = only(&folder.audit());
    assert_eq!((kind, count), (Kind::Invented, 1));
    assert!(text.contains("user 8, coupon 1"), "{text}");
}

#[test]
fn an_unknown_outcome_may_be_stored_or_not() {
    let mut folder = Folder::sound();
    folder.claims.add(8, 1, Claim::Unknown);
    folder.claims.add(9, 1, Claim::Unknown);
    folder.store(shard_of(TODAY), TABLE_TODAY, id(TODAY, 8), 8, 1);
    folder.post(shard_of(TODAY), 1);
    let report = folder.audit();
    assert_eq!((report.violations(), report.unknown, report.unknown_stored), (0, Some(2), 1), "{report}");
}

#[test]
fn a_result_acknowledged_twice_is_one_result() {
    let mut folder = Folder::sound();
    folder.claims.add(1, 1, Claim::Granted(id(TODAY, 1)));
    let report = folder.audit();
    assert_eq!((report.violations(), report.acknowledged), (0, Some(3)), "{report}");
}

#[test]
fn an_id_acknowledged_to_two_users_is_lost_to_one_of_them() {
    let mut folder = Folder::sound();
    folder.claims.add(9, 1, Claim::Granted(id(TODAY, 1)));
    let (kind, count, text) = only(&folder.audit());
    assert_eq!((kind, count), (Kind::Lost, 1));
    assert!(text.contains("user 9") && text.contains("stored instead"), "{text}");
}

#[test]
fn a_user_told_that_they_hold_a_coupon_must_hold_it() {
    let mut folder = Folder::sound();
    folder.claims.add(1, 1, Claim::Held(None));
    assert_eq!(folder.audit().violations(), 0);
    folder.claims.add(6, 1, Claim::Held(None));
    let (kind, count, text) = only(&folder.audit());
    assert_eq!((kind, count), (Kind::Lost, 1));
    assert!(text.contains("user 6 was told that they hold coupon 1"), "{text}");
}

#[test]
fn a_coupon_told_to_be_sold_out_must_be_unless_unknown_grabs_explain_what_is_left() {
    let mut folder = Folder::new();
    (1..=8).for_each(|user| folder.grab(TODAY, user, 1));
    folder.claims.add(20, 1, Claim::SoldOut);
    folder.claims.add(21, 1, Claim::Unknown);
    let (kind, _, text) = only(&folder.audit());
    assert_eq!(kind, Kind::Miscounted);
    assert!(text.contains("coupon 1") && text.contains("2 of 10 are left"), "{text}");
    folder.claims.add(22, 1, Claim::Unknown);
    assert_eq!(folder.audit().violations(), 0);
}

#[test]
fn a_row_on_the_wrong_shard_is_misplaced() {
    let mut folder = Folder::new();
    folder.store(1 - shard_of(TODAY), TABLE_TODAY, id(TODAY, 1), 1, 1);
    folder.post(1 - shard_of(TODAY), 1);
    folder.claims.add(1, 1, Claim::Granted(id(TODAY, 1)));
    let (kind, count, text) = only(&folder.audit());
    assert_eq!((kind, count), (Kind::Misplaced, 1));
    assert!(text.contains(&format!("belongs on shard {}", shard_of(TODAY))), "{text}");
}

#[test]
fn a_row_in_the_table_of_another_day_is_misplaced_even_if_the_layout_is_unknown() {
    let mut folder = Folder::new();
    folder.main("UPDATE meta SET value = 'jump of user_id, 2 shards' WHERE name = 'layout'");
    folder.store(0, TABLE_YESTERDAY, id(TODAY, 1), 1, 1);
    folder.post(0, 1);
    folder.claims.add(1, 1, Claim::Granted(id(TODAY, 1)));
    let report = folder.data().audit(&Scope::default()).unwrap();
    assert_eq!(only(&report).0, Kind::Misplaced);
    assert!(report.not_checked[&Kind::Misplaced].contains("jump of user_id"), "{report}");
    assert_eq!(
        report.not_checked.keys().copied().collect::<Vec<_>>(),
        [Kind::Lost, Kind::Invented, Kind::Misplaced, Kind::Spent, Kind::Misread]
    );
}

#[test]
fn a_row_dated_otherwise_than_its_id_is_misplaced() {
    let folder = Folder::sound();
    folder.shard(
        shard_of(TODAY),
        &format!("UPDATE {TABLE_TODAY} SET grab_time = grab_time + 1 WHERE user_id = 1"),
    );
    let (kind, count, text) = only(&folder.audit());
    assert_eq!((kind, count), (Kind::Misplaced, 1));
    assert!(text.contains("grab_time is"), "{text}");
}

#[test]
fn stock_that_differs_from_the_rows_is_found() {
    let folder = Folder::sound();
    folder.post(0, 2);
    let (kind, count, text) = only(&folder.audit());
    assert_eq!((kind, count), (Kind::Miscounted, 2));
    assert!(text.contains("coupon 2: total 10 − remaining 8 + not yet told 0 = 2, but 1 rows"), "{text}");
}

#[test]
fn a_stock_log_that_differs_from_the_stock_is_found() {
    let folder = Folder::sound();
    folder.main("DELETE FROM stock_logs WHERE coupon_id = 2 AND operation_type = 2");
    let (kind, count, text) = only(&folder.audit());
    assert_eq!((kind, count), (Kind::Miscounted, 1));
    assert!(text.contains("coupon 2: the stock log deducts 0"), "{text}");
}

#[test]
fn outbox_entries_not_yet_applied_count_towards_stock_and_are_a_violation_only_after_draining() {
    let mut folder = Folder::sound();
    let shard = shard_of(TODAY);
    folder.store(shard, TABLE_TODAY, id(TODAY, 5), 5, 2);
    folder.claims.add(5, 2, Claim::Granted(id(TODAY, 5)));
    folder.note(shard, 2);
    let scope = Scope { drained: false, ..folder.scope(None) };
    let report = folder.data().audit(&scope).unwrap();
    assert_eq!(report.violations(), 0, "{report}");
    assert_eq!(
        report.unapplied.iter().map(|u| (usize::from(u.shard), u.entries, u.rows)).collect::<Vec<_>>(),
        [(shard, 1, 1)]
    );
    assert_eq!(only(&folder.audit()).0, Kind::Miscounted);
    folder.apply(shard, 2);
    assert_eq!(folder.audit().violations(), 0);
}

#[test]
fn a_parked_result_is_found() {
    let folder = Folder::sound();
    folder.shard(0, "INSERT INTO parked_results VALUES (77, 5, 2, 1, 'coupon_results', 'conflict', 0)");
    let (kind, count, text) = only(&folder.audit());
    assert_eq!((kind, count), (Kind::Parked, 1));
    assert!(text.contains("result 77 of user 5, coupon 2") && text.contains("conflict"), "{text}");
}

#[test]
fn only_the_first_violations_are_described_but_all_are_counted() {
    let mut folder = Folder::sound();
    for user in 100..130 {
        folder.claims.add(user, 2, Claim::Granted(id(TODAY, u16::try_from(user).unwrap())));
    }
    let report = folder.audit();
    let lost = report.findings.get(&Kind::Lost).unwrap();
    assert_eq!((lost.count, lost.examples.len()), (30, SHOWN));
    assert!(report.to_string().contains("… 10 more"), "{report}");
}

#[test]
fn a_shard_of_another_data_set_is_refused() {
    let folder = Folder::sound();
    folder.shard(1, "UPDATE shard_meta SET value = 'd2'");
    let error = format!("{:#}", folder.data().audit(&Scope::default()).unwrap_err());
    assert!(error.contains("shard-1.sqlite") && error.contains("d2"), "{error}");
}

#[test]
fn a_folder_that_holds_no_data_is_an_error() {
    let dir = TempDir::new().unwrap();
    assert!(Data::Folder(dir.path().to_owned()).audit(&Scope::default()).is_err());
}
