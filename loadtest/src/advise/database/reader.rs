//! The connection, and the reading.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use coupon_cli::plain;
use coupon_measure::format::{count, counted};
use mysql_async::prelude::Queryable as _;
use mysql_async::{Conn, Opts, OptsBuilder, Row};
use tokio::runtime::{Builder, Runtime};
use tokio_rustls::rustls::crypto;

use super::Address;
use super::blocks::{Block, blocks};
use super::table::{Table, quoted};

/// The time limit for a connection to come about.
const CONNECT: Duration = Duration::from_secs(5);
/// The time limit for the answer to a question, which the server is asked to keep as well.
const ANSWER: Duration = Duration::from_secs(60);
/// Nothing is written, whatever is sent; and no row is locked.
const SESSION: [&str; 4] = [
    "SET SESSION TRANSACTION READ ONLY",
    "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
    "SET SESSION time_zone = '+00:00'",
    "SET SESSION net_write_timeout = 60",
];

/// What is wanted of a table.
#[derive(Debug, Clone)]
pub struct Asked {
    /// The columns whose values are read.
    pub columns: Vec<String>,
    /// The column with a row's time.
    pub time: Option<String>,
    /// About so many rows are read.
    pub rows: u64,
    /// So many a second at most.
    pub rows_a_second: u32,
    /// Decides which.
    pub seed: u64,
}

/// A table that was looked at.
#[derive(Debug)]
pub struct Reader {
    runtime: Runtime,
    connection: Conn,
    address: Address,
    asked: Asked,
    select: String,
    id: String,
    rows: u64,
    blocks: Vec<Block>,
}

