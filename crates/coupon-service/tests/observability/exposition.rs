//! Reads what `/metrics` answers, and holds it to Prometheus' conventions and our own.

use std::collections::{BTreeMap, BTreeSet};

/// One metric, as the page says.
#[derive(Debug, Default)]
pub(crate) struct MetricFamily {
    pub(crate) kind: String,
    pub(crate) help: String,
    /// Labels and their values; a histogram's bound is none of them.
    pub(crate) labels: BTreeMap<String, BTreeSet<String>>,
    samples: Vec<(String, BTreeMap<String, String>, f64)>,
}

impl MetricFamily {
    /// The sum over all series; of a histogram, how often something was recorded.
    pub(crate) fn sum(&self) -> f64 {
        let suffix = if self.kind == "histogram" { "_count" } else { "" };
        self.samples.iter().filter(|(of, ..)| of == suffix).map(|(.., value)| value).sum()
    }
}

/// The most values that a label may have: few, and none of them made by clients.
const FEW: usize = 50;

/// Reads a page; whatever is not as the format has it is a panic.
pub(crate) fn parse(text: &str) -> BTreeMap<String, MetricFamily> {
    let mut families: BTreeMap<String, MetricFamily> = BTreeMap::new();
    let mut current = String::new();
    assert!(text.ends_with('\n'));
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').unwrap();
            let family = MetricFamily { help: help.to_owned(), ..MetricFamily::default() };
            assert!(families.insert(name.to_owned(), family).is_none(), "{name} comes twice");
            current = name.to_owned();
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert_eq!(name, current, "a TYPE follows its HELP");
            families.get_mut(name).unwrap().kind = kind.to_owned();
        } else {
            let (name, labels, value) = sample(line);
            let family = families.get_mut(&current).unwrap();
            let suffix = name.strip_prefix(current.as_str());
            let suffix = suffix.unwrap_or_else(|| panic!("{line} stands below {current}"));
            let suffixes: &[&str] =
                if family.kind == "histogram" { &["_bucket", "_sum", "_count"] } else { &[""] };
            assert!(suffixes.contains(&suffix), "{line}");
            for (label, value) in labels.iter().filter(|(label, _)| *label != "le") {
                family.labels.entry(label.clone()).or_default().insert(value.clone());
            }
            family.samples.push((suffix.to_owned(), labels, value));
        }
    }
    families
}

fn sample(line: &str) -> (&str, BTreeMap<String, String>, f64) {
    let (series, value) = line.rsplit_once(' ').unwrap();
    let (name, labels) = match series.split_once('{') {
        Some((name, labels)) => (name, labels.strip_suffix('}').unwrap()),
        None => (series, ""),
    };
    let pairs = labels.split("\",").filter(|pair| !pair.is_empty()).map(|pair| {
        let (label, value) = pair.split_once("=\"").unwrap();
        (label.to_owned(), value.trim_end_matches('"').to_owned())
    });
    (name, pairs.collect(), value.parse().unwrap_or_else(|_| panic!("{line}")))
}

/// Holds every metric to the rules.
pub(crate) fn check(families: &BTreeMap<String, MetricFamily>) {
    for (name, family) in families {
        check_name(name, family);
        assert!(family.help.ends_with('.') && family.help.len() > 5, "{name}: {}", family.help);
        assert!(!family.samples.is_empty(), "{name} has no sample");
        for (label, values) in &family.labels {
            assert!(values.len() <= FEW, "{name}: {label} has {} values", values.len());
        }
        let series: BTreeSet<_> =
            family.samples.iter().map(|(suffix, labels, _)| format!("{suffix} {labels:?}")).collect();
        assert_eq!(series.len(), family.samples.len(), "{name}: a series comes twice");
        match family.kind.as_str() {
            "histogram" => check_histogram(name, family),
            "counter" => assert!(family.samples.iter().all(|(.., value)| *value >= 0.0), "{name}"),
            "gauge" => {}
            other => panic!("{name} is a {other}"),
        }
    }
}

fn check_name(name: &str, family: &MetricFamily) {
    let plain = |c: char| c.is_ascii_lowercase() || c == '_';
    assert!(name.starts_with("coupon_") || name.starts_with("process_"), "{name}");
    assert!(name.chars().all(plain) && !name.contains("__"), "{name}");
    assert_eq!(name.ends_with("_total"), family.kind == "counter", "{name} is a {}", family.kind);
    // Base units only: seconds and bytes.
    for part in name.split('_') {
        let unit =
            ["ms", "millis", "milliseconds", "us", "ns", "minutes", "kb", "mb", "kib", "mib", "percent"];
        assert!(!unit.contains(&part), "{name}: {part} is no base unit");
    }
    let (bare, last) = (name.trim_end_matches("_total"), |unit: &str| format!("_{unit}"));
    for unit in ["seconds", "bytes"].map(last) {
        assert!(
            !bare.contains(unit.as_str()) || bare.ends_with(unit.as_str()),
            "{name}: the unit comes last"
        );
    }
    for label in family.labels.keys() {
        assert!(label.chars().all(plain), "{name}: {label}");
    }
}

/// Bounds ascend, counts never fall, and the last is all of them.
fn check_histogram(name: &str, family: &MetricFamily) {
    let mut series: BTreeMap<String, Vec<(f64, f64)>> = BTreeMap::new();
    for (suffix, labels, value) in &family.samples {
        let mut labels = labels.clone();
        if let Some(bound) = labels.remove("le") {
            assert_eq!(suffix, "_bucket", "{name}");
            series.entry(format!("{labels:?}")).or_default().push((bound.parse().unwrap(), *value));
        }
    }
    for (labels, buckets) in series {
        assert!(buckets.is_sorted_by(|one, next| one.0 < next.0 && one.1 <= next.1), "{name} {labels}");
        let (last, all) = buckets[buckets.len() - 1];
        assert!(last.is_infinite(), "{name} {labels}");
        let of_these = |wanted: &str| {
            let mut found = family
                .samples
                .iter()
                .filter(|(suffix, of, _)| suffix == wanted && format!("{of:?}") == labels);
            found.next().unwrap_or_else(|| panic!("{name} {labels} has no {wanted}")).2
        };
        assert!((of_these("_count") - all).abs() < f64::EPSILON, "{name} {labels}");
        assert!(of_these("_sum") >= 0.0, "{name} {labels}");
    }
}
