//! `/metrics`: what others count, stated when asked. docs/OBSERVABILITY.md says what each figure means.

use std::time::Duration;

use actix_web::{HttpResponse, web};
use coupon_core::{ShardingStrategy as _, Timestamp};
use coupon_store::ShardReport;
use coupon_store::metrics::Exposition;
use futures_util::future::join_all;
use tokio::time::timeout;

use super::admin::reports;
use super::process;
use super::routes::Routes;
use crate::limits::UserLimit;
use crate::state::Service;

/// The longest that a part of the room index is waited for: Prometheus waits for an answer for seconds only.
const PATIENCE: Duration = Duration::from_secs(1);

pub(super) fn configure(routes: &mut Routes<'_>) {
    routes.get("/metrics", metrics);
}

/// Figures for Prometheus
#[utoipa::path(
    get,
    path = "/metrics",
    operation_id = "getMetrics",
    tag = "operation",
    responses((status = 200, description = "Text format 0.0.4.", body = String, content_type = "text/plain"))
)]
pub(super) async fn metrics(service: web::Data<Service>) -> HttpResponse {
    let mut page = Exposition::default();
    process(&service, &mut page);
    service.route_metrics.expose(&mut page);
    service.counters.expose(&mut page);
    limits(&service, &mut page);
    let reports: Vec<(String, ShardReport)> =
        reports(&service).await.into_iter().map(|(shard, report)| (shard.to_string(), report)).collect();
    shards(&reports, service.clock.now(), &mut page);
    work(&reports, &mut page);
    room_index(&service, &mut page).await;
    page.gauge("coupon_main_lag_entries", "Outbox entries that the main database has not been told of.")
        .is(&[], service.backend.catalogue.lag_entries());
    page.gauge(
        "coupon_catalogue_version",
        "The version of the catalogue that this process goes by: one more with each change by an operator.",
    )
    .is(&[], service.backend.catalogue.version());
    service.backend.own_metrics.expose(&mut page);
    if let Some(traces) = &service.traces {
        traces.expose(&mut page);
    }
    HttpResponse::Ok().content_type("text/plain; version=0.0.4; charset=utf-8").body(page.into_text())
}

fn process(service: &Service, page: &mut Exposition) {
    let role = service.settings.role().as_str();
    page.gauge("coupon_build_info", "Which service this is; always 1.").is(
        &[
            ("service", &service.name),
            ("strategy", service.backend.layouts.now().name()),
            ("backend", service.backend.data.kind()),
            ("role", role),
            ("version", env!("CARGO_PKG_VERSION")),
        ],
        1,
    );
    page.gauge("process_start_time_seconds", "When the service started, since 1970.")
        .may_be(&[], process::started(service.started));
    page.counter("process_cpu_seconds_total", "CPU time of the process, of all its threads.")
        .may_be(&[], process::cpu_seconds());
    page.gauge("process_resident_memory_bytes", "Memory of the process that is in RAM.")
        .may_be(&[], process::memory_bytes());
    page.gauge("process_threads", "Threads of the process.").may_be(&[], process::threads());
}

fn limits(service: &Service, page: &mut Exposition) {
    let refused = |limit: &Option<UserLimit>| limit.as_ref().map_or(0, UserLimit::refused);
    page.counter("coupon_limited_total", "What was refused by a limit of one client's.")
        .is(&[("limit", "user_grabs")], refused(&service.grab_limit))
        .is(&[("limit", "user_returns")], refused(&service.return_limit))
        .is(&[("limit", "connections_per_ip")], service.connections.refused());
}

type Reports = [(String, ShardReport)];

/// The present state of the shards.
fn shards(reports: &Reports, now: Timestamp, page: &mut Exposition) {
    let mut gauge = |name, help, of: &dyn Fn(&ShardReport) -> Option<f64>| {
        let mut family = page.gauge(name, help);
        for (shard, report) in reports {
            family.may_be(&[("shard", shard)], of(report));
        }
    };
    let up = |report: &ShardReport| Some(f64::from(u8::from(report.up)));
    gauge("coupon_shard_up", "1 when the shard takes writes, else 0.", &up);
    gauge("coupon_shard_rows", "Results stored.", &|report| Some(float(report.rows)));
    let depth = |report: &ShardReport| Some(float(report.queue_depth));
    gauge("coupon_shard_queue_depth", "Results handed over and not in their table yet.", &depth);
    let trails = |report: &ShardReport| {
        // The lag of a shard that has not been seen yet is unknown.
        let seen = report.as_of.millis() > 0;
        seen.then(|| lag(now, report.as_of))
    };
    gauge("coupon_shard_lag_seconds", "By how much reads of the shard trail.", &trails);
    let connections = |report: &ShardReport| Some(float(report.connections));
    gauge("coupon_shard_connections", "Open connections.", &connections);
    let parked = |report: &ShardReport| Some(float(report.parked));
    gauge("coupon_shard_parked_results", "Results that contradict what is stored.", &parked);
}

/// Writes how far the room index is behind, where there is one.
async fn room_index(service: &Service, page: &mut Exposition) {
    let Some(index) = &service.backend.room_index else { return };
    let mut family =
        page.gauge("coupon_room_index_lag_seconds", "By how much the room index on the shard trails.");
    let asked = index
        .places()
        .all()
        .map(async |shard| (shard, timeout(PATIENCE, index.as_of(shard)).await.ok().flatten()));
    for (shard, as_of) in join_all(asked).await {
        family.may_be(&[("shard", &shard.to_string())], as_of.map(|as_of| lag(service.clock.now(), as_of)));
    }
}

fn lag(now: Timestamp, as_of: Timestamp) -> f64 {
    let millis = u64::try_from(now.millis() - as_of.millis()).unwrap_or(0);
    Duration::from_millis(millis).as_secs_f64()
}

/// The work done for the shards.
fn work(reports: &Reports, page: &mut Exposition) {
    let mut written = page.counter("coupon_shard_rows_written_total", "Results written.");
    for (shard, report) in reports {
        written.is(&[("shard", shard)], report.rows_written);
    }
    let mut commits = page.counter("coupon_shard_commits_total", "Transactions committed.");
    for (shard, report) in reports {
        commits.is(&[("shard", shard)], report.commits);
    }
    let mut bytes = page.counter("coupon_shard_written_bytes_total", "Bytes sent to storage.");
    for (shard, report) in reports {
        bytes.may_be(&[("shard", shard)], report.bytes_written.ok());
    }
    let mut cpu = page.counter("coupon_shard_cpu_seconds_total", "CPU time of a shard's reads and writes.");
    for (shard, report) in reports {
        cpu.may_be(&[("shard", shard)], report.cpu_seconds.ok());
    }
    let mut store = page.histogram(
        "coupon_shard_store_seconds",
        "Time from handing results over to this process's having stored them.",
    );
    for (shard, report) in reports {
        store.holds(&[("shard", shard)], &report.took.0);
    }
    let mut read =
        page.histogram("coupon_shard_read_seconds", "Time that this process's reads of a shard took.");
    for (shard, report) in reports {
        read.holds(&[("shard", shard)], &report.took.1);
    }
}

#[expect(clippy::cast_precision_loss, reason = "Prometheus knows floats only")]
const fn float(count: u64) -> f64 {
    count as f64
}
