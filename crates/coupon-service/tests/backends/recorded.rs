//! Data sets that an earlier version made: a service takes them up, and applies to main what that version did not get
//! to.

use std::num::{NonZeroU16, NonZeroUsize};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use amqprs::BasicProperties;
use amqprs::channel::{BasicPublishArguments, QueueDeclareArguments};
use coupon_core::schema::Dialect;
use coupon_core::{
    CouponId, CouponResult, Placement, Plan, ResultQuery, ResultState, RouteError, RowKey, ShardId,
    ShardingStrategy, TableId, UseStatus,
};
use coupon_servers::broker::Broker;
use coupon_servers::names::Namespace;
use coupon_store::clock::Clock;
use coupon_store::settings::ServersSettings;
use coupon_store::settings::UnknownUsers;
use coupon_store::{Backend, PageRequest, Visit, embedded};
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
    assert_left(backend, [(1, 2), (2, 3)]).await;
}

/// Main says that so many are left of each coupon.
async fn assert_left(backend: &Backend, left: [(u64, u32); 2]) {
    backend.lifecycle.drain().await.unwrap();
    for (coupon, left) in left {
        let coupon = CouponId::new(coupon).unwrap();
        let told = backend.catalogue.coupon(coupon, false).await.unwrap().unwrap().0;
        assert_eq!(told.remaining_stock, left, "coupon {coupon}");
    }
    assert_eq!(backend.catalogue.set_aside().0, 0);
    backend.lifecycle.close();
}

/// The layout has one version, which is what the data was laid out by.
async fn assert_first_version(backend: &Backend) {
    let versions = backend.growth.versions().await.unwrap();
    assert_eq!(versions.len(), 1, "{versions:?}");
    assert_eq!((versions[0].number, &*versions[0].layout), (1, &*Recorded.layout()));
}

/// A result that lies in an inbox, or in a queue.
const WAITING: i64 = 914_787_724_848_791_553;

fn options(dir: &Path) -> embedded::Options {
    embedded::Options {
        data: dir.to_owned(),
        readers: NonZeroUsize::MIN,
        max_file_mb: 0,
        shard_backlog: 1_000,
        shards_prepared: NonZeroU16::MIN,
        room_index: false,
        unknown_users: UnknownUsers::Refuse,
    }
}

/// Every result there is, on both shards.
async fn every_row(backend: &Backend) -> Vec<CouponResult> {
    backend.lifecycle.drain().await.unwrap();
    let mut rows = Vec::new();
    for shard in [0, 1].map(ShardId::new) {
        let page = PageRequest { before: None, limit: 100 };
        let visited =
            backend.shards.page(shard.into(), Visit::All, ResultQuery::everything(), page).await.unwrap();
        rows.extend(visited.value.into_iter().map(|(_, result)| result));
    }
    rows
}

