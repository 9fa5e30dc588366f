//! The paths that there are.

use actix_web::{FromRequest, Handler, Resource, Responder, Route, guard, web};

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
        self.only(path, vec![read(handler)], "GET, HEAD");
    }

    /// Registers a path that can be read, and takes POST.
    pub(super) fn get_and_post<F, Args, G, More>(&mut self, path: &'static str, reader: F, taker: G)
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
        G: Handler<More>,
        More: FromRequest + 'static,
        G::Output: Responder + 'static,
    {
        self.only(path, vec![read(reader), web::post().to(taker)], "GET, HEAD, POST");
    }

    /// Registers a path that takes nothing but PATCH.
    pub(super) fn patch<F, Args>(&mut self, path: &'static str, handler: F)
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        self.only(path, vec![web::patch().to(handler)], "PATCH");
    }

    /// Registers a path that takes nothing but POST.
    pub(super) fn post<F, Args>(&mut self, path: &'static str, handler: F)
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        self.only(path, vec![web::post().to(handler)], "POST");
    }

    fn only(&mut self, path: &'static str, routes: Vec<Route>, allow: &'static str) {
        let refuse = move || async move { Err::<&str, _>(Problem::method_not_allowed(allow)) };
        // The request carries its route's counts along: nothing is looked up by name.
        let resource = web::resource(path).app_data(self.metrics.of(path));
        let resource = routes.into_iter().fold(resource, Resource::route);
        self.cfg.service(resource.default_service(web::to(refuse)));
    }
}

fn read<F, Args>(handler: F) -> Route
where
    F: Handler<Args>,
    Args: FromRequest + 'static,
    F::Output: Responder + 'static,
{
    web::route().guard(guard::Any(guard::Get()).or(guard::Head())).to(handler)
}
