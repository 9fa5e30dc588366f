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
    let (choice, text) = if judged.is_empty() {
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
        (vec![single.to_owned()], format!("At this load nobody writes better than {single}."))
    } else {
        let verb = if ahead.len() == 1 { "writes" } else { "write" };
        let text = format!("{} {verb} better than {single}.", format::list(&ahead));
        (ahead, text)
    };
    let sentences = [
        verdict,
        part(&format!("{single} is beaten in"), verdicts, |v| v.worse.as_deref() == Some(single)),
        part(&format!("{single} is ahead of others in"), verdicts, |v| v.better.as_deref() == Some(single)),
    ];
    (choice, sentences.into_iter().filter(|sentence| !sentence.is_empty()).collect::<Vec<_>>().join(" "))
}

/// The metrics picked, those of one endpoint together: `grab (p50), room orders (p50, p99)`.
fn part(what: &str, verdicts: &[&Verdict], pick: impl Fn(&Verdict) -> bool) -> String {
    let mut groups: Vec<(String, Vec<&str>)> = Vec::new();
    for metric in verdicts.iter().filter(|v| pick(v)).map(|v| &v.metric) {
        let (name, quantile) = match metric {
            Metric::Latency { endpoint, quantile } => {
                (endpoints::name(endpoint).to_owned(), quantile.label())
            }
            other => (other.label(), ""),
        };
        match groups.iter_mut().find(|(known, _)| *known == name) {
            Some((_, quantiles)) if quantiles.contains(&quantile) => {}
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
    if shown.is_empty() { String::new() } else { format!("{what} {}.", format::list(&shown)) }
}
