//! The method section: conditions, machine, and the figures behind the figures.

use coupon_measure::format::{self, count, level, number, plain};
use coupon_measure::stats::{ERROR, MIN_ROUNDS, RELEVANT_DIFFERENCE, TARGET_LEVEL, estimate};
use maud::{Markup, html};

use super::marks::name;
use super::table::{heads, scrolling};
use crate::Report;
use crate::by_shard;
use crate::model::{Contestant, Figure, LEAST_MS, Metric, Reading, Round};

/// Method, environment, work by shard, the load generator's own cost.
pub(super) fn section(report: &Report) -> Markup {
    html! {
        section id="method" {
            h2 { "Method and environment" }
            (method())
            (environment(report))
            // On servers they are what the others rest on.
            details open[report.contestants.iter().any(by_shard::has_queues)] {
                summary { "Work by shard" }
                (by_shard(report))
            }
            @if report.contestants.iter().any(by_shard::has_queues) {
                details open {
                    summary { "From acknowledgement to storage" }
                    (queues(report))
                }
            }
            @if !report.positions.is_empty() {
                details {
                    summary { "The order of turns" }
                    (positions(report))
                }
            }
            details {
                summary { "The load generator" }
                (generator(report))
            }
        }
    }
}

fn method() -> Markup {
    html! {
        p {
            "The round is the unit of statistics: contestants take turns within every round, in rotations of a row that is shuffled \
             anew when each of it was first once, with the same requests at the same times on data of their own. A figure is the median over rounds; its interval goes \
             from one order statistic to another (Le Boudec, " cite { "Performance Evaluation" } ", 2010), aims at "
            (level(TARGET_LEVEL)) " and states what it reaches: five rounds reach 93.75 %, from the smallest to the \
             largest."
        }
        p {
            "Two contestants are compared by the ratio within each round. A difference is called when the interval of \
             the median ratio excludes 1, the ratio is at least " (format::times(1.0 + RELEVANT_DIFFERENCE)) " (and two times at least "
            (LEAST_MS) " ms apart), and chance would seldom make one as clear: all comparisons of one need are corrected together \
             (Holm), so that of equal contestants a need calls any difference in " (format::percent(ERROR)) " of runs at most. Chance is \
             judged by Wilcoxon's signed ranks where there are rounds enough for that, else by Student's t on the logarithms of the ratios. \
             With fewer than " (MIN_ROUNDS) " rounds in common there is no verdict. “No difference” means that none \
             was shown, not that there is none: the interval says how large it could be."
        }
        p {
            "Whoever fails or refuses clearly more than another, or was sent less, leads in nothing. Where the load generator or the \
             number of connections was the limit, there is no verdict on rates and times."
        }
        p {
            "Latency counts from the moment a request was due, so a stall is not hidden. A request that failed counts as \
             the time-out, and refused grabs have latencies of their own. Only grabs that got their coupon count as granted; a round that sold out is no throughput figure. A percentile takes enough requests in a \
             round that one of them is slower: 100 for a p99."
        }
    }
}

fn environment(report: &Report) -> Markup {
    let meta = &report.meta;
    let machine = &meta.machine;
    let versions: Vec<String> = meta.versions.iter().map(|(of, version)| format!("{of} {version}")).collect();
    html! {
        dl {
            dt { "Command" } dd { code { (meta.command) } }
            dt { "Machine" } dd {
                (machine.cores.show(|cores| format::counted((*cores).into(), "core"))) ", " (machine.cpu.show(String::clone))
            }
            dt { "Kernel" } dd { (machine.kernel.show(String::clone)) }
            dt { "Versions" } dd { (versions.join(", ")) }
            dt { "Seed" } dd { (meta.seed) }
            dt { "Connections" } dd { (meta.connections) }
            dt { "History" } dd { (count(meta.history_rows)) " rows" }
            @if meta.processes > 1 { dt { "Processes" } dd { (meta.processes) " of each service" } }
            @if let Some(cores) = meta.shard_cpu { dt { "CPU quota" } dd { (plain(cores)) " cores for each shard's server" } }
            dt { "Network to a shard" } dd {
                (format::network(meta.shard_rtt_ms))
            }
            @for contestant in &report.contestants {
                dt { (name(report, &contestant.name)) } dd {
                    (contestant.layout)
                    @if let Some(baseline) = &contestant.baseline { "; " (baseline) }
                    " (" (contestant.service) ", " (format::counted(contestant.rounds.len() as u64, "round")) ", seeded in "
                    (contestant.seed_seconds.show(|seconds| format!("{} s", number(*seconds)))) ")"
                }
            }
        }
    }
}

