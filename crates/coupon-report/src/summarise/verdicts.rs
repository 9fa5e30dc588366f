//! Verdicts: the pairs of contestants, the metrics that they are compared by, and the result of each comparison.

use coupon_measure::format;
use coupon_measure::stats::{Estimate, Judgement, MIN_ROUNDS, judge, ratios};

use super::figures::endpoints_of;
use crate::model::{Call, Contestant, Metric, Report, Verdict};

/// Every plain contestant against every other, and every cure against its plain variant, by every metric that both
/// have.
pub(super) fn all(report: &Report) -> Vec<Verdict> {
    let mut metrics = Metric::of_service().to_vec();
    let endpoints = endpoints_of(&report.contestants);
    metrics.extend(endpoints.iter().flat_map(|endpoint| Metric::of_endpoint(endpoint)));
    metrics.retain(Metric::is_compared);
    let pairs = pairs(report);
    let compared = metrics
        .iter()
        .flat_map(|metric| pairs.iter().filter_map(move |(a, b, cure)| compare(metric, a, b, *cure)));
    compared.collect()
}

fn pairs(report: &Report) -> Vec<(&Contestant, &Contestant, bool)> {
    let plain: Vec<&Contestant> = report.contestants.iter().filter(|c| report.is_plain(c)).collect();
    let mut pairs = Vec::new();
    for (at, a) in plain.iter().enumerate() {
        pairs.extend(plain.iter().skip(at + 1).map(|b| (*a, *b, false)));
    }
    for cure in &report.contestants {
        let of = cure.cure_of.as_deref().and_then(|name| report.contestant(name));
        pairs.extend(of.map(|plain| (cure, plain, true)));
    }
    pairs
}

fn compare(metric: &Metric, a: &Contestant, b: &Contestant, cure: bool) -> Option<Verdict> {
    let spread = matches!(metric, Metric::EffectiveShards | Metric::EffectiveShardsByCpu);
    if spread && (a.shards < 2 || b.shards < 2) {
        return None; // One shard is worth one, and that is no finding.
    }
    let (of_a, of_b) = (a.median(metric)?, b.median(metric)?);
    let pairs = a.rounds.iter().filter_map(|round| {
        let other = b.rounds.iter().find(|other| other.index == round.index)?;
        Some((metric.read(round).value()?, metric.read(other).value()?))
    });
    let judgement = judge(&ratios(pairs));
    let a_is_better = match &judgement {
        Judgement::More(_) => Some(metric.more_is_better()),
        Judgement::Less(_) => Some(!metric.more_is_better()),
        Judgement::NoDifference(_) | Judgement::TooFewRounds(_) => None,
    };
    let (better, worse) = match a_is_better {
        Some(true) => (Some(a.name.clone()), Some(b.name.clone())),
        Some(false) => (Some(b.name.clone()), Some(a.name.clone())),
        None => (None, None),
    };
    Some(Verdict {
        metric: metric.clone(),
        a: a.name.clone(),
        b: b.name.clone(),
        cure,
        call: call(&judgement),
        better,
        worse,
        text: text(metric, (&a.name, of_a), (&b.name, of_b), &judgement),
        ratio: judgement.ratio().cloned(),
    })
}

fn call(judgement: &Judgement) -> Call {
    match judgement {
        Judgement::More(_) | Judgement::Less(_) => Call::Difference,
        Judgement::NoDifference(_) => Call::NoDifference,
        Judgement::TooFewRounds(_) => Call::TooFewRounds,
    }
}

fn text(metric: &Metric, (a, of_a): (&str, f64), (b, of_b): (&str, f64), judgement: &Judgement) -> String {
    let label = metric.label();
    let shown = |value: f64| match metric.unit() {
        "ms" => format!("{} ms", format::number(value)),
        "/s" => format!("{}/s", format::number(value)),
        _ => format::plain(value),
    };
    let sure = |ratio: &Estimate| format::sure(ratio.n, ratio.level);
    match judgement {
        Judgement::More(ratio) => format!(
            "{label}: {a} {} against {b} {}, {} as much ({}; {})",
            shown(of_a),
            shown(of_b),
            format::times(ratio.median),
            span(ratio),
            sure(ratio)
        ),
        Judgement::Less(ratio) => {
            let back = inverse(ratio);
            format!(
                "{label}: {b} {} against {a} {}, {} as much ({}; {})",
                shown(of_b),
                shown(of_a),
                format::times(back.median),
                span(&back),
                sure(ratio)
            )
        }
        Judgement::NoDifference(ratio) => {
            format!("{label}: no difference between {a} and {b} (ratio {}; {})", span(ratio), sure(ratio))
        }
        Judgement::TooFewRounds(ratio) => {
            let n = ratio.as_ref().map_or(0, |ratio| ratio.n);
            format!(
                "{label}: too few rounds for a verdict on {a} and {b} ({n} in common, {MIN_ROUNDS} needed)"
            )
        }
    }
}

fn span(ratio: &Estimate) -> String {
    format!("{} to {}", format::times(ratio.low), format::times(ratio.high))
}

/// The same ratio, the other way round.
pub(crate) fn inverse(ratio: &Estimate) -> Estimate {
    Estimate { median: 1.0 / ratio.median, low: 1.0 / ratio.high, high: 1.0 / ratio.low, ..ratio.clone() }
}