/// Results of an earlier version are owned or used, in the first slot, and never were holds.
fn assert_states(rows: &[CouponResult]) {
    assert!(rows.iter().any(|row| row.state == ResultState::Used));
    for row in rows {
        let used = row.use_status == UseStatus::Used;
        assert_eq!(row.state, if used { ResultState::Used } else { ResultState::Owned }, "{row:?}");
        assert_eq!((row.slot, row.hold_until, row.request), (Some(0), None, None));
        assert_eq!(row.state_time, row.use_time);
    }
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
    // A service that ends in the midst of a rush leaves some in the inbox.
    let shard = rusqlite::Connection::open(dir.path().join("shard-1.sqlite")).unwrap();
    let waiting = format!(r#"{{"coupon_results":[[{WAITING},999,4,1]]}}"#);
    shard.execute("INSERT INTO inbox (batch_id, results) VALUES (4, ?1)", [waiting]).unwrap();
    let options = options(dir.path());
    block_on(async {
        for _ in 0..2 {
            let backend = embedded::open(&options, Arc::new(Recorded), &Clock::system()).unwrap();
            let rows = every_row(&backend).await;
            assert_states(&rows);
            assert!(rows.iter().any(|row| row.result_id.number() == WAITING));
            assert_first_version(&backend).await;
            assert_taken_up(&backend).await;
        }
    });
    let format = |dir: &Path| -> String {
        let main = rusqlite::Connection::open(dir.join("main.sqlite")).unwrap();
        main.query_row("SELECT value FROM meta WHERE name = 'format'", [], |row| row.get(0)).unwrap()
    };
    assert_eq!(format(dir.path()), "5", "so that an earlier version refuses it");
}

#[test]
fn a_folder_whose_update_was_cut_short_is_brought_up_to_date_at_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["main", "shard-0", "shard-1"] {
        let db = rusqlite::Connection::open(dir.path().join(format!("{name}.sqlite"))).unwrap();
        let sql = std::fs::read_to_string(file(&format!("embedded/{name}.sql"))).unwrap();
        db.execute_batch(&sql).unwrap();
    }
    // Some columns are there, one table is done, and the format is the earlier one.
    let main = rusqlite::Connection::open(dir.path().join("main.sqlite")).unwrap();
    main.execute_batch("ALTER TABLE coupons ADD COLUMN hold_s INT NOT NULL DEFAULT 0").unwrap();
    let shard = rusqlite::Connection::open(dir.path().join("shard-0.sqlite")).unwrap();
    let update = coupon_core::schema::results_update(Dialect::Sqlite, TableId::Single);
    for sql in update.columns.iter().map(|column| &column.sql).chain([&update.rows]).chain(&update.index_anew)
    {
        shard.execute_batch(sql).unwrap();
    }
    shard.execute_batch(USED_SINCE).unwrap();
    let options = options(dir.path());
    block_on(async {
        let backend = embedded::open(&options, Arc::new(Recorded), &Clock::system()).unwrap();
        assert_states(&every_row(&backend).await);
        assert_taken_up(&backend).await;
    });
}

/// The writes of the earlier version when it goes on after an update was cut short, and a result is used.
const USED_SINCE: &str = "UPDATE coupon_results SET use_status = 1, use_time = 1795939350000 WHERE result_id = \
     (SELECT id FROM (SELECT MIN(result_id) AS id FROM coupon_results WHERE use_status = 0) AS unused)";

/// Databases as an earlier version left them.
async fn recorded_databases() -> coupon_servers::Options {
    let settings = server_settings(&[]);
    for name in ["main", "shard_0", "shard_1"] {
        let mut conn = connect(&settings, name).await;
        let database = format!("{}_{name}", settings.namespace);
        conn.query_drop(format!("CREATE DATABASE {database} CHARACTER SET utf8mb4")).await.unwrap();
        conn.query_drop(format!("USE {database}")).await.unwrap();
        let sql = std::fs::read_to_string(file(&format!("servers/{name}.sql"))).unwrap();
        for statement in sql.split(";\n").map(str::trim).filter(|statement| !statement.is_empty()) {
            conn.query_drop(statement).await.unwrap();
        }
        conn.disconnect().await.unwrap();
    }
    coupon_servers::Options {
        servers: settings,
        workers: 1,
        shards_prepared: std::num::NonZeroU16::MIN,
        room_index: false,
        shard_backlog: 1_000,
        unknown_users: UnknownUsers::Refuse,
    }
}

async fn connect(settings: &ServersSettings, name: &str) -> Conn {
    let url = match name {
        "main" => &settings.main,
        "shard_0" => &settings.shards[0],
        _ => &settings.shards[1],
    };
    Conn::new(Opts::from_url(url.expose()).unwrap()).await.unwrap()
}

/// Statements on one of them.
async fn on_database(options: &coupon_servers::Options, name: &str, statements: &[&str]) {
    let mut conn = connect(&options.servers, name).await;
    conn.query_drop(format!("USE {}_{name}", options.servers.namespace)).await.unwrap();
    for sql in statements {
        conn.query_drop(*sql).await.unwrap();
    }
    conn.disconnect().await.unwrap();
}

/// The server of each shard, as main has recorded it.
async fn places_of(options: &coupon_servers::Options) -> Vec<(u16, u16)> {
    let mut conn = connect(&options.servers, "main").await;
    let namespace = &options.servers.namespace;
    let sql = format!("SELECT shard, server FROM {namespace}_main.shard_places ORDER BY shard");
    let places = conn.query(sql).await.unwrap();
    conn.disconnect().await.unwrap();
    places
}

