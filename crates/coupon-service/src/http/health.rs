//! Whether the service lives, and whether it can do its work.

use actix_web::http::header;
use actix_web::{HttpResponse, web};

use super::admin::reports;
use super::problem::Problem;
use super::responses::Unanswered;
use super::routes::Routes;
use crate::backend::Unavailable;
use crate::service::Service;

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

/// Whether the service lives
#[utoipa::path(
    get,
    path = "/healthz",
    operation_id = "isAlive",
    tag = "operation",
    responses((status = 200, description = "It does.", body = String, content_type = "text/plain"))
)]
pub(super) async fn alive() -> HttpResponse {
    fine()
}

/// Whether the gate and the queue take grabs and every shard is up
#[utoipa::path(
    get,
    path = "/readyz",
    operation_id = "isReady",
    tag = "operation",
    responses((status = 200, description = "They are.", body = String, content_type = "text/plain"), Unanswered)
)]
pub(super) async fn ready(service: web::Data<Service>) -> Result<HttpResponse, Problem> {
    service.backend.gate.ready().map_err(|error| Problem::unavailable(&error))?;
    service.backend.hand_over.ready().map_err(|error| Problem::unavailable(&error))?;
    let down: Vec<String> = reports(&service)
        .await
        .into_iter()
        .filter(|(_, report)| !report.up)
        .map(|(shard, _)| format!("shard {shard}"))
        .collect();
    if down.is_empty() {
        return Ok(fine());
    }
    Err(Problem::unavailable(&Unavailable::new(down.join(", "), "it takes no writes")))
}
