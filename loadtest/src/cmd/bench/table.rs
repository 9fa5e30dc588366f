//! What a bench found, as text.

use std::fmt::Write;

use super::figures::{Bench, Rates, Ratio, Spread};
use crate::format::{counted, number};

pub(super) fn text(bench: &Bench) -> String {
    let Bench { service, layout, backend, workers, rounds, seconds, .. } = bench;
    let (workers, rounds) = (counted(*workers as u64, "HTTP worker"), counted((*rounds).into(), "round"));
    let mut text = format!(
        "{service} ({layout}), {backend}, {workers}: {rounds} of {seconds} s, closed loop\n\n\
         {:<12}{:<6}{:>10}{:>20}{:>10}{:>10}{:>16}{:>16}\n",
        "connections", "", "median/s", "min to max", "p50 ms", "p99 ms", "generator µs", "service µs"
    );
    for result in &bench.results {
        // Writing to a string does not fail.
        let _ = group(&mut text, result);
    }
    text.push_str(
        "\nµs: CPU a request. Ratios are of rounds, grab ÷ echo, so that a drifting machine cancels out.",
    );
    text
}

fn group(text: &mut String, result: &Ratio) -> std::fmt::Result {
    row(text, &result.connections.to_string(), "echo", &result.echo)?;
    row(text, "", "grab", &result.grab)?;
    let Spread { median, min, max } = result.ratio;
    writeln!(text, "{:<12}{:<6}{median:>10.2}{:>20}", "", "ratio", format!("{min:.2} to {max:.2}"))
}

fn row(text: &mut String, connections: &str, kind: &str, rates: &Rates) -> std::fmt::Result {
    let Spread { median, min, max } = rates.per_s;
    let spread = format!("{} to {}", number(min), number(max));
    let cpu = |spread: Option<Spread>| spread.map_or("n/a".to_owned(), |spread| number(spread.median));
    writeln!(
        text,
        "{connections:<12}{kind:<6}{:>10}{spread:>20}{:>10}{:>10}{:>16}{:>16}",
        number(median),
        number(rates.p50_ms.median),
        number(rates.p99_ms.median),
        cpu(rates.generator_cpu_us),
        cpu(rates.service_cpu_us),
    )
}
