//! A data folder that is sound until a test breaks it.

use std::time::Duration;

use coupon_audit::{AuditReport, Claims, Data, Scope, StartState};
use coupon_core::TableId;
use coupon_core::schema::{self, Dialect};
use rusqlite::Connection;
use tempfile::TempDir;

use crate::store::{BY_DAY, CATALOGUE, Store, TABLE_TODAY, TABLE_YESTERDAY, end, people, stored, taken};

/// A folder of two shards and two daily tables, whose coupons 1 and 2 belong to room 1, with 10 of each.
pub(crate) struct Folder {
    dir: TempDir,
    claims: Claims,
}

impl Store for Folder {
    const DIALECT: Dialect = Dialect::Sqlite;
    const SECOND_SHARD: &str = "shard-1.sqlite";

    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let main = Connection::open(dir.path().join("main.sqlite")).unwrap();
        main.pragma_update(None, "journal_mode", "wal").unwrap();
        for sql in schema::catalogue(Dialect::Sqlite) {
            main.execute_batch(&sql).unwrap();
        }
        main.execute_batch(&format!(
            "INSERT INTO meta VALUES ('format', '3'), ('dataset', 'd1'), ('layout', '{BY_DAY}'), ('shards', '2');
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

    fn counts(&self, _shard: usize) {}

    fn gave_back(&self, _shard: usize, _rows: i64) {}

    fn let_go(&self, _user: u64, _coupon: u64) {}

    fn note_back(&self, shard: usize, coupon: u64, how: &str) {
        self.shard(
            shard,
            &format!(
                "INSERT INTO outbox SELECT COALESCE(MAX(outbox_id), 0) + 1, '[[{coupon}, 1, \"{how}\"]]', 0 FROM outbox"
            ),
        );
    }

    fn hold_in(&self, _user: u64, _coupon: u64, _slot: u8, _result: i64) {}

    fn gate_has(&self, _coupon: u64, _field: &str, _value: &str) {}

    fn drop_unique(&self, shard: usize, table: &str) {
        self.shard(shard, &format!("DROP INDEX {table}_idx_user_coupon"));
    }

    fn data(&self) -> Data {
        Data::Folder(self.dir.path().to_owned())
    }

    fn audit_around(&self, first: impl FnOnce(&Self), second: &str) -> AuditReport {
        let locked = Connection::open(self.dir.path().join("shard-1.sqlite")).unwrap();
        locked.execute_batch("PRAGMA locking_mode = EXCLUSIVE; BEGIN IMMEDIATE").unwrap();
        std::thread::scope(|scope| {
            let audit = scope.spawn(|| self.audit());
            // It waits for the second file, and nothing says when it has come to it.
            std::thread::sleep(Duration::from_millis(500));
            first(self);
            locked.execute_batch(&format!("{second}; COMMIT")).unwrap();
            drop(locked);
            audit.join().unwrap()
        })
    }

    fn scope<'a>(&'a self, start: Option<&'a StartState>) -> Scope<'a> {
        Scope { claims: Some(&self.claims), start, reads: Some(&[]), drained: true, ..Scope::default() }
    }
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
fn a_folder_of_an_earlier_version_is_refused_by_name() {
    let folder = Folder::sound();
    folder.main("UPDATE meta SET value = '1' WHERE name = 'format'");
    let error = format!("{:#}", folder.data().audit(&Scope::default()).unwrap_err());
    assert!(error.contains("an earlier version"), "{error}");
}

#[test]
fn a_folder_that_was_not_filled_to_its_end_is_refused_with_what_was_cut_short() {
    let folder = Folder::sound();
    folder.main("DELETE FROM meta WHERE name = 'format'");
    let refused = || format!("{:#}", folder.data().audit(&Scope::default()).unwrap_err());
    assert!(refused().contains("filling it was cut short"), "{}", refused());
    folder.main("INSERT INTO meta VALUES ('copying', 'd7')");
    assert!(
        refused().contains("a copy of data set d7") && refused().contains("not complete"),
        "{}",
        refused()
    );
    assert!(folder.data().label().is_err());
}

#[test]
fn a_folder_that_holds_no_data_is_an_error() {
    let dir = TempDir::new().unwrap();
    assert!(Data::Folder(dir.path().to_owned()).audit(&Scope::default()).is_err());
}
