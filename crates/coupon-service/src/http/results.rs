//! One result, looked up.

use actix_web::{HttpRequest, HttpResponse, web};

use super::params::{Query, result_id};
use super::problem::{Kind, Problem};
use super::responses::{ReadProblems, Unanswered, Unknown};
use super::routes::Routes;
use super::view;
use crate::api::{PlaceView, ResultAnswer};
use crate::state::Service;

pub(super) fn configure(routes: &mut Routes<'_>) {
    routes.get("/api/result/{result_id}", result);
}

/// One result
///
/// Its id holds its time but not its user, so a strategy by time finds the table, and one by user asks every shard.
/// One that is granted and not stored yet is 503, never 404.
#[utoipa::path(
    get,
    path = "/api/result/{result_id}",
    operation_id = "getResult",
    tag = "results",
    params(("result_id" = String, Path, description = "The result.")),
    responses((status = 200, description = "The result.", body = ResultAnswer), ReadProblems, Unknown, Unanswered)
)]
pub(super) async fn result(req: HttpRequest, service: web::Data<Service>) -> Result<HttpResponse, Problem> {
    let id = result_id(req.match_info().get("result_id").unwrap_or_default())?;
    Query::none(&req)?;
    let (found, answered) = service
        .queries
        .find(id, None, service.clock.now())
        .await
        .map_err(|error| Problem::unanswered(&error))?;
    let (placement, found) = found.ok_or_else(|| {
        Problem::new(Kind::UnknownResult, format!("there is no result {id}")).field("result_id")
    })?;
    let place = Some(PlaceView { shard: placement.shard.number(), table: placement.table.to_string() });
    let body = ResultAnswer { result: view::result(&found), place, plan: view::plan(&answered) };
    view::timed(&body, &answered)
}
