//! Data sets that an earlier version made: a service takes them up, and applies to main what that version did not get
//! to.

use std::num::{NonZeroU16, NonZeroUsize};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use coupon_core::{CouponId, Placement, Plan, ResultQuery, RouteError, RowKey, ShardId, ShardingStrategy};
use coupon_store::clock::Clock;
use coupon_store::{Backend, embedded, servers};
use mysql_async::prelude::Queryable as _;
use mysql_async::{Conn, Opts};

use crate::bench::server_settings;

/// Laid out as the data was. Nothing is placed here.
#[derive(Debug)]
struct Recorded;

impl ShardingStrategy for Recorded {
    fn name(&self) -> &str {
        "hash"
    }
    fn layout(&self) -> String {
        "hash of user_id, mix xxh3, 2 shards".to_owned()
    }
    fn shard_count(&self) -> NonZeroU16 {
        NonZeroU16::new(2).unwrap()
    }
    fn place(&self, _row: &RowKey) -> Result<Placement, RouteError> {
        Ok(Placement::single(ShardId::new(0)))
    }
    fn plan(&self, _query: &ResultQuery) -> Plan {
        Plan::All
    }
}

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/backends/recorded").join(name)
}

/// Of coupon 1 three were sold and of coupon 2 two, the last of which main had not applied.
async fn assert_taken_up(backend: &Backend) {
    backend.lifecycle.drain().await.unwrap();
    for (coupon, left) in [(1, 2), (2, 3)] {
        let coupon = CouponId::new(coupon).unwrap();
        let told = backend.catalogue.coupon(coupon, false).await.unwrap().unwrap().0;
        assert_eq!(told.remaining_stock, left, "coupon {coupon}");
    }
    assert_eq!(backend.catalogue.set_aside().0, 0);
    backend.lifecycle.close();
}

fn block_on(future: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future);
}

#[test]
fn a_folder_of_an_earlier_version_is_taken_up() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["main", "shard-0", "shard-1"] {
        let db = rusqlite::Connection::open(dir.path().join(format!("{name}.sqlite"))).unwrap();
        let sql = std::fs::read_to_string(file(&format!("embedded/{name}.sql"))).unwrap();
        db.execute_batch(&sql).unwrap();
    }
    let options = embedded::Options {
        data: dir.path().to_owned(),
        readers: NonZeroUsize::MIN,
        max_file_mb: 0,
        shard_backlog: 1_000,
    };
    block_on(async {
        assert_taken_up(&embedded::open(&options, &Recorded, &Clock::system()).unwrap()).await;
    });
}

#[test]
fn databases_of_an_earlier_version_are_taken_up() {
    let settings = server_settings(&[]);
    block_on(async {
        let places =
            [("main", &settings.main), ("shard_0", &settings.shards[0]), ("shard_1", &settings.shards[1])];
        for (name, url) in places {
            let mut conn = Conn::new(Opts::from_url(url.expose()).unwrap()).await.unwrap();
            let database = format!("{}_{name}", settings.namespace);
            conn.query_drop(format!("CREATE DATABASE {database} CHARACTER SET utf8mb4")).await.unwrap();
            conn.query_drop(format!("USE {database}")).await.unwrap();
            let sql = std::fs::read_to_string(file(&format!("servers/{name}.sql"))).unwrap();
            for statement in sql.split(";\n").map(str::trim).filter(|statement| !statement.is_empty()) {
                conn.query_drop(statement).await.unwrap();
            }
            conn.disconnect().await.unwrap();
        }
        let options = servers::Options { servers: settings.clone(), workers: 1, shard_backlog: 1_000 };
        assert_taken_up(&servers::open(&options, Arc::new(Recorded), &Clock::system()).unwrap()).await;
    });
}
