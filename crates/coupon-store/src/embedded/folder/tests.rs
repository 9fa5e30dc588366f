use std::fs;

use coupon_core::TableId;

use super::*;

const SHARDS: NonZeroU16 = NonZeroU16::new(2).unwrap();

fn shard(number: u16) -> ShardId {
    ShardId::new(number)
}

/// A folder of two shards, closed again.
fn made() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    Folder::create(dir.path(), "a layout", SHARDS).unwrap();
    dir
}

fn open(dir: &tempfile::TempDir) -> Result<Folder, FolderError> {
    Folder::open(dir.path(), "a layout", SHARDS)
}

fn execute(path: &Path, sql: &str) {
    Connection::open(path).unwrap().execute_batch(sql).unwrap();
}

#[test]
fn what_was_created_opens_again_as_the_same_data_set() {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("deep/er");
    let dataset = Folder::create(&dir, "a layout", SHARDS).unwrap().dataset().to_owned();
    let folder = Folder::open(&dir, "a layout", SHARDS).unwrap();
    assert_eq!(folder.dataset(), dataset);
    assert_eq!((folder.layout(), folder.shards(), dataset.len()), ("a layout", SHARDS, 16));
    let db = folder.connect_shard(shard(1)).unwrap();
    db.execute("INSERT INTO outbox VALUES (1, '[]', 0)", []).unwrap();
    let mode: String = db.query_row("PRAGMA journal_mode", [], |row| row.get(0)).unwrap();
    assert_eq!(mode, "wal");
    assert!(folder.connect_main().unwrap().table_exists(None, "coupons").unwrap());
}

#[test]
fn a_reader_cannot_write() {
    let dir = made();
    let folder = open(&dir).unwrap();
    assert!(folder.connect_main_reader().unwrap().execute("DELETE FROM meta", []).is_err());
    assert!(folder.connect_shard_reader(shard(0)).unwrap().execute("DELETE FROM outbox", []).is_err());
}

#[test]
fn two_data_sets_have_different_ids() {
    let (one, other) = (made(), made());
    assert_ne!(open(&one).unwrap().dataset(), open(&other).unwrap().dataset());
}

#[test]
fn data_is_never_created_over_data_unless_replaced() {
    let dir = made();
    let before = open(&dir).unwrap().dataset().to_owned();
    let error = Folder::create(dir.path(), "a layout", SHARDS).unwrap_err();
    assert!(
        matches!(error, FolderError::HoldsData { .. }) && error.to_string().contains("--reset"),
        "{error}"
    );
    Folder::replace(dir.path(), "another", NonZeroU16::MIN).unwrap();
    let after = Folder::open(dir.path(), "another", NonZeroU16::MIN).unwrap();
    assert_ne!(after.dataset(), before);
    assert!(!after.shard_path(shard(1)).exists());
}

#[test]
fn a_folder_in_use_names_the_process_that_holds_it() {
    let dir = made();
    let _held = open(&dir).unwrap();
    for error in [
        open(&dir).unwrap_err(),
        Folder::replace(dir.path(), "a layout", SHARDS).unwrap_err(),
        Folder::remove_data(dir.path()).unwrap_err(),
    ] {
        assert!(matches!(error, FolderError::Locked { .. }), "{error}");
        assert!(error.to_string().contains(&format!("pid {}", std::process::id())), "{error}");
    }
}

#[test]
fn foreign_files_are_neither_joined_nor_removed() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("thesis.docx"), "years of work").unwrap();
    for error in [
        Folder::create(dir.path(), "a layout", SHARDS).unwrap_err(),
        Folder::replace(dir.path(), "a layout", SHARDS).unwrap_err(),
        open(&dir).unwrap_err(),
    ] {
        assert!(matches!(error, FolderError::Foreign { .. }), "{error}");
        assert!(error.to_string().contains("thesis.docx"), "{error}");
    }
    Folder::remove_data(dir.path()).unwrap();
    assert!(dir.path().join("thesis.docx").exists());
}

#[test]
fn removing_data_leaves_none_and_the_folder_can_be_used_again() {
    let dir = made();
    assert!(Folder::holds_data(dir.path()));
    Folder::remove_data(dir.path()).unwrap();
    assert!(!Folder::holds_data(dir.path()));
    assert!(matches!(open(&dir).unwrap_err(), FolderError::NoData { .. }));
    Folder::create(dir.path(), "a layout", SHARDS).unwrap();
}