/// The median over rounds, or why there is none.
fn median(figures: &[&Figure], show: impl Fn(f64) -> String) -> Markup {
    let values: Vec<f64> = figures.iter().filter_map(|figure| figure.value()).collect();
    match estimate(&values) {
        Some(estimate) => html! { td { (show(estimate.median)) } },
        None => {
            let reason = figures.iter().find_map(|figure| figure.reason()).unwrap_or("no round was run");
            html! { td.na { "n/a: " (reason) } }
        }
    }
}

fn by_shard(report: &Report) -> Markup {
    let columns = by_shard::columns(report);
    html! {
        (scrolling("Work by shard", &html! {
            table {
                caption { "A round's work, median over rounds" }
                thead { tr {
                    (heads(["contestant", "shard"].into_iter().chain(columns.iter().map(|column| column.title))))
                } }
                tbody {
                    @for contestant in &report.contestants {
                        @for shard in 0..contestant.measured_shards() {
                            tr {
                                th scope="row" { (name(report, &contestant.name)) }
                                td { (shard) }
                                @for column in &columns { (cell(&column.of(contestant, shard))) }
                            }
                        }
                    }
                }
            }
        }))
    }
}

fn cell(reading: &Reading<String>) -> Markup {
    match reading {
        Reading::Known(text) => html! { td { (text) } },
        Reading::Unknown(why) => html! { td.na { "n/a: " (why) } },
    }
}

/// The way from acknowledgement to storage, where queues lie between.
fn queues(report: &Report) -> Markup {
    let of = by_shard::of_rounds;
    html! {
        (scrolling("From acknowledgement to storage", &html! {
            table {
                caption { "Grabs are acknowledged at a durable queue and stored later; median over rounds" }
                thead { tr {
                    (heads(["contestant", "granted/s", "stored/s", "waiting at the end", "s to store them"]))
                } }
                tbody {
                    @for contestant in &report.contestants {
                        tr {
                            th scope="row" { (name(report, &contestant.name)) }
                            td { (contestant.median(&Metric::Granted).map_or_else(|| "n/a: no round counts".to_owned(), number)) }
                            (cell(&of(contestant, |round| Some(&round.flow.as_ref()?.stored_per_s), number)))
                            (cell(&of(contestant, |round| Some(&round.flow.as_ref()?.backlog), plain)))
                            (cell(&of(contestant, |round| Some(&round.flow.as_ref()?.drain_seconds), number)))
                        }
                    }
                }
            }
        }))
    }
}

/// The effect of each place, and how often each contestant had it.
fn positions(report: &Report) -> Markup {
    html! {
        (scrolling("The order of turns", &html! {
            table {
                caption { "Mean time a request by place in a round ÷ at any place, and how often each contestant had it" }
                thead { tr {
                    th scope="col" { "turn" } th scope="col" { "time" }
                    @for contestant in &report.contestants { th scope="col" { (name(report, &contestant.name)) } }
                } }
                tbody { @for position in &report.positions {
                    tr {
                        th scope="row" { (position.position + 1) }
                        td { (format::ratio(&position.ratio)) }
                        @for turns in &position.turns { td { (turns) } }
                    }
                } }
            }
        }))
    }
}

fn generator(report: &Report) -> Markup {
    let of = |contestant: &'_ Contestant, figure: fn(&Round) -> &Figure| {
        median(&contestant.rounds.iter().map(figure).collect::<Vec<_>>(), number)
    };
    html! {
        (scrolling("The load generator", &html! {
            table {
                caption { "What it cost and whether it kept its schedule, median over rounds" }
                thead { tr {
                    (heads(["contestant", "CPU s a round", "late (p99), ms", "waited for a connection, all rounds", "never sent, all rounds"]))
                } }
                tbody {
                    @for contestant in &report.contestants {
                        tr {
                            th scope="row" { (name(report, &contestant.name)) }
                            (of(contestant, |round| &round.generator.cpu_seconds))
                            (of(contestant, |round| &round.generator.lateness_p99_ms))
                            td { (count(contestant.rounds.iter().map(|round| round.generator.queued).sum())) }
                            td { (count(contestant.rounds.iter().map(|round| round.generator.unsent).sum())) }
                        }
                    }
                }
            }
        }))
    }
}
