//! Stands in for traces in a program that was built without them: where a collector is set, the start is refused, by name.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context as _;
use coupon_store::BuiltWithout;
use coupon_store::metrics::Exposition;
use coupon_store::settings::TelemetrySettings;

use super::context::TraceContext;

/// The destination of a service's spans: there is none.
#[derive(Debug)]
pub struct Traces(Infallible);

/// A request that is recorded: none is.
#[derive(Debug)]
pub(crate) struct Traced {
    pub(crate) since: Instant,
    never: Infallible,
}

impl Traces {
    /// `None`.
    ///
    /// # Errors
    /// When a collector is set.
    pub fn start(settings: &TelemetrySettings, _: &str, _: &str) -> anyhow::Result<Option<Arc<Self>>> {
        let wrong = "setting `telemetry.otlp_endpoint` (or OTEL_EXPORTER_OTLP_ENDPOINT)";
        let built = if settings.otlp_endpoint.is_empty() { Ok(None) } else { Err(BuiltWithout::TRACES) };
        built.context(wrong)
    }

    pub(crate) const fn records(&self, _: &TraceContext) -> bool {
        match self.0 {}
    }

    pub(crate) const fn request(&self, _: &TraceContext, _: &'static str, _: &str, _: u16, _: Instant) {
        match self.0 {}
    }

    pub(crate) const fn close(&self) {
        match self.0 {}
    }

    pub(crate) const fn expose(&self, _: &mut Exposition) {
        match self.0 {}
    }
}

pub(crate) fn use_here(_: Option<Arc<Traces>>) {}

pub(crate) const fn traced() -> Option<Box<Traced>> {
    None
}

impl Traced {
    pub(crate) const fn stage(&self, _: &'static str, _: Instant, _: &[(&'static str, u64)]) {
        match self.never {}
    }
}
