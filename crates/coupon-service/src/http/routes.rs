//! The paths that there are.

use actix_web::{FromRequest, Handler, Responder, Route, guard, web};

use super::problem::Problem;
use crate::route_metrics::RouteMetrics;

/// The registry of a worker's routes.
pub(super) struct Routes<'a> {
    cfg: &'a mut web::ServiceConfig,
    metrics: &'a RouteMetrics,
}

impl<'a> Routes<'a> {
    pub(super) const fn new(cfg: &'a mut web::ServiceConfig, metrics: &'a RouteMetrics) -> Self {
        Self { cfg, metrics }
    }

    /// Registers a path that can only be read.
    pub(super) fn get<F, Args>(&mut self, path: &'static str, handler: F)
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        let reads = guard::Any(guard::Get()).or(guard::Head());
        self.only(path, web::route().guard(reads).to(handler), "GET, HEAD");
    }

    /// Registers a path that takes nothing but POST.
    pub(super) fn post<F, Args>(&mut self, path: &'static str, handler: F)
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        self.only(path, web::post().to(handler), "POST");
    }

    fn only(&mut self, path: &'static str, route: Route, allow: &'static str) {
        let refuse = move || async move { Err::<&str, _>(Problem::method_not_allowed(allow)) };
        // The request carries its route's counts along: nothing is looked up by name.
        let resource = web::resource(path).app_data(self.metrics.of(path));
        self.cfg.service(resource.route(route).default_service(web::to(refuse)));
    }
}
