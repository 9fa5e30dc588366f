//! The HTTP API: one module a domain, and what they share.
//!
//! Every error is `application/problem+json`. A request that succeeds leaves no line in the log; one that fails with
//! 5xx leaves one.

mod admin;
mod body;
mod coupons;
mod cursor;
pub(crate) mod description;
mod docs;
mod grab;
mod health;
mod identity;
mod lists;
mod metrics;
mod orders;
mod params;
mod problem;
mod process;
mod responses;
mod results;
mod rooms;
mod statistics;
mod users;
mod view;

use actix_web::{FromRequest, Handler, Responder, Route, guard, web};

#[cfg(feature = "fuzzing")]
pub(crate) use cursor::check as check_cursor;
pub(crate) use problem::refusal;
use problem::{Kind, Problem};

/// Registers every route.
///
/// Handlers find `web::Data<Service>` in the application's data, and the worker's own `Rc<Batcher>` as plain
/// `app_data`.
pub(crate) fn configure(cfg: &mut web::ServiceConfig) {
    // The first path that fits is taken: `/api/coupon/grab` and `/use` come before `/api/coupon/{coupon_id}`.
    grab::configure(cfg);
    results::configure(cfg);
    users::configure(cfg);
    coupons::configure(cfg);
    rooms::configure(cfg);
    orders::configure(cfg);
    statistics::configure(cfg);
    admin::configure(cfg);
    health::configure(cfg);
    metrics::configure(cfg);
    docs::configure(cfg);
    cfg.default_service(web::to(no_such_path));
}

/// Registers a path that can only be read.
fn get<F, Args>(cfg: &mut web::ServiceConfig, path: &str, handler: F)
where
    F: Handler<Args>,
    Args: FromRequest + 'static,
    F::Output: Responder + 'static,
{
    let reads = guard::Any(guard::Get()).or(guard::Head());
    only(cfg, path, web::route().guard(reads).to(handler), "GET, HEAD");
}

/// Registers a path that takes nothing but POST.
fn post<F, Args>(cfg: &mut web::ServiceConfig, path: &str, handler: F)
where
    F: Handler<Args>,
    Args: FromRequest + 'static,
    F::Output: Responder + 'static,
{
    only(cfg, path, web::post().to(handler), "POST");
}

fn only(cfg: &mut web::ServiceConfig, path: &str, route: Route, allow: &'static str) {
    let refuse = move || async move { Err::<&str, _>(Problem::method_not_allowed(allow)) };
    cfg.service(web::resource(path).route(route).default_service(web::to(refuse)));
}

async fn no_such_path() -> Result<&'static str, Problem> {
    Err(Problem::new(Kind::NotFound, "there is nothing at this path; /docs lists what there is"))
}
