//! An address behind which another server has taken over: the old one is read-only, and its connections are kept.

use std::time::{Duration, Instant};

use coupon_store::settings::ServersSettings;
use coupon_store::{Decision, Visit};
use mysql_async::prelude::Queryable as _;
use mysql_async::{Conn, Opts, Params, Row};

use crate::bench::{Bench, PLENTY, coupon_id, grab, held_by, run, shard_of, stack};
use crate::proxy::Proxy;
use crate::{alone, drained};

/// A user that a read-only server holds to it.
const USER: &str = "app";
const PASSWORD: &str = "of_the_test";
/// "Within seconds", on a busy machine.
const SOON: Duration = Duration::from_secs(30);

/// A server, as the administrator who set it up reaches it.
struct Host {
    port: u16,
    conn: Conn,
}

impl Host {
    async fn at(url: &str) -> Self {
        Self { port: port(url), conn: Conn::new(Opts::from_url(url).unwrap()).await.unwrap() }
    }

    async fn make_user(&mut self) {
        let rights = "SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, ALTER, INDEX, REFERENCES, LOCK TABLES";
        for sql in [
            format!("CREATE USER IF NOT EXISTS '{USER}'@'%' IDENTIFIED BY '{PASSWORD}'"),
            format!("GRANT {rights} ON *.* TO '{USER}'@'%'"),
        ] {
            self.conn.query_drop(sql).await.unwrap();
        }
    }

    async fn read_only(&mut self, on: bool) {
        self.conn.query_drop(format!("SET GLOBAL read_only = {}", u8::from(on))).await.unwrap();
    }

    /// Makes a database there as it is here: what a replica would have.
    async fn replicate(&mut self, database: &str, to: &mut Self) {
        let (from, to) = (&mut self.conn, &mut to.conn);
        to.query_drop(format!("CREATE DATABASE {database} CHARACTER SET utf8mb4")).await.unwrap();
        for conn in [&mut *from, &mut *to] {
            conn.query_drop(format!("USE {database}")).await.unwrap();
        }
        to.query_drop("SET SESSION foreign_key_checks = 0").await.unwrap();
        let tables: Vec<String> = from.query("SHOW TABLES").await.unwrap();
        for table in tables {
            let made: Option<(String, String)> =
                from.query_first(format!("SHOW CREATE TABLE {table}")).await.unwrap();
            to.query_drop(made.unwrap().1).await.unwrap();
            let rows: Vec<Row> = from.query(format!("SELECT * FROM {table}")).await.unwrap();
            for row in rows {
                let values = row.unwrap();
                let places = vec!["?"; values.len()].join(",");
                let sql = format!("INSERT INTO {database}.{table} VALUES ({places})");
                to.exec_drop(sql, Params::Positional(values)).await.unwrap();
            }
        }
    }
}

fn port(url: &str) -> u16 {
    Opts::from_url(url).unwrap().tcp_port()
}

fn behind(proxy: &Proxy) -> String {
    format!("mysql://{USER}:{PASSWORD}@127.0.0.1:{}", proxy.port)
}

fn database(settings: &ServersSettings, what: &str) -> String {
    format!("{}_{what}", settings.namespace)
}

async fn within<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + SOON;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < deadline, "{what}: not within {SOON:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[test]
fn a_promoted_replica_behind_the_same_address_is_written_and_read_within_seconds() {
    let _alone = alone();
    let urls = stack().addresses();
    let (main, old, new) = (&urls.main, &urls.shards[1], &urls.shards[0]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        for url in [main, old, new] {
            Host::at(url).await.make_user().await;
        }
    });
    let (to_main, to_shard, other) = (Proxy::to(port(main)), Proxy::to(port(old)), Proxy::to(port(new)));
    let bench = Bench::servers_with(&[
        &format!("servers.main={}", behind(&to_main)),
        &format!("servers.shards=[\"{}\",\"{}\"]", behind(&other), behind(&to_shard)),
    ]);
    run(&bench, async |bench| {
        // A connection belongs to the runtime that made it.
        let (mut main, mut old, mut new) = (Host::at(main).await, Host::at(old).await, Host::at(new).await);
        let backend = bench.open();
        assert_eq!(grab(&backend, bench, 1, PLENTY).await, Decision::Granted(0));
        drained(&backend).await;
        assert_eq!(held_by(&backend, 1).await.len(), 2);
        let before = backend.catalogue.coupon(coupon_id(PLENTY), false).await.unwrap().unwrap().0;
        assert_eq!(before.remaining_stock, 999);

        // Nothing is under way when they take over. What waits in a pool stays connected.
        old.read_only(true).await;
        main.read_only(true).await;
        old.replicate(&database(bench.settings(), "shard_1"), &mut new).await;
        main.replicate(&database(bench.settings(), "main"), &mut new).await;
        to_shard.lead_to(new.port);
        to_main.lead_to(new.port);

        assert_eq!(grab(&backend, bench, 3, PLENTY).await, Decision::Granted(0));
        // This thread's pools have only ever read.
        let query = coupon_core::ResultQuery::of_user(coupon_core::UserId::new(3).unwrap());
        within("the read of the shard", async || {
            let seen = backend.shards.summary(shard_of(3).into(), Visit::All, query).await.ok()?;
            (seen.value.results == 2).then_some(())
        })
        .await;
        within("main's books", async || {
            let coupon = backend.catalogue.coupon(coupon_id(PLENTY), false).await.ok()??.0;
            (coupon.remaining_stock == 998).then_some(())
        })
        .await;
        drained(&backend).await;
        assert_eq!(held_by(&backend, 1).await.len(), 2);
        backend.lifecycle.close();
    });
    runtime.block_on(async {
        for url in [main, old] {
            Host::at(url).await.read_only(false).await;
        }
    });
}
