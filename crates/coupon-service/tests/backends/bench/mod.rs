//! A small data set of each test's own, and a backend on it.

#![allow(dead_code, unused_imports, reason = "each suite that shares this uses its own part of it")]

mod contents;
mod grabs;
mod processes;
mod steps;
mod strategies;
mod waiting;

use std::num::{NonZeroU16, NonZeroUsize};
use std::sync::Arc;
use std::time::Duration;

use coupon_core::schema::{Column, Dialect, shard_columns};
use coupon_core::{ShardId, ShardingStrategy};
use coupon_seeding::{Silent, Site};
use coupon_servers::bulk::Bulk as ServersBulk;
use coupon_servers::cluster::Cluster;
use coupon_servers::seam::Servers;
use coupon_store::clock::Clock;
use coupon_store::embedded::bulk::Bulk as EmbeddedBulk;
use coupon_store::embedded::folder::Folder;
use coupon_store::settings::{DecidedBy, ServersSettings, UnknownUsers};
use coupon_store::{Backend, embedded};
use mysql_async::prelude::Queryable as _;
use tempfile::TempDir;

pub(crate) use self::contents::*;
pub(crate) use self::grabs::*;
pub(crate) use self::processes::*;
pub(crate) use self::steps::*;
pub(crate) use self::strategies::*;
pub(crate) use self::waiting::*;

/// The place of a test's data.
#[expect(clippy::large_enum_variant, reason = "there are two, and neither is copied")]
pub(crate) enum Bench {
    Embedded { dir: TempDir, clock: Clock, decided_by: DecidedBy },
    Servers { settings: ServersSettings, clock: Clock, decided_by: DecidedBy },
}

/// Both bulk loads take the same rows by the same calls.
macro_rules! fill {
    ($bulk:expr, $strategy:expr) => {
        let mut bulk = $bulk;
        bulk.users(&users()).unwrap();
        bulk.rooms(&rooms()).unwrap();
        bulk.coupons(&coupons()).unwrap();
        bulk.details(&details()).unwrap();
        bulk.results(history(&*$strategy)).unwrap();
        bulk.finish(&mut |_, _| {}).unwrap();
    };
}

impl Bench {
    pub(crate) fn embedded() -> Self {
        Self::on_files(DecidedBy::Gate)
    }

    pub(crate) fn on_files(decided_by: DecidedBy) -> Self {
        let (dir, strategy) = (tempfile::tempdir().unwrap(), strategy(decided_by));
        let folder = Folder::create(dir.path(), &strategy.layout(), strategy.shard_count()).unwrap();
        fill!(EmbeddedBulk::new(folder).unwrap(), strategy);
        Self::Embedded { dir, clock: Clock::starting_at(NOW.parse().unwrap()), decided_by }
    }

    pub(crate) fn servers() -> Self {
        Self::servers_with(&[])
    }

    pub(crate) fn servers_with(flags: &[&str]) -> Self {
        Self::on_servers(DecidedBy::Gate, flags)
    }

    pub(crate) fn on_servers(decided_by: DecidedBy, flags: &[&str]) -> Self {
        let (settings, strategy) = (server_settings(flags), strategy(decided_by));
        fill!(ServersBulk::begin(&settings, &*strategy, false).unwrap(), strategy);
        stored_as_of_the_past(&settings, &*strategy);
        Self::Servers { settings, clock: Clock::starting_at(NOW.parse().unwrap()), decided_by }
    }

    pub(crate) fn clock(&self) -> &Clock {
        match self {
            Self::Embedded { clock, .. } | Self::Servers { clock, .. } => clock,
        }
    }

