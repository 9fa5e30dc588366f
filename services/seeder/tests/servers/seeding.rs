//! Seeds small data sets and looks into the servers.

use std::path::Path;

use amqprs::channel::{Channel, ExchangeDeclareArguments, QueueDeclareArguments};
use amqprs::connection::{Connection, OpenConnectionArguments};
use coupon_core::{
    CouponId, CouponResult, LiveRoom, Placement, ResultId, RoomId, RoomStatus, ShardId, TableId, UserId,
};
use coupon_seeding::Silent;
use coupon_servers::bulk::Bulk;
use coupon_servers::cluster::Cluster;
use coupon_servers::wipe::wipe_unused;
use coupon_store::settings::ServerUrl;
use coupon_strategies::REGISTER;
use deadpool_redis::redis::{self, Client};
use rusqlite::types::ValueRef;

use crate::servers::common::{Place, block_on, now, small, strategy, strategy_over};

const CATALOGUE: [&str; 5] = ["users", "live_rooms", "coupons", "coupon_details", "stock_logs"];

/// Everything a file's table holds, as text.
fn dump(file: &Path, table: &str) -> Vec<Vec<Option<String>>> {
    let db = rusqlite::Connection::open(file).unwrap();
    let mut query = db.prepare(&format!("SELECT * FROM {table} ORDER BY 1")).unwrap();
    let columns = query.column_count();
    let text = |value: ValueRef<'_>| match value {
        ValueRef::Null => None,
        ValueRef::Integer(number) => Some(number.to_string()),
        ValueRef::Real(number) => Some(number.to_string()),
        ValueRef::Text(text) | ValueRef::Blob(text) => Some(String::from_utf8(text.to_vec()).unwrap()),
    };
    let rows = query.query_map([], |row| (0..columns).map(|at| row.get_ref(at).map(text)).collect()).unwrap();
    rows.map(Result::unwrap).collect()
}

/// SQLite has no decimals, and some servers write JSON their own way: 12.50 is 12.5, and `[1, 2]` is `[1,2]`.
fn plain(rows: Vec<Vec<Option<String>>>) -> Vec<Vec<Option<String>>> {
    let plain = |text: String| {
        if text.starts_with(['[', '{']) {
            return serde_json::from_str::<serde_json::Value>(&text).unwrap().to_string();
        }
        match (text.parse::<i64>(), text.parse::<f64>()) {
            (Err(_), Ok(number)) => number.to_string(),
            _ => text,
        }
    };
    rows.into_iter().map(|row| row.into_iter().map(|value| value.map(plain)).collect()).collect()
}

#[test]
fn the_same_options_give_the_same_rows_as_on_the_embedded_backend() {
    for name in REGISTER.sharded().map(|family| family.name) {
        let (place, dir) =
            (Place::new(&format!("same_{}", name.replace('-', "_"))), tempfile::tempdir().unwrap());
        let there = place.seed(name, &small(9_000), false);
        let here =
            coupon_seeding::seed(dir.path(), &*strategy(name), &small(9_000), false, &mut Silent).unwrap();
        assert_eq!(there.rows_per_shard, here.rows_per_shard, "{name}");
        assert_eq!((there.results(), there.past_coupons), (9_000, here.past_coupons), "{name}");
        for table in CATALOGUE {
            let rows = place.ask(None, &format!("SELECT * FROM {table} ORDER BY 1"));
            assert_eq!(plain(rows), plain(dump(&dir.path().join("main.sqlite"), table)), "{name}: {table}");
        }
        let mut compared = 0;
        for shard in 0..4 {
            let file = dir.path().join(format!("shard-{shard}.sqlite"));
            for table in place.tables(shard) {
                let table = table.to_string();
                let rows = place.ask(Some(shard), &format!("SELECT * FROM {table} ORDER BY 1"));
                compared += rows.len();
                assert_eq!(plain(rows), plain(dump(&file, &table)), "{name}: {table} of shard {shard}");
            }
        }
        assert_eq!(compared, 9_000, "{name}");
        place.assert_books_balance();
    }
}

