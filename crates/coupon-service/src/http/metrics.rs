//! `/metrics`: what others count, stated when asked.

use std::fmt::{Display, Write as _};

use actix_web::{HttpResponse, web};
use coupon_core::ShardId;

use super::admin::reports;
use super::process;
use crate::backend::ShardReport;
use crate::pipeline::Outcome;
use crate::service::Service;

pub(super) fn configure(cfg: &mut web::ServiceConfig) {
    super::get(cfg, "/metrics", metrics);
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
    let reports = reports(&service).await;
    grabs(&service);
    shards(&service, &reports);
    let mut text = service.metrics.render();
    seconds(&mut text, &reports);
    HttpResponse::Ok().content_type("text/plain; version=0.0.4; charset=utf-8").body(text)
}

fn grabs(service: &Service) {
    let metrics = &service.metrics;
    for (outcome, name) in Outcome::ALL {
        let labels = [("outcome", name.to_owned())];
        metrics.counter(
            "coupon_grabs_total",
            "Grabs answered, by outcome.",
            &labels,
            service.counters.outcome(outcome),
        );
    }
    for (limit, refused) in [
        ("user_grabs", service.grab_limit.as_ref().map_or(0, |limit| limit.refused())),
        ("connections_per_ip", service.connections.refused()),
    ] {
        let labels = [("limit", limit.to_owned())];
        metrics.counter(
            "coupon_limited_total",
            "What was refused by a limit of one client's.",
            &labels,
            refused,
        );
    }
    let (batches, grabs) = service.counters.batches();
    metrics.counter("coupon_batches_total", "Batches through the gate.", &[], batches);
    metrics.counter("coupon_batched_grabs_total", "Grabs in those batches.", &[], grabs);
    let labels = [
        ("service", service.name.clone()),
        ("strategy", service.strategy.name().to_owned()),
        ("version", env!("CARGO_PKG_VERSION").to_owned()),
    ];
    metrics.gauge("coupon_service_info", "Which service this is; always 1.", &labels, 1.0);
    metrics.gauge(
        "coupon_uptime_seconds",
        "Seconds since the service started.",
        &[],
        service.started.elapsed().as_secs_f64(),
    );
    if let Some(bytes) = process::memory_bytes() {
        metrics.gauge("process_resident_memory_bytes", "Resident memory.", &[], float(bytes));
    }
}

fn shards(service: &Service, reports: &[(ShardId, ShardReport)]) {
    let metrics = &service.metrics;
    for (shard, report) in reports {
        let labels = [("shard", shard.to_string())];
        let gauge = |name, help, value| metrics.gauge(name, help, &labels, value);
        let counter = |name, help, value| metrics.counter(name, help, &labels, value);
        gauge("coupon_shard_up", "1 when the shard takes writes, else 0.", if report.up { 1.0 } else { 0.0 });
        gauge("coupon_shard_rows", "Results stored.", float(report.rows));
        gauge(
            "coupon_shard_queue_depth",
            "Results handed over and not in their table yet.",
            float(report.queue_depth),
        );
        gauge("coupon_shard_connections", "Open connections.", float(report.connections));
        gauge("coupon_shard_parked_results", "Results that contradict what is stored.", float(report.parked));
        counter("coupon_shard_rows_written_total", "Results written.", report.rows_written);
        counter("coupon_shard_commits_total", "Transactions committed.", report.commits);
        if let Ok(bytes) = report.bytes_written {
            counter("coupon_shard_written_bytes_total", "Bytes sent to storage.", bytes);
        }
    }
    metrics.gauge(
        "coupon_main_lag_entries",
        "Outbox entries that the main database has not been told of.",
        &[],
        float(service.backend.catalogue.lag_entries()),
    );
    metrics.counter(
        "coupon_reconciled_total",
        "Reservations that had not reached their shard, and were handed over again.",
        &[],
        service.backend.hand_over.reconciled(),
    );
    metrics.counter(
        "coupon_restored_total",
        "Stored results that the gate did not know of, and was told of.",
        &[],
        service.backend.hand_over.restored(),
    );
}

/// Counters of CPU seconds, which are no whole numbers, so the recorder cannot hold them.
fn seconds(text: &mut String, reports: &[(ShardId, ShardReport)]) {
    let process = process::cpu_seconds().map(|seconds| (String::new(), seconds));
    counters(text, "process_cpu_seconds_total", "CPU seconds of the process.", process);
    let shards = reports.iter().filter_map(|(shard, report)| {
        report.cpu_seconds.ok().map(|seconds| (format!("{{shard=\"{shard}\"}}"), seconds))
    });
    counters(text, "coupon_shard_cpu_seconds_total", "CPU seconds of a shard's reads and writes.", shards);
}

fn counters(
    text: &mut String,
    name: &str,
    help: &str,
    values: impl IntoIterator<Item = (impl Display, f64)>,
) {
    // Writing to a String cannot fail.
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} counter");
    for (labels, value) in values {
        let _ = writeln!(text, "{name}{labels} {value}");
    }
}

#[expect(clippy::cast_precision_loss, reason = "Prometheus knows floats only")]
const fn float(count: u64) -> f64 {
    count as f64
}
