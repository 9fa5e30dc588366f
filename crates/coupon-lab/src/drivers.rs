//! Everything that is asked of servers themselves, over their drivers.

use anyhow::{Context, Result};
use coupon_core::ShardingStrategy;
use coupon_servers::cluster::Cluster;
use coupon_servers::gate::RedisServer;
use coupon_servers::mysql::Database;
use coupon_servers::names::Namespace;
use coupon_servers::wipe;
use coupon_store::settings::{ServerUrl, ServersSettings};
use deadpool_redis::redis;
use mysql_async::prelude::Queryable as _;
use tokio::runtime::{Builder, Runtime};

/// Does nothing: this program can use servers.
#[expect(clippy::unnecessary_wraps, reason = "a program without servers refuses here")]
pub(super) const fn ensure_built() -> Result<()> {
    Ok(())
}

/// The namespace of a strategy where none is set.
///
/// # Errors
/// When the strategy's name makes none.
pub fn namespace_of(strategy: &str) -> Result<String> {
    Ok(Namespace::new("", strategy)?.as_str().to_owned())
}

/// Removes a namespace.
pub(super) fn wipe(settings: &ServersSettings, strategy: &dyn ShardingStrategy) -> Result<()> {
    let cluster = Cluster::new(settings, strategy)?;
    runtime()?.block_on(wipe::wipe(&cluster, settings))
}

/// An answer of two columns of a MySQL server, over a new connection.
pub(super) fn ask(url: &ServerUrl, sql: &str) -> Result<Vec<(String, String)>, String> {
    let database = Database::new("servers.shards", url, "", 1).map_err(|error| format!("{error:#}"))?;
    runtime().map_err(|error| error.to_string())?.block_on(async {
        let mut connection = database.connect_server().await.map_err(|error| error.to_string())?;
        let rows = connection.query(sql).await.map_err(|error| database.error(&error).to_string())?;
        let _ = connection.disconnect().await;
        Ok(rows)
    })
}

/// The version of Redis.
pub(super) fn redis_version(settings: &ServersSettings) -> Result<String> {
    runtime()?.block_on(async {
        let first = settings.redis.first().context("setting `servers.redis` is missing")?;
        let mut connection = RedisServer::new(first)?.connect().await?;
        let info: redis::InfoDict = redis::cmd("INFO").arg("server").query_async(&mut connection).await?;
        info.get("redis_version").context("it tells none")
    })
}

fn runtime() -> Result<Runtime> {
    Ok(Builder::new_current_thread().enable_all().build()?)
}