#[test]
fn nothing_to_open_is_said_so() {
    let missing = Path::new("/nonexistent/coupon-data");
    assert!(matches!(Folder::open(missing, "", SHARDS).unwrap_err(), FolderError::NoData { .. }));
    assert!(!Folder::holds_data(missing));
}

#[test]
fn a_file_in_place_of_the_folder_is_named() {
    let file = tempfile::NamedTempFile::new().unwrap();
    for error in [
        Folder::create(file.path(), "", SHARDS).unwrap_err(),
        Folder::open(file.path(), "", SHARDS).unwrap_err(),
        Folder::create(&file.path().join("below"), "", SHARDS).unwrap_err(),
    ] {
        assert!(matches!(error, FolderError::NotADirectory { .. }), "{error:?}");
        assert!(error.to_string().contains(&*file.path().to_string_lossy()), "{error}");
    }
}

#[test]
fn data_of_another_layout_is_refused() {
    let dir = made();
    let error = Folder::open(dir.path(), "other layout", SHARDS).unwrap_err();
    assert!(matches!(error, FolderError::OtherLayout { .. }), "{error}");
    assert!(error.to_string().contains("a layout") && error.to_string().contains("other layout"), "{error}");
}

#[test]
fn shards_are_prepared_beyond_those_that_a_layout_uses() {
    let dir = made();
    let more = NonZeroU16::new(4).unwrap();
    // A start that was cut short has left half a file.
    fs::write(dir.path().join("shard-2.sqlite"), "half").unwrap();
    let folder = Folder::open(dir.path(), "a layout", more).unwrap();
    assert_eq!(folder.shards(), more);
    folder.connect_shard(shard(3)).unwrap().execute("INSERT INTO outbox VALUES (1, '[]', 0)", []).unwrap();
    drop(folder);
    assert_eq!(open(&dir).unwrap().shards(), more, "they stay, and none is made anew");
    let db = open(&dir).unwrap().connect_shard(shard(3)).unwrap();
    assert_eq!(db.query_row("SELECT COUNT(*) FROM outbox", [], |row| row.get::<_, i64>(0)).unwrap(), 1);
}

