//! Writes by shard over time, as a map of shard × second.

use maud::{Markup, html};

use super::svg::{WIDTH, panel, px, tick};
use crate::format::number;
use crate::report::Report;
use crate::report::model::Contestant;

const LEFT: f64 = 54.0;
/// More columns than this are joined, so that each can be seen.
const MOST_COLUMNS: usize = 60;

/// A map for each contestant; all share one scale of shades.
pub(super) fn section(report: &Report) -> Markup {
    let maps: Vec<(&Contestant, Result<Map, String>)> =
        report.contestants.iter().map(|contestant| (contestant, Map::of(contestant))).collect();
    let most = maps.iter().filter_map(|(_, map)| map.as_ref().ok()).map(Map::most).fold(0.0, f64::max);
    html! {
        section id="writes" {
            h2 { "Writes by shard over time" }
            p.key {
                "Rows written a second, mean over rounds, second by second from the round's start. All maps share one \
                 scale:"
                @if most > 0.0 { (legend(most)) } @else { " nothing was written." }
            }
            div.panels {
                @for (contestant, map) in &maps {
                    @match map {
                        Ok(map) => (panel(&caption(contestant, Some(map)), &draw(contestant, map, most))),
                        Err(why) => (panel(&caption(contestant, None), &html! { p.soft { "n/a: " (why) } })),
                    }
                }
            }
        }
    }
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

fn caption(contestant: &Contestant, map: Option<&Map>) -> Markup {
    html! {
        (contestant.name)
        @if let Some(map) = map { small { "busiest: " (number(map.most())) " rows/s on one shard" } }
    }
}

/// Rows a second: `columns[at][shard]`, each column `step` seconds wide.
struct Map {
    columns: Vec<Vec<f64>>,
    step: usize,
    shards: usize,
    rounds: usize,
}

impl Map {
    fn of(contestant: &Contestant) -> Result<Self, String> {
        let rounds: Vec<&Vec<Vec<u64>>> =
            contestant.rounds.iter().filter_map(|round| round.writes_per_second.known()).collect();
        let why = contestant.rounds.iter().find_map(|round| round.writes_per_second.reason());
        let seconds = rounds.iter().map(|round| round.len()).max().unwrap_or(0);
        let shards = rounds.iter().flat_map(|round| round.iter()).map(Vec::len).max().unwrap_or(0);
        if seconds == 0 || shards == 0 {
            return Err(why.unwrap_or("nothing was written").to_owned());
        }
        let step = seconds.div_ceil(MOST_COLUMNS);
        let mean = |column: usize, shard: usize| {
            let within = rounds.iter().flat_map(|round| round.iter().skip(column * step).take(step));
            let (sum, n) = within
                .fold((0, 0_u32), |(sum, n), second| (sum + second.get(shard).copied().unwrap_or(0), n + 1));
            sum as f64 / f64::from(n.max(1))
        };
        let columns = (0..seconds.div_ceil(step))
            .map(|column| (0..shards).map(|shard| mean(column, shard)).collect())
            .collect();
        Ok(Self { columns, step, shards, rounds: rounds.len() })
    }

    fn most(&self) -> f64 {
        self.columns.iter().flatten().copied().fold(0.0, f64::max)
    }
}

fn draw(contestant: &Contestant, map: &Map, most: f64) -> Markup {
    let row = (128.0 / map.shards as f64).clamp(3.0, 20.0);
    let column = (WIDTH - LEFT - 6.0) / map.columns.len() as f64;
    let height = row * map.shards as f64;
    let every = (12.0 / row).ceil() as usize; // Labels need 12 units each.
    let seconds = map.columns.len() * map.step;
    let label = format!(
        "Rows written a second by {} on {} shards over {seconds} seconds, mean of {} rounds; at most {}.",
        contestant.name,
        map.shards,
        map.rounds,
        number(map.most())
    );
    html! {
        svg viewBox={ "0 0 " (WIDTH) " " (px(height + 32.0)) } role="img" aria-label=(label) {
            @for shard in (0..map.shards).step_by(every) {
                text.tick x=(LEFT - 6.0) y=(px(row * (shard as f64 + 0.5) + 4.0)) text-anchor="end" { "shard " (shard) }
            }
            @for (at, rows) in map.columns.iter().enumerate() {
                @for (shard, rows) in rows.iter().enumerate() {
                    rect.heat x=(px(LEFT + column * at as f64)) y=(px(row * shard as f64)) width=(px(column - 0.4))
                        height=(px(row - 1.0)) fill-opacity=(format!("{:.2}", shade(*rows, most))) {
                        title { "shard " (shard) ", second " (at * map.step) ": " (number(*rows)) " rows/s" }
                    }
                }
            }
            @for part in [0.0, 0.5, 1.0] {
                text.tick x=(px(LEFT + part * (WIDTH - LEFT - 6.0))) y=(px(height + 13.0))
                    text-anchor=(if part == 0.0 { "start" } else if part == 1.0 { "end" } else { "middle" }) {
                    (tick(part * seconds as f64))
                }
            }
            text.tick x=(px(LEFT + (WIDTH - LEFT) / 2.0)) y=(px(height + 28.0)) text-anchor="middle" { "seconds" }
        }
    }
}

/// How strong a shade is. Even a shard without writes keeps a hint of colour, so that it can be seen that it is
/// there; the power lifts low rates out of the dark, where eyes tell shades apart badly.
fn shade(rows: f64, most: f64) -> f64 {
    if most > 0.0 { 0.06 + 0.94 * (rows / most).powf(0.6) } else { 0.06 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::model::{Reading, Round};

    fn contestant(seconds: usize) -> Contestant {
        let round = |rows| Round {
            writes_per_second: Reading::Known(vec![vec![rows, 0]; seconds]),
            ..Round::default()
        };
        Contestant { rounds: vec![round(10), round(20)], ..Contestant::default() }
    }

    #[test]
    fn a_map_is_the_mean_over_rounds() {
        let map = Map::of(&contestant(30)).unwrap();
        assert_eq!((map.columns.len(), map.step, map.columns[0].as_slice()), (30, 1, [15.0, 0.0].as_slice()));
    }

    #[test]
    fn long_rounds_are_joined_without_changing_rates() {
        let map = Map::of(&contestant(601)).unwrap();
        assert!(map.columns.len() <= MOST_COLUMNS && map.columns.iter().all(|column| column[0] == 15.0));
    }

    #[test]
    fn a_map_that_was_not_measured_says_why() {
        let round = Round { writes_per_second: Reading::unknown("not sampled"), ..Round::default() };
        let contestant = Contestant { rounds: vec![round], ..Contestant::default() };
        assert_eq!(Map::of(&contestant).err().unwrap(), "not sampled");
    }
}
