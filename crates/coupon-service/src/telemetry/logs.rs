//! Log lines: what is in a request can neither end one nor forge another.

use std::fmt::Write as _;
use std::io::IsTerminal as _;

use anyhow::{Context as _, bail};
use coupon_cli::plain::OneLine;
use coupon_store::settings::{LogFormat, LogSettings};
use tracing::Subscriber;
use tracing_subscriber::field::MakeExt as _;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::debug_fn;
use tracing_subscriber::layer::SubscriberExt as _;

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

/// The writer of log lines: one an event, whatever was in the request that it is about.
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
    let filter = filter(&settings.level).context("setting `log.level`")?;
    let filtered = tracing_subscriber::registry().with(filter);
    let lines = fmt::layer().with_ansi(colours).with_writer(writer);
    Ok(match settings.format {
        LogFormat::Text => {
            let fields = debug_fn(|writer, field, value| match field.name() {
                "message" => write!(OneLine(writer), "{value:?}"),
                name => write!(OneLine(writer), "{name}={value:?}"),
            });
            Box::new(filtered.with(lines.with_target(false).fmt_fields(fields.delimited(" "))))
        }
        // JSON has its own way to write what ends lines.
        LogFormat::Json => Box::new(filtered.with(lines.json().flatten_event(true))),
    })
}

/// The targets and levels of the lines that are written.
///
/// A target without a level would be taken for all of it, and a misspelt level for a target: each part names a level.
fn filter(level: &str) -> anyhow::Result<Targets> {
    let parts: Vec<&str> = level.split(',').map(str::trim).filter(|part| !part.is_empty()).collect();
    let levels = parts.iter().map(|part| part.rsplit_once('=').map_or(*part, |(_, level)| level));
    let wrong = levels.into_iter().find(|level| level.is_empty() || level.parse::<LevelFilter>().is_err());
    if let Some(wrong) = wrong.or_else(|| parts.is_empty().then_some("")) {
        bail!(
            "{wrong:?} is no level: give off, error, warn, info, debug or trace, and others for parts of the program, \
             as in info,access=debug"
        );
    }
    // The driver logs every channel that opens and closes, and calls it an error when one closes late: the code that
    // uses it logs what matters of that. `amqprs=info` shows the rest.
    Ok(["amqprs=off"].into_iter().chain(parts).collect::<Vec<_>>().join(",").parse()?)
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use tracing::Level;

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

    #[test]
    fn a_level_holds_for_all_targets_but_those_that_have_their_own() {
        let filter = filter("info,access=debug,").unwrap();
        for (target, level, written) in [
            ("coupon_store", Level::INFO, true),
            ("coupon_store", Level::DEBUG, false),
            ("access", Level::DEBUG, true),
            ("amqprs::api", Level::ERROR, false),
        ] {
            assert_eq!(filter.would_enable(target, &level), written, "{target} {level}");
        }
        assert!(super::filter("amqprs=info").unwrap().would_enable("amqprs::api", &Level::INFO));
    }

    #[test]
    fn what_is_no_level_is_named_with_those_that_are() {
        for (level, named) in [
            ("loud", "loud"),
            ("INFOS", "INFOS"),
            ("info,access", "access"),
            ("access=loud", "loud"),
            ("info,access=", ""),
            ("", ""),
        ] {
            let error = filter(level).unwrap_err().to_string();
            assert!(
                error.starts_with(&format!("{named:?} is no level: give off, error")),
                "{level}: {error}"
            );
        }
        for level in ["off", "WARN", " info , access=debug ", "coupon_store=trace,error"] {
            assert!(filter(level).is_ok(), "{level}");
        }
    }
}
