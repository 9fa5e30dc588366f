//! Keys judged by a table of a real server, and by the log that this server writes.

use std::num::NonZeroU16;
use std::process::{Command, Output, Stdio};
use std::sync::{LazyLock, Mutex, PoisonError};

use coupon_stack::{Stack, StackOptions};
use mysql_async::Pool;
use mysql_async::prelude::Queryable as _;

/// 30,000 orders of 1,009 users in 50 shops, with gaps between their ids.
const TABLE: &str = "CREATE TABLE shop.orders (id BIGINT PRIMARY KEY, user_id BIGINT, shop_id INT, name VARCHAR(20), \
     created_at DATETIME(3)) AS
     WITH digits AS (SELECT 0 AS n UNION SELECT 1 UNION SELECT 2 UNION SELECT 3 UNION SELECT 4 UNION SELECT 5 UNION SELECT 6
         UNION SELECT 7 UNION SELECT 8 UNION SELECT 9),
     numbers AS (SELECT a.n + 10 * b.n + 100 * c.n + 1000 * d.n + 10000 * e.n AS n
         FROM digits a, digits b, digits c, digits d, digits e WHERE e.n < 3)
     SELECT n + (n DIV 500) * 2000 AS id, (n * 7919) MOD 1009 AS user_id, IF(n MOD 2 = 0, 7, n MOD 50) AS shop_id,
         CONCAT('user_', n MOD 1009) AS name, TIMESTAMP('2026-11-01') + INTERVAL n SECOND AS created_at
     FROM numbers";

static SHOP: LazyLock<Shop> = LazyLock::new(Shop::open);
/// Its logs are the whole server's: one test at a time asks it.
static TURN: Mutex<()> = Mutex::new(());

struct Shop {
    stack: Stack,
    /// The address of the server, without the password.
    server: String,
    password: String,
}

impl Shop {
    fn open() -> Self {
        let stack =
            Stack::start(&StackOptions { shards: NonZeroU16::MIN, ..StackOptions::default() }).unwrap();
        let url = stack.addresses().main.clone();
        let (user, rest) = url.strip_prefix("mysql://").unwrap().split_once(':').unwrap();
        let (password, host) = rest.split_once('@').unwrap();
        let shop = Self { server: format!("mysql://{user}@{host}"), password: password.to_owned(), stack };
        let names = "CREATE TABLE shop.names (name VARCHAR(20) PRIMARY KEY)";
        shop.run(&["CREATE DATABASE shop", TABLE, names, "ANALYZE TABLE shop.orders"]);
        shop
    }

    fn run(&self, statements: &[&str]) {
        let pool = Pool::new(self.stack.addresses().main.as_str());
        tokio::runtime::Runtime::new().unwrap().block_on(async {
            let mut connection = pool.get_conn().await.unwrap();
            for statement in statements {
                let _: Vec<mysql_async::Row> = connection.query(*statement).await.unwrap();
            }
            drop(connection);
            pool.disconnect().await.unwrap();
        });
    }

