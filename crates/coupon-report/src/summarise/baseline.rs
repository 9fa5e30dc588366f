//! The need for shards at all.

use coupon_measure::format;

use super::standing::NO_VERDICT;
use crate::endpoints;
use crate::model::{Advice, Call, Contestant, Metric, Quantile, Report, Topic, Verdict};

/// The advice of a plain contestant with one shard on the need for more; none for others.
pub(super) fn advice(report: &Report, single: &Contestant) -> Option<Advice> {
    let sharded =
        |name: &str| report.contestant(name).is_some_and(|c| c.cure_of.is_none() && c.most_shards() > 1);
    let compared: Vec<&Verdict> = report
        .verdicts
        .iter()
        .filter(|v| (v.a == single.name && sharded(&v.b)) || (v.b == single.name && sharded(&v.a)))
        .filter(|v| is_timed(&v.metric))
        .collect();
    if single.most_shards() != 1 || single.cure_of.is_some() || compared.is_empty() {
        return None;
    }
    let judged: Vec<&Verdict> =
        compared.into_iter().filter(|v| !matches!(v.call, Call::TooFewRounds | Call::Withheld)).collect();
    let (choice, text) = if report.is_barred(&single.name) {
        (Vec::new(), format!("No verdict: {} leads in nothing, see the doubts about this run.", single.name))
    } else if judged.is_empty() {
        (Vec::new(), "No verdict: too few rounds, or figures that allow none.".to_owned())
    } else {
        conclusion(&judged, &single.name)
    };
    let sure = judged.first().and_then(|verdict| verdict.ratio.as_ref());
    Some(Advice {
        topic: Topic::Baseline,
        heading: match single.baseline {
            Some(_) => format!("Do I need any of this beside {}?", single.name),
            None => "Do I need shards at all?".into(),
        },
        choice,
        text,
        certainty: sure.map_or_else(
            || NO_VERDICT.into(),
            |ratio| format!("{}; at this load only", format::sure(ratio.n, ratio.level)),
        ),
    })
}

/// Throughput and latency of grabs, and latency of reads that depend on the strategy.
fn is_timed(metric: &Metric) -> bool {
    match metric {
        Metric::Granted | Metric::Stored => true,
        Metric::Latency { endpoint, quantile: Quantile::P50 | Quantile::P99 } => {
            endpoints::is_sharded(endpoint)
        }
        _ => false,
    }
}

/// The contestants that the figures of writing speak for, and the reason.
fn conclusion(verdicts: &[&Verdict], single: &str) -> (Vec<String>, String) {
    let writes = |v: &&&Verdict| {
        matches!(v.metric, Metric::Granted | Metric::Stored) || v.metric.endpoint() == Some("grab")
    };
    let mut ahead: Vec<String> = verdicts
        .iter()
        .filter(writes)
        .filter_map(|v| v.better.clone())
        .filter(|name| name != single)
        .collect();
    ahead.sort();
    ahead.dedup();
    let (choice, verdict) = if ahead.is_empty() {
        (vec![single.to_owned()], format!("At this load nobody was shown to write better than {single}."))
    } else {
        let verb = if ahead.len() == 1 { "writes" } else { "write" };
        let text = format!("{} {verb} better than {single}.", format::list(&ahead));
        (ahead, text)
    };
    let mut sentences = vec![verdict];
    sentences.extend(parts(&format!("{single} is behind"), verdicts, |v| {
        v.better.as_deref().filter(|_| v.worse.as_deref() == Some(single))
    }));
    sentences.extend(parts(&format!("{single} is ahead of"), verdicts, |v| {
        v.worse.as_deref().filter(|_| v.better.as_deref() == Some(single))
    }));
    (choice, sentences.join(" "))
}

/// The sentence on the contestants with one shard that none with more was shown to write better than, to stand beside a
/// choice among the others; nothing where there is none.
pub(super) fn beside_choice(report: &Report) -> Option<String> {
    let unbeaten = |single: &&Contestant| {
        advice(report, single).is_some_and(|advice| advice.choice == [single.name.as_str()])
    };
    let unbeaten: Vec<&str> =
        report.contestants.iter().filter(unbeaten).map(|single| single.name.as_str()).collect();
    (!unbeaten.is_empty()).then(|| {
        let names = unbeaten.join(" or ");
        format!(
            "That is of those with more shards: at this load none was shown to write better than {names}."
        )
    })
}

/// The contestants whose difference from the single one a verdict names, each with the metrics: those of the same metrics in one
/// sentence, `update is ahead of hash and range-time in room orders (p50).`
fn parts<'v>(
    what: &str,
    verdicts: &[&'v Verdict],
    other: impl Fn(&'v Verdict) -> Option<&'v str>,
) -> Vec<String> {
    let mut others: Vec<(&str, Vec<&Metric>)> = Vec::new();
    for verdict in verdicts {
        let Some(name) = other(verdict) else { continue };
        match others.iter_mut().find(|(known, _)| *known == name) {
            Some((_, metrics)) => metrics.push(&verdict.metric),
            None => others.push((name, vec![&verdict.metric])),
        }
    }
    let mut told: Vec<(Vec<String>, String)> = Vec::new();
    for (name, metrics) in others {
        let metrics = listed(&metrics);
        match told.iter_mut().find(|(_, known)| *known == metrics) {
            Some((names, _)) => names.push(name.to_owned()),
            None => told.push((vec![name.to_owned()], metrics)),
        }
    }
    told.into_iter()
        .map(|(names, metrics)| format!("{what} {} in {metrics}.", format::list(&names)))
        .collect()
}

/// Metrics, those of one endpoint together: `grab (p50), room orders (p50, p99)`.
fn listed(metrics: &[&Metric]) -> String {
    let mut groups: Vec<(String, Vec<&str>)> = Vec::new();
    for metric in metrics {
        let (name, quantile) = match metric {
            Metric::Latency { endpoint, quantile } => {
                (endpoints::name(endpoint).to_owned(), quantile.label())
            }
            other => (other.label(), ""),
        };
        match groups.iter_mut().find(|(known, _)| *known == name) {
            Some((_, quantiles)) => quantiles.push(quantile),
            None => groups.push((name, vec![quantile])),
        }
    }
    let shown: Vec<String> = groups
        .iter()
        .map(|(name, quantiles)| match quantiles.as_slice() {
            [""] => name.clone(),
            quantiles => format!("{name} ({})", quantiles.join(", ")),
        })
        .collect();
    format::list(&shown)
}
