//! Checks that the metrics which the dashboard and the alerts ask for exist.

use std::collections::BTreeSet;

use crate::document::documented;

/// The metrics that Prometheus itself adds to every target it scrapes.
const BY_PROMETHEUS: [&str; 1] = ["up"];
/// Labels that Prometheus adds, from deploy/prometheus/prometheus.yml.
const BY_SCRAPING: [&str; 4] = ["job", "instance", "le", "alertname"];
/// The label of what each of several gates has; of one gate there is none.
const OF_SEVERAL: &str = "gate";

/// Every expression of the dashboard's panels.
fn of_dashboard() -> Vec<String> {
    let text = crate::read("deploy/grafana/dashboards/coupons.json");
    let dashboard: serde_json::Value = serde_json::from_str(&text).unwrap();
    let mut found = Vec::new();
    collect(&dashboard["panels"], &mut found);
    assert!(found.len() >= 25, "{} expressions", found.len());
    found
}

fn collect(value: &serde_json::Value, found: &mut Vec<String>) {
    match value {
        serde_json::Value::Object(fields) => {
            found.extend(fields.get("expr").map(|expr| expr.as_str().unwrap().to_owned()));
            fields.values().for_each(|value| collect(value, found));
        }
        serde_json::Value::Array(values) => values.iter().for_each(|value| collect(value, found)),
        _ => {}
    }
}

/// Every expression of the alerts; each is on one line.
fn of_rules() -> Vec<String> {
    let text = crate::read("deploy/prometheus/rules.yml");
    let found: Vec<_> =
        text.lines().filter_map(|line| line.trim().strip_prefix("expr: ")).map(str::to_owned).collect();
    assert_eq!(found.len(), text.matches("alert: ").count(), "an alert's expression stands on one line");
    assert!(found.len() >= 8, "{found:?}");
    found
}

/// Words of an expression, without those between quotes, and whether a brace, or a selection, surrounds them.
fn words(expression: &str) -> Vec<(String, bool)> {
    let (mut words, mut word, mut quoted, mut labels) = (Vec::new(), String::new(), false, false);
    let mut by = false;
    for c in expression.chars().chain([' ']) {
        if c == '"' {
            quoted = !quoted;
        }
        if !quoted && (c.is_ascii_alphanumeric() || c == '_' || c == '$') {
            word.push(c);
            continue;
        }
        if !word.is_empty() {
            let word = std::mem::take(&mut word);
            by |= matches!(word.as_str(), "by" | "on" | "without" | "group_left");
            words.push((word, labels));
        }
        match c {
            '{' if !quoted => labels = true,
            '(' if by => labels = true,
            '}' | ')' if !quoted => (labels, by) = (false, false),
            _ => {}
        }
    }
    words
}

#[test]
fn every_metric_and_label_that_is_asked_for_is_one_that_services_have() {
    let documented = documented();
    let mut labels: BTreeSet<&str> = documented.values().flat_map(|metric| metric.labels()).collect();
    labels.extend(BY_SCRAPING);
    labels.insert(OF_SEVERAL);
    for expression in of_dashboard().iter().chain(&of_rules()) {
        let mut metrics = 0;
        for (word, in_labels) in words(expression) {
            if in_labels {
                assert!(labels.contains(word.as_str()) || word.starts_with('$'), "{word} in {expression}");
                continue;
            }
            if !word.starts_with("coupon_") && !word.starts_with("process_") {
                metrics += usize::from(BY_PROMETHEUS.contains(&word.as_str()));
                continue;
            }
            metrics += 1;
            let histogram = ["_bucket", "_sum", "_count"].iter().find_map(|end| word.strip_suffix(end));
            let known = match histogram {
                Some(bare) => documented.get(bare).is_some_and(|metric| metric.kind() == "histogram"),
                None => documented.get(&word).is_some_and(|metric| metric.kind() != "histogram"),
            };
            assert!(known, "{word} in {expression}");
        }
        assert!(metrics > 0, "{expression} asks for nothing");
    }
}

#[test]
fn words_between_quotes_are_none_and_labels_are_told_from_metrics() {
    let found = words(r#"sum by (shard) (rate(coupon_x_total{job=~"hash-svc|other"}[1m])) / 2"#);
    let labels: Vec<_> = found.iter().filter(|(_, label)| *label).map(|(word, _)| word.as_str()).collect();
    assert_eq!(labels, ["shard", "job"]);
    assert!(found.contains(&("coupon_x_total".to_owned(), false)));
    assert!(!found.iter().any(|(word, _)| word == "hash"));
}

#[test]
fn every_stage_is_on_the_dashboard() {
    let all = of_dashboard().join("\n");
    // Those that say how much work a process or a server does for others; a table of the document has them all.
    for stage in [
        "coupon_http_requests_total",
        "coupon_http_request_seconds_bucket",
        "coupon_grabs_total",
        "coupon_batch_grabs_sum",
        "coupon_gate_seconds_bucket",
        "coupon_hand_over_seconds_bucket",
        "coupon_confirm_seconds_bucket",
        "coupon_consume_seconds_bucket",
        "coupon_shard_store_seconds_bucket",
        "coupon_shard_read_seconds_bucket",
        "coupon_shard_rows_written_total",
        "coupon_hot_results",
        "coupon_shard_queue_depth",
        "coupon_shard_lag_seconds",
        "coupon_main_lag_entries",
        "coupon_main_apply_seconds_bucket",
        "coupon_reconciled_total",
        "coupon_restored_total",
        "coupon_releases_waiting",
        "coupon_limited_total",
        "coupon_refused_total",
        "coupon_gate_epoch",
        "coupon_parked_messages_total",
        "coupon_clock_offset_seconds",
        "process_resident_memory_bytes",
    ] {
        assert!(all.contains(stage), "{stage}");
    }
}
