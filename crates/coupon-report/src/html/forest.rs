//! Verdicts with their intervals, a chart for each pair of contestants.

use coupon_measure::format::{self, times};
use coupon_measure::stats::{Estimate, RELEVANT_DIFFERENCE};
use maud::{Markup, html};

use super::marks::{colour, name};
use super::svg::{LogScale, WIDTH, drawing, log_axis, panel, px, short};
use crate::Report;
use crate::endpoints;
use crate::model::{Call, Metric, Verdict};
use crate::summarise::inverse;

const ROW: f64 = 34.0;
/// Ratios beyond this are drawn at the edge; their numbers stand beside them.
const MOST: f64 = 20.0;

/// Charts, then every verdict as a sentence.
pub(super) fn section(report: &Report) -> Markup {
    let shown: Vec<&Verdict> = report.verdicts.iter().filter(|verdict| is_charted(&verdict.metric)).collect();
    let most = shown
        .iter()
        .filter_map(|verdict| oriented(verdict))
        .flat_map(|ratio| [ratio.high, 1.0 / ratio.low])
        .fold(1.0, f64::max)
        .min(MOST);
    let mut pairs: Vec<(&str, &str)> = shown.iter().map(|v| (v.a.as_str(), v.b.as_str())).collect();
    pairs.sort_unstable();
    pairs.dedup();
    pairs.sort_by_key(|pair| shown.iter().position(|v| (v.a.as_str(), v.b.as_str()) == *pair));
    html! {
        section id="verdicts" {
            h2 { "Verdicts" }
            p.key {
                "How many times better the one is than the other: the median of the rounds' own ratios, with its \
                 interval. A filled mark is a difference: chance would seldom make one as clear, and the ratio is at least "
                (times(1.0 + RELEVANT_DIFFERENCE)) ". A hollow mark is none: no difference was shown. The grey band is \
                 too small to matter."
            }
            div.panels { @for (at, pair) in pairs.into_iter().enumerate() {
                (pair_panel(report, pair, &shown, LogScale::around_one(most), at))
            } }
            (list(report))
        }
    }
}

/// True for metrics of time and of spread; fan-out is counted and has a table.
fn is_charted(metric: &Metric) -> bool {
    match metric {
        Metric::Shards { .. } | Metric::Tables { .. } => false,
        Metric::Latency { endpoint, .. } => endpoints::is_sharded(endpoint),
        _ => true,
    }
}

/// The ratio such that more than 1 speaks for `a`.
fn oriented(verdict: &Verdict) -> Option<Estimate> {
    let ratio = verdict.ratio.as_ref()?;
    Some(if verdict.metric.more_is_better() { ratio.clone() } else { inverse(ratio) })
}

fn pair_panel(
    report: &Report,
    (a, b): (&str, &str),
    verdicts: &[&Verdict],
    scale: LogScale,
    at: usize,
) -> Markup {
    let of: Vec<(&Verdict, Estimate)> = verdicts
        .iter()
        .filter(|v| v.a == a && v.b == b)
        .filter_map(|verdict| Some((*verdict, oriented(verdict)?)))
        .collect();
    let height = ROW * of.len() as f64 + 4.0;
    let cure = of.iter().any(|(verdict, _)| verdict.cure);
    let band = 1.0 + RELEVANT_DIFFERENCE;
    let caption = html! {
        (name(report, a)) " against " (name(report, b))
        @if cure { small { "a cure against its plain variant" } }
    };
    // The list of sentences below is the table of all these charts.
    let texts: Vec<&str> = of.iter().map(|(verdict, _)| verdict.text.as_str()).collect();
    let body = html! {
        rect.band x=(px(scale.at(1.0 / band))) y="2" width=(px(scale.at(band) - scale.at(1.0 / band)))
            height=(px(height - 2.0)) {}
        (log_axis(scale, height, times_short))
        line.one x1=(px(scale.at(1.0))) x2=(px(scale.at(1.0))) y1="2" y2=(px(height)) {}
        @for (at, (verdict, ratio)) in of.iter().enumerate() {
            (draw(report, verdict, ratio, ROW * at as f64, scale))
        }
        text.tick x="4" y=(px(height + 27.0)) { "← " (short(b, 20)) " better" }
        text.tick x=(WIDTH - 4.0) y=(px(height + 27.0)) text-anchor="end" { (short(a, 20)) " better →" }
    };
    let title = format!("How many times better {a} is than {b}, or the other way round");
    panel(
        &caption,
        &drawing(&format!("verdicts-{at}"), height + 30.0, &title, &format!("{}.", texts.join(". ")), &body),
    )
}

/// A tick: how many times better, on either side.
fn times_short(ratio: f64) -> String {
    let ratio = if ratio < 1.0 { 1.0 / ratio } else { ratio };
    format!("{}×", super::svg::tick((ratio * 10.0).round() / 10.0))
}

fn draw(report: &Report, verdict: &Verdict, ratio: &Estimate, top: f64, scale: LogScale) -> Markup {
    let y = top + 25.0;
    let better = verdict.better.as_deref();
    let colour = better.map_or_else(|| "var(--soft)".to_owned(), |name| colour(report, name));
    let fill = if better.is_some() { colour.as_str() } else { "var(--bg)" };
    html! {
        text x="4" y=(px(top + 14.0)) class=(if better.is_some() { "strong" } else { "" }) {
            (short(&verdict.metric.label(), 30))
        }
        text.tick x=(WIDTH - 4.0) y=(px(top + 14.0)) text-anchor="end" { (figures(verdict, ratio)) }
        g stroke=(colour) stroke-width="2" {
            line x1=(px(scale.at(ratio.low))) x2=(px(scale.at(ratio.high))) y1=(px(y)) y2=(px(y)) {}
            @for end in [ratio.low, ratio.high] {
                line x1=(px(scale.at(end))) x2=(px(scale.at(end))) y1=(px(y - 3.0)) y2=(px(y + 3.0)) {}
            }
            circle cx=(px(scale.at(ratio.median))) cy=(px(y)) r="4.5" fill=(fill) {}
        }
    }
}

fn figures(verdict: &Verdict, ratio: &Estimate) -> String {
    match verdict.call {
        Call::NoDifference => "no difference".into(),
        Call::Withheld => "no verdict".into(),
        Call::TooFewRounds => format!("too few rounds ({})", ratio.n),
        Call::Difference => {
            if ratio.median < 1.0 {
                format::ratio(&inverse(ratio))
            } else {
                format::ratio(ratio)
            }
        }
    }
}

fn list(report: &Report) -> Markup {
    html! {
        details {
            summary { "All " (report.verdicts.len()) " verdicts as sentences, fan-out included" }
            ul { @for verdict in &report.verdicts { li { (verdict.text) } } }
        }
    }
}