#[test]
fn a_seeded_data_set_opens_as_what_it_is_with_its_indexes() {
    let place = Place::new("opens");
    let report = place.seed("hash", &small(500), false);
    let (hash, range) = (strategy("hash"), strategy("range-time"));
    let cluster = Cluster::new(&place.settings, &*hash).unwrap();
    let (opened, other) = block_on(async {
        (cluster.open(&hash.layout(), false).await, cluster.open(&range.layout(), false).await)
    });
    let label = opened.unwrap().label;
    assert_eq!((label.dataset, label.shards, label.complete), (report.dataset, 4, true));
    assert!(other.unwrap_err().to_string().contains("laid out as"));
    let made = &place.ask(Some(2), "SHOW CREATE TABLE coupon_results")[0][1];
    for index in [
        "UNIQUE KEY `idx_user_coupon` (`user_id`,`coupon_id`,`slot`)",
        "KEY `idx_room_time` (`room_id`,`grab_time`)",
    ] {
        assert!(made.as_ref().unwrap().contains(index), "{made:?}");
    }
    assert!(place.number(Some(2), "SELECT as_of FROM shard_state") > now().millis() - 86_400_000);
}

#[test]
fn data_is_replaced_only_when_told_to_and_databases_of_more_shards_go_too() {
    let place = Place::new("replaced");
    let before = place.seed("hash", &small(100), false).dataset;
    let error = place.try_seed("range-time", &small(50), false).unwrap_err().to_string();
    assert!(error.contains("--reset") && error.contains(&before), "{error}");
    assert_eq!(place.rows(), 100);
    let two = strategy_over("hash", 2);
    let after = coupon_seeding::seed_servers(&place.settings, &*two, &small(50), true, &mut Silent).unwrap();
    assert_ne!(before, after.dataset);
    assert_eq!(after.results(), 50);
    for shard in [2, 3] {
        let left = Place::new("mysql_of").databases(shard, "replaced_");
        assert!(left.is_empty(), "{left:?}");
    }
}

impl Place {
    /// Databases on a shard's server that begin so.
    fn databases(&self, shard: usize, prefix: &str) -> Vec<String> {
        use mysql_async::prelude::Queryable as _;
        let url = self.settings.shards[shard].expose();
        let all: Vec<String> = block_on(async {
            let mut conn = mysql_async::Conn::new(mysql_async::Opts::from_url(url).unwrap()).await.unwrap();
            conn.query("SHOW DATABASES").await.unwrap()
        });
        all.into_iter().filter(|name| name.starts_with(prefix)).collect()
    }
}

/// A connection to the stack's broker, whose address is `amqp://user:password@host:port/vhost`.
async fn broker(url: &ServerUrl) -> (Connection, Channel) {
    let rest = url.expose().strip_prefix("amqp://").unwrap();
    let (who, at) = rest.split_once('@').unwrap();
    let (user, password) = who.split_once(':').unwrap();
    let (host, port) = at.split('/').next().unwrap().split_once(':').unwrap();
    let arguments = OpenConnectionArguments::new(host, port.parse().unwrap(), user, password);
    let connection = Connection::open(&arguments).await.unwrap();
    let channel = connection.open_channel(None).await.unwrap();
    (connection, channel)
}

/// True if there is a queue of that name; asking for one that is not there closes the channel.
async fn has_queue(connection: &Connection, name: &str) -> bool {
    let channel = connection.open_channel(None).await.unwrap();
    let mut asked = QueueDeclareArguments::new(name);
    asked.passive(true);
    let found = channel.queue_declare(asked).await.is_ok();
    let _ = channel.close().await;
    found
}

