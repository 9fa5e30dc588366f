//! The operators' endpoints: questions, and commands to the service.

use std::time::Instant;

use actix_web::{HttpRequest, HttpResponse, web};
use coupon_core::{ShardId, ShardingStats, ShardingStrategy as _};
use coupon_store::settings::Secret;
use coupon_store::{Latency, ShardReport};
use futures_util::future::join_all;

use super::identity::{bearer, has_token};
use super::params::Query;
use super::problem::{Kind, Problem};
use super::responses::{AdminProblems, Unanswered};
use super::routes::Routes;
use super::{process, view};
use crate::api::{AdminStats, Drained, GrabCounts, Percentiles, SetAsideCoupon, ShardStatus, ShardsStatus};
use crate::loopback;
use crate::pipeline::{GrabCounters, GrabEnd};
use crate::state::Service;

pub(super) fn configure(routes: &mut Routes<'_>) {
    routes.get("/admin/stats", stats);
    routes.get("/admin/shards/status", shards);
    routes.post("/admin/drain", drain);
}

/// Lets a request through that has the token or, when none is set, that a user of this machine makes. Headers can
/// only take that right away: any client can send them.
pub(super) fn admit(req: &HttpRequest, token: &Secret) -> Result<(), Problem> {
    if token.is_empty() {
        return stranger(req).map_or(Ok(()), |why| {
            let detail = format!("without admin.token set, these paths answer to this machine only: {why}");
            Err(Problem::new(Kind::LoopbackOnly, detail))
        });
    }
    if has_token(req, token) {
        return Ok(());
    }
    let given = bearer(req).map_or("", |_| "the token in it is another one: ");
    let detail = format!("{given}send the header Authorization: Bearer with the token that admin.token sets");
    Err(Problem::new(Kind::Unauthorized, detail))
}

/// The reason why a request is not made by a user of this machine; `None` for one that is.
fn stranger(req: &HttpRequest) -> Option<&'static str> {
    let (headers, authority) = (req.headers(), req.uri().authority());
    let local = req.peer_addr().is_some_and(|peer| peer.ip().to_canonical().is_loopback());
    let own =
        loopback::host_is_own(headers) && authority.is_none_or(|named| loopback::is_own(named.as_str()));
    match () {
        () if !local => Some("the request comes from another one"),
        () if loopback::is_passed_on(headers) => Some("the request was passed on by a proxy"),
        () if !own => Some("ask http://127.0.0.1 or http://localhost"),
        () if loopback::is_of_another_page(headers) => Some("a web page of another host makes the request"),
        () => None,
    }
}

/// Every shard's report, in order.
pub(super) async fn reports(service: &Service) -> Vec<(ShardId, ShardReport)> {
    let shards = service.backend.layouts.shards();
    let reports = join_all(
        shards.map(|shard| async move { Some((shard, service.backend.shards.report(shard).await?)) }),
    );
    reports.await.into_iter().flatten().collect()
}

/// The service's work since it started
#[utoipa::path(
    get,
    path = "/admin/stats",
    operation_id = "getAdminStats",
    tag = "admin",
    security((), ("token" = [])),
    responses((status = 200, description = "The figures.", body = AdminStats), AdminProblems)
)]
pub(super) async fn stats(req: HttpRequest, service: web::Data<Service>) -> Result<HttpResponse, Problem> {
    admit(&req, &service.settings.admin.token)?;
    Query::none(&req)?;
    let layouts = service.backend.layouts.now();
    let (batches, batched) = service.counters.batches();
    let (set_aside, listed) = service.backend.catalogue.set_aside();
    let listed = listed.into_iter().map(|(coupon_id, reason)| SetAsideCoupon { coupon_id, reason });
    view::ok(&AdminStats {
        service: service.name.clone(),
        build: if cfg!(debug_assertions) { "debug" } else { "release" }.to_owned(),
        strategy: layouts.name().to_owned(),
        layout: layouts.layout(),
        shards: layouts.shard_count().get(),
        backend: service.backend.data.kind().to_owned(),
        dataset: service.backend.dataset.clone(),
        data: service.backend.data.folder(),
        namespace: service.backend.data.namespace().map(str::to_owned),
        pid: std::process::id(),
        workers: service.settings.workers.get(),
        uptime_s: service.started.elapsed().as_secs_f64(),
        cpu_seconds: process::cpu_seconds(),
        memory_bytes: process::memory_bytes(),
        grabs: counts(&service.counters),
        batches,
        mean_batch: mean(batched, batches),
        catalogue_version: service.backend.catalogue.version(),
        main_lag_entries: service.backend.catalogue.lag_entries(),
        parked: reports(&service).await.iter().map(|(_, report)| report.parked).sum(),
        set_aside,
        set_aside_coupons: listed.collect(),
        reconciled: service.backend.own_metrics.repairs().reconciled,
    })
}

