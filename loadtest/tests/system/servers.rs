//! Comparisons and audits on real servers.

use std::num::NonZeroU16;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::LazyLock;

use coupon_lab::{ServiceCommand, ServiceProcess, built};
use coupon_loadgen::http::{Target, get_json};
use coupon_report::{self, Report};
use coupon_service::api::AdminStats;
use coupon_stack::{Stack, StackOptions};
use deadpool_redis::redis;
use mysql_async::prelude::Queryable as _;

use crate::went_well;

const TWO: NonZeroU16 = NonZeroU16::new(2).unwrap();
/// Servers that run already, for tests that take some as given.
static STACK: LazyLock<Stack> =
    LazyLock::new(|| Stack::start(&StackOptions { shards: TWO, ..StackOptions::default() }).unwrap());

/// A short comparison of two strategies.
fn compare(out: &Path, more: &[&str], environment: &[(&'static str, String)]) -> Report {
    built("hash-svc").unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_loadtest"))
        .args(["compare", "--shards", "2", "--contestants", "hash,range-room"])
        .args(["--rounds", "1", "--seconds", "1.5", "--rate", "200", "--connections", "16"])
        .args(more)
        .arg("--out")
        .arg(out)
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .output()
        .unwrap();
    assert!(went_well(output.status), "{}{}", text(&output.stdout), text(&output.stderr));
    coupon_report::read(&out.join("report.json")).unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Every grab kept, every row counted, and the work of each shard's server measured.
fn holds(report: &Report) {
    assert_eq!(report.meta.backend, "servers");
    assert!(report.audit.passed, "{:?}", report.audit);
    assert_eq!(report.contestants.len(), 2);
    for contestant in &report.contestants {
        let round = contestant.rounds.first().unwrap();
        assert!(round.grabs.granted > 0, "{round:?}");
        let flow = round.flow.as_ref().unwrap();
        assert!(flow.stored_per_s.value().unwrap() > 0.0 && flow.drain_seconds.value().is_some(), "{flow:?}");
        let granted = round.grabs.granted as f64 + round.grabs.unknown as f64;
        let rows: f64 = round.shards.iter().map(|shard| shard.rows_written.value().unwrap()).sum();
        assert!(rows >= round.grabs.granted as f64 && rows <= granted, "{rows} rows of {granted}");
        assert!(flow.backlog.value().unwrap() <= rows);
        for shard in &round.shards {
            assert!(shard.cpu_seconds.value().is_some_and(|seconds| seconds > 0.0), "{shard:?}");
            assert!(shard.bytes_written.value().is_some_and(|bytes| bytes > 0.0), "{shard:?}");
            let flow = shard.flow.as_ref().unwrap();
            assert!(flow.queue_depth_max.value().is_some() && flow.lag_ms_max.value().is_some(), "{flow:?}");
            assert!(flow.saturation.value().is_none(), "nobody asked for a quota: {flow:?}");
        }
    }
}

#[test]
fn a_comparison_starts_servers_of_its_own_and_two_processes_keep_every_promise() {
    let out = tempfile::tempdir().unwrap();
    let report = compare(out.path(), &["--backend", "servers", "--processes", "2"], &[]);
    holds(&report);
    assert_eq!(report.meta.processes, 2);
}

#[test]
fn a_comparison_on_given_servers_measures_them_and_leaves_nothing_behind() {
    let out = tempfile::tempdir().unwrap();
    let environment = STACK.addresses().environment();
    holds(&compare(out.path(), &["--backend", "servers"], &environment));
    let left = databases_like("lt\\_%");
    assert!(left.is_empty(), "{left:?}");
    let client = redis::Client::open(STACK.addresses().redis.as_str()).unwrap();
    let keys: Vec<String> =
        redis::cmd("KEYS").arg("lt_*").query(&mut client.get_connection().unwrap()).unwrap();
    assert!(keys.is_empty(), "{keys:?}");
}

#[test]
fn a_comparison_on_files_stays_there_whatever_the_environment_says() {
    let out = tempfile::tempdir().unwrap();
    let report = compare(out.path(), &[], &STACK.addresses().environment());
    assert_eq!(report.meta.backend, "embedded");
    assert!(report.audit.passed, "{:?}", report.audit);
    let rounds = report.contestants.iter().flat_map(|contestant| &contestant.rounds);
    assert!(rounds.clone().count() == 2 && rounds.clone().all(|round| round.flow.is_none()));
    for round in rounds {
        assert_eq!(
            round.endpoints["grab"].curve_ms.first().copied(),
            round.endpoints["grab"].latency.known().map(|of| of.p50)
        );
        let seen = round.looks.known().unwrap().last().unwrap().rows.iter().map(|rows| *rows as f64);
        let written = round.shards.iter().map(|shard| shard.rows_written.value().unwrap());
        assert!(seen.eq(written), "the last look sees all that was written");
    }
    let outlook = report.outlook.known().unwrap();
    assert!(outlook.case("hash", 1_024).unwrap().effective_shards.value().unwrap() > 500.0, "{outlook:?}");
}

/// The databases of that name on any of the given servers.
fn databases_like(pattern: &str) -> Vec<String> {
    let addresses = STACK.addresses();
    let servers = std::iter::once(&addresses.main).chain(&addresses.shards);
    servers.flat_map(|url| query(url, &format!("SHOW DATABASES LIKE '{pattern}'"))).collect()
}

fn query(url: &str, sql: &str) -> Vec<String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut connection = mysql_async::Conn::from_url(url).await.unwrap();
        let found = connection.query(sql).await.unwrap();
        connection.disconnect().await.unwrap();
        found
    })
}

