//! A table of many orders on a private server, which is advised on and goes again.

use anyhow::{Context as _, Result};
use coupon_lab::SharedServers;
use mysql_async::Pool;
use mysql_async::prelude::Queryable as _;
use tokio::runtime::{self, Runtime};

const DATABASE: &str = "bench_advise";
/// Rows that are made one by one, and then copied with other ids.
const PATTERN: u64 = 250_000;

/// The table; it is there until [`Orders::drop_all`].
pub(super) struct Orders {
    pool: Pool,
    runtime: Runtime,
    /// The address of the table, without the password.
    pub(super) address: String,
    /// The password.
    pub(super) password: String,
}

impl Orders {
    /// Fills it: users of a million, and shops of 500, of which number 7 has half of all.
    pub(super) fn fill(site: &SharedServers, rows: u64, mut progress: impl FnMut(u64)) -> Result<Self> {
        let server = site.settings().shards.first().context("there is a shard")?.expose();
        let (address, password) = parted(server).context("the server's address is not as it should be")?;
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let orders = Self {
            pool: Pool::new(server),
            runtime,
            address: format!("{address}/{DATABASE}.orders"),
            password,
        };
        orders.run(&[
            format!("DROP DATABASE IF EXISTS {DATABASE}"),
            format!("CREATE DATABASE {DATABASE}"),
            format!(
                "CREATE TABLE {DATABASE}.orders (id BIGINT PRIMARY KEY, user_id BIGINT NOT NULL, shop_id INT NOT NULL, \
                 name VARCHAR(20) NOT NULL, created_at DATETIME(3) NOT NULL)"
            ),
            format!("INSERT INTO {DATABASE}.orders SELECT {}", columns("0")),
        ])?;
        let mut there = 1;
        while there < rows {
            let more = there.min(PATTERN).min(rows - there);
            let columns = columns(&format!("(id + {there})"));
            orders.run(&[format!(
                "INSERT INTO {DATABASE}.orders SELECT {columns} FROM {DATABASE}.orders WHERE id < {more}"
            )])?;
            there += more;
            progress(there);
        }
        orders.run(&[format!("ANALYZE TABLE {DATABASE}.orders")])?;
        Ok(orders)
    }

    /// Removes it.
    pub(super) fn drop_all(self) -> Result<()> {
        self.run(&[format!("DROP DATABASE {DATABASE}")])?;
        Ok(self.runtime.block_on(self.pool.disconnect())?)
    }

    fn run(&self, statements: &[String]) -> Result<()> {
        self.runtime.block_on(async {
            let mut connection = self.pool.get_conn().await?;
            for statement in statements {
                let _: Vec<mysql_async::Row> = connection.query(statement.as_str()).await?;
            }
            anyhow::Ok(())
        })
    }
}

/// The columns of the order with this number, as they are selected.
fn columns(id: &str) -> String {
    format!(
        "{id}, {id} * 7919 MOD 1000003, IF({id} MOD 2 = 0, 7, {id} MOD 500), CONCAT('user_', {id} * 7919 MOD 1000003), \
         TIMESTAMP('2026-11-01') + INTERVAL {id} SECOND"
    )
}

/// An address without its password, and the password.
fn parted(url: &str) -> Option<(String, String)> {
    let (user, rest) = url.strip_prefix("mysql://")?.split_once(':')?;
    let (password, host) = rest.split_once('@')?;
    Some((format!("mysql://{user}@{host}"), password.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_no_part_of_what_is_told_of_an_address() {
        let parted = parted("mysql://root:s3cret@127.0.0.1:3306").unwrap();
        assert_eq!(parted, ("mysql://root@127.0.0.1:3306".to_owned(), "s3cret".to_owned()));
        assert_eq!(super::parted("mysql://127.0.0.1"), None);
    }
}
