//! Traces: what requests were at, and for how long, for an OpenTelemetry collector.
//!
//! Only what is over is exported: a request, or a stage of it, is a span once it has ended. It is then put into a
//! queue; a thread beside sends what is there, and no request waits for it.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use anyhow::Context as _;
use coupon_store::metrics::Exposition;
use coupon_store::settings::TelemetrySettings;
use opentelemetry::trace::{
    SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId as OtlpTraceId, TraceState,
};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_otlp::{
    Protocol, SpanExporter as OtlpExporter, WithExportConfig as _, WithHttpConfig as _,
};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{BatchSpanProcessor, SpanData, SpanExporter, SpanProcessor as _};

use super::collector::Collector;
use super::context::{self, TraceContext};

/// The time for which a service that stops tries to send what is left.
const GOODBYE: Duration = Duration::from_secs(2);

/// The destination of a service's spans.
#[derive(Debug)]
pub struct Traces {
    processor: BatchSpanProcessor,
    scope: InstrumentationScope,
    /// Trace ids whose lower half is below are recorded, if no caller decides.
    below: u64,
    counts: Arc<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    finished: AtomicU64,
    sent: AtomicU64,
    failed: AtomicU64,
}

impl Traces {
    /// `None` when no collector is set.
    ///
    /// # Errors
    /// When a setting makes no sense; the message names it.
    pub fn start(
        settings: &TelemetrySettings,
        service: &str,
        strategy: &str,
    ) -> anyhow::Result<Option<Arc<Self>>> {
        let sample = settings.sample;
        anyhow::ensure!(
            (0.0..=1.0).contains(&sample),
            "setting `telemetry.sample` must be from 0 to 1, not {sample}"
        );
        if settings.otlp_endpoint.is_empty() {
            return Ok(None);
        }
        let wrong = "setting `telemetry.otlp_endpoint` (or OTEL_EXPORTER_OTLP_ENDPOINT)";
        let collector = Collector::at(&settings.otlp_endpoint).context(wrong)?;
        let exporter = OtlpExporter::builder()
            .with_http()
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(collector.traces())
            .with_http_client(collector)
            .build()
            .context(wrong)?;
        let counts = Arc::<Counts>::default();
        let exporter = Counted { exporter, counts: Arc::clone(&counts), away: AtomicBool::new(false) };
        let mut processor = BatchSpanProcessor::builder(exporter).build();
        let resource = Resource::builder().with_service_name(service.to_owned()).with_attributes([
            KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
            KeyValue::new("coupon.strategy", strategy.to_owned()),
        ]);
        processor.set_resource(&resource.build());
        let scope = InstrumentationScope::builder("coupon-service").build();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a share of all numbers; what is too large becomes the largest"
        )]
        let below = (sample * u64::MAX as f64) as u64;
        Ok(Some(Arc::new(Self { processor, scope, below, counts })))
    }

    /// True if a request is recorded: its caller decides or, without one, its id.
    pub(crate) fn records(&self, context: &TraceContext) -> bool {
        #[expect(clippy::cast_possible_truncation, reason = "the lower half")]
        let low = context.trace.bits() as u64;
        context.sampled.unwrap_or(low <= self.below && self.below > 0)
    }

    /// A request has been answered.
    pub(crate) fn request(
        &self,
        context: &TraceContext,
        route: &'static str,
        method: &str,
        status: u16,
        began: Instant,
    ) {
        let caller = context.caller.map_or(SpanId::INVALID, span_id);
        let attributes = vec![
            KeyValue::new("http.route", route),
            KeyValue::new("http.request.method", method.to_owned()),
            KeyValue::new("http.response.status_code", i64::from(status)),
        ];
        let mut span = self.span(context, context.span, caller, route, began, attributes);
        span.span_kind = SpanKind::Server;
        span.parent_span_is_remote = context.caller.is_some();
        if status >= 500 {
            span.status = Status::error("");
        }
        self.finish(span);
    }

    fn span(
        &self,
        context: &TraceContext,
        id: u64,
        parent: SpanId,
        name: &'static str,
        began: Instant,
        attributes: Vec<KeyValue>,
    ) -> SpanData {
        let end_time = SystemTime::now();
        let trace = OtlpTraceId::from_bytes(context.trace.bits().to_be_bytes());
        let (flags, state) = (TraceFlags::SAMPLED, TraceState::default());
        SpanData {
            span_context: SpanContext::new(trace, span_id(id), flags, false, state),
            parent_span_id: parent,
            parent_span_is_remote: false,
            span_kind: SpanKind::Internal,
            name: name.into(),
            start_time: end_time.checked_sub(began.elapsed()).unwrap_or(end_time),
            end_time,
            attributes,
            dropped_attributes_count: 0,
            events: Default::default(),
            links: Default::default(),
            status: Status::Unset,
            instrumentation_scope: self.scope.clone(),
        }
    }

    fn finish(&self, span: SpanData) {
        self.counts.finished.fetch_add(1, Ordering::Relaxed);
        self.processor.on_end(span);
    }

    /// Sends what is left, as far as that can be done soon. Blocks meanwhile.
    pub(crate) fn close(&self) {
        if let Err(error) = self.processor.shutdown_with_timeout(GOODBYE) {
            tracing::warn!(%error, "not all traces were sent");
        }
    }

    /// States what became of spans.
    pub(crate) fn expose(&self, page: &mut Exposition) {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        page.counter("coupon_trace_spans_total", "Spans that ended, and what became of them.")
            .is(&[("outcome", "finished")], read(&self.counts.finished))
            .is(&[("outcome", "sent")], read(&self.counts.sent))
            .is(&[("outcome", "failed")], read(&self.counts.failed));
    }
}

