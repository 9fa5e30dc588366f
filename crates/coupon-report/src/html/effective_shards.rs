//! Effective shards: the number of evenly loaded shards that the work is worth.

use coupon_measure::format::{self, plain};
use maud::{Markup, html};

use super::marks::{colour, name};
use super::svg::{WIDTH, data, drawing, panel, px, short};
use crate::Report;
use crate::model::{Contestant, Metric};
use crate::summarise::median_shares;

const ROW: f64 = 36.0;

/// Bars of effective shards, and each shard's part of the writes.
pub(super) fn section(report: &Report) -> Markup {
    html! {
        section id="spread" {
            h2 { "Skew and effective shards" }
            p.key {
                "Effective shards: all work ÷ the hottest shard's work, that is, how many machines' worth the machines paid for \
                 would really give. Skew: the hottest shard's share ÷ the fair share; 1 is even. Frames show the shards there are."
            }
            ul.meaning { @for contestant in &report.contestants { li { (meaning(report, contestant)) } } }
            div.panels {
                (bars(report, "By rows written", &Metric::EffectiveShards, "spread-rows"))
                (bars(report, "By CPU time", &Metric::EffectiveShardsByCpu, "spread-cpu"))
                (shares(report))
            }
        }
    }
}

fn figure(contestant: &Contestant, metric: &Metric) -> Result<f64, String> {
    let summary = contestant.summary(metric);
    let reason = summary.and_then(|summary| summary.reason.clone()).unwrap_or_else(|| "not measured".into());
    contestant.median(metric).ok_or(reason)
}

/// Skew and effective shards of a contestant, as a sentence.
fn meaning(report: &Report, contestant: &Contestant) -> Markup {
    let shards = contestant.most_shards();
    let told = match figure(contestant, &Metric::EffectiveShards) {
        Err(reason) => format!("n/a: {reason}."),
        Ok(_) if shards < 2 => "one shard does all the work: the baseline.".to_owned(),
        Ok(effective) => {
            let hottest = format::percent(1.0 / effective.max(1.0));
            let buys = if effective < 1.05 {
                format!("{shards} machines write no more than one would")
            } else if effective > 0.9 * f64::from(shards) {
                format!("nearly all of what {shards} machines can write is there to be used")
            } else {
                format!("{shards} machines write {} times as much as one", plain(effective))
            };
            let skew = contestant.median(&Metric::Skew).map_or_else(|| "n/a".to_owned(), plain);
            format!(
                "a round's hottest shard takes {hottest} of its writes (skew {skew}) and is full first: {buys}."
            )
        }
    };
    html! { (name(report, &contestant.name)) ": " (told) }
}

fn bars(report: &Report, title: &str, metric: &Metric, id: &str) -> Markup {
    let most = f64::from(report.contestants.iter().map(Contestant::most_shards).max().unwrap_or(1).max(1));
    let at = |shards: f64| 4.0 + shards / most * (WIDTH - 8.0);
    let height = ROW * report.contestants.len() as f64 + 4.0;
    let text = |contestant: &Contestant| match figure(contestant, metric) {
        Ok(effective) => {
            format!("{} of {}{}", plain(effective), contestant.most_shards(), skew(contestant, metric))
        }
        Err(reason) => format!("n/a: {reason}"),
    };
    let label: Vec<String> = report.contestants.iter().map(|c| format!("{} {}", c.name, text(c))).collect();
    let body = html! {
        @for (row, contestant) in report.contestants.iter().enumerate() {
            @let top = ROW * row as f64;
            text x="4" y=(px(top + 15.0)) { (short(&contestant.name, 24)) }
            text.tick x=(WIDTH - 4.0) y=(px(top + 15.0)) text-anchor="end" { (short(&text(contestant), 34)) }
            rect.frame x="4" y=(px(top + 20.0)) width=(px(at(f64::from(contestant.most_shards())) - 4.0)) height="11" {}
            @if let Ok(effective) = figure(contestant, metric) {
                rect x="4" y=(px(top + 20.0)) width=(px(at(effective) - 4.0)) height="11"
                    fill=(colour(report, &contestant.name)) {}
            }
        }
    };
    let rows: Vec<Vec<String>> = report
        .contestants
        .iter()
        .map(|contestant| {
            let estimate = contestant.summary(metric).and_then(|summary| summary.estimate.as_ref());
            let shown = estimate.map_or_else(|| text(contestant), format::estimate);
            vec![contestant.name.clone(), contestant.most_shards().to_string(), shown]
        })
        .collect();
    panel(
        &html! { (title) },
        &html! {
            (drawing(id, height, &format!("Effective shards, {title}"), &label.join("; "), &body))
            (data(&["contestant", "shards", "effective"], &rows))
        },
    )
}

fn skew(contestant: &Contestant, metric: &Metric) -> String {
    match (metric, contestant.median(&Metric::Skew)) {
        (Metric::EffectiveShards, Some(skew)) => format!(" · skew {}", plain(skew)),
        _ => String::new(),
    }
}

/// Each contestant's writes as one bar, parted by shard, the hottest part filled.
fn shares(report: &Report) -> Markup {
    let height = ROW * report.contestants.len() as f64 + 4.0;
    let body = html! {
        @for (row, contestant) in report.contestants.iter().enumerate() {
            @let top = ROW * row as f64;
            text x="4" y=(px(top + 15.0)) { (short(&contestant.name, 30)) }
            (parts(report, contestant, top))
        }
    };
    let rows: Vec<Vec<String>> =
        report.contestants.iter().map(|c| vec![c.name.clone(), shares_of(c).join(", ")]).collect();
    panel(
        &html! { "Share of writes by shard" },
        &html! {
            (drawing("spread-shares", height, "Share of writes by shard", &describe(report), &body))
            (data(&["contestant", "shards 0, 1, …"], &rows))
        },
    )
}

fn shares_of(contestant: &Contestant) -> Vec<String> {
    let shares = median_shares(contestant);
    shares.iter().map(|share| share.map_or_else(|| "n/a".into(), format::percent)).collect()
}

fn parts(report: &Report, contestant: &Contestant, top: f64) -> Markup {
    let shares = median_shares(contestant);
    let Some(shares) = shares.iter().copied().collect::<Option<Vec<f64>>>().filter(|s| !s.is_empty()) else {
        return html! { text.tick x="4" y=(px(top + 30.0)) { "n/a: some shard could not be read" } };
    };
    let most = shares.iter().copied().fold(0.0, f64::max);
    let hottest = shares.iter().position(|share| *share >= most).unwrap_or(0);
    let width = WIDTH - 8.0;
    let starts = shares.iter().scan(0.0, |sum, share| {
        let start = *sum;
        *sum += share;
        Some(start)
    });
    html! {
        text.tick x=(WIDTH - 4.0) y=(px(top + 15.0)) text-anchor="end" { "shard " (hottest) " most: " (format::percent(most)) }
        @for (shard, (start, share)) in starts.zip(&shares).enumerate() {
            rect x=(px(4.0 + start * width)) y=(px(top + 20.0)) width=(px((share * width - 1.5).max(0.0))) height="11"
                fill=(colour(report, &contestant.name))
                fill-opacity=(if *share >= most { "1" } else { "0.45" }) {
                title { "shard " (shard) ": " (format::percent(*share)) }
            }
        }
    }
}

fn describe(report: &Report) -> String {
    let row = |contestant: &Contestant| format!("{} {}", contestant.name, shares_of(contestant).join(", "));
    report.contestants.iter().map(row).collect::<Vec<_>>().join("; ")
}