fn counts(counters: &GrabCounters) -> GrabCounts {
    GrabCounts {
        granted: counters.outcome(GrabEnd::Granted),
        repeated: counters.outcome(GrabEnd::Repeated),
        out_of_stock: counters.outcome(GrabEnd::OutOfStock),
        duplicate: counters.outcome(GrabEnd::Duplicate),
        invalid_time: counters.outcome(GrabEnd::InvalidTime),
        unavailable: counters.outcome(GrabEnd::Unavailable),
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
fn mean(sum: u64, count: u64) -> Option<f64> {
    (count > 0).then(|| sum as f64 / count as f64)
}

/// Every shard's state and work
#[utoipa::path(
    get,
    path = "/admin/shards/status",
    operation_id = "getShardsStatus",
    tag = "admin",
    security((), ("token" = [])),
    responses((status = 200, description = "The shards.", body = ShardsStatus), AdminProblems)
)]
pub(super) async fn shards(req: HttpRequest, service: web::Data<Service>) -> Result<HttpResponse, Problem> {
    admit(&req, &service.settings.admin.token)?;
    Query::none(&req)?;
    let reports = reports(&service).await;
    let rows: Vec<u64> = reports.iter().map(|(_, report)| report.rows).collect();
    // What is prepared and not used yet has no part in how even the layout is.
    let used = usize::from(service.backend.layouts.now().shard_count().get());
    let spread = ShardingStats::of_counts(rows.get(..used).unwrap_or(&rows));
    let parts = spread.share.iter().copied().chain(std::iter::repeat(0.0));
    let shares = parts.map(|share| spread.skew.map(|_| share));
    let shards = reports.iter().zip(shares).map(|((shard, report), share)| status(*shard, report, share));
    view::ok(&ShardsStatus {
        shards: shards.collect(),
        effective_shards: spread.effective_shards,
        skew: spread.skew,
        hot: service.counters.hot(),
    })
}

fn status(shard: ShardId, report: &ShardReport, share: Option<f64>) -> ShardStatus {
    let missing = [
        report.cpu_seconds.err().map(|why| format!("cpu_seconds: n/a: {why}")),
        report.bytes_written.err().map(|why| format!("bytes_written: n/a: {why}")),
    ];
    ShardStatus {
        shard: shard.number(),
        up: report.up,
        trouble: report.trouble.clone(),
        rows: report.rows,
        share,
        rows_written: report.rows_written,
        commits: report.commits,
        writes_per_s: report.writes_per_s,
        queue_depth: report.queue_depth,
        write_ms: report.write_latency.map(millis),
        read_ms: report.read_latency.map(millis),
        connections: report.connections,
        cpu_seconds: report.cpu_seconds.ok(),
        bytes_written: report.bytes_written.ok(),
        unavailable: missing.into_iter().flatten().collect(),
    }
}

#[expect(clippy::cast_precision_loss, reason = "latencies stay far below 2^53 microseconds")]
fn millis(latency: Latency) -> Percentiles {
    let millis = |micros: u64| micros as f64 / 1_000.0;
    Percentiles {
        count: latency.count,
        p50: millis(latency.p50),
        p90: millis(latency.p90),
        p99: millis(latency.p99),
        max: millis(latency.max),
    }
}