#[test]
fn a_main_of_before_there_were_so_many_shards_is_refused_while_these_hold_data() {
    let (dir, more) = (made(), NonZeroU16::new(4).unwrap());
    let (main, kept) = (dir.path().join("main.sqlite"), dir.path().with_extension("kept"));
    fs::copy(&main, &kept).unwrap();
    drop(Folder::open(dir.path(), "a layout", more).unwrap());
    let last = dir.path().join("shard-3.sqlite");
    for table in ["outbox (outbox_id, deltas, create_time) VALUES (1, '[]', 0)", "arrivals VALUES (0, 1)"] {
        execute(&last, &format!("INSERT INTO {table}"));
    }
    fs::rename(&kept, &main).unwrap();
    for shards in [SHARDS, more] {
        let error = Folder::open(dir.path(), "a layout", shards).unwrap_err();
        assert!(matches!(error, FolderError::BeyondMain { .. }), "{error}");
        assert!(error.to_string().contains("main knows 2 shards") && error.to_string().contains("shard-3"));
    }
    execute(&last, "DELETE FROM outbox");
    let folder = Folder::open(dir.path(), "a layout", more).unwrap();
    let db = folder.connect_shard(shard(3)).unwrap();
    let arrivals = db.query_row("SELECT COUNT(*) FROM arrivals", [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(arrivals, 0, "what held no data was made anew");
}

#[test]
fn a_folder_is_opened_by_the_first_of_its_layouts_or_by_the_latest() {
    let dir = made();
    execute(
        &dir.path().join("main.sqlite"),
        "INSERT INTO layouts VALUES (2, 5, 'between', 1, 1, 5, 'somebody', ''), (3, 9, 'latest', 0, 0, 9, 'somebody', '')",
    );
    for layout in ["a layout", "latest"] {
        assert_eq!(Folder::open(dir.path(), layout, SHARDS).unwrap().layout(), "latest");
    }
    let error = Folder::open(dir.path(), "between", SHARDS).unwrap_err();
    assert!(error.to_string().contains("\"latest\""), "{error}");
}

#[test]
fn data_of_before_that_is_laid_out_otherwise_is_left_as_it_is() {
    let dir = made();
    let main = dir.path().join("main.sqlite");
    execute(&main, "UPDATE meta SET value = '1' WHERE name = 'format'");
    let format = || -> String {
        let sql = "SELECT value FROM meta WHERE name = 'format'";
        Connection::open(&main).unwrap().query_row(sql, [], |row| row.get(0)).unwrap()
    };
    Folder::open(dir.path(), "other layout", SHARDS).unwrap_err();
    assert_eq!(format(), "1");
    open(&dir).unwrap();
    assert_eq!(format(), FORMAT.to_string());
}

#[test]
fn a_missing_shard_is_named() {
    let dir = made();
    fs::remove_file(dir.path().join("shard-1.sqlite")).unwrap();
    let error = open(&dir).unwrap_err();
    assert!(matches!(error, FolderError::ShardMissing { .. }), "{error}");
    assert!(error.to_string().contains("shard-1.sqlite"), "{error}");
}

#[test]
fn a_shard_of_another_data_set_or_number_is_refused() {
    let (dir, other) = (made(), made());
    fs::copy(other.path().join("shard-1.sqlite"), dir.path().join("shard-1.sqlite")).unwrap();
    assert!(matches!(open(&dir).unwrap_err(), FolderError::ShardOfAnother { .. }));
    fs::copy(dir.path().join("shard-0.sqlite"), dir.path().join("shard-1.sqlite")).unwrap();
    let error = open(&dir).unwrap_err();
    assert!(matches!(error, FolderError::ShardOfAnother { .. }), "{error}");
}

#[test]
fn a_damaged_file_is_named() {
    for name in ["main.sqlite", "shard-0.sqlite"] {
        let dir = made();
        fs::write(dir.path().join(name), "not a database at all, but long enough to be looked at".repeat(99))
            .unwrap();
        let error = open(&dir).unwrap_err();
        assert!(matches!(error, FolderError::Damaged { .. }), "{error:?}");
        assert!(error.to_string().contains(name), "{error}");
    }
}

#[test]
fn a_data_set_without_its_format_is_incomplete() {
    let dir = made();
    open(&dir).unwrap().mark_incomplete().unwrap();
    let error = open(&dir).unwrap_err();
    assert!(
        matches!(error, FolderError::Incomplete { .. }) && error.to_string().contains("--reset"),
        "{error}"
    );

    let empty = tempfile::tempdir().unwrap();
    fs::write(empty.path().join("main.sqlite"), "").unwrap();
    assert!(matches!(open(&empty).unwrap_err(), FolderError::Incomplete { .. }));
}

#[test]
fn data_of_a_later_version_asks_for_an_upgrade() {
    let dir = made();
    execute(&dir.path().join("main.sqlite"), "UPDATE meta SET value = '7' WHERE name = 'format'");
    let error = open(&dir).unwrap_err();
    assert!(matches!(error, FolderError::TooNew { found: 7, .. }), "{error}");
}

fn mode(path: &std::path::Path) -> u32 {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn nobody_else_may_look_into_a_data_folder_or_read_its_files() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data/own");
    let folder = Folder::create(&data, "own", NonZeroU16::MIN).unwrap();
    // Open connections have logs beside their files.
    let open = [folder.connect_main().unwrap(), folder.connect_shard(ShardId::new(0)).unwrap()];
    open.iter().for_each(|db| db.execute_batch("CREATE TABLE more (id INTEGER)").unwrap());
    assert_eq!((mode(&data), mode(data.parent().unwrap())), (0o700, 0o700));
    let names = files::names(&data).unwrap();
    assert!(names.iter().any(|name| name.ends_with("-wal")), "{names:?}");
    names.iter().for_each(|name| assert_eq!(mode(&data.join(name)), 0o600, "{name}"));
    drop((open, folder));
    // A data set that was made when others could read it.
    let main = data.join("main.sqlite");
    std::fs::set_permissions(&main, std::fs::Permissions::from_mode(0o644)).unwrap();
    drop(Folder::open(&data, "own", NonZeroU16::MIN).unwrap());
    assert_eq!(mode(&main), 0o600);
}

fn copied(dir: &tempfile::TempDir) -> Result<Folder, FolderError> {
    Folder::begin_copy(dir.path(), "a layout", SHARDS, "source")
}

#[test]
fn a_copy_goes_on_wherever_the_making_of_its_files_was_cut_short() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("main.sqlite"), "").unwrap();
    let dataset = copied(&dir).unwrap().dataset().to_owned();
    assert_eq!(copied(&dir).unwrap().dataset(), dataset, "all files were made: it goes on with them");
    let last = copied(&dir).unwrap().shard_path(shard(1));
    fs::remove_file(&last).unwrap();
    let anew = copied(&dir).unwrap().dataset().to_owned();
    assert_ne!(anew, dataset, "a file was not made: no row was stored in any");
    assert!(last.exists());
}

