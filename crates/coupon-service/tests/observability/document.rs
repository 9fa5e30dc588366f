//! docs/OBSERVABILITY.md lists every metric there is, and none that there is not.

use std::collections::{BTreeMap, BTreeSet};

use crate::client::{post, request};
use crate::exposition::{MetricFamily, check, parse};
use crate::fixture::{Api, PLENTY};

/// A line of the document's table.
#[derive(Debug)]
pub(crate) struct Documented {
    kind: String,
    labels: BTreeSet<String>,
    meaning: String,
    /// `both`, `embedded`, `servers`, or `traces` and `room index` for those that come with the setting.
    backend: String,
}

impl Documented {
    pub(crate) fn kind(&self) -> &str {
        &self.kind
    }

    pub(crate) fn meaning(&self) -> &str {
        &self.meaning
    }

    pub(crate) fn labels(&self) -> impl Iterator<Item = &str> {
        self.labels.iter().map(String::as_str)
    }
}

/// The table of metrics: name, kind, labels, unit, where, meaning.
pub(crate) fn documented() -> BTreeMap<String, Documented> {
    let text = crate::read("docs/OBSERVABILITY.md");
    let cells = |line: &str| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect();
    let lines = text.lines().map(cells).filter(|cells: &Vec<String>| cells.len() == 6);
    let metrics: BTreeMap<_, _> = lines
        .filter_map(|cells| {
            let name = cells[0].strip_prefix('`')?.strip_suffix('`')?.to_owned();
            check_unit(&name, &cells[3]);
            let labels = cells[2].split(", ").map(|label| label.trim_matches('`').to_owned());
            Some((
                name,
                Documented {
                    kind: cells[1].clone(),
                    labels: labels.filter(|label| !label.is_empty()).collect(),
                    backend: cells[4].clone(),
                    meaning: cells[5].clone(),
                },
            ))
        })
        .collect();
    assert!(metrics.len() > 30, "the table is not where it was: {metrics:?}");
    metrics
}

fn check_unit(name: &str, unit: &str) {
    let named = ["seconds", "bytes"].into_iter().find(|unit| name.trim_end_matches("_total").ends_with(unit));
    if let Some(named) = named {
        assert_eq!(unit, named, "{name}");
    }
    assert!(!unit.is_empty(), "{name} has no unit");
}

/// Holds a page to the document: what `backend` is said to have, it has, and nothing else.
pub(crate) fn agrees(families: &BTreeMap<String, MetricFamily>, backend: &str) {
    let documented = documented();
    let expected: BTreeSet<&String> = documented
        .iter()
        .filter(|(_, metric)| metric.backend == "both" || metric.backend == backend)
        .map(|(name, _)| name)
        .collect();
    assert_eq!(families.keys().collect::<BTreeSet<_>>(), expected, "{backend}");
    for (name, family) in families {
        let metric = &documented[name];
        assert_eq!((&metric.kind, &metric.meaning), (&family.kind, &family.help), "{name}");
        assert_eq!(family.labels.keys().cloned().collect::<BTreeSet<_>>(), metric.labels, "{name}");
    }
}

#[test]
fn the_embedded_backend_has_the_metrics_that_are_written_down_and_no_others() {
    let api = Api::start();
    api.grab(1, PLENTY);
    api.get("/api/user/1/coupons");
    api.send(&post("/api/coupon/grab", "{}"));
    // Rows are counted as written once they are in their tables.
    assert_eq!(api.send(&request("POST", "/admin/drain", "", b"")).status, 200);
    let families = parse(&api.get("/metrics").text());
    check(&families);
    agrees(&families, "embedded");
}
