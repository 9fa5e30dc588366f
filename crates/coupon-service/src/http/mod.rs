//! The HTTP API: one module a domain, and what they share.
//!
//! Every error is `application/problem+json`. A request that succeeds leaves no line in the log, unless it is asked
//! for; one that fails with 5xx leaves one.

mod admin;
mod after_grab;
mod body;
mod coupons;
mod cursor;
pub(crate) mod description;
mod docs;
mod grab;
mod health;
mod held;
mod identity;
mod lists;
mod metrics;
mod number;
mod operator;
mod orders;
mod params;
mod problem;
mod process;
mod responses;
mod results;
mod rooms;
mod routes;
mod statistics;
mod users;
mod view;
mod watch;

use actix_web::web;

#[cfg(feature = "fuzzing")]
pub(crate) use cursor::check as check_cursor;
pub(crate) use problem::refusal;
use problem::{Kind, Problem};
use routes::Routes;
pub(crate) use watch::Watch;

use crate::route_metrics::RouteMetrics;

/// Registers every route. What is answered there is counted with `metrics`.
///
/// Handlers find `web::Data<Service>` in the application's data, and the worker's own `Rc<Batcher>` as plain
/// `app_data`.
pub(crate) fn configure(cfg: &mut web::ServiceConfig, metrics: &RouteMetrics) {
    cfg.default_service(web::to(no_such_path));
    let routes = &mut Routes::new(cfg, metrics);
    // The first path that fits is taken: `/api/coupon/grab` and the like come before `/api/coupon/{coupon_id}`.
    grab::configure(routes);
    after_grab::configure(routes);
    results::configure(routes);
    users::configure(routes);
    coupons::configure(routes);
    rooms::configure(routes);
    orders::configure(routes);
    statistics::configure(routes);
    admin::configure(routes);
    operator::configure(routes);
    health::configure(routes);
    metrics::configure(routes);
    docs::configure(routes);
}

async fn no_such_path() -> Result<&'static str, Problem> {
    Err(Problem::new(Kind::NotFound, "there is nothing at this path; /docs lists what there is"))
}
