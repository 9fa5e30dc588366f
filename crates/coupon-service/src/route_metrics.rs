//! The answers on each route, counted and timed.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use actix_web::http::StatusCode;
use coupon_store::metrics::{Buckets, Exposition};

/// The path in metrics of requests for paths that are not the service's.
const NO_PATH: &str = "none";

/// The answers of one route.
#[derive(Debug)]
pub(crate) struct RouteAnswers {
    /// As it is registered, `{room_id}` and all: there are only so many.
    pub(crate) route: &'static str,
    /// By status class, from 1xx to 5xx.
    classes: [AtomicU64; CLASSES.len()],
    took: Buckets,
}

const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

impl RouteAnswers {
    fn new(route: &'static str) -> Arc<Self> {
        Arc::new(Self { route, classes: Default::default(), took: Buckets::seconds() })
    }

    pub(crate) fn count(&self, status: StatusCode, took: Duration) {
        let class = usize::from(status.as_u16() / 100).wrapping_sub(1);
        if let Some(count) = self.classes.get(class) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        self.took.took(took);
    }
}

/// The answers of every route, whichever worker gave them.
#[derive(Debug)]
pub(crate) struct RouteMetrics {
    /// Registered by each worker when it starts, and read when metrics are asked for.
    routes: Mutex<BTreeMap<&'static str, Arc<RouteAnswers>>>,
    pub(crate) elsewhere: Arc<RouteAnswers>,
}

impl RouteMetrics {
    pub(crate) fn new() -> Self {
        Self { routes: Mutex::default(), elsewhere: RouteAnswers::new(NO_PATH) }
    }

    /// The counts of a route.
    pub(crate) fn of(&self, route: &'static str) -> Arc<RouteAnswers> {
        let mut routes = self.routes.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(routes.entry(route).or_insert_with(|| RouteAnswers::new(route)))
    }

    fn all(&self) -> Vec<Arc<RouteAnswers>> {
        let routes = self.routes.lock().unwrap_or_else(PoisonError::into_inner);
        routes.values().chain([&self.elsewhere]).map(Arc::clone).collect()
    }

    /// States all of it.
    pub(crate) fn expose(&self, page: &mut Exposition) {
        let all = self.all();
        let mut requests =
            page.counter("coupon_http_requests_total", "Requests answered, by route and class of status.");
        for answers in &all {
            for (class, count) in CLASSES.iter().zip(&answers.classes).skip(1) {
                let labels = [("route", answers.route), ("status", *class)];
                requests.is(&labels, count.load(Ordering::Relaxed));
            }
        }
        let mut took = page.histogram(
            "coupon_http_request_seconds",
            "Time from a request's head having arrived to its answer being ready.",
        );
        for answers in &all {
            took.holds(&[("route", answers.route)], &answers.took);
        }
    }
}