#[test]
fn a_copy_that_has_rows_is_not_thrown_away_because_a_file_cannot_be_used() {
    let dir = tempfile::tempdir().unwrap();
    let folder = copied(&dir).unwrap();
    folder.note("copying.began", "7").unwrap();
    let (first, last) = (folder.shard_path(shard(0)), folder.shard_path(shard(1)));
    drop(folder);
    fs::remove_file(&last).unwrap();
    let error = copied(&dir).unwrap_err();
    assert!(matches!(error, FolderError::ShardMissing { .. }), "{error}");
    assert!(first.exists(), "what was copied is still there");
}

#[test]
fn a_copy_under_way_is_refused_by_name_until_it_is_complete() {
    let dir = tempfile::tempdir().unwrap();
    let folder = copied(&dir).unwrap();
    folder.note("copying.results", "7").unwrap();
    assert_eq!(folder.notes("copying").unwrap().len(), 2);
    drop(folder);
    for error in [open(&dir).unwrap_err(), Folder::open_any(dir.path()).unwrap_err()] {
        assert!(matches!(error, FolderError::Copying { .. }), "{error}");
        assert!(error.to_string().contains("data set source"), "{error}");
    }
    let other = Folder::begin_copy(dir.path(), "another", SHARDS, "source").unwrap_err();
    assert!(other.to_string().contains("--anew"), "{other}");
    copied(&dir).unwrap().complete_copy(&[("copied_lines", "5".to_owned())]).unwrap();
    let folder = open(&dir).unwrap();
    assert!(folder.notes("copying").unwrap().is_empty());
    assert_eq!(folder.notes("copied").unwrap()["copied_lines"], "5");
    drop(folder);
    for error in [copied(&dir).unwrap_err(), Folder::remove_copy(dir.path()).unwrap_err()] {
        assert!(matches!(error, FolderError::NotForCopy { .. }), "{error}");
    }
}

/// A table of results as an earlier version made it, with ten rows, of which those with even ids are used.
fn table_of_before() -> Connection {
    let db = Connection::open_in_memory().unwrap();
    let table = "CREATE TABLE coupon_results (result_id INTEGER NOT NULL PRIMARY KEY, user_id BIGINT NOT NULL, \
                 coupon_id BIGINT NOT NULL, use_status SMALLINT NOT NULL DEFAULT 0, use_time BIGINT); \
                 CREATE UNIQUE INDEX coupon_results_idx_user_coupon ON coupon_results (user_id, coupon_id)";
    db.execute_batch(table).unwrap();
    for id in 1..=10_i64 {
        let used = (id % 2 == 0).then_some(id * 100);
        let row = (id, used.is_some(), used);
        db.execute("INSERT INTO coupon_results VALUES (?1, ?1, 1, ?2, ?3)", row).unwrap();
    }
    db
}

fn states(db: &Connection) -> Vec<(i64, Option<i64>)> {
    let mut rows = db.prepare("SELECT state, state_time FROM coupon_results ORDER BY result_id").unwrap();
    rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().map(Result::unwrap).collect()
}

#[test]
fn a_table_with_more_rows_than_a_slice_is_brought_up_to_date_and_goes_on_after_it_was_cut_short() {
    let used = |id: i64| if id % 2 == 0 { (2, Some(id * 100)) } else { (1, None) };
    let wanted: Vec<(i64, Option<i64>)> = (1..=10).map(used).collect();
    for slice in [1, 3, 10, 11] {
        let mut db = table_of_before();
        assert!(update::results(&mut db, TableId::Single, slice).unwrap());
        assert_eq!(states(&db), wanted, "{slice} rows a slice");
        assert!(
            !update::results(&mut db, TableId::Single, slice).unwrap(),
            "there is nothing to do any more"
        );
    }
    // As far as an update came that ended after its second slice.
    let mut db = table_of_before();
    let steps = schema::results_update(Dialect::Sqlite, TableId::Single);
    steps.columns.iter().for_each(|column| db.execute_batch(&column.sql).unwrap());
    [(0, 3), (3, 6)]
        .into_iter()
        .for_each(|(after, last)| db.execute_batch(&steps.slice(after, last)).unwrap());
    assert_eq!(states(&db)[..6], wanted[..6]);
    assert_ne!(states(&db), wanted);
    assert!(update::results(&mut db, TableId::Single, 3).unwrap());
    assert_eq!(states(&db), wanted);
}
