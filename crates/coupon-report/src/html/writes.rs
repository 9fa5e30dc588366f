//! Each shard's work over time, as a map of shard × time.

use coupon_measure::format::{number, percent};
use maud::{Markup, html};

use super::marks::name;
use super::svg::{WIDTH, data, drawing, panel, px, tick};
use super::work_map::{Map, RoundRows};
use crate::Report;
use crate::model::Contestant;
use crate::summarise::median_shares;

const LEFT: f64 = 54.0;

/// A map for each contestant; all share one scale of shades.
pub(super) fn section(report: &Report) -> Markup {
    let maps: Vec<(&Contestant, Result<Map, String>)> =
        report.contestants.iter().map(|contestant| (contestant, map(contestant))).collect();
    let most = maps.iter().filter_map(|(_, map)| map.as_ref().ok()).map(Map::most).fold(0.0, f64::max);
    html! {
        section id="writes" {
            h2 { "Each shard's work over time" }
            p.key {
                "Rows written a second by each shard, mean over rounds, from the round's start. A strategy that spreads its \
                 writes shows an even carpet, a hotspot one strong band. All maps share one scale:"
                @if most > 0.0 { (legend(most)) } @else { " nothing was written." }
            }
            div.panels {
                @for (at, (contestant, map)) in maps.iter().enumerate() {
                    @match map {
                        Ok(map) => (panel(&caption(report, contestant, Some(map)), &draw(contestant, map, most, at))),
                        Err(why) => (panel(&caption(report, contestant, None), &html! { p.soft { "n/a: " (why) } })),
                    }
                }
            }
        }
    }
}

fn map(contestant: &Contestant) -> Result<Map, String> {
    let looks = contestant.rounds.iter().filter_map(|round| round.looks.known());
    let rounds: Vec<RoundRows> = looks.map(|looks| RoundRows::of_looks(looks)).collect();
    let why = contestant.rounds.iter().find_map(|round| round.looks.reason());
    // A service on servers knows what its shards have stored as of its own last look: shorter spans would show those.
    let least = if contestant.rounds.iter().any(|round| round.flow.is_some()) { 1.0 } else { 0.0 };
    Map::of(&rounds, least).ok_or_else(|| why.unwrap_or("nothing was written").to_owned())
}

fn legend(most: f64) -> Markup {
    html! {
        @for part in [0.0, 0.1, 0.25, 0.5, 1.0] {
            " " span.name {
                svg.swatch viewBox="0 0 14 14" aria-hidden="true" {
                    rect.heat width="14" height="14" fill-opacity=(format!("{:.2}", shade(part * most, most))) {}
                }
                " " (number(part * most))
            }
        }
        " rows/s."
    }
}

fn caption(report: &Report, contestant: &Contestant, map: Option<&Map>) -> Markup {
    html! {
        (name(report, &contestant.name))
        @if let Some(map) = map {
            small {
                "busiest: " (number(map.most())) " rows/s on one shard"
                @if let Some(moment) = change(contestant) { "; the line: second " (number(moment)) ", from which on the new layout has rows written" }
            }
        }
    }
}

/// The moment from which on rows are written where a new layout says, if the layout was changed.
fn change(contestant: &Contestant) -> Option<f64> {
    Some(contestant.growth(|growth| Some(growth.in_force_s))?.median)
}

fn draw(contestant: &Contestant, map: &Map, most: f64, number_of_map: usize) -> Markup {
    let row = (128.0 / map.shards as f64).clamp(3.0, 20.0);
    let column = (WIDTH - LEFT - 6.0) / map.columns.len() as f64;
    let height = row * map.shards as f64;
    let every = (12.0 / row).ceil() as usize; // Labels need 12 units each.
    let seconds = map.columns.len() as f64 * map.step;
    let title = format!("Rows written a second by each shard of {}", contestant.name);
    let desc = format!(
        "{} shards over {} seconds, mean of {} rounds; at most {} a second on one shard.",
        map.shards,
        tick(seconds),
        map.rounds,
        number(map.most())
    );
    let body = html! {
        @for shard in (0..map.shards).step_by(every) {
            text.tick x=(LEFT - 6.0) y=(px(row * (shard as f64 + 0.5) + 4.0)) text-anchor="end" { "shard " (shard) }
        }
        @for (at, rows) in map.columns.iter().enumerate() {
            @for (shard, rows) in rows.iter().enumerate() {
                rect.heat x=(px(LEFT + column * at as f64)) y=(px(row * shard as f64)) width=(px(column - 0.4))
                    height=(px(row - 1.0)) fill-opacity=(format!("{:.2}", shade(*rows, most))) {
                    title { "shard " (shard) ", from second " (tick(at as f64 * map.step)) ": " (number(*rows)) " rows/s" }
                }
            }
        }
        @if let Some(moment) = change(contestant) {
            @let x = px(LEFT + (WIDTH - LEFT - 6.0) * (moment / seconds).min(1.0));
            line.change x1=(x) x2=(x) y1="0" y2=(px(height)) { title { "the layout changed in second " (tick(moment)) } }
        }
        @for part in [0.0, 0.5, 1.0] {
            text.tick x=(px(LEFT + part * (WIDTH - LEFT - 6.0))) y=(px(height + 13.0))
                text-anchor=(if part == 0.0 { "start" } else if part == 1.0 { "end" } else { "middle" }) {
                (tick((part * seconds * 10.0).round() / 10.0))
            }
        }
        text.tick x=(px(LEFT + (WIDTH - LEFT) / 2.0)) y=(px(height + 28.0)) text-anchor="middle" { "seconds" }
    };
    html! {
        (drawing(&format!("writes-{number_of_map}"), height + 32.0, &title, &desc, &body))
        (table(contestant, map))
    }
}

fn table(contestant: &Contestant, map: &Map) -> Markup {
    let shares = median_shares(contestant);
    let rows: Vec<Vec<String>> = (0..map.shards)
        .map(|shard| {
            let of = || map.columns.iter().filter_map(move |column| column.get(shard)).copied();
            let share = shares.get(shard).copied().flatten();
            vec![
                format!("shard {shard}"),
                share.map_or_else(|| "n/a".to_owned(), percent),
                number(of().sum::<f64>() / map.columns.len().max(1) as f64),
                number(of().fold(0.0, f64::max)),
            ]
        })
        .collect();
    data(&["", "share of writes", "rows/s, mean", "rows/s, most"], &rows)
}

/// The strength of a shade. Even a shard without writes keeps a hint of colour, so that it can be seen that it is there; the
/// power lifts low rates out of the dark, where eyes tell shades apart badly.
fn shade(rows: f64, most: f64) -> f64 {
    if most > 0.0 { 0.06 + 0.94 * (rows / most).powf(0.6) } else { 0.06 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{self, Reading};

    #[test]
    fn a_map_that_was_not_measured_says_why() {
        let round = model::Round { looks: Reading::unknown("not sampled"), ..model::Round::default() };
        let contestant = Contestant { rounds: vec![round], ..Contestant::default() };
        assert_eq!(map(&contestant).err().unwrap(), "not sampled");
    }
}
