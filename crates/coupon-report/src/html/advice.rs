//! Advice on rows that were recorded, as one page: what follows from them, a map of each key over time, and the figures.

use coupon_measure::Table;
use coupon_measure::format::{count, percent};
use maud::{Markup, html};

use super::counts::{Counts, LEFT, RIGHT};
use super::page;
use super::svg::{data, drawing, panel, px};
use super::table::scrolling;

/// The most that a map is high.
const HEIGHT: f64 = 216.0;

/// The content of the page. Its texts are shown as they are, whatever signs they hold.
#[derive(Debug, Clone, Default)]
pub struct AdvicePage {
    /// The title.
    pub title: String,
    /// The grounds of the advice.
    pub lead: String,
    /// The choice, in a sentence; none where nothing is to be chosen.
    pub verdict: Option<String>,
    /// The commands that start it, each with what it starts.
    pub commands: Vec<(String, String)>,
    /// Further conclusions, a sentence or two each.
    pub points: Vec<String>,
    /// The rows over time, by each key.
    pub maps: Vec<KeyMap>,
    /// The figures, each table with its heading.
    pub tables: Vec<(String, Table)>,
}

/// The rows of each range of a key over time.
#[derive(Debug, Clone, Default)]
pub struct KeyMap {
    /// The key.
    pub key: String,
    /// A line on its values.
    pub values: String,
    /// The times of the first row and of the last.
    pub times: [String; 2],
    /// Ranges from the least, each with its least value and its rows in equal parts of the time.
    pub ranges: Vec<(String, Vec<u64>)>,
}

/// The page.
#[must_use]
pub fn render(advice: &AdvicePage) -> String {
    let body = html! {
        header {
            h1 { (advice.title) }
            p.lead { (advice.lead) }
        }
        main {
            (answer(advice))
            @if !advice.maps.is_empty() { (maps(&advice.maps)) }
            @if !advice.tables.is_empty() {
                section id="figures" {
                    h2 { "Figures" }
                    @for (heading, table) in &advice.tables { h3 { (heading) } (shown(heading, table)) }
                }
            }
        }
    };
    page(&advice.title, &body)
}

fn answer(advice: &AdvicePage) -> Markup {
    html! {
        section.answer aria-label="What follows" {
            @if let Some(verdict) = &advice.verdict { p.verdict { (verdict) } }
            @for (what, command) in &advice.commands { p { (what) br; code { (command) } } }
            ul.meaning { @for point in &advice.points { li { (point) } } }
        }
    }
}

fn maps(maps: &[KeyMap]) -> Markup {
    html! {
        section id="heat" {
            h2 { "Rows by key and time" }
            p.key {
                "Values downwards, from the least, in ranges that have as many different ones each; time across. A band is a range that \
                 stays hot: a table that is kept in ranges of this key has it on one shard. A line from one corner to another is a \
                 key that follows time: all new rows go to one range. A hash parts neighbours, so that of a hashed key only single \
                 hot values matter."
            }
            div.panels { @for (at, map) in maps.iter().enumerate() { (one(map, at)) } }
        }
    }
}

fn one(map: &KeyMap, at: usize) -> Markup {
    let ranges = map.ranges.iter().map(|(least, rows)| (least.as_str(), rows.as_slice()));
    let counts = Counts { ranges: ranges.collect(), height: HEIGHT };
    let (below, [first, last]) = (counts.height() + 4.0, &map.times);
    let body = html! {
        (counts.drawn(counts.most(), 2.0))
        text.tick x=(px(LEFT)) y=(px(below + 11.0)) { (first) }
        text.tick x=(px(RIGHT)) y=(px(below + 11.0)) text-anchor="end" { (last) }
    };
    let all: u64 = map.ranges.iter().flat_map(|(_, rows)| rows).sum();
    let rows: Vec<Vec<String>> = map.ranges.iter().map(|(least, rows)| row(least, rows, all)).collect();
    let hottest = map.ranges.iter().max_by_key(|(_, rows)| rows.iter().sum::<u64>());
    let told = hottest.map(|(least, rows)| {
        let part = rows.iter().sum::<u64>() as f64 / all.max(1) as f64;
        format!(
            "{} ranges from {first} to {last}; the one from {least} on has {}.",
            map.ranges.len(),
            percent(part)
        )
    });
    let title = format!("Rows by {} and time", map.key);
    let chart = html! {
        (drawing(&format!("map-{at}"), below + 16.0, &title, &told.unwrap_or_default(), &body))
        (data(&["from", "rows", "share"], &rows))
    };
    panel(&html! { (map.key) small { (map.values) } }, &chart)
}

fn row(least: &str, rows: &[u64], all: u64) -> Vec<String> {
    let rows = rows.iter().sum::<u64>();
    vec![least.to_owned(), count(rows), percent(rows as f64 / all.max(1) as f64)]
}

/// A table whose first row is its head.
fn shown(heading: &str, table: &Table) -> Markup {
    let class = |column: usize| (!table.is_right(column)).then_some("words");
    let mut rows = table.rows().iter();
    html! {
        (scrolling(heading, &html! {
            table {
                @if let Some(head) = rows.next() {
                    thead { tr { @for (at, cell) in head.iter().enumerate() { th scope="col" class=[class(at)] { (cell) } } } }
                }
                tbody {
                    @for row in rows {
                        tr {
                            @for (at, cell) in row.iter().enumerate() {
                                @if at == 0 { th scope="row" { (cell) } } @else { td class=[class(at)] { (cell) } }
                            }
                        }
                    }
                }
            }
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_has_the_choice_its_command_a_map_of_each_key_and_every_figure_and_obeys_no_text() {
        let mut table = Table::new(["", "worth"]);
        table.row(["hash", "3.96"]);
        let evil = "</svg><script>alert(1)</script>";
        let advice = AdvicePage {
            title: format!("Advice on {evil}"),
            verdict: Some("Choose hash: worth 3.96 of 4 shards.".to_owned()),
            commands: vec![("hash".to_owned(), "hash-svc --shards 4".to_owned())],
            points: vec!["No room is hot.".to_owned()],
            maps: vec![KeyMap {
                key: "room_id".to_owned(),
                values: "2 values".to_owned(),
                times: ["2016-02-28", "2016-02-29"].map(str::to_owned),
                ranges: vec![("7".to_owned(), vec![3, 0]), (evil.to_owned(), vec![0, 1])],
            }],
            tables: vec![("Alternatives".to_owned(), table)],
            ..AdvicePage::default()
        };
        let page = render(&advice);
        for told in [
            "worth 3.96 of 4 shards",
            "<code>hash-svc --shards 4</code>",
            "Rows by room_id and time",
            "2 ranges from 2016-02-28 to 2016-02-29; the one from 7 on has 75 %.",
            "<td>3</td><td>75 %</td>",
            "<th scope=\"row\">hash</th><td>3.96</td>",
        ] {
            assert!(page.contains(told), "{told}: {page}");
        }
        assert!(!page.contains("<script") && !page.contains("http"), "{page}");
    }
}
