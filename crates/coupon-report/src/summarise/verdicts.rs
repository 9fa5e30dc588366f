//! Verdicts: the pairs of contestants, the metrics that they are compared by, and the result of each comparison.

use std::collections::BTreeMap;

use coupon_measure::format;
use coupon_measure::stats::{
    Comparison, Estimate, Judged, Judgement, Least, MIN_ROUNDS, RELEVANT_DIFFERENCE, judge_family, ratios,
};

use super::figures::endpoints_of;
use super::needs::candidates;
use crate::model::{Call, Contestant, DoubtKind, Metric, Report, Verdict};

/// Two contestants that are compared.
#[derive(Clone, Copy)]
pub(super) struct Couple<'a> {
    pub(super) a: &'a Contestant,
    pub(super) b: &'a Contestant,
    /// True when the first is to cure the other.
    cure: bool,
    /// The question that they answer: which to choose, or the name of the cure or of the baseline's question. What a cure brings,
    /// and whether shards are needed at all, are questions of their own, and those of one question are corrected together.
    pub(super) question: &'a str,
}

/// Two contestants by one metric, not judged yet.
struct Pair<'a> {
    metric: &'a Metric,
    couple: Couple<'a>,
    medians: (f64, f64),
    ratios: Vec<f64>,
}

/// Every plain contestant against every other, and every cure against its plain variant, by every metric that both
/// have. The comparisons of one need are judged together.
pub(super) fn all(report: &Report) -> Vec<Verdict> {
    let mut metrics = Metric::of_service().to_vec();
    let endpoints = endpoints_of(&report.contestants);
    metrics.extend(endpoints.iter().flat_map(|endpoint| Metric::of_endpoint(endpoint)));
    metrics.retain(Metric::is_compared);
    let couples = couples(report);
    let compared: Vec<Pair<'_>> = metrics
        .iter()
        .flat_map(|metric| couples.iter().filter_map(move |couple| pair(metric, *couple)))
        .collect();
    let mut families: BTreeMap<(&str, &str), Vec<usize>> = BTreeMap::new();
    for (at, pair) in compared.iter().enumerate().filter(|(_, pair)| !pair.metric.is_fan_out()) {
        families.entry((pair.metric.need(), pair.couple.question)).or_default().push(at);
    }
    // What is counted is not drawn, so that nothing has to be corrected.
    let mut judged: Vec<Option<Judged>> = compared.iter().map(|_| None).collect();
    for family in families.into_values() {
        let comparisons: Vec<Comparison> =
            family.iter().filter_map(|at| compared.get(*at)).map(Pair::comparison).collect();
        for (at, found) in family.into_iter().zip(judge_family(&comparisons)) {
            if let Some(place) = judged.get_mut(at) {
                *place = Some(found);
            }
        }
    }
    compared.iter().zip(judged).map(|(pair, judged)| verdict(report, pair, judged)).collect()
}

/// Every two plain contestants, and every cure with its plain variant.
pub(super) fn couples(report: &Report) -> Vec<Couple<'_>> {
    let plain: Vec<&Contestant> = report.contestants.iter().filter(|c| report.is_plain(c)).collect();
    let candidates = candidates(report);
    let chosen_from = |contestant: &Contestant| candidates.iter().any(|of| of.name == contestant.name);
    let mut couples = Vec::new();
    for (at, a) in plain.iter().copied().enumerate() {
        couples.extend(plain.iter().copied().skip(at + 1).map(|b| {
            let question = if chosen_from(a) && chosen_from(b) { "" } else { "the baseline" };
            Couple { a, b, cure: false, question }
        }));
    }
    for cure in &report.contestants {
        let of = cure.cure_of.as_deref().and_then(|name| report.contestant(name));
        couples.extend(of.map(|plain| Couple { a: cure, b: plain, cure: true, question: &cure.name }));
    }
    couples
}

fn pair<'a>(metric: &'a Metric, couple: Couple<'a>) -> Option<Pair<'a>> {
    let Couple { a, b, .. } = couple;
    let spread = matches!(metric, Metric::EffectiveShards | Metric::EffectiveShardsByCpu);
    if spread && (a.most_shards() < 2 || b.most_shards() < 2) {
        return None; // One shard is worth one, and that is no finding.
    }
    let medians = (a.median(metric)?, b.median(metric)?);
    let rounds = a.rounds.iter().filter_map(|round| {
        let other = b.rounds.iter().find(|other| other.index == round.index)?;
        Some((metric.read(round).value()?, metric.read(other).value()?))
    });
    Some(Pair { metric, couple, medians, ratios: ratios(rounds) })
}

impl Pair<'_> {
    fn comparison(&self) -> Comparison {
        let least = Least::ratio(RELEVANT_DIFFERENCE).and_apart(self.medians, self.metric.least_apart());
        Comparison { ratios: self.ratios.clone(), least }
    }
}

fn verdict(report: &Report, pair: &Pair<'_>, judged: Option<Judged>) -> Verdict {
    let Pair { metric, couple: Couple { a, b, cure, .. }, .. } = *pair;
    let alone = || judge_family(&[pair.comparison()]).pop();
    let (judgement, p, comparisons) = match judged {
        Some(Judged { judgement, p, of }) => (judgement, p, of),
        None => (alone().map_or(Judgement::TooFewRounds(None), |one| one.judgement), None, 1),
    };
    let a_is_better = match &judgement {
        Judgement::More(_) => Some(metric.more_is_better()),
        Judgement::Less(_) => Some(!metric.more_is_better()),
        Judgement::NoDifference(_) | Judgement::TooFewRounds(_) => None,
    };
    let (better, worse) = match a_is_better {
        Some(true) => (Some(a), Some(b)),
        Some(false) => (Some(b), Some(a)),
        None => (None, None),
    };
    let doubt = withheld(report, metric, better);
    let of_call =
        |contestant: Option<&Contestant>| contestant.filter(|_| doubt.is_none()).map(|c| c.name.clone());
    Verdict {
        metric: metric.clone(),
        a: a.name.clone(),
        b: b.name.clone(),
        cure,
        call: match (&judgement, doubt) {
            (Judgement::TooFewRounds(_), _) => Call::TooFewRounds,
            (_, Some(_)) => Call::Withheld,
            (Judgement::More(_) | Judgement::Less(_), None) => Call::Difference,
            (Judgement::NoDifference(_), None) => Call::NoDifference,
        },
        doubt: doubt.map(|(kind, _)| kind),
        p,
        comparisons,
        better: of_call(better),
        worse: of_call(worse),
        text: match doubt {
            Some((_, why)) => format!("{}: no verdict on {} and {}. {why}", metric.label(), a.name, b.name),
            None => text(metric, (&a.name, pair.medians.0), (&b.name, pair.medians.1), &judgement),
        },
        ratio: judgement.ratio().cloned(),
    }
}

/// The doubt that withholds a verdict: on this metric, or on the contestant that would be the better one.
fn withheld<'a>(
    report: &'a Report,
    metric: &Metric,
    better: Option<&Contestant>,
) -> Option<(DoubtKind, &'a str)> {
    let found = report.doubts.iter().find(|doubt| {
        let bars = doubt.kind.bars() && better.is_some_and(|b| doubt.contestant.as_ref() == Some(&b.name));
        doubt.kind.withholds(metric) || bars
    })?;
    Some((found.kind, found.text.as_str()))
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