fn span_id(id: u64) -> SpanId {
    SpanId::from_bytes(id.to_be_bytes())
}

/// Sends spans, counts them, and says when the collector goes away and when it comes back.
#[derive(Debug)]
struct Counted {
    exporter: OtlpExporter,
    counts: Arc<Counts>,
    away: AtomicBool,
}

impl SpanExporter for Counted {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len() as u64;
        let sent = self.exporter.export(batch).await;
        let was_away = self.away.swap(sent.is_err(), Ordering::Relaxed);
        match &sent {
            Ok(()) => {
                self.counts.sent.fetch_add(spans, Ordering::Relaxed);
                if was_away {
                    tracing::info!("the collector takes traces again");
                }
            }
            Err(error) => {
                self.counts.failed.fetch_add(spans, Ordering::Relaxed);
                if !was_away {
                    tracing::warn!(%error, "the collector takes no traces; they are thrown away, and counted");
                }
            }
        }
        sent
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

thread_local! {
    static HERE: RefCell<Option<Arc<Traces>>> = const { RefCell::new(None) };
}

/// Has this worker's requests recorded there.
pub(crate) fn use_here(traces: Option<Arc<Traces>>) {
    HERE.set(traces);
}

/// A request that is recorded, on its way through stages that it shares with others.
#[derive(Debug)]
pub(crate) struct Traced {
    context: TraceContext,
    /// The time at which it came to where it waits.
    pub(crate) since: Instant,
}

/// The request that the thread works on, if it is recorded.
pub(crate) fn traced() -> Option<Box<Traced>> {
    let context = context::current().filter(|context| context.recorded)?;
    Some(Box::new(Traced { context, since: Instant::now() }))
}

impl Traced {
    /// A stage of it ends now.
    pub(crate) fn stage(&self, name: &'static str, began: Instant, attributes: &[(&'static str, u64)]) {
        HERE.with_borrow(|traces| {
            let Some(traces) = traces else { return };
            let value = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
            let attributes = attributes.iter().map(|(key, count)| KeyValue::new(*key, value(*count)));
            let (request, id) = (span_id(self.context.span), context::some_bits());
            traces.finish(traces.span(&self.context, id, request, name, began, attributes.collect()));
        });
    }
}
