//! Vertical partitioning: what it brings to keep a coupon's wide columns apart.

use coupon_measure::format;
use coupon_measure::stats::Estimate;
use maud::{Markup, html};

use super::table::{heads, scrolling};
use crate::Report;
use crate::model::Reading;
use crate::model::{Pair, Vertical, VerticalRead};

/// The section on wide columns: the results, or the command that finds them.
pub(super) fn section(report: &Report) -> Markup {
    html! {
        section id="vertical" {
            h2 { "Vertical partitioning" }
            @match &report.vertical {
                Reading::Unknown(why) => p { "n/a: " (why) },
                Reading::Known(found) => (known(found)),
            }
        }
    }
}

fn known(found: &Vertical) -> Markup {
    html! {
        p.key {
            "A coupon's wide columns (description, usage rules, products) have a table of their own. The same coupons are read \
             without and with them, from these two tables and from one wide table that was made for it, one read after the other on each \
             connection; the difference is what the tables do, and not the size of the answer. A short look on files, medians of "
            (format::counted(found.rounds.into(), "round")) "; " code { "loadtest vertical" } " takes a longer one. Coupons live in \
             the main database, so no shard has a part in it."
        }
        ul.meaning { @for pair in &found.pairs { li { (pair.meaning) } } }
        (scrolling("Vertical partitioning", &html! {
            table {
                thead { tr {
                    (heads(["read", "two tables, answers/s", "one table, answers/s", "two ÷ one", "p50 ms, two", "p50 ms, one"]))
                } }
                tbody { @for pair in &found.pairs { (rows(pair)) } }
            }
        }))
    }
}

fn rows(pair: &Pair) -> Markup {
    html! {
        (row(&pair.name, &pair.narrow))
        (row(&format!("{}, with details", pair.name), &pair.wide))
    }
}

fn row(name: &str, of: &VerticalRead) -> Markup {
    let shown = |estimate: Option<&Estimate>| {
        estimate.map_or_else(|| "n/a: nothing was answered".to_owned(), format::estimate)
    };
    let ratio = of.throughput_ratio.as_ref();
    html! {
        tr {
            th scope="row" { (name) }
            td { (shown(of.split.per_second.as_ref())) }
            td { (shown(of.one_table.per_second.as_ref())) }
            td { (ratio.map_or_else(|| "n/a".to_owned(), format::ratio)) }
            td { (shown(of.split.p50_ms.as_ref())) }
            td { (shown(of.one_table.p50_ms.as_ref())) }
        }
    }
}
