//! The connection, and the reading.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use coupon_cli::plain;
use coupon_measure::format::count;
use mysql_async::prelude::Queryable as _;
use mysql_async::{Conn, Opts, OptsBuilder, Row};
use tokio::runtime::{Builder, Runtime};
use tokio_rustls::rustls::crypto;

use super::Address;
use super::key::{Key, Place, quoted};
use super::places::{self, Block, Left};
use super::spans::{KeyBounds, spans};
use super::table::Table;

/// The time limit for a connection to come about.
const CONNECT: Duration = Duration::from_secs(5);
/// The time limit for the answer to a question, which the server is asked to keep as well.
const ANSWER: Duration = Duration::from_secs(60);
/// The least time by which a reader that is ahead of the pace waits: timers are no finer.
const PAUSE: Duration = Duration::from_millis(5);
/// The least rows of one part of the key when all are read: enough that a question is worth its round trip.
const PART: u64 = 500;
/// The parts of the key at most, if all rows are read; and at least and at most, if some are. Each costs four questions.
const PARTS: u64 = 4_000;
const PARTS_OF_SOME: [u64; 2] = [100, 1_000];
/// Nothing is written, whatever is sent; and no row is locked.
const SESSION: [&str; 4] = [
    "SET SESSION TRANSACTION READ ONLY",
    "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
    "SET SESSION time_zone = '+00:00'",
    "SET SESSION net_write_timeout = 60",
];

/// A request for a table's rows.
#[derive(Debug, Clone)]
pub struct TableRequest {
    /// The columns whose values are read.
    pub columns: Vec<String>,
    /// The column with a row's time.
    pub time: Option<String>,
    /// The most rows that are read.
    pub rows: u64,
    /// The most a second.
    pub rows_a_second: u32,
    /// Decides which.
    pub seed: u64,
}

/// A table of which the server has said what it is.
#[derive(Debug)]
pub struct ReadTable {
    runtime: Runtime,
    asked: TableRequest,
    server: Server,
    /// Its rows: as the server estimates them, until they are counted.
    rows: u64,
}

/// The table's server, as it is asked.
#[derive(Debug)]
struct Server {
    connection: Conn,
    address: Address,
    key: Key,
    /// The columns that are wanted.
    select: String,
    /// The table, by its primary key alone.
    from: String,
    pace: Pace,
}

/// A pace of rows a second at most; a question about keys counts as one.
#[derive(Debug)]
struct Pace {
    a_second: u32,
    begun: Instant,
    spent: u64,
}

impl Pace {
    fn new(a_second: u32) -> Self {
        Self { a_second, begun: Instant::now(), spent: 0 }
    }

    /// Waits until so many more are within the pace.
    async fn spend(&mut self, rows: u64) {
        self.spent += rows;
        let due = Duration::from_secs_f64(self.spent as f64 / f64::from(self.a_second.max(1)));
        let ahead = due.saturating_sub(self.begun.elapsed());
        if ahead >= PAUSE {
            tokio::time::sleep(ahead).await;
        }
    }
}

