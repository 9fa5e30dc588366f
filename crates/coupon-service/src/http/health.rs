//! Says whether the service lives, and whether it can do its work.

use actix_web::http::header;
use actix_web::{HttpResponse, web};

use super::grab::Pipeline;
use super::problem::Problem;
use super::responses::Unanswered;
use super::routes::Routes;
use crate::state::Service;

pub(super) fn configure(routes: &mut Routes<'_>) {
    routes.get("/healthz", alive);
    routes.get("/readyz", ready);
}

fn fine() -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .content_type("text/plain")
        .body("ok\n")
}

/// Liveness of the service
#[utoipa::path(
    get,
    path = "/healthz",
    operation_id = "isAlive",
    tag = "operation",
    responses((status = 200, description = "The service lives.", body = String, content_type = "text/plain"))
)]
pub(super) async fn alive() -> HttpResponse {
    fine()
}

/// Readiness of the service to take grabs
///
/// It takes none without ids, without a gate or the queue, with a clock that is far from the main database's, or, on
/// files, with a shard that cannot be written. On servers a shard that is down does not matter: its grabs wait in its
/// queue. A process that only stores results is ready while it reaches the queue and at least one shard.
#[utoipa::path(
    get,
    path = "/readyz",
    operation_id = "isReady",
    tag = "operation",
    responses((status = 200, description = "The service is ready.", body = String, content_type = "text/plain"), Unanswered)
)]
pub(super) async fn ready(service: web::Data<Service>, pipeline: Pipeline) -> Result<HttpResponse, Problem> {
    let ready = if service.settings.role().takes_grabs() {
        pipeline.0.ready()
    } else {
        service.backend.hand_over.ready()
    };
    ready.map(|()| fine()).map_err(|error| Problem::unavailable(&error))
}
