//! The shards' lists of what is held, as a person at the databases would change and read them.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use coupon_core::Timestamp;
use coupon_lab::Deployment;
use coupon_lab::wait::blocking;
use coupon_servers::cluster::Cluster;
use coupon_servers::mysql::Database;
use mysql_async::prelude::Queryable as _;
use rusqlite::Connection;

/// The longest wait for a service that writes to the same file.
const PATIENCE: Duration = Duration::from_secs(30);

/// The databases of a service's shards.
pub(super) enum Shards {
    Files(Vec<Connection>),
    Servers(Vec<Database>),
}

impl Shards {
    pub(super) fn of(running: &Deployment) -> Result<Self> {
        let Some(settings) = running.storage() else {
            let folder = running.stats.data.as_ref().context("it has neither a folder nor databases")?;
            let open = |number| file(&Path::new(folder).join(format!("shard-{number}.sqlite")));
            return Ok(Self::Files((0..running.stats.shards).map(open).collect::<Result<_>>()?));
        };
        let strategy = running.strategy().context("its strategy is not known")?;
        Ok(Self::Servers(Cluster::new(&settings, strategy)?.shards))
    }

    /// Sets everything that is held to be due at that moment. Returns the number of results.
    pub(super) fn have_all_due(&self, due: Timestamp) -> Result<u64> {
        let until = due.millis();
        let list = format!("UPDATE holds SET hold_until = {until}");
        let tables = "SELECT DISTINCT table_name FROM holds";
        let rows = |table: &str| format!("UPDATE {table} SET hold_until = {until} WHERE state = 0");
        match self {
            Self::Files(files) => {
                let mut held = 0;
                for file in files {
                    let mut tables = file.prepare(tables)?;
                    let tables =
                        tables.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<Vec<String>>>()?;
                    for table in tables {
                        file.execute(&rows(&table), [])?;
                    }
                    held += file.execute(&list, [])? as u64;
                }
                Ok(held)
            }
            Self::Servers(databases) => blocking(async {
                let mut held = 0;
                for database in databases {
                    let mut connection = database.connect_alone().await?;
                    for table in connection.query::<String, _>(tables).await? {
                        connection.query_drop(rows(&table)).await?;
                    }
                    connection.query_drop(&list).await?;
                    held += connection.affected_rows();
                    connection.disconnect().await?;
                }
                Ok(held)
            }),
        }
    }

    /// True if anything is held that was due by that moment.
    pub(super) fn any_until(&self, due: Timestamp) -> Result<bool> {
        let sql = format!("SELECT EXISTS (SELECT 1 FROM holds WHERE hold_until <= {})", due.millis());
        match self {
            Self::Files(files) => {
                for file in files {
                    if file.query_row(&sql, [], |row| row.get(0))? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            Self::Servers(databases) => blocking(async {
                for database in databases {
                    let mut connection = database.connect_alone().await?;
                    let any: Option<bool> = connection.query_first(&sql).await?;
                    connection.disconnect().await?;
                    if any == Some(true) {
                        return Ok(true);
                    }
                }
                Ok(false)
            }),
        }
    }
}

fn file(path: &Path) -> Result<Connection> {
    let file = Connection::open(path).with_context(|| path.display().to_string())?;
    file.busy_timeout(PATIENCE)?;
    Ok(file)
}
