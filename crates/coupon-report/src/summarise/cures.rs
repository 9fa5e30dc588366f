//! The gain and the price of a hotspot's cure.

use coupon_measure::format;

use super::figures::endpoints_of;
use super::standing::NO_VERDICT;
use crate::endpoints;
use crate::model::{Advice, Call, Contestant, Metric, Quantile, Report, Topic, Verdict};

/// A piece of advice for every cure whose plain variant is there to be compared with.
pub(super) fn all(report: &Report) -> Vec<Advice> {
    let cures = report.contestants.iter().filter_map(|cure| {
        let plain = report.contestant(cure.cure_of.as_deref()?)?;
        Some(advice(report, cure, plain))
    });
    cures.collect()
}

fn advice(report: &Report, cure: &Contestant, plain: &Contestant) -> Advice {
    let spread = report.verdict(&Metric::EffectiveShards, &cure.name, &plain.name);
    let works = spread.is_some_and(|verdict| verdict.better.as_deref() == Some(cure.name.as_str()));
    let (buys, costs) = effects(report, cure, plain);
    let price = match (costs.is_empty(), spread) {
        (false, _) => format!("Its price: {}.", costs.join("; ")),
        (true, Some(verdict)) if judged(verdict) => "No price was measured.".into(),
        (true, _) => String::new(),
    };
    let gains = if buys.is_empty() { String::new() } else { format!("It also wins: {}.", buys.join("; ")) };
    let sure = spread.filter(|verdict| judged(verdict)).and_then(|v| v.ratio.as_ref());
    Advice {
        topic: Topic::Cure(cure.name.clone()),
        heading: format!("{} instead of {}", cure.name, plain.name),
        choice: if works { vec![cure.name.clone()] } else { Vec::new() },
        text: [bought(cure, plain, spread), price, gains]
            .into_iter()
            .filter(|sentence| !sentence.is_empty())
            .collect::<Vec<_>>()
            .join(" "),
        certainty: sure.map_or_else(|| NO_VERDICT.into(), |ratio| format::sure(ratio.n, ratio.level)),
    }
}

fn judged(verdict: &Verdict) -> bool {
    !matches!(verdict.call, Call::TooFewRounds | Call::Withheld)
}

fn bought(cure: &Contestant, plain: &Contestant, spread: Option<&Verdict>) -> String {
    let worth = |contestant: &Contestant| {
        let effective = contestant.median(&Metric::EffectiveShards);
        effective.map_or_else(|| "n/a".to_owned(), format::plain)
    };
    let (before, after) = (worth(plain), worth(cure));
    match spread.map(|verdict| (verdict.call, verdict.better.as_deref())) {
        Some((Call::Difference, Some(better))) if better == cure.name => {
            format!("Effective shards rise from {before} to {after} of {}.", cure.most_shards())
        }
        Some((Call::Difference, _)) => {
            format!("Effective shards *fall* from {before} to {after}: it is no cure here.")
        }
        Some((Call::NoDifference, _)) => {
            format!(
                "No difference in effective shards ({before} and {after} of {}): it is no cure here.",
                cure.most_shards()
            )
        }
        Some((Call::TooFewRounds, _)) => {
            format!("Effective shards {before} before, {after} after; too few rounds for a verdict.")
        }
        Some((Call::Withheld, _)) => {
            format!("Effective shards {before} before, {after} after; no verdict in a run of such doubts.")
        }
        None => "Effective shards could not be compared.".into(),
    }
}

/// Everything else that differs: what the cure does better, and what it does worse, endpoint by endpoint.
fn effects(report: &Report, cure: &Contestant, plain: &Contestant) -> (Vec<String>, Vec<String>) {
    let (mut buys, mut costs) = (Vec::new(), Vec::new());
    let better = |metric: &Metric| {
        let verdict = report.verdict(metric, &cure.name, &plain.name)?;
        Some(verdict.better.as_deref()? == cure.name)
    };
    let shift = |metric: &Metric| {
        let number = if metric.unit().is_empty() { format::plain } else { format::number };
        let shown = |of: &Contestant| of.median(metric).map_or_else(|| "n/a".to_owned(), number);
        format!("{} → {}", shown(plain), shown(cure))
    };
    for (metric, what) in [(Metric::Granted, "grabs granted"), (Metric::Stored, "rows stored")] {
        match better(&metric) {
            Some(true) => buys.push(format!("{what} {}/s", shift(&metric))),
            Some(false) => costs.push(format!("{what} {}/s", shift(&metric))),
            None => {}
        }
    }
    for key in endpoints_of([cure, plain]) {
        if !endpoints::is_sharded(&key) {
            continue; // The strategy has no say in what these cost.
        }
        let metrics = [
            (Metric::shards(&key), "shards ", ""),
            (Metric::tables(&key), "tables ", ""),
            (Metric::latency(&key, Quantile::P50), "p50 ", " ms"),
            (Metric::latency(&key, Quantile::P99), "p99 ", " ms"),
        ];
        for (kept, wanted) in [(&mut buys, true), (&mut costs, false)] {
            let differ = metrics.iter().filter(|(metric, ..)| better(metric) == Some(wanted));
            let shown: Vec<String> =
                differ.map(|(metric, what, unit)| format!("{what}{}{unit}", shift(metric))).collect();
            if !shown.is_empty() {
                kept.push(format!("{} ({})", endpoints::name(&key), shown.join(", ")));
            }
        }
    }
    (buys, costs)
}
