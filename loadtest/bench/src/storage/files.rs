//! The time to fill a data folder, against the same rows over as many bare connections to SQLite.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use coupon_core::{ShardingStrategy, TableId};
use coupon_lab::{forget_folder, register_folder};
use coupon_loadgen::workload::CatalogueSpec;
use coupon_measure::Turns;
use coupon_seeding::{SeedOptions, Silent};
use coupon_strategies::Spec;
use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};
use tempfile::TempDir;

use super::super::context::{Context, HISTORY, SHARDS};
use super::super::model::{Bound, Claim, Findings, Measurement, NamedFigure};
use super::super::section::Section;
use super::seeding::{MAIN, QUICK, TRANSACTION};

pub(super) const SECTION: Section = Section {
    name: "seeding-embedded",
    family: "seeding",
    what: "100,000 users, and results of the past, into files of main and four shards",
    servers: false,
    claims,
    run,
};

/// Rows of a statement.
const ROWS: usize = 100;
/// The page cache of a connection, in KiB: as much as the seeder gives each of five.
const CACHE_KIB: i64 = 96 * 1_024 / 5;

fn claims() -> Vec<Claim> {
    vec![Claim::ratio(
        "seeding-embedded",
        "time to make and store a catalogue of 100,000 users and results of the past in files",
        "the same rows, made before, as multi-row inserts over as many connections with the same settings, indexes last",
        Bound::AtMost(1.5),
    )]
}

/// A table and its rows.
struct Table {
    name: String,
    make: String,
    indexes: Vec<String>,
    columns: usize,
    rows: Vec<Vec<Value>>,
}

fn run(context: &mut Context) -> Result<Findings> {
    let strategy = Spec::parse("hash", SHARDS, &CatalogueSpec::default())?.strategy()?;
    let history = if context.quick { QUICK } else { HISTORY };
    // One moment for all rounds: the same rows, and the same as the bare connections'.
    let options = SeedOptions { history, seed: context.seed, ..SeedOptions::default() };
    let files = {
        context.progress("making the rows");
        let folder = Folder::make()?;
        seed(&folder, &*strategy, &options)?;
        read_all(&folder)?
    };
    let mut turns = Turns::new(context.seed);
    let [mut seeder, mut bare] = [Vec::new(), Vec::new()];
    for round in 1..=context.rounds() {
        for at in turns.next_order(2) {
            let folder = Folder::make()?;
            if at == 0 {
                context.progress(format!("round {round}: the seeder"));
                seeder.push(seed(&folder, &*strategy, &options)?);
            } else {
                context.progress(format!("round {round}: bare connections"));
                bare.push(store_all(&folder, &files)?);
            }
        }
    }
    let figures = vec![
        NamedFigure::of(format!("seeder, {history} results"), "s", &seeder),
        NamedFigure::of("bare connections", "s", &bare),
    ];
    let ratios: Vec<f64> = seeder.iter().zip(&bare).map(|(seeder, bare)| seeder / bare).collect();
    Ok(vec![Measurement::new("seeding-embedded", ratios).figures(figures)].into())
}

/// A folder that goes when it is dropped, and when the run is interrupted.
struct Folder(TempDir);

impl Folder {
    fn make() -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("loadtest-").tempdir();
        let folder = folder.context("cannot make a temporary folder")?;
        register_folder(folder.path().to_owned())?;
        Ok(Self(folder))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        forget_folder(self.0.path());
    }
}

/// Says how many seconds it took.
fn seed(folder: &Folder, strategy: &dyn ShardingStrategy, options: &SeedOptions) -> Result<f64> {
    let began = Instant::now();
    coupon_seeding::seed(&folder.path().join("data"), strategy, options, false, &mut Silent)?;
    Ok(began.elapsed().as_secs_f64())
}

/// Reads the seeder's rows: of main, then of each shard.
fn read_all(folder: &Folder) -> Result<Vec<Vec<Table>>> {
    let data = folder.path().join("data");
    let shard = |number| data.join(format!("shard-{number}.sqlite"));
    let shards = (0..SHARDS.get()).map(|number| read(&shard(number), |name| TableId::parse(name).is_some()));
    let main = read(&data.join("main.sqlite"), |name| MAIN.contains(&name));
    std::iter::once(main).chain(shards).collect()
}

/// The tables of a file that are wanted.
fn read(path: &Path, wanted: impl Fn(&str) -> bool) -> Result<Vec<Table>> {
    let cannot = || format!("cannot read {}", path.display());
    let db = Connection::open(path).with_context(cannot)?;
    let mut tables = db.prepare("SELECT name, sql FROM sqlite_master WHERE type = 'table'")?;
    let tables =
        tables.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, Option<String>>(1)?)))?;
    let mut found = Vec::new();
    for table in tables {
        let (name, make) = table.with_context(cannot)?;
        if let Some(make) = make.filter(|_| wanted(&name)) {
            found.push(read_table(&db, name, make).with_context(cannot)?);
        }
    }
    ensure!(!found.is_empty(), "{} has none of the tables that a seeder fills", path.display());
    Ok(found)
}

