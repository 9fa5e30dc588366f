//! Bare connections to a service's databases: the ceiling.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use coupon_lab::Deployment;
use coupon_servers::cluster::Cluster;
use coupon_servers::mysql::Database;
use futures_util::future::{join_all, try_join_all};
use mysql_async::prelude::Queryable as _;
use mysql_async::{Conn, Params, Row, Value};
use tokio::runtime::{self, Runtime};

/// Rows of a statement.
pub(super) const ROWS: usize = 1_000;

/// One connection to each of some databases.
pub(super) struct Raw {
    conns: Vec<Conn>,
    // Last: connections live on it.
    runtime: Runtime,
}

/// Statements, and after which of them to commit.
pub(super) type Transactions = Vec<Vec<String>>;

impl Raw {
    /// One connection to each shard of a service on servers.
    pub(super) fn to_shards(running: &Deployment) -> Result<Self> {
        Self::connect(&cluster(running)?.shards)
    }

    /// One connection to main, and to each shard.
    pub(super) fn to_all(running: &Deployment) -> Result<Self> {
        let Cluster { main, shards, .. } = cluster(running)?;
        Self::connect(&[vec![main], shards].concat())
    }

    fn connect(databases: &[Database]) -> Result<Self> {
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let conns = runtime.block_on(try_join_all(databases.iter().map(Database::connect_alone)))?;
        Ok(Self { conns, runtime })
    }

    /// Answers a query on each database.
    pub(super) fn query(&mut self, sql: &str) -> Result<Vec<Vec<Row>>> {
        let sql = vec![sql.to_owned(); self.conns.len()];
        self.query_each(&sql)
    }

    /// Answers a different query on each database.
    pub(super) fn query_each(&mut self, sql: &[String]) -> Result<Vec<Vec<Row>>> {
        let asked = self.conns.iter_mut().zip(sql).map(|(conn, sql)| conn.query(sql.as_str()));
        Ok(self.runtime.block_on(try_join_all(asked))?)
    }

    /// A number that each database answers, all together.
    pub(super) fn sum(&mut self, sql: &str) -> Result<u64> {
        Ok(self.numbers(sql)?.iter().map(|number| number.unsigned_abs()).sum())
    }

    /// The number that each database answers.
    pub(super) fn numbers(&mut self, sql: &str) -> Result<Vec<i64>> {
        let answers = self.query(sql)?;
        let number = |rows: Vec<Row>| rows.first().and_then(|row| row.get_opt::<i64, _>(0)?.ok());
        answers
            .into_iter()
            .map(|rows| number(rows).with_context(|| format!("{sql} gives no number")))
            .collect()
    }

    pub(super) fn run(&mut self, sql: &str) -> Result<()> {
        self.query(sql).map(drop)
    }

    /// Asks each database that has a question, one after the other; says how long the slowest took.
    pub(super) fn slowest(&mut self, questions: &[Option<Question>]) -> Result<Duration> {
        let Self { conns, runtime } = self;
        let mut slowest = Duration::ZERO;
        for (conn, question) in conns.iter_mut().zip(questions) {
            if let Some(question) = question {
                let asked = Instant::now();
                runtime.block_on(question.ask(conn))?;
                slowest = slowest.max(asked.elapsed());
            }
        }
        Ok(slowest)
    }

    /// Asks them all at once; says how long it took until the last answer was here.
    pub(super) fn together(&mut self, questions: &[Option<Question>]) -> Result<Duration> {
        let asked = Instant::now();
        self.at_once(questions)?;
        Ok(asked.elapsed())
    }

    /// Asks all at once.
    pub(super) fn at_once(&mut self, questions: &[Option<Question>]) -> Result<Vec<Vec<Row>>> {
        let Self { conns, runtime } = self;
        let asking = conns.iter_mut().zip(questions).filter_map(|(conn, question)| {
            let question = question.as_ref()?;
            Some(question.ask(conn))
        });
        Ok(runtime.block_on(try_join_all(asking))?)
    }

    /// Asks one after the other.
    pub(super) fn in_turn(&mut self, questions: &[Option<Question>]) -> Result<Vec<Vec<Row>>> {
        let Self { conns, runtime } = self;
        let asked = conns.iter_mut().zip(questions);
        let asked = asked.filter_map(|(conn, question)| Some((conn, question.as_ref()?)));
        asked.map(|(conn, question)| Ok(runtime.block_on(question.ask(conn))?)).collect()
    }

    /// Runs each database's transactions, all databases at once. Says how long it took until the last commit.
    pub(super) fn store(&mut self, work: &[Transactions]) -> Result<Duration> {
        let Self { conns, runtime } = self;
        let began = Instant::now();
        let stored =
            runtime.block_on(join_all(conns.iter_mut().zip(work).map(|(conn, transactions)| async move {
                conn.query_drop("SET SESSION autocommit = 0").await?;
                for statements in transactions {
                    for sql in statements {
                        conn.query_drop(sql.as_str()).await?;
                    }
                    conn.query_drop("COMMIT").await?;
                }
                conn.query_drop("SET SESSION autocommit = 1").await
            })));
        stored.into_iter().collect::<Result<Vec<()>, _>>()?;
        Ok(began.elapsed())
    }
}

fn cluster(running: &Deployment) -> Result<Cluster> {
    let settings = running.storage().context("it has no databases of its own")?;
    let strategy = running.strategy().context("its strategy is not known")?;
    Cluster::new(&settings, strategy)
}

/// A prepared statement and its numbers.
pub(super) struct Question {
    pub(super) sql: String,
    pub(super) numbers: Vec<i64>,
}

impl Question {
    async fn ask(&self, conn: &mut Conn) -> mysql_async::Result<Vec<Row>> {
        let numbers = self.numbers.iter().map(|number| Value::Int(*number)).collect();
        conn.exec(self.sql.as_str(), Params::Positional(numbers)).await
    }
}

/// The multi-row statements that insert these rows, in transactions of about so many rows.
pub(super) fn inserts(table: &str, columns: &str, rows: &[Row], transaction: usize) -> Transactions {
    let text = |row: &Row| {
        let values: Vec<String> =
            (0..row.len()).map(|at| row.as_ref(at).map_or_else(String::new, literal)).collect();
        format!("({})", values.join(","))
    };
    let statement = |rows: &[Row]| {
        let rows: Vec<String> = rows.iter().map(text).collect();
        format!("INSERT INTO {table} ({columns}) VALUES {}", rows.join(","))
    };
    rows.chunks(transaction.max(1)).map(|rows| rows.chunks(ROWS).map(statement).collect()).collect()
}

/// A value as a statement has it. What looks like a number goes in as one, since a server would convert a text first.
fn literal(value: &Value) -> String {
    match value {
        Value::Bytes(bytes)
            if !bytes.is_empty() && bytes.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'.')) =>
        {
            String::from_utf8_lossy(bytes).into_owned()
        }
        other => other.as_sql(false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_no_texts() {
        assert_eq!(literal(&Value::from("12.50")), "12.50");
        assert_eq!(literal(&Value::from("+1555")), "'+1555'");
        assert_eq!(literal(&Value::from("")), "''");
        assert_eq!(literal(&Value::NULL), "NULL");
    }

    #[test]
    fn nothing_to_insert_is_no_statement() {
        assert!(inserts("t", "a", &[], 10).is_empty());
    }
}
