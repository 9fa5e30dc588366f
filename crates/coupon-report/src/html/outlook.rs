//! The effect of more shards, as routing alone shows it.

use std::collections::BTreeMap;

use coupon_measure::format::{self, count, percent, plain};
use maud::{Markup, html};

use super::marks::name;
use super::table::{heads, scrolling};
use crate::Report;
use crate::endpoints;
use crate::model::{Outlook, OutlookCase, Reading};

/// A table by number of shards.
pub(super) fn section(report: &Report) -> Markup {
    html! {
        section id="outlook" {
            h2 { "With more shards" }
            @match &report.outlook {
                Reading::Unknown(why) => p { "n/a: " (why) },
                Reading::Known(outlook) => (known(report, outlook)),
            }
        }
    }
}

fn known(report: &Report, outlook: &Outlook) -> Markup {
    let mut shards: Vec<u16> = outlook.cases.iter().map(|case| case.shards).collect();
    shards.sort_unstable();
    shards.dedup();
    let contestants: Vec<&str> = {
        let named = report.contestants.iter().map(|contestant| contestant.name.as_str());
        named.filter(|name| outlook.cases.iter().any(|case| case.contestant == *name)).collect()
    };
    html! {
        p.key {
            "Not timed: the strategies route " (count(outlook.grabs)) " grabs, drawn as this run's own were (its users, rooms and \
             hot rooms), over so many shards. What they are worth, the hottest one's part, and the shards that each read \
             visits, asked of rows of " (format::counted(outlook.days.into(), "day")) ". With a few hundred rows a shard \
             the hottest of 1,024 is hotter by chance alone than it would be with more."
        }
        (scrolling("With more shards", &html! {
            table {
                thead { tr {
                    th scope="col" { "contestant" }
                    (heads(["shards", "worth", "hottest takes", "without a row"]))
                    th.words scope="col" { "shards a read visits" }
                } }
                @for contestant in contestants {
                    tbody {
                        @for (at, case) in shards.iter().filter_map(|shards| outlook.case(contestant, *shards)).enumerate() {
                            (row(report, case, at == 0))
                        }
                    }
                }
            }
        }))
    }
}

fn row(report: &Report, case: &OutlookCase, first: bool) -> Markup {
    let hottest = match &case.effective_shards {
        Reading::Known(effective) => percent(1.0 / effective.max(1.0)),
        Reading::Unknown(why) => format!("n/a: {why}"),
    };
    html! {
        tr.(if first { "first-of" } else { "more-of" }) {
            th scope="row" { (name(report, &case.contestant)) }
            td { (count(case.shards.into())) }
            td { (case.effective_shards.show(|effective| plain(*effective))) }
            td { (hottest) }
            td { (count(case.idle_shards)) }
            td.words { (visits(&case.visits)) }
        }
    }
}

/// Reads by the number of shards they visit: `1: my coupons; 16: room orders, global stats`.
fn visits(visits: &BTreeMap<String, f64>) -> String {
    let mut keys: Vec<String> = visits.keys().cloned().collect();
    endpoints::sort(&mut keys);
    let mut groups: Vec<(String, Vec<&str>)> = Vec::new();
    for key in &keys {
        let shards = visits.get(key).map_or_else(String::new, |shards| plain(*shards));
        match groups.iter_mut().find(|(known, _)| *known == shards) {
            Some((_, names)) => names.push(endpoints::name(key)),
            None => groups.push((shards, vec![endpoints::name(key)])),
        }
    }
    groups
        .iter()
        .map(|(shards, names)| format!("{shards}: {}", names.join(", ")))
        .collect::<Vec<_>>()
        .join("; ")
}