impl ReadTable {
    /// Connects, and asks the server what it knows of the table; no row of it is read.
    ///
    /// # Errors
    /// When it cannot be reached or read, lacks a column, or cannot be sampled.
    pub fn open(address: Address, asked: TableRequest) -> Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build().context("no runtime")?;
        let named = address.to_string();
        let (server, rows) = runtime
            .block_on(Server::open(address, &asked))
            .with_context(|| plain::line(&named).into_owned())?;
        Ok(Self { runtime, asked, server, rows })
    }

    /// Counts the rows, as far as it matters: whether they are more than are read.
    ///
    /// # Errors
    /// When the server does not answer, not in time, or has none.
    pub fn count(&mut self) -> Result<()> {
        let Self { runtime, asked, server, rows } = self;
        let named = plain::line(&server.address.to_string()).into_owned();
        server.pace = Pace::new(asked.rows_a_second);
        let counted = runtime.block_on(server.count(asked.rows)).with_context(|| named)?;
        // A server that has not looked for long estimates too few, or too many.
        *rows = if counted > asked.rows { (*rows).max(counted) } else { counted };
        Ok(())
    }

    /// The planned reading, in words, before anything is read.
    #[must_use]
    pub fn plan(&self) -> String {
        let Self { asked, rows, server, .. } = self;
        let read = asked.rows.min(*rows);
        let columns = asked.columns.iter().chain(&asked.time);
        let columns: Vec<_> = columns.map(|column| plain::line(column)).collect();
        let address = plain::line(&server.address.to_string()).into_owned();
        format!(
            "{address}:\n{} rows, as the server estimates. First they would be counted, up to {} in its primary key. Of more, {} would be \
             read,\nin small places all over that key, which are found by the first and last keys of ranges and by EXPLAIN; of fewer, all.\n\
             Columns: {}. By read-only transactions, at most {} rows a second, each such question counted as one, and the count before any \
             of them: {} s or more",
            count(*rows),
            count(asked.rows.saturating_add(1)),
            count(asked.rows),
            columns.join(", "),
            count(u64::from(asked.rows_a_second)),
            count(read.saturating_mul(2).div_ceil(u64::from(asked.rows_a_second.max(1))))
        )
    }

    /// True if not all rows are read, once they are counted.
    #[must_use]
    pub const fn is_sampled(&self) -> bool {
        self.asked.rows < self.rows
    }

    /// Reads it: of each row its place in the table, its values, and its time in milliseconds. Rows that were read together
    /// have the same place. Returns how many rows came, and from how many places.
    ///
    /// # Errors
    /// When the server does not answer, or not in time.
    pub fn read(
        mut self,
        mut each: impl FnMut(u32, &[Option<String>], Option<i64>),
        mut progress: impl FnMut(String),
    ) -> Result<(u64, u32)> {
        let named = plain::line(&self.server.address.to_string()).into_owned();
        let blocks = self.blocks(&mut progress).with_context(|| named.clone())?;
        let Self { runtime, mut server, asked, .. } = self;
        let columns = asked.columns.len();
        let (mut left, mut rows, mut place) = (Left::new(asked.rows), 0_u64, 0_u32);
        for (number, block) in blocks.iter().enumerate() {
            let most = left.of(block);
            if most == 0 {
                continue;
            }
            let take = |row: Row| {
                let mut values = texts(&row);
                let time = values.split_off(columns.min(values.len())).pop().flatten();
                each(place, &values, time.and_then(|time| time.parse().ok()));
            };
            let more = runtime.block_on(server.read(block, most, take)).with_context(|| named.clone())?;
            left.came(block, more);
            rows += more;
            place += u32::from(more > 0);
            runtime.block_on(server.pace.spend(more));
            progress(format!("{} rows, place {} of {}", count(rows), number + 1, blocks.len()));
        }
        let _ = runtime.block_on(server.connection.disconnect());
        Ok((rows, place))
    }

    fn blocks(&mut self, progress: &mut impl FnMut(String)) -> Result<Vec<Block>> {
        let (is_sampled, Self { runtime, asked, server, rows }) = (self.is_sampled(), self);
        let [least, most] = PARTS_OF_SOME;
        let parts = if is_sampled {
            (asked.rows * 2 / places::TOGETHER).clamp(least, most)
        } else {
            (*rows / PART).clamp(1, PARTS)
        };
        let (greatest, shifts) = (server.key.greatest(), server.key.shifts());
        let told = |found| progress(format!("part {found} of {parts} of the primary key"));
        runtime.block_on(async {
            let spans = spans(server, greatest, parts as usize, told).await?;
            if !is_sampled {
                return Ok(places::all(&spans));
            }
            places::sampled(server, &spans, &shifts, asked.rows, asked.seed).await
        })
    }
}

impl Server {
    async fn open(address: Address, asked: &TableRequest) -> Result<(Self, u64)> {
        let mut connection = connect(&address).await?;
        let table = timely(Table::of(&mut connection, &address)).await?;
        let columns: Result<Vec<String>> = asked.columns.iter().map(|name| table.column(name)).collect();
        let moment =
            asked.time.as_deref().map_or_else(|| Ok("NULL".to_owned()), |name| table.moment(name))?;
        let select = format!("{}, {moment}", columns?.join(", "));
        let from = format!("{}.{}", quoted(&address.database), quoted(&address.table));
        let from = format!("{from} FORCE INDEX (PRIMARY)");
        let pace = Pace::new(asked.rows_a_second);
        Ok((Self { connection, address, key: table.key, select, from, pace }, table.rows))
    }

    /// The rows, counted up to one more than so many: in one question, and then as long is waited as the pace wants.
    async fn count(&mut self, most: u64) -> Result<u64> {
        let Self { connection, from, .. } = self;
        let limit = most.saturating_add(1);
        let question = format!("SELECT COUNT(*) FROM (SELECT 1 FROM {from} LIMIT {limit}) some");
        let counted: Option<u64> =
            timely(async { connection.query_first(question).await.map_err(|error| said(&error)) }).await?;
        let counted = counted.unwrap_or_default();
        ensure!(counted > 0, "it is empty");
        self.pace.spend(counted).await;
        Ok(counted)
    }