/// Wait until everything handed over so far is stored, and applied to the main database
#[utoipa::path(
    post,
    path = "/admin/drain",
    operation_id = "drain",
    tag = "admin",
    security((), ("token" = [])),
    responses((status = 200, description = "It is.", body = Drained), AdminProblems, Unanswered)
)]
pub(super) async fn drain(req: HttpRequest, service: web::Data<Service>) -> Result<HttpResponse, Problem> {
    admit(&req, &service.settings.admin.token)?;
    Query::none(&req)?;
    let asked = Instant::now();
    service.backend.lifecycle.drain().await.map_err(|error| Problem::unavailable(&error))?;
    let waited_ms = u64::try_from(asked.elapsed().as_millis()).unwrap_or(u64::MAX);
    view::ok(&Drained { drained: true, waited_ms })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use actix_web::ResponseError;
    use actix_web::test::TestRequest;
    use coupon_store::metrics::Buckets;

    use super::*;

    fn asked(token: &str, headers: &[(&'static str, &str)], peer: &str) -> u16 {
        let mut req = TestRequest::default().peer_addr(peer.parse().unwrap());
        for header in headers {
            req = req.append_header(*header);
        }
        admit(&req.to_http_request(), &Secret::new(token))
            .map_or_else(|problem| problem.status_code().as_u16(), |()| 200)
    }

    #[test]
    fn with_a_token_set_only_that_token_counts() {
        for (header, status) in [
            (Some("Bearer word"), 200),
            (Some("bearer  word "), 200),
            (Some("Bearer wor"), 401),
            (Some("Bearer words"), 401),
            (Some("Bearer "), 401),
            (Some("Bearer"), 401),
            (Some("Basic word"), 401),
            (Some("word"), 401),
            (None, 401),
        ] {
            let mut headers = vec![("Host", "coupons.example"), ("X-Forwarded-For", "192.0.2.7")];
            headers.extend(header.map(|header| ("Authorization", header)));
            assert_eq!(asked("word", &headers, "192.0.2.8:5"), status, "{header:?}");
        }
    }

    #[test]
    fn without_a_token_only_this_machine_is_let_through() {
        let own = ("Host", "localhost:8001");
        for (peer, status) in
            [("127.0.0.1:5", 200), ("[::1]:5", 200), ("[::ffff:127.0.0.1]:5", 200), ("192.0.2.7:5", 403)]
        {
            assert_eq!(asked("", &[own], peer), status, "{peer}");
        }
        let claims = [own, ("Authorization", "Bearer "), ("X-Forwarded-For", "127.0.0.1")];
        assert_eq!(asked("", &claims, "192.0.2.7:5"), 403);
    }

    #[test]
    fn without_a_token_nobody_is_let_through_by_way_of_this_machine() {
        let own = ("Host", "127.0.0.1:8001");
        for headers in [
            &[own, ("Forwarded", "for=127.0.0.1")][..],
            &[own, ("X-Forwarded-For", "127.0.0.1")],
            &[own, ("X-Forwarded-Host", "127.0.0.1")],
            &[own, ("X-Forwarded-Proto", "http")],
            &[own, ("Via", "1.1 proxy")],
            &[own, ("Origin", "http://evil.example")],
            &[own, ("Host", "evil.example")],
            &[("Host", "evil.example")],
            &[("Host", "evil.example"), ("Origin", "http://evil.example")],
            &[],
        ] {
            assert_eq!(asked("", headers, "127.0.0.1:5"), 403, "{headers:?}");
        }
    }

    #[test]
    fn a_figure_that_cannot_be_read_is_null_and_says_why() {
        let report = ShardReport {
            up: true,
            trouble: None,
            rows: 3,
            rows_written: 2,
            commits: 1,
            writes_per_s: None,
            queue_depth: 0,
            write_latency: Some(Latency { count: 2, p50: 1_500, p90: 1_500, p99: 2_000, max: 2_001 }),
            took: (Arc::new(Buckets::seconds()), Arc::new(Buckets::seconds())),
            as_of: coupon_core::Timestamp::from_millis(0),
            read_latency: None,
            connections: 3,
            cpu_seconds: Err("no such clock here"),
            bytes_written: Ok(7),
            parked: 0,
        };
        let status = status(ShardId::new(1), &report, Some(0.5));
        assert_eq!((status.cpu_seconds, status.bytes_written), (None, Some(7)));
        assert_eq!(status.unavailable, ["cpu_seconds: n/a: no such clock here"]);
        assert_eq!(status.write_ms.map(|spread| (spread.p50, spread.max)), Some((1.5, 2.001)));
    }
}
