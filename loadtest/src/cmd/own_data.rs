//! Flags of `loadtest advise` about rows and queries of one's own, whatever their columns.

use std::fs::File;
use std::io::{self, Read};
use std::num::NonZeroU16;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use coupon_cli::output::Output;
use coupon_cli::{numbers, terminal};
use coupon_report::html::render_advice;
use serde::Serialize;

use crate::advise::keys::{self, KeyFindings};
use crate::advise::queries::{self, QueryFindings, StatementTally};
use crate::replay::KeyColumns;
use crate::source::unpacked;

/// What keys are judged by, beside a trace. What the one way needs is refused beside the other by name: that it is required
/// does not do so, since the other way rules out what is required.
#[derive(Debug, clap::Args)]
pub(super) struct OwnArgs {
    /// Judge keys by queries: MySQL's general log, its slow log, or a file of SQL, packed by gzip or zstd or as
    /// it is; - is the standard input
    #[arg(long, value_name = "FILE", requires = "key", conflicts_with = "from")]
    queries: Option<PathBuf>,
    /// A table that --queries concern; may be given several times. Without it, those whose statements name the key
    #[arg(long, value_name = "TABLE", requires = "queries", conflicts_with = "from")]
    table: Vec<String>,
    /// Judge keys by the rows of a table, of which a sample is read: mysql://USER@HOST/DATABASE.TABLE. The password is that
    /// of MYSQL_PWD, or asked for
    #[arg(long, value_name = "ADDRESS", requires = "key")]
    from: Option<String>,
    /// The column of that table with a row's time
    #[arg(long, value_name = "COLUMN", requires = "from", conflicts_with = "queries")]
    time_column: Option<String>,
    /// Read so many rows of the table at most; of a larger one, in small places all over it
    #[arg(long, value_name = "ROWS", default_value = "200000", requires = "from", conflicts_with = "queries", value_parser = numbers::some::<u64>)]
    rows: u64,
    /// Read so many rows a second of the table at most
    #[arg(long, value_name = "ROWS", default_value = "20000", requires = "from", conflicts_with = "queries", value_parser = numbers::some::<u32>)]
    rows_a_second: u32,
    /// Read the table without asking first
    #[arg(long, requires = "from", conflicts_with = "queries")]
    yes: bool,
}

/// The keys, and the shards that they are judged for.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(not(feature = "servers"), expect(dead_code, reason = "no table is read without servers"))]
pub(super) struct Wanted<'a> {
    pub(super) keys: &'a [KeyColumns],
    pub(super) shards: NonZeroU16,
    /// Writes a second that a shard takes.
    pub(super) shard_writes: u64,
    pub(super) seed: u64,
}

/// The files that keep what was found.
#[derive(Debug)]
pub(super) struct Kept {
    json: Option<Output>,
    html: Option<Output>,
}

impl Kept {
    /// Opens those that are wanted.
    pub(super) fn open(json: Option<&Path>, html: Option<&Path>) -> Result<Self> {
        let open = |flag, path: Option<&Path>| path.map(|path| Output::create(flag, path)).transpose();
        Ok(Self { json: open("--json", json)?, html: open("--html", html)? })
    }

    /// Writes both, the one even if the other cannot be written.
    pub(super) fn write(self, findings: &impl Serialize, page: impl FnOnce() -> String) -> Result<()> {
        let json = self.json.map_or(Ok(()), |file| file.write_json(findings));
        self.html.map_or(Ok(()), |file| file.write_text(&page()))?;
        json
    }
}

impl OwnArgs {
    /// True if keys are to be judged by something else than a trace.
    pub(super) const fn is_asked(&self) -> bool {
        self.queries.is_some() || self.from.is_some()
    }