#[test]
fn a_reset_removes_the_keys_and_queues_of_the_old_data_set_and_no_others() {
    let place = Place::new("wiped");
    let old = place.seed("hash", &small(0), false).dataset;
    let names = Cluster::new(&place.settings, &*strategy("hash")).unwrap().names(&old);
    let (mine, other) = (names.holders(1, CouponId::new(7).unwrap()), "wiped_not.x.1.{7}.holders");
    let (queue, parking) = (names.queue(ShardId::new(3)), names.parking());
    block_on(async {
        let client = Client::open(place.settings.redis[0].expose()).unwrap();
        let mut redis = client.get_multiplexed_async_connection().await.unwrap();
        for key in [mine.as_str(), other] {
            redis::cmd("SET").arg(key).arg(1).exec_async(&mut redis).await.unwrap();
        }
        let (connection, channel) = broker(&place.settings.rabbitmq[0]).await;
        for queue in [queue.as_str(), &parking, "wiped_not.shard.3"] {
            channel.queue_declare(QueueDeclareArguments::durable_client_named(queue)).await.unwrap();
        }
        let mut exchange = ExchangeDeclareArguments::new(&names.exchange(), "direct");
        channel.exchange_declare(exchange.durable(true).finish()).await.unwrap();
        assert!(has_queue(&connection, &queue).await);
        let _ = connection.close().await;
    });

    let new = place.seed("hash", &small(0), true).dataset;
    assert_ne!(old, new);
    block_on(async {
        let client = Client::open(place.settings.redis[0].expose()).unwrap();
        let mut redis = client.get_multiplexed_async_connection().await.unwrap();
        let found: i64 = redis::cmd("EXISTS").arg(&mine).query_async(&mut redis).await.unwrap();
        let kept: i64 = redis::cmd("EXISTS").arg(other).query_async(&mut redis).await.unwrap();
        assert_eq!((found, kept), (0, 1));
        let (connection, channel) = broker(&place.settings.rabbitmq[0]).await;
        assert!(!has_queue(&connection, &queue).await && !has_queue(&connection, &parking).await);
        assert!(has_queue(&connection, "wiped_not.shard.3").await);
        let mut exchange = ExchangeDeclareArguments::new(&names.exchange(), "direct");
        assert!(channel.exchange_declare(exchange.passive(true).finish()).await.is_err());
        let _ = connection.close().await;
    });
}

#[test]
fn a_seeding_that_was_cut_short_is_refused_and_repaired_by_a_reset() {
    let (place, hash) = (Place::new("cut"), strategy("hash"));
    drop(Bulk::begin(&place.settings, &*hash, false).unwrap());
    let cluster = Cluster::new(&place.settings, &*hash).unwrap();
    let error = block_on(cluster.open(&hash.layout(), false)).unwrap_err().to_string();
    assert!(error.contains("incomplete") && error.contains("--reset"), "{error}");
    assert!(place.try_seed("hash", &small(10), false).is_err());
    place.seed("hash", &small(200), true);
    let cluster = Cluster::new(&place.settings, &*hash).unwrap();
    assert!(block_on(cluster.open(&hash.layout(), false)).unwrap().label.complete);
    place.assert_books_balance();
}

/// The state after a reset died between a shard's database and the next.
#[test]
fn a_reset_that_was_cut_short_is_finished_by_the_next_one() {
    let place = Place::new("half");
    place.seed("hash", &small(300), false);
    place.run(None, "DELETE FROM meta WHERE name = 'format'");
    place.run(Some(0), "DROP DATABASE half_shard_0");
    place.seed("hash", &small(200), true);
    assert_eq!(place.rows(), 200);
    place.assert_books_balance();
}

#[test]
fn a_user_who_would_have_a_coupon_twice_leaves_the_data_set_incomplete() {
    let (place, hash) = (Place::new("twice"), strategy("hash"));
    let mut bulk = Bulk::begin(&place.settings, &*hash, false).unwrap();
    let row = |sequence| {
        let id = ResultId::from_parts(now(), 1, sequence).unwrap();
        let (user, coupon, room) = (UserId::new(1), CouponId::new(7), RoomId::new(2));
        let row = CouponResult::granted(id, user.unwrap(), coupon.unwrap(), room.unwrap());
        (Placement::new(ShardId::new(1), TableId::Single), row)
    };
    bulk.results(vec![row(1), row(2)]).unwrap();
    let error = format!("{:#}", bulk.finish(&mut |_, _| {}).unwrap_err());
    assert!(error.contains("servers.shards[1]") && error.contains("Duplicate"), "{error}");
    let cluster = Cluster::new(&place.settings, &*hash).unwrap();
    assert!(!block_on(cluster.label()).unwrap().unwrap().complete);
}

