//! Sums over every shard.

use actix_web::{HttpRequest, HttpResponse, web};
use coupon_store::Totals;

use super::params::Query;
use super::problem::Problem;
use super::responses::{ReadProblems, Unanswered};
use super::routes::Routes;
use super::view;
use crate::api::{GlobalStatistics, ShardStatistics};
use crate::state::Service;

pub(super) fn configure(routes: &mut Routes<'_>) {
    routes.get("/api/statistics/global", global);
}

/// Sums over every shard
#[utoipa::path(
    get,
    path = "/api/statistics/global",
    operation_id = "getGlobalStatistics",
    tag = "statistics",
    params(
        ("exact" = Option<bool>, Query, description = "True, as when not given: count now. False: the sums that the writers keep."),
    ),
    responses((status = 200, description = "The sums.", body = GlobalStatistics), ReadProblems, Unanswered)
)]
pub(super) async fn global(req: HttpRequest, service: web::Data<Service>) -> Result<HttpResponse, Problem> {
    let exact = Query::of(&req, &["exact"])?.flag("exact", true)?;
    let (shards, answered) = service
        .queries
        .totals(exact, service.clock.now())
        .await
        .map_err(|error| Problem::unanswered(&error))?;
    let mut sum = Totals::default();
    shards.iter().for_each(|(_, part)| sum += *part);
    // What an engine counts at once is no shard's.
    let shards = shards.into_iter().filter_map(|(place, part)| {
        Some(ShardStatistics {
            shard: place.lane()?.number(),
            results: part.results,
            used: part.used,
            given_back: part.given_back,
            order_amount: part.order_amount.units(),
        })
    });
    let body = GlobalStatistics {
        results: sum.results,
        used: sum.used,
        given_back: sum.given_back,
        order_amount: sum.order_amount.units(),
        shards: shards.collect(),
        exact,
        partial: answered.is_partial(),
        missing_shards: view::numbers(&answered.missing),
        as_of: answered.as_of.to_string(),
        plan: view::plan(&answered),
    };
    view::timed(&body, &answered)
}