    /// Judges the keys, by a file of queries or by a table.
    pub(super) fn run(&self, wanted: Wanted<'_>, kept: Kept) -> Result<()> {
        if let Some(file) = &self.queries {
            let findings = self.by_queries(file, wanted.keys).context("--queries")?;
            terminal::tell_with_commands(queries::text(&findings).trim_end());
            return kept.write(&findings, String::new);
        }
        let from = self.from.as_deref().unwrap_or_default();
        let findings = self.by_rows(from, wanted).context("--from")?;
        terminal::tell_with_commands(keys::text(&findings).trim_end());
        kept.write(&findings, || render_advice(&keys::page(&findings)))
    }

    fn by_queries(&self, file: &Path, keys: &[KeyColumns]) -> Result<QueryFindings> {
        let name = if is_stdin(file) { "the standard input".to_owned() } else { file.display().to_string() };
        let tally = opened(file).and_then(|stream| Ok(StatementTally::of(stream, terminal::progress)?));
        terminal::clear_progress();
        let tally = tally.with_context(|| name.clone())?;
        ensure!(
            tally.statements > 0,
            "{name}: it is read as {}, and has no statement on rows",
            tally.kind.words()
        );
        Ok(QueryFindings::of(name, &tally, keys, &self.table))
    }

    #[cfg(not(feature = "servers"))]
    fn by_rows(&self, from: &str, _: Wanted<'_>) -> Result<KeyFindings> {
        match crate::advise::database::Address::new(from, None)? {}
    }

    #[cfg(feature = "servers")]
    fn by_rows(&self, from: &str, wanted: Wanted<'_>) -> Result<KeyFindings> {
        use coupon_cli::ask;
        use coupon_measure::format::counted;

        use crate::advise::database::{Address, ReadTable, TableRequest};
        use crate::advise::keys::Study;

        let Wanted { keys, shards, shard_writes, seed } = wanted;
        let mut address = Address::new(from, std::env::var("MYSQL_PWD").ok())?;
        if address.lacks_password()
            && let Some(password) = ask::secret(&format!("The password for {address}:"))?
        {
            address.give_password(password);
        }
        let columns = columns(keys);
        let mut study = Study::new(keys, &columns, seed)
            .map_err(|column| anyhow::anyhow!("there is no column {column:?}"))?;
        let name = address.to_string();
        let asked = TableRequest {
            columns,
            time: self.time_column.clone(),
            rows: self.rows,
            rows_a_second: self.rows_a_second,
            seed,
        };
        let reader = ReadTable::open(address, asked)?;
        terminal::note(reader.plan());
        if !self.yes {
            let yes = ask::yes("Read it? [y/N]")?.context("nobody can be asked: say --yes to read it")?;
            ensure!(yes, "nothing was read");
        }
        if reader.is_sampled() {
            study.sampled();
        }
        let read = reader.read(
            |place, values, time| {
                study.place(place);
                study.add(|column| values.get(column).and_then(Option::as_deref), time);
            },
            terminal::progress,
        );
        terminal::clear_progress();
        let (rows, places) = read?;
        ensure!(rows > 0, "no row came");
        terminal::note(format!("read {}, in {}", counted(rows, "row"), counted(u64::from(places), "place")));
        Ok(KeyFindings::of_rows(name, study, shards, shard_writes as f64))
    }
}

/// The columns of all keys, each once.
#[cfg(feature = "servers")]
fn columns(keys: &[KeyColumns]) -> Vec<String> {
    let mut columns: Vec<String> = Vec::new();
    for column in keys.iter().flat_map(KeyColumns::columns) {
        if !columns.contains(column) {
            columns.push(column.clone());
        }
    }
    columns
}

fn is_stdin(file: &Path) -> bool {
    file.as_os_str() == "-"
}

fn opened(file: &Path) -> Result<Box<dyn Read>> {
    if is_stdin(file) {
        return unpacked(io::stdin());
    }
    let opened = File::open(file).context("cannot be read")?;
    ensure!(!opened.metadata().context("cannot be read")?.is_dir(), "is a folder");
    unpacked(opened)
}
