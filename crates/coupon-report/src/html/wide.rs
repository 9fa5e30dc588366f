//! Vertical partitioning: what it brings to keep a coupon's wide columns apart.

use coupon_measure::format;
use coupon_measure::stats::Estimate;
use maud::{Markup, html};

use crate::Report;
use crate::model::Reading;
use crate::model::{Pair, Vertical};

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
             without and with them, one read after the other on each connection; the difference is what the narrow table \
             saves everybody who does not want the rest. A short look at the first contestant after the last round, medians of "
            (format::counted(found.rounds.into(), "round")) "; " code { "loadtest vertical" } " takes a longer one. Coupons live in \
             the main database, so no shard has a part in it."
        }
        ul.meaning { @for pair in &found.pairs { li { (pair.meaning) } } }
        div.scroll tabindex="0" role="region" aria-label="Vertical partitioning" {
            table {
                thead { tr {
                    @for column in ["read", "narrow, answers/s", "with details, answers/s", "narrow ÷ wide", "p50 ms, narrow", "p50 ms, with details"] {
                        th scope="col" { (column) }
                    }
                } }
                tbody { @for pair in &found.pairs { (row(pair)) } }
            }
        }
    }
}

fn row(pair: &Pair) -> Markup {
    let shown = |estimate: Option<&Estimate>| {
        estimate.map_or_else(|| "n/a: nothing was answered".to_owned(), format::estimate)
    };
    let ratio = pair.throughput_ratio.as_ref();
    html! {
        tr {
            th scope="row" { (pair.name) }
            td { (shown(pair.narrow.per_second.as_ref())) }
            td { (shown(pair.wide.per_second.as_ref())) }
            td { (ratio.map_or_else(|| "n/a".to_owned(), format::ratio)) }
            td { (shown(pair.narrow.p50_ms.as_ref())) }
            td { (shown(pair.wide.p50_ms.as_ref())) }
        }
    }
}