    fn advise(&self, table: &str, password: &str, more: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_loadtest"))
            .args(["advise", "--from", &format!("{}/shop.{table}", self.server)])
            .args(more)
            .env("MYSQL_PWD", password)
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn bytes_are_a_key_and_a_date_of_zero_or_none_is_no_time() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let shop = &*SHOP;
    shop.run(&[
        // What old tables have, and a strict server would not take.
        "SET SESSION sql_mode = ''",
        "CREATE TABLE shop.tickets (id BIGINT PRIMARY KEY, code VARBINARY(4), created_at DATETIME)",
        "INSERT INTO shop.tickets SELECT id, UNHEX(LPAD(HEX(user_id), 8, 'F')), \
             CASE id MOD 4 WHEN 0 THEN '0000-00-00 00:00:00' WHEN 1 THEN NULL ELSE created_at END \
             FROM shop.orders ORDER BY id LIMIT 4000",
        "ANALYZE TABLE shop.tickets",
    ]);
    let folder = tempfile::tempdir().unwrap();
    let json = folder.path().join("keys.json").to_str().unwrap().to_owned();
    let asked = ["--key", "code", "--key", "id", "--time-column", "created_at", "--json", &json, "--yes"];
    let output = shop.advise("tickets", &shop.password, &asked);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let found: serde_json::Value = serde_json::from_slice(&std::fs::read(&json).unwrap()).unwrap();
    assert_eq!((&found["rows"], &found["timed"]), (&4_000.into(), &2_000.into()));
    let code = &found["keys"][0];
    assert_eq!((&code["rows"], &code["without"]), (&4_000.into(), &0.into()));
    assert!((980.0..1_040.0).contains(&code["values"].as_f64().unwrap()), "{}", code["values"]);
    assert!(code["prefix"]["text"].as_str().unwrap().starts_with("FFFFF"), "{}", code["prefix"]);
    // Nothing is taken to be of 1970.
    let times = &found["keys"][1]["heat"]["times"];
    assert!(times[0].as_str().unwrap().starts_with("2026-11-01"), "{times}");
}

#[test]
fn keys_are_judged_by_a_sample_of_a_table_that_is_only_read() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let shop = &*SHOP;
    let folder = tempfile::tempdir().unwrap();
    let json = folder.path().join("keys.json").to_str().unwrap().to_owned();
    let keys =
        ["--key", "user_id", "--key", "shop_id", "--key", "ID", "--key", "shop_id,user_id", "--key", "name"];
    let page = folder.path().join("keys.html").to_str().unwrap().to_owned();
    let asked = ["--rows", "6000", "--time-column", "created_at", "--json", &json, "--html", &page, "--yes"];
    let output = shop.advise("orders", &shop.password, &[&keys[..], &asked].concat());
    let (said, noted) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{noted}");
    assert!(noted.contains("read-only") && noted.contains("shop.orders at 127.0.0.1"), "{noted}");
    assert!(!noted.contains(&shop.password) && !said.contains(&shop.password));
    for told in [
        "shop_id: 7 has",
        "ID: it follows time",
        "name: 100 % of the rows begin with \"user_",
        "The rows are a sample",
    ] {
        assert!(said.contains(told), "{told}\n{said}");
    }
    let found: serde_json::Value = serde_json::from_slice(&std::fs::read(&json).unwrap()).unwrap();
    let rows = found["rows"].as_u64().unwrap();
    assert!((5_400..=6_000).contains(&rows), "{rows}");
    let page = std::fs::read_to_string(&page).unwrap();
    assert!(page.contains("Rows by shop_id and time") && !page.contains(&shop.password));
    let users = found["keys"][0]["values"].as_f64().unwrap();
    assert!((900.0..1_050.0).contains(&users), "{users}");
    let hashed = found["keys"][0]["hashed"]["all"]["effective_shards"].as_f64().unwrap();
    assert!(hashed > 3.3, "{hashed}");

    // Without a terminal to ask at, and without --yes, nothing is read, nor counted; what is not there is named.
    let data = shop.stack.data_dir(coupon_stack::Server::Main).unwrap();
    shop.run(&["SET GLOBAL general_log_file = 'refused.log'", "SET GLOBAL general_log = ON"]);
    shop.advise("orders", &shop.password, &["--key", "user_id"]);
    shop.run(&["SET GLOBAL general_log = OFF"]);
    let asked = std::fs::read_to_string(data.join("refused.log")).unwrap();
    assert!(asked.contains("information_schema") && !asked.contains("`orders`"), "{asked}");
    for (table, password, more, named) in [
        ("orders", &*shop.password, &["--key", "user_id"][..], "--yes"),
        (
            "orders",
            &shop.password,
            &["--key", "nothing", "--yes"],
            "no column \"nothing\"; there are created_at, id",
        ),
        (
            "names",
            &shop.password,
            &["--key", "name", "--yes"],
            "whole numbers alone: export some of its rows",
        ),
        ("nothing", &shop.password, &["--key", "name", "--yes"], "no such table"),
        ("orders", "", &["--key", "name", "--yes"], "set MYSQL_PWD"),
        ("orders", "wrong", &["--key", "name", "--yes"], "the user or the password is wrong"),
    ] {
        let refused = shop.advise(table, password, more);
        let error = text(&refused.stderr);
        assert!(!refused.status.success() && error.contains(named), "{named}: {error}");
    }
}

