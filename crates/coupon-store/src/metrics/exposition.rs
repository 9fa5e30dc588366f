//! The text that Prometheus reads, version 0.0.4.
//!
//! Each counter keeps its own count, and states it here when asked: a library's registry would need every figure a
//! second time, and would go on showing those that can no longer be read.

use std::fmt::{Display, Write as _};

use super::buckets::{Buckets, Shown};

/// A page of metrics, one family after the other.
#[derive(Debug, Default)]
pub struct Exposition {
    text: String,
}

/// One metric: its name, its kind, and a sample for each set of labels. One without samples is not shown.
#[derive(Debug)]
pub struct MetricFamily<'a> {
    text: &'a mut String,
    name: &'static str,
    help: &'static str,
    kind: &'static str,
    begun: bool,
}

type Labels<'a> = &'a [(&'static str, &'a str)];

impl Exposition {
    /// A metric that only grows.
    pub fn counter(&mut self, name: &'static str, help: &'static str) -> MetricFamily<'_> {
        self.family(name, help, "counter")
    }

    /// A metric that goes up and down.
    pub fn gauge(&mut self, name: &'static str, help: &'static str) -> MetricFamily<'_> {
        self.family(name, help, "gauge")
    }

    /// A metric that counts values by size.
    pub fn histogram(&mut self, name: &'static str, help: &'static str) -> MetricFamily<'_> {
        self.family(name, help, "histogram")
    }

    fn family(&mut self, name: &'static str, help: &'static str, kind: &'static str) -> MetricFamily<'_> {
        MetricFamily { text: &mut self.text, name, help, kind, begun: false }
    }

    /// The page.
    #[must_use]
    pub fn into_text(self) -> String {
        self.text
    }
}

impl MetricFamily<'_> {
    /// A counter's or a gauge's value.
    pub fn is(&mut self, labels: Labels<'_>, value: impl Display) -> &mut Self {
        self.line("", labels, None, &value);
        self
    }

    /// A value that is not always there; without it the line is left out.
    pub fn may_be(&mut self, labels: Labels<'_>, value: Option<impl Display>) -> &mut Self {
        if let Some(value) = value {
            self.is(labels, value);
        }
        self
    }

    /// A histogram's value.
    pub fn holds(&mut self, labels: Labels<'_>, buckets: &Buckets) -> &mut Self {
        let Shown { up_to, count, sum } = buckets.show();
        for (bound, up_to) in up_to {
            self.line("_bucket", labels, Some(&bound), &up_to);
        }
        self.line("_bucket", labels, Some(&"+Inf"), &count);
        self.line("_sum", labels, None, &sum);
        self.line("_count", labels, None, &count);
        self
    }

    // Writing to a String cannot fail.
    fn line(&mut self, suffix: &str, labels: Labels<'_>, bound: Option<&dyn Display>, value: &dyn Display) {
        let Self { text, name, help, kind, begun } = self;
        if !std::mem::replace(begun, true) {
            let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
        }
        let _ = write!(text, "{name}{suffix}");
        let mut before = '{';
        for (label, value) in labels {
            let _ = write!(text, "{before}{label}=\"");
            text.extend(value.chars().flat_map(escaped));
            text.push('"');
            before = ',';
        }
        if let Some(bound) = bound {
            let _ = write!(text, "{before}le=\"{bound}\"");
            before = ',';
        }
        if before == ',' {
            text.push('}');
        }
        let _ = writeln!(text, " {value}");
    }
}

/// A character of a label's value, as it is written between quotes.
fn escaped(c: char) -> impl Iterator<Item = char> {
    let (escape, c) = match c {
        '\n' => (Some('\\'), 'n'),
        '"' | '\\' => (Some('\\'), c),
        c => (None, c),
    };
    escape.into_iter().chain([c])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family_says_once_what_it_is_and_is_left_out_when_it_has_nothing_to_say() {
        let mut page = Exposition::default();
        page.counter("a_total", "How many.").is(&[], 7).is(&[("of", "x\"\\\ny")], 8);
        page.gauge("b", "Nothing.").may_be(&[], None::<u64>);
        page.gauge("c", "Some.").may_be(&[], Some(0.5));
        assert_eq!(
            page.into_text(),
            "# HELP a_total How many.\n# TYPE a_total counter\na_total 7\na_total{of=\"x\\\"\\\\\\ny\"} 8\n\
             # HELP c Some.\n# TYPE c gauge\nc 0.5\n"
        );
    }

    #[test]
    fn a_histogram_counts_up_to_its_last_bound() {
        let sizes = Buckets::sizes();
        sizes.held(3);
        let mut page = Exposition::default();
        page.histogram("d", "Sizes.").holds(&[("shard", "0")], &sizes);
        let text = page.into_text();
        for line in [
            "d_bucket{shard=\"0\",le=\"2\"} 0",
            "d_bucket{shard=\"0\",le=\"4\"} 1",
            "d_bucket{shard=\"0\",le=\"+Inf\"} 1",
            "d_sum{shard=\"0\"} 3",
            "d_count{shard=\"0\"} 1",
        ] {
            assert!(text.lines().any(|known| known == line), "{line} is not in\n{text}");
        }
    }
}
