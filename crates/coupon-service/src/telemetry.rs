//! Logs and metrics.

use std::fmt::{self, Write as _};
use std::io::IsTerminal as _;

use metrics::{Histogram, Key, KeyName, Level, Metadata, Recorder, SharedString, Unit};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle, PrometheusRecorder};
use tracing::Subscriber;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::field::MakeExt as _;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::{Writer, debug_fn};

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
    let subscriber = subscriber(settings, std::io::stderr().is_terminal(), std::io::stderr)?;
    // A second service in one process logs to the first one's subscriber.
    if let Err(error) = tracing::subscriber::set_global_default(subscriber) {
        tracing::debug!(%error, "logging had been started before");
    }
    Ok(())
}

/// What writes log lines: one an event, whatever was in the request that it tells of.
///
/// # Errors
/// When `log.level` makes no sense.
pub fn subscriber<W>(
    settings: &LogSettings,
    colours: bool,
    writer: W,
) -> anyhow::Result<Box<dyn Subscriber + Send + Sync>>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    // The driver tells of every channel that opens and closes, and calls it an error when one closes late: what matters of
    // it is told by whoever uses it. `amqprs=info` shows the rest.
    let level = format!("amqprs=off,{}", settings.level);
    let filter = EnvFilter::try_new(level).map_err(|error| anyhow::anyhow!("setting log.level: {error}"))?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colours).with_writer(writer);
    Ok(match settings.format {
        LogFormat::Text => {
            let fields = debug_fn(|writer, field, value| match field.name() {
                "message" => write!(OneLine(writer), "{value:?}"),
                name => write!(OneLine(writer), "{name}={value:?}"),
            });
            Box::new(builder.with_target(false).fmt_fields(fields.delimited(" ")).finish())
        }
        // JSON has its own way to write what ends lines.
        LogFormat::Json => Box::new(builder.json().flatten_event(true).finish()),
    })
}

/// Writes what would end a line, move a cursor or turn text around as the escape that Rust has for it: what a client sends
/// can look like no other line.
struct OneLine<'a, 'b>(&'a mut Writer<'b>);

impl fmt::Write for OneLine<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let hidden = |c: char| {
            c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
        };
        for part in text.split_inclusive(hidden) {
            match part.char_indices().next_back() {
                Some((at, last)) if hidden(last) => {
                    let (plain, _) = part.split_at(at);
                    write!(self.0, "{plain}{}", last.escape_default())?;
                }
                _ => self.0.write_str(part)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(format: LogFormat) -> String {
        let lines = Lines::default();
        let writer = lines.clone();
        let settings = LogSettings { format, level: "info".to_owned() };
        let subscriber = subscriber(&settings, false, move || writer.clone()).unwrap();
        let evil = "/x\r\n2026-01-01 ERROR forged\u{1b}[2K\u{7f}\u{85}\u{2028}\u{202e}é";
        tracing::subscriber::with_default(subscriber, || {
            tracing::warn!(path = evil, shown = %evil, debugged = ?evil, number = 7, "said {evil}");
        });
        String::from_utf8(lines.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn what_a_client_sends_stays_within_its_line() {
        let text = logged(LogFormat::Text);
        assert_eq!(text.matches('\n').count(), 1, "{text}");
        assert!(!text.trim_end().chars().any(|c| c.is_control() || ('\u{2028}'..='\u{202e}').contains(&c)));
        let escaped = r"/x\r\n2026-01-01 ERROR forged\u{1b}[2K\u{7f}\u{85}\u{2028}\u{202e}é";
        assert_eq!(text.matches(escaped).count(), 4, "{text}");
        assert!(text.contains(" WARN said /x") && text.contains(" number=7"), "{text}");
    }

    #[test]
    fn as_json_it_stays_within_its_field() {
        let text = logged(LogFormat::Json);
        assert_eq!(text.matches('\n').count(), 1, "{text}");
        let event: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert!(event["shown"].as_str().unwrap().starts_with("/x\r\n2026"));
    }
}