async fn format_of(options: &coupon_servers::Options) -> String {
    let mut conn = connect(&options.servers, "main").await;
    let sql = format!("SELECT value FROM {}_main.meta WHERE name = 'format'", options.servers.namespace);
    let format: Option<String> = conn.query_first(sql).await.unwrap();
    conn.disconnect().await.unwrap();
    format.unwrap()
}

#[test]
fn databases_of_an_earlier_version_are_taken_up() {
    block_on(async {
        let options = recorded_databases().await;
        // Some were brought up to date before that was cut short; the archive of before was cut short as well.
        let update = coupon_core::schema::results_update(Dialect::MySql, TableId::Single);
        let steps = update.columns.iter().map(|column| &*column.sql).chain([&*update.rows]);
        let steps: Vec<&str> = steps.chain(update.index_anew.iter().map(|sql| &**sql)).collect();
        on_database(&options, "shard_0", &steps).await;
        on_database(&options, "shard_0", &[USED_SINCE]).await;
        on_database(&options, "main", &["ALTER TABLE coupons ADD COLUMN hold_s INT NOT NULL DEFAULT 0"])
            .await;
        let retired = ["CREATE TABLE retired_coupon_results LIKE coupon_results"];
        on_database(&options, "shard_1", &retired).await;
        for _ in 0..2 {
            let backend = coupon_servers::open(&options, Arc::new(Recorded), &Clock::system()).unwrap();
            assert_states(&every_row(&backend).await);
            assert_first_version(&backend).await;
            assert_taken_up(&backend).await;
            assert_eq!(format_of(&options).await, "8", "so that an earlier version refuses it");
        }
        assert_eq!(places_of(&options).await, [(0, 0), (1, 1)], "they stay there when servers are added");
        on_database(&options, "shard_1", &["SELECT slot, request FROM retired_coupon_results"]).await;
    });
}

#[test]
fn a_message_of_an_earlier_version_that_waits_in_its_queue_is_stored() {
    block_on(async {
        let options = recorded_databases().await;
        let mut main = connect(&options.servers, "main").await;
        let namespace = &options.servers.namespace;
        let told = |table: &str, what: &str| format!("SELECT {what} FROM {namespace}_main.{table}");
        let dataset = format!("{} WHERE name = 'dataset'", told("meta", "value"));
        let dataset: String = main.query_first(dataset).await.unwrap().unwrap();
        let epoch: u64 = main.query_first(told("gate_state", "open_epoch")).await.unwrap().unwrap();
        main.disconnect().await.unwrap();
        // Granted and acknowledged by a process of before, which ended, as did all that store.
        let broker = Broker::new(&options.servers.rabbitmq).unwrap();
        let names = Namespace::new(namespace, "").unwrap().dataset(&dataset);
        let mut admin = broker.admin().await.unwrap();
        admin.declare(&names, 2).await.unwrap();
        admin.close().await;
        let connection = broker.connection().await.unwrap();
        let channel = connection.open_channel(None).await.unwrap();
        let (sent, row) = (1_795_939_350_000_i64, format!("[{WAITING},999,2,2]"));
        let body = format!(
            r#"{{"dataset":"{dataset}","epoch":{epoch},"sent":{sent},"rows":{{"coupon_results":[{row}]}}}}"#
        );
        let queue = names.queue(ShardId::new(0));
        let to = BasicPublishArguments::new("", &queue);
        channel.basic_publish(BasicProperties::default(), body.into_bytes(), to).await.unwrap();
        // Whatever it answers to later on this channel, it has taken the message before.
        let mut declared = QueueDeclareArguments::durable_client_named(&queue);
        channel.queue_declare(declared.passive(true).finish()).await.unwrap();
        channel.close().await.unwrap();
        connection.close().await.unwrap();

        let backend = coupon_servers::open(&options, Arc::new(Recorded), &Clock::system()).unwrap();
        let rows = every_row(&backend).await;
        assert_states(&rows);
        assert!(rows.iter().any(|row| (row.result_id.number(), row.user_id.get()) == (WAITING, 999)));
        for shard in [0, 1].map(ShardId::new) {
            assert_eq!(backend.shards.report(shard).await.unwrap().parked, 0);
        }
        assert_left(&backend, [(1, 2), (2, 2)]).await;
    });
}