    /// Changes main as a person would, whatever services run meanwhile.
    pub(crate) async fn edit_main(&self, sql: &str) {
        match self {
            Self::Embedded { dir, .. } => {
                let main = rusqlite::Connection::open(dir.path().join("main.sqlite")).unwrap();
                main.busy_timeout(Duration::from_secs(30)).unwrap();
                main.execute_batch(sql).unwrap();
            }
            Self::Servers { settings, .. } => {
                let main = Cluster::new(settings, &ParityAndDay).unwrap().main;
                let mut conn = main.connect_alone().await.unwrap();
                conn.query_drop(sql).await.unwrap();
                conn.disconnect().await.unwrap();
            }
        }
    }

    /// The log lines of a coupon in main, in their order: operation, stock before and after, operator.
    pub(crate) async fn log_of(&self, coupon: u64) -> Vec<(i64, i64, i64, String)> {
        let sql = format!(
            "SELECT operation_type, stock_before, stock_after, operator FROM stock_logs WHERE coupon_id = {coupon} \
             ORDER BY log_id"
        );
        match self {
            Self::Embedded { dir, .. } => {
                let main = rusqlite::Connection::open(dir.path().join("main.sqlite")).unwrap();
                let mut statement = main.prepare(&sql).unwrap();
                let line = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?));
                statement.query_map([], line).unwrap().map(Result::unwrap).collect()
            }
            Self::Servers { settings, .. } => {
                let main = Cluster::new(settings, &ParityAndDay).unwrap().main;
                let mut conn = main.connect_alone().await.unwrap();
                let lines = conn.query(sql).await.unwrap();
                conn.disconnect().await.unwrap();
                lines
            }
        }
    }

    /// Changes a shard's file.
    pub(crate) fn edit_shard(&self, shard: ShardId, sql: &str) {
        match self {
            Self::Embedded { dir, .. } => {
                let file = dir.path().join(format!("shard-{}.sqlite", shard.number()));
                let shard = rusqlite::Connection::open(file).unwrap();
                shard.busy_timeout(Duration::from_secs(30)).unwrap();
                shard.execute_batch(sql).unwrap();
            }
            Self::Servers { .. } => panic!("this is about files"),
        }
    }

    /// The settings of one that is on servers.
    pub(crate) fn settings(&self) -> &ServersSettings {
        match self {
            Self::Servers { settings, .. } => settings,
            Self::Embedded { .. } => panic!("this is about servers"),
        }
    }

    /// The flags of a service on it.
    pub(crate) fn flags(&self) -> Vec<String> {
        match self {
            Self::Embedded { dir, .. } => vec![format!("embedded.data={:?}", dir.path())],
            Self::Servers { settings, .. } => flags_of(&settings.namespace),
        }
    }

    pub(crate) fn open(&self) -> Backend {
        self.try_open().unwrap()
    }

    pub(crate) fn try_open(&self) -> anyhow::Result<Backend> {
        self.open_with(UnknownUsers::Refuse)
    }

    pub(crate) fn open_with(&self, unknown_users: UnknownUsers) -> anyhow::Result<Backend> {
        self.open_as(unknown_users, false)
    }

    /// Opens it with its room index.
    pub(crate) fn open_indexed(&self) -> anyhow::Result<Backend> {
        self.open_as(UnknownUsers::Refuse, true)
    }

    /// Makes its room index, with no service on it.
    pub(crate) fn build_room_index(&self) {
        let site = match self {
            Self::Embedded { dir, .. } => Site::Folder(dir.path().to_owned()),
            Self::Servers { settings, .. } => Site::Servers(Box::new(settings.clone())),
        };
        let build = || coupon_seeding::build_room_index(&site, None, &mut Silent);
        // It has a runtime of its own, which a thread of another cannot enter.
        std::thread::scope(|scope| scope.spawn(build).join().unwrap()).unwrap();
    }

    /// Changes a shard as a person would.
    pub(crate) async fn damage_shard(&self, shard: ShardId, sql: &str) {
        match self {
            Self::Embedded { .. } => self.edit_shard(shard, sql),
            Self::Servers { settings, .. } => {
                let cluster = Cluster::new(settings, &ParityAndDay).unwrap();
                let database = cluster.shards.get(shard.index()).unwrap();
                let mut conn = database.connect_alone().await.unwrap();
                conn.query_drop(sql).await.unwrap();
                conn.disconnect().await.unwrap();
            }
        }
    }

    /// Has its databases be as the format before left them. Of one shard, two tables were brought up to date before that was cut
    /// short.
    pub(crate) async fn to_the_format_before(&self) {
        let shards = Cluster::new(self.settings(), &ParityAndDay).unwrap().shards.len();
        for shard in (0..u16::try_from(shards).unwrap()).map(ShardId::new) {
            let lanes = shard_columns(Dialect::MySql).into_iter().filter(|column| column.name == "lane");
            for Column { table, .. } in lanes.skip(if shard.number() == 0 { 2 } else { 0 }) {
                self.damage_shard(shard, &format!("ALTER TABLE {table} DROP COLUMN lane")).await;
            }
            self.damage_shard(shard, "UPDATE shard_state SET id = id - 1").await;
        }
        self.edit_main("UPDATE gate_state SET id = id - 1").await;
        self.edit_main("UPDATE meta SET value = value - 1 WHERE name = 'format'").await;
    }

    fn open_as(&self, unknown_users: UnknownUsers, room_index: bool) -> anyhow::Result<Backend> {
        let (Self::Embedded { decided_by, .. } | Self::Servers { decided_by, .. }) = self;
        self.open_on(&strategy(*decided_by), *decided_by, (unknown_users, room_index))
    }

    /// Its servers, without a process on them.
    pub(crate) async fn connect(&self) -> Servers {
        let (Self::Embedded { decided_by, clock, .. } | Self::Servers { decided_by, clock, .. }) = self;
        let strategy = strategy(*decided_by);
        coupon_servers::connect_decided_by(*decided_by, self.settings(), &*strategy, clock).await.unwrap()
    }

    /// Opens it with grabs decided otherwise than it was made for.
    pub(crate) fn decided_by(&self, other: DecidedBy) -> anyhow::Result<Backend> {
        let (Self::Embedded { decided_by, .. } | Self::Servers { decided_by, .. }) = self;
        self.open_on(&strategy(*decided_by), other, (UnknownUsers::Refuse, false))
    }

    fn open_on(
        &self,
        strategy: &Arc<dyn ShardingStrategy>,
        decided_by: DecidedBy,
        (unknown_users, room_index): (UnknownUsers, bool),
    ) -> anyhow::Result<Backend> {
        match self {
            Self::Embedded { dir, clock, .. } => {
                let options = embedded::Options {
                    data: dir.path().to_owned(),
                    readers: NonZeroUsize::MIN,
                    max_file_mb: 0,
                    shard_backlog: 1_000,
                    shards_prepared: NonZeroU16::MIN,
                    room_index,
                    unknown_users,
                };
                embedded::open_decided_by(decided_by, &options, Arc::clone(strategy), clock)
            }
            Self::Servers { settings, clock, .. } => {
                let options = coupon_servers::Options { room_index, unknown_users, ..options(settings) };
                coupon_servers::open_decided_by(decided_by, &options, Arc::clone(strategy), clock)
            }
        }
    }
}

/// The bulk load says by the system's clock up to when everything is stored, which is later than any time of the
/// bench's.
fn stored_as_of_the_past(settings: &ServersSettings, strategy: &dyn ShardingStrategy) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        for shard in Cluster::new(settings, strategy).unwrap().shards {
            let mut conn = shard.connect_alone().await.unwrap();
            conn.query_drop("UPDATE shard_state SET as_of = 0").await.unwrap();
            conn.disconnect().await.unwrap();
        }
    });
}

/// Runs a law as an HTTP worker would: on one thread.
pub(crate) fn run(bench: &Bench, law: impl AsyncFnOnce(&Bench)) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(law(bench));
}
