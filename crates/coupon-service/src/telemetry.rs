//! Logs and metrics.

use std::fmt;
use std::io::IsTerminal as _;

use metrics::{Histogram, Key, KeyName, Level, Metadata, Recorder, SharedString, Unit};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle, PrometheusRecorder};
use tracing_subscriber::EnvFilter;

use crate::settings::{LogFormat, LogSettings};

/// One service's metrics. Not the process-wide recorder: several services can live in one process.
pub struct Metrics {
    recorder: PrometheusRecorder,
    handle: PrometheusHandle,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

const METADATA: Metadata<'static> = Metadata::new(module_path!(), Level::INFO, Some(module_path!()));

impl Metrics {
    /// Metrics with buckets that suit batches and latencies from tens of microseconds to seconds.
    ///
    /// # Errors
    /// When the exporter refuses the buckets.
    pub fn new() -> anyhow::Result<Self> {
        use metrics_exporter_prometheus::Matcher;
        let sizes: Vec<f64> = (0..12).map(|power| f64::from(1 << power)).collect();
        let seconds: Vec<f64> = (0..18).map(|power| 0.000_05 * f64::from(1 << power)).collect();
        let recorder = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_grabs".to_owned()), &sizes)?
            .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &seconds)?
            .build_recorder();
        let handle = recorder.handle();
        Ok(Self { recorder, handle })
    }

    /// A histogram, to be kept and recorded to.
    pub fn histogram(&self, name: &'static str, help: &'static str) -> Histogram {
        self.recorder.describe_histogram(
            KeyName::from_const_str(name),
            None::<Unit>,
            SharedString::const_str(help),
        );
        self.recorder.register_histogram(&Key::from_static_name(name), &METADATA)
    }

    /// States a counter's value; what counts keeps the count.
    pub fn counter(
        &self,
        name: &'static str,
        help: &'static str,
        labels: &[(&'static str, String)],
        value: u64,
    ) {
        self.recorder.describe_counter(
            KeyName::from_const_str(name),
            None::<Unit>,
            SharedString::const_str(help),
        );
        self.recorder.register_counter(&key(name, labels), &METADATA).absolute(value);
    }

    /// States a gauge's value.
    pub fn gauge(
        &self,
        name: &'static str,
        help: &'static str,
        labels: &[(&'static str, String)],
        value: f64,
    ) {
        self.recorder.describe_gauge(
            KeyName::from_const_str(name),
            None::<Unit>,
            SharedString::const_str(help),
        );
        self.recorder.register_gauge(&key(name, labels), &METADATA).set(value);
    }

    /// Everything, as Prometheus reads it.
    #[must_use]
    pub fn render(&self) -> String {
        self.handle.run_upkeep();
        self.handle.render()
    }
}

fn key(name: &'static str, labels: &[(&'static str, String)]) -> Key {
    let labels: Vec<metrics::Label> =
        labels.iter().map(|(name, value)| metrics::Label::new(*name, value.clone())).collect();
    Key::from_parts(name, labels)
}

/// Starts logging to standard error, once for the process.
///
/// # Errors
/// When `log.level` makes no sense.
pub fn start_logging(settings: &LogSettings) -> anyhow::Result<()> {
    // The driver tells of every channel that opens and closes, and calls it an error when one closes late: what matters of
    // it is told by whoever uses it. `amqprs=info` shows the rest.
    let level = format!("amqprs=off,{}", settings.level);
    let filter = EnvFilter::try_new(level).map_err(|error| anyhow::anyhow!("setting log.level: {error}"))?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    let started = match settings.format {
        LogFormat::Text => builder.with_target(false).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    // A second service in one process logs to the first one's subscriber.
    if let Err(error) = started {
        tracing::debug!(%error, "logging had been started before");
    }
    Ok(())
}