fn read_table(db: &Connection, name: String, make: String) -> rusqlite::Result<Table> {
    let mut indexes = db.prepare(
        "SELECT sql FROM sqlite_master WHERE type = 'index' AND tbl_name = ?1 AND sql IS NOT NULL",
    )?;
    let indexes = indexes.query_map([&name], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    let mut rows = db.prepare(&format!("SELECT * FROM {name}"))?;
    let columns = rows.column_count();
    let rows = rows.query_map([], |row| (0..columns).map(|at| row.get(at)).collect())?;
    Ok(Table { rows: rows.collect::<rusqlite::Result<_>>()?, name, make, indexes, columns })
}

/// Stores all of it in new files, over one connection each, all at once. Says how many seconds that took.
fn store_all(folder: &Folder, files: &[Vec<Table>]) -> Result<f64> {
    let path = |number: usize| -> PathBuf { folder.path().join(format!("bare-{number}.sqlite")) };
    let began = Instant::now();
    std::thread::scope(|scope| {
        let numbered = files.iter().enumerate().map(|(number, tables)| (path(number), tables));
        let storing = numbered.map(|(path, tables)| scope.spawn(move || store(&path, tables)));
        let storing: Vec<_> = storing.collect();
        let panicked = |_| anyhow::anyhow!("storing panicked");
        storing.into_iter().try_for_each(|storing| storing.join().map_err(panicked)?)
    })?;
    Ok(began.elapsed().as_secs_f64())
}

/// Stores rows as the seeder does: nothing is journalled or synced until all is there, and then everything is.
fn store(path: &Path, tables: &[Table]) -> Result<()> {
    let mut db = Connection::open(path)?;
    db.pragma_update(None, "synchronous", "OFF")?;
    db.pragma_update(None, "journal_mode", "OFF")?;
    db.pragma_update(None, "cache_size", -CACHE_KIB)?;
    for table in tables {
        db.execute_batch(&table.make)?;
        for rows in table.rows.chunks(TRANSACTION) {
            let transaction = db.transaction()?;
            for rows in rows.chunks(ROWS) {
                let sql = insert(&table.name, table.columns, rows.len());
                transaction.prepare_cached(&sql)?.execute(params_from_iter(rows.iter().flatten()))?;
            }
            transaction.commit()?;
        }
        table.indexes.iter().try_for_each(|index| db.execute_batch(index))?;
    }
    db.pragma_update(None, "synchronous", "FULL")?;
    db.pragma_update(None, "journal_mode", "WAL")?;
    db.close().map_err(|(_, error)| error)?;
    Ok(File::open(path)?.sync_all()?)
}

/// The statement for so many rows.
fn insert(table: &str, columns: usize, rows: usize) -> String {
    let row = format!("({})", vec!["?"; columns].join(","));
    format!("INSERT INTO {table} VALUES {}", vec![row; rows].join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_is_stored_again_with_its_indexes() {
        let folder = Folder::make().unwrap();
        let path = folder.path().join("a.sqlite");
        let db = Connection::open(&path).unwrap();
        db.execute_batch(
            "CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT); CREATE INDEX n ON users (name)",
        )
        .unwrap();
        db.execute_batch("CREATE TABLE other (id INTEGER); INSERT INTO other VALUES (1)").unwrap();
        for id in 0..250 {
            db.execute("INSERT INTO users VALUES (?1, 'somebody')", [id]).unwrap();
        }
        let tables = read(&path, |name| name == "users").unwrap();
        store_all(&folder, &[tables]).unwrap();
        let copy = Connection::open(folder.path().join("bare-0.sqlite")).unwrap();
        let number = |sql: &str| copy.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
        assert_eq!(number("SELECT COUNT(*) FROM users WHERE name = 'somebody'"), 250);
        assert_eq!(number("SELECT SUM(id) FROM users"), 250 * 249 / 2);
        assert_eq!(number("SELECT COUNT(*) FROM sqlite_master WHERE name = 'n'"), 1);
        assert_eq!(number("SELECT COUNT(*) FROM sqlite_master WHERE name = 'other'"), 0);
    }

    #[test]
    fn a_file_without_the_tables_is_no_empty_success() {
        let folder = Folder::make().unwrap();
        let path = folder.path().join("a.sqlite");
        Connection::open(&path).unwrap().execute_batch("CREATE TABLE other (id INTEGER)").unwrap();
        let error = read(&path, |name| name == "users").map(drop).unwrap_err().to_string();
        assert!(error.contains("a.sqlite"), "{error}");
    }
}