/// A service on its own small sample.
fn service(namespace: &str, log: &Path) -> (ServiceProcess, Target) {
    let mut environment = STACK.addresses().environment();
    environment.push(("COUPON__SERVERS__NAMESPACE", namespace.to_owned()));
    let command = ServiceCommand::new(built("hash-svc").unwrap());
    let command = command.arguments(["--shards", "2"]).environment(environment);
    let service = ServiceProcess::start(command, log.to_owned()).unwrap();
    let target = service.target("hash");
    (service, target)
}

fn audit(arguments: &[&str], environment: &[(&'static str, String)]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_loadtest"))
        .arg("audit")
        .args(arguments)
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .output()
        .unwrap()
}

#[test]
fn a_running_service_on_servers_is_audited_when_its_addresses_are_known() {
    let folder = tempfile::tempdir().unwrap();
    let (service, target) = service("audited_target", &folder.path().join("log"));
    let url = target.url("");
    let environment = STACK.addresses().environment();
    let output = audit(&["--target", &url], &environment);
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    assert!(text(&output.stdout).contains("audited_target_main"), "{}", text(&output.stdout));
    // The gate was looked at.
    assert!(!text(&output.stdout).contains("gate"), "{}", text(&output.stdout));
    let unknown = audit(&["--target", &url], &[]);
    assert!(!unknown.status.success() && text(&unknown.stderr).contains("servers.main"), "{unknown:?}");
    let stats: AdminStats = get_json(&target, "/admin/stats").unwrap();
    assert_eq!(stats.namespace.as_deref(), Some("audited_target"));
    let named = audit(&["--backend", "servers", "--namespace", "audited_target"], &environment);
    assert!(named.status.success(), "{}", text(&named.stderr));
    service.stop().unwrap();
}

#[test]
fn a_service_whose_data_is_on_other_servers_is_not_audited() {
    let folder = tempfile::tempdir().unwrap();
    let (service, target) = service("audited_elsewhere", &folder.path().join("log"));
    let mut environment = STACK.addresses().environment();
    // Of main and the first shard, the wrong one: there is no such database there.
    environment.push(("COUPON__SERVERS__MAIN", STACK.addresses().shards.first().unwrap().clone()));
    let output = audit(&["--target", &target.url("")], &environment);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stdout));
    assert!(text(&output.stderr).contains("audited_elsewhere_main"), "{}", text(&output.stderr));
    service.stop().unwrap();
}

#[test]
fn a_service_whose_data_set_was_replaced_is_not_audited_by_the_new_one() {
    let folder = tempfile::tempdir().unwrap();
    let (service, target) = service("audited_replaced", &folder.path().join("log"));
    query(
        &STACK.addresses().main,
        "UPDATE audited_replaced_main.meta SET value = 'another' WHERE name = 'dataset'",
    );
    let output = audit(&["--target", &target.url("")], &STACK.addresses().environment());
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stdout));
    assert!(text(&output.stderr).contains("it holds data set another"), "{}", text(&output.stderr));
    drop(service);
}