    /// The first key between these in that order.
    async fn end(&mut self, first: Place, last: Place, order: &str) -> Result<Option<Place>> {
        self.pace.spend(1).await;
        let Self { connection, key, from, .. } = self;
        let question = format!(
            "SELECT {} FROM {from} WHERE {} ORDER BY {} LIMIT 1",
            key.selected(),
            key.within(first, last),
            key.ordered(order)
        );
        let row: Option<Row> = timely(async { Ok(connection.query_first(question).await?) }).await?;
        row.map(|row| key.place(&texts(&row)).context("its primary key is no whole number")).transpose()
    }

    /// Reads a place.
    async fn read(&mut self, block: &Block, most: u64, mut take: impl FnMut(Row)) -> Result<u64> {
        let Self { connection, key, select, from, .. } = self;
        let passed = if block.passed > 0 { format!(" OFFSET {}", block.passed) } else { String::new() };
        let question = format!(
            "SELECT {select} FROM {from} WHERE {} ORDER BY {} LIMIT {most}{passed}",
            key.within(block.first, block.last),
            key.ordered("")
        );
        timely(async {
            let mut rows = 0;
            let mut answer = connection.query_iter(question).await.map_err(|error| said(&error))?;
            while let Some(row) = answer.next().await.map_err(|error| said(&error))? {
                rows += 1;
                take(row);
            }
            Ok(rows)
        })
        .await
    }
}

impl KeyBounds for Server {
    async fn least(&mut self, first: Place, last: Place) -> Result<Option<Place>> {
        self.end(first, last, "").await
    }

    async fn greatest(&mut self, first: Place, last: Place) -> Result<Option<Place>> {
        self.end(first, last, " DESC").await
    }

    async fn rows(&mut self, first: Place, last: Place) -> Result<u64> {
        self.pace.spend(1).await;
        let Self { connection, key, from, .. } = self;
        let question = format!(
            "EXPLAIN FORMAT=TRADITIONAL SELECT {} FROM {from} WHERE {}",
            key.selected(),
            key.within(first, last)
        );
        let row: Option<Row> = timely(async { Ok(connection.query_first(question).await?) }).await?;
        let rows = row.and_then(|row| row.get_opt::<Option<u64>, _>("rows")?.ok().flatten());
        Ok(rows.unwrap_or_default())
    }
}

async fn connect(address: &Address) -> Result<Conn> {
    // Drivers take the process's; without this, any library could change which one that is.
    let _ = crypto::ring::default_provider().install_default();
    let opts = Opts::from_url(address.url.as_str()).map_err(|error| anyhow!("{error}"))?;
    let opts = OptsBuilder::from_opts(opts)
        .pass(address.password())
        .setup(SESSION.map(str::to_owned).to_vec())
        .prefer_socket(false);
    let connected = tokio::time::timeout(CONNECT, Conn::new(opts)).await;
    let refused = |error| match error {
        mysql_async::Error::Server(ref said) if said.code == 1045 && address.password().is_none() => {
            anyhow!(
                "the user is wrong, or needs a password, and none was given: set MYSQL_PWD, or say it on a terminal"
            )
        }
        error => said(&error),
    };
    let mut connection = connected
        .with_context(|| format!("it did not answer within {} s", CONNECT.as_secs()))?
        .map_err(refused)?;
    // MariaDB's name for it, or MySQL's.
    let limits = [("max_statement_time", ANSWER.as_secs()), ("max_execution_time", ANSWER.as_secs() * 1_000)];
    for (limit, value) in limits {
        let _ = connection.query_drop(format!("SET SESSION {limit} = {value}")).await;
    }
    Ok(connection)
}

fn said(error: &mysql_async::Error) -> anyhow::Error {
    match error {
        mysql_async::Error::Server(said) if said.code == 1045 => anyhow!("the user or the password is wrong"),
        _ => anyhow!("{}", plain::line(&error.to_string())),
    }
}

async fn timely<T>(answer: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::time::timeout(ANSWER, answer)
        .await
        .with_context(|| format!("no answer within {} s", ANSWER.as_secs()))?
}

/// The values of a row: in answers to plain questions, every one is a text.
fn texts(row: &Row) -> Vec<Option<String>> {
    let text = |place| match row.as_ref(place) {
        Some(mysql_async::Value::Bytes(bytes)) => Some(String::from_utf8_lossy(bytes).into_owned()),
        _ => None,
    };
    (0..row.len()).map(text).collect()
}