impl Reader {
    /// Connects, and looks at the table.
    ///
    /// # Errors
    /// When it cannot be reached or read, lacks a column, or cannot be sampled.
    pub fn open(address: Address, asked: Asked) -> Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build().context("no runtime")?;
        let named = address.to_string();
        runtime.block_on(Self::opened(address, asked)).with_context(|| plain::line(&named).into_owned()).map(
            |(connection, address, asked, planned)| {
                let (select, id, rows, blocks) = planned;
                Self { runtime, connection, address, asked, select, id, rows, blocks }
            },
        )
    }

    async fn opened(
        address: Address,
        asked: Asked,
    ) -> Result<(Conn, Address, Asked, (String, String, u64, Vec<Block>))> {
        let mut connection = connect(&address).await?;
        let planned = timely(plan(&mut connection, &address, &asked)).await?;
        Ok((connection, address, asked, planned))
    }

    /// What would be read, in words.
    #[must_use]
    pub fn plan(&self) -> String {
        let Self { address, asked, rows, blocks, .. } = self;
        let read = asked.rows.min(*rows);
        let columns = asked.columns.iter().chain(&asked.time);
        let columns: Vec<_> = columns.map(|column| plain::line(column)).collect();
        format!(
            "{}: about {} rows, of which about {} would be read: the columns {}, in {} of the primary key, by read-only \
             transactions, at most {} rows a second: {} s or more",
            plain::line(&address.to_string()),
            count(*rows),
            count(read),
            columns.join(", "),
            counted(blocks.len() as u64, "range"),
            count(u64::from(asked.rows_a_second)),
            count(read.div_ceil(u64::from(asked.rows_a_second.max(1))))
        )
    }

    /// True if not all rows are read.
    #[must_use]
    pub const fn is_sampled(&self) -> bool {
        self.asked.rows < self.rows
    }

    /// Reads it: each row's values, and its time in milliseconds. Returns how many rows came, and from how many ranges that
    /// had any.
    ///
    /// # Errors
    /// When the server does not answer, or not in time.
    pub fn read(
        mut self,
        mut each: impl FnMut(&[Option<String>], Option<i64>),
        mut progress: impl FnMut(String),
    ) -> Result<(u64, u64)> {
        let (begun, columns) = (Instant::now(), self.asked.columns.len());
        let (mut rows, mut filled) = (0_u64, 0_u64);
        // Clusters of ids make some ranges fuller than others, and all of them together hardly so.
        let most = self.asked.rows.saturating_mul(4).saturating_add(100_000);
        for (number, (from, to)) in self.blocks.iter().enumerate() {
            let question =
                format!("{} WHERE {id} >= {from} AND {id} < {to} ORDER BY {id}", self.select, id = self.id);
            let take = |row: Row| {
                let mut values = texts(&row);
                let time = values.split_off(columns.min(values.len())).pop().flatten();
                each(&values, time.and_then(|time| time.parse().ok()));
            };
            let read = timely(read(&mut self.connection, &question, most.saturating_sub(rows), take));
            let more = self
                .runtime
                .block_on(read)
                .with_context(|| plain::line(&self.address.to_string()).into_owned())?;
            rows += more;
            filled += u64::from(more > 0);
            let due = Duration::from_secs_f64(rows as f64 / f64::from(self.asked.rows_a_second.max(1)));
            std::thread::sleep(due.saturating_sub(begun.elapsed()));
            progress(format!("{} rows, range {} of {}", count(rows), number + 1, self.blocks.len()));
        }
        let _ = self.runtime.block_on(self.connection.disconnect());
        Ok((rows, filled))
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
    let mut connection = connected
        .with_context(|| format!("it did not answer within {} s", CONNECT.as_secs()))?
        .map_err(|error| said(&error))?;
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

async fn plan(
    connection: &mut Conn,
    address: &Address,
    asked: &Asked,
) -> Result<(String, String, u64, Vec<Block>)> {
    let table = Table::of(connection, address).await?;
    let columns: Result<Vec<String>> = asked.columns.iter().map(|name| table.column(name)).collect();
    let moment = asked.time.as_deref().map_or_else(|| Ok("NULL".to_owned()), |name| table.moment(name))?;
    let (id, from) = (quoted(&table.id), format!("{}.{}", quoted(&address.database), quoted(&address.table)));
    let select = format!("SELECT {}, {moment} FROM {from}", columns?.join(", "));
    let ends: Option<(Option<String>, Option<String>)> = connection
        .query_first(format!("SELECT CAST(MIN({id}) AS CHAR), CAST(MAX({id}) AS CHAR) FROM {from}"))
        .await?;
    let end = |text: Option<String>| text.and_then(|text| text.parse::<i128>().ok());
    let ends = ends.and_then(|(least, greatest)| Some((end(least)?, end(greatest)?)));
    let (least, greatest) = ends.context("it is empty")?;
    let rows = table.rows.max(counted_to(connection, &from, asked.rows).await?);
    Ok((select, id, rows, blocks(least, greatest, rows, asked.rows, asked.seed)))
}

/// The rows, counted as far as it matters: a server that has not looked for long estimates too few.
async fn counted_to(connection: &mut Conn, from: &str, most: u64) -> Result<u64> {
    let limit = most.saturating_add(1);
    let counted = connection
        .query_first(format!("SELECT COUNT(*) FROM (SELECT 1 FROM {from} LIMIT {limit}) some"))
        .await?;
    Ok(counted.unwrap_or_default())
}

async fn read(connection: &mut Conn, question: &str, most: u64, mut take: impl FnMut(Row)) -> Result<u64> {
    let mut rows = 0;
    let mut answer = connection.query_iter(question).await.map_err(|error| said(&error))?;
    while let Some(row) = answer.next().await.map_err(|error| said(&error))? {
        rows += 1;
        ensure!(
            rows <= most,
            "it has many more rows than the server estimates: let ANALYZE TABLE count them"
        );
        take(row);
    }
    Ok(rows)
}

/// The values of a row: in answers to plain questions, every one is a text.
fn texts(row: &Row) -> Vec<Option<String>> {
    let text = |place| match row.as_ref(place) {
        Some(mysql_async::Value::Bytes(bytes)) => Some(String::from_utf8_lossy(bytes).into_owned()),
        _ => None,
    };
    (0..row.len()).map(text).collect()
}