/// The numbers of rows that statements have changed or, where they read, found.
async fn rows_of(options: &coupon_servers::Options, name: &str, statements: &[String]) -> Vec<u64> {
    let mut conn = connect(&options.servers, name).await;
    conn.query_drop(format!("USE {}_{name}", options.servers.namespace)).await.unwrap();
    let mut rows = Vec::new();
    for sql in statements {
        let found: Vec<mysql_async::Row> = conn.query(sql).await.unwrap();
        rows.push(conn.affected_rows().max(found.len() as u64));
    }
    conn.disconnect().await.unwrap();
    rows
}

#[test]
fn a_process_of_an_earlier_version_that_wakes_up_afterwards_stores_nothing_and_takes_no_epoch() {
    block_on(async {
        let options = recorded_databases().await;
        let dataset = "SELECT value FROM meta WHERE name = 'dataset'";
        let mut main = connect(&options.servers, "main").await;
        main.query_drop(format!("USE {}_main", options.servers.namespace)).await.unwrap();
        let dataset: String = main.query_first(dataset).await.unwrap().unwrap();
        // With these it begins to store, commits, reads which epoch is open, and takes the next.
        let of_shard = [
            format!(
                "SELECT outbox_id, closed_epoch, commits FROM shard_state WHERE id = 1 AND dataset = '{dataset}' FOR UPDATE"
            ),
            "UPDATE shard_state SET outbox_id = outbox_id, commits = commits + 1 WHERE id = 1".to_owned(),
        ];
        let of_main = [
            "SELECT epoch, open_epoch FROM gate_state WHERE id = 1".to_owned(),
            "UPDATE gate_state SET epoch = epoch + 1 WHERE id = 1".to_owned(),
        ];
        assert_eq!(rows_of(&options, "shard_1", &of_shard).await, [1, 1], "before");
        assert_eq!(rows_of(&options, "main", &of_main).await, [1, 1], "before");
        for _ in 0..2 {
            let backend = coupon_servers::open(&options, Arc::new(Recorded), &Clock::system()).unwrap();
            for shard in ["shard_0", "shard_1"] {
                assert_eq!(rows_of(&options, shard, &of_shard).await, [0, 0], "{shard}");
            }
            assert_eq!(rows_of(&options, "main", &of_main).await, [0, 0]);
            assert_taken_up(&backend).await;
        }
        main.disconnect().await.unwrap();
    });
}

#[test]
fn databases_that_an_earlier_version_is_at_work_on_are_refused() {
    block_on(async {
        let options = recorded_databases().await;
        let lease = "INSERT INTO worker_leases (worker, holder, lease_start, lease_end) \
                     VALUES (7, '93cb61603e22ae7e', 0, UNIX_TIMESTAMP() * 1000 + 600000)";
        on_database(&options, "main", &[lease]).await;
        let refused = coupon_servers::open(&options, Arc::new(Recorded), &Clock::system()).unwrap_err();
        let refused = format!("{refused:#}");
        assert!(
            refused.contains("earlier version are at work") && refused.contains("processes: 1"),
            "{refused}"
        );
        assert_eq!(format_of(&options).await, "1");
        // One that ended gave its lease back.
        on_database(&options, "main", &["UPDATE worker_leases SET lease_end = 1"]).await;
        let backend = coupon_servers::open(&options, Arc::new(Recorded), &Clock::system()).unwrap();
        assert_taken_up(&backend).await;
        // A later version's data is refused by its format.
        on_database(&options, "main", &["UPDATE meta SET value = '99' WHERE name = 'format'"]).await;
        let refused = coupon_servers::open(&options, Arc::new(Recorded), &Clock::system()).unwrap_err();
        assert!(format!("{refused:#}").contains("format 99"), "{refused:#}");
    });
}