/// A load of some minutes: the pools are idle meanwhile, and servers close what is silent.
#[test]
fn a_load_ends_well_though_the_servers_closed_what_was_idle_meanwhile() {
    let (place, hash) = (Place::new("long"), strategy("hash"));
    let mut bulk = Bulk::begin(&place.settings, &*hash, false).unwrap();
    // More than may wait for a server: each has a connection of the load's by then, its latest.
    for number in 1..=8 {
        let id = ResultId::from_parts(now(), 1, u16::try_from(number).unwrap()).unwrap();
        let (user, room) = (UserId::new(number).unwrap(), RoomId::new(number).unwrap());
        let row = CouponResult::granted(id, user, CouponId::new(7).unwrap(), room);
        let rows = (0..4).map(|shard| (Placement::new(ShardId::new(shard), TableId::Single), row));
        bulk.results(rows.collect()).unwrap();
        bulk.rooms(&[LiveRoom {
            room_id: room,
            room_name: "a room".to_owned(),
            anchor_id: 1,
            room_status: RoomStatus::Live,
            viewer_count: 0,
            start_time: now(),
            end_time: None,
            create_time: now(),
            is_hot: false,
        }])
        .unwrap();
    }
    for shard in [None, Some(0), Some(1), Some(2), Some(3)] {
        let idle =
            "SELECT id FROM information_schema.processlist WHERE db = DATABASE() AND id <> CONNECTION_ID()";
        let mut ids: Vec<i64> =
            place.ask(shard, idle).iter().map(|row| crate::servers::common::integer(&row[0])).collect();
        ids.sort_unstable();
        ids.pop().unwrap();
        assert!(!ids.is_empty(), "nothing is idle, and this test shows nothing");
        ids.iter().for_each(|id| place.run(shard, &format!("KILL {id}")));
    }
    assert_eq!(bulk.finish(&mut |_, _| {}).unwrap(), [8; 4]);
    let cluster = Cluster::new(&place.settings, &*hash).unwrap();
    assert!(block_on(cluster.label()).unwrap().unwrap().complete);
}

#[test]
fn a_reset_is_refused_while_a_process_is_at_work_and_once_it_has_ended_it_is_not() {
    let place = Place::new("at_work");
    place.seed("hash", &small(100), false);
    let now = "CAST(UNIX_TIMESTAMP(NOW(3)) * 1000 AS SIGNED)";
    place.run(None, &format!("INSERT INTO worker_leases VALUES (3, 'somebody', {now}, {now} + 600000)"));
    let error = format!("{:#}", place.try_seed("hash", &small(50), true).unwrap_err());
    assert!(error.contains("are at work on data set") && error.contains("processes: 1"), "{error}");
    assert_eq!(place.rows(), 100, "nothing has gone");
    place.run(None, &format!("UPDATE worker_leases SET lease_end = {now}"));
    place.seed("hash", &small(50), true);
    assert_eq!(place.rows(), 50);
}

/// A lease was not renewed for longer than processes take to do so: main may have been away, or the process was
/// killed.
#[test]
fn a_reset_waits_whether_leases_that_have_not_ended_are_renewed() {
    let place = Place::new("renewed");
    place.seed("hash", &small(100), false);
    let now = "CAST(UNIX_TIMESTAMP(NOW(3)) * 1000 AS SIGNED)";
    let aged = format!("{now} + 600000 - 61000");
    place.run(None, &format!("INSERT INTO worker_leases VALUES (3, 'somebody', {now}, {aged})"));
    // Its connections are a runtime's own.
    let cluster = || Cluster::new(&place.settings, &*strategy("hash")).unwrap();
    let renewed = async {
        let renew = || place.run(None, &format!("UPDATE worker_leases SET lease_end = {now} + 600000"));
        std::thread::scope(|scope| scope.spawn(renew).join().unwrap());
    };
    let error = format!("{:#}", block_on(wipe_unused(&cluster(), &place.settings, renewed)).unwrap_err());
    assert!(error.contains("are at work on data set") && error.contains("processes: 1"), "{error}");
    assert_eq!(place.rows(), 100, "nothing has gone");

    place.run(None, &format!("UPDATE worker_leases SET lease_end = {aged}"));
    let mut waited = false;
    block_on(wipe_unused(&cluster(), &place.settings, async { waited = true })).unwrap();
    assert!(waited, "a process that was killed costs that time");
    assert!(block_on(cluster().label()).unwrap().is_none());
}