#[test]
fn a_hot_tenant_is_seen_whatever_its_place_in_the_key_and_no_more_rows_are_read_than_are_wanted() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let shop = &*SHOP;
    shop.run(&[
        "SET SESSION max_recursive_iterations = 100000",
        // Shop 700 has 24,000 of 60,000 rows, another thousand shops have 36 each, in ids above it.
        "CREATE TABLE shop.big (shop_id INT, seq BIGINT, PRIMARY KEY (shop_id, seq)) AS
         WITH RECURSIVE numbers AS (SELECT 0 AS n UNION ALL SELECT n + 1 FROM numbers WHERE n < 59999)
         SELECT IF(n < 24000, 700, n MOD 1000 + 1001) AS shop_id, n AS seq FROM numbers",
        // Ids close together, far apart, and one far off.
        "CREATE TABLE shop.strays (id BIGINT UNSIGNED PRIMARY KEY, kind INT) AS
         SELECT IF(seq < 30000, seq, seq * 1000) AS id, IF(seq < 30000, 1, 2) AS kind FROM shop.big",
        "INSERT INTO shop.strays VALUES (9000000000000, 3)",
        "ANALYZE TABLE shop.big, shop.strays",
    ]);
    let data = shop.stack.data_dir(coupon_stack::Server::Main).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let json = folder.path().join("keys.json").to_str().unwrap().to_owned();
    for (table, key, share) in [("big", "shop_id", 0.4), ("strays", "kind", 0.5)] {
        for rows in [3_000, 10_000, 40_000, 100_000] {
            let log = format!("{table}-{rows}.log");
            shop.run(&[&format!("SET GLOBAL general_log_file = '{log}'"), "SET GLOBAL general_log = ON"]);
            let number = rows.to_string();
            let asked =
                ["--key", key, "--rows", &number, "--rows-a-second", "1000000", "--json", &json, "--yes"];
            let output = shop.advise(table, &shop.password, &asked);
            shop.run(&["SET GLOBAL general_log = OFF"]);
            assert!(output.status.success(), "{}", text(&output.stderr));
            let found: serde_json::Value = serde_json::from_slice(&std::fs::read(&json).unwrap()).unwrap();
            let read = found["rows"].as_u64().unwrap();
            // All of them, where there are no more.
            let least = if rows > 60_001 { 60_000 } else { rows * 9 / 10 };
            assert!((least..=rows).contains(&read), "{table}: {read} of {rows}");
            let top = &found["keys"][0]["top"];
            let shown = top
                .as_array()
                .unwrap()
                .iter()
                .find(|top| ["700", "1"].iter().any(|hot| top["value"] == **hot));
            let found = shown.unwrap_or_else(|| panic!("{top}"))["share"].as_f64().unwrap();
            assert!((found - share).abs() < 0.03, "{table} {rows}: {found}");
            let log = std::fs::read_to_string(data.join(&log)).unwrap();
            let unlimited = log.lines().find(|line| {
                line.contains("SELECT `") && !line.contains("EXPLAIN") && !line.contains(" LIMIT ")
            });
            assert_eq!(unlimited, None);
        }
    }
}

#[test]
fn keys_are_judged_by_the_logs_that_a_server_writes() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let shop = &*SHOP;
    let folder = tempfile::tempdir().unwrap();
    for (kind, on, off) in [
        ("general", "SET GLOBAL general_log = ON", "SET GLOBAL general_log = OFF"),
        ("slow", "SET GLOBAL slow_query_log = ON", "SET GLOBAL slow_query_log = OFF"),
    ] {
        // The server writes where it may: beside its data.
        let data = shop.stack.data_dir(coupon_stack::Server::Main).unwrap();
        let name = format!("own-{kind}.log");
        let file = if kind == "general" { "general_log_file" } else { "slow_query_log_file" };
        shop.run(&["SET GLOBAL long_query_time = 0", &format!("SET GLOBAL {file} = '{name}'"), on]);
        shop.run(&[
            "SELECT * FROM shop.orders WHERE user_id = 5",
            "SELECT *\nFROM shop.orders WHERE user_id = 6",
            "SELECT COUNT(*) FROM shop.orders WHERE shop_id = 7",
            "INSERT INTO shop.orders (id, user_id, shop_id) VALUES (-1, 5, 7)",
            "DELETE FROM shop.orders WHERE id = -1",
        ]);
        shop.run(&[off]);
        let log = folder.path().join(&name);
        std::fs::copy(data.join(&name), &log).unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_loadtest"))
            .args(["advise", "--queries", log.to_str().unwrap(), "--key", "user_id", "--table", "orders"])
            .output()
            .unwrap();
        let said = text(&output.stdout).replace('\n', " ");
        assert!(output.status.success(), "{}", text(&output.stderr));
        for told in [
            &format!("a {kind} log, 5 statements on rows, in 4 shapes"),
            "20 %  SELECT COUNT(*) FROM shop.orders WHERE shop_id = ?",
            "20 %  DELETE FROM shop.orders WHERE id = - ?",
        ] {
            assert!(said.contains(told), "{told}\n{said}");
        }
    }
}
