//! The figures of a run as text.

use std::fmt::Write;
use std::time::Duration;

use coupon_loadgen::http::Target;
use coupon_loadgen::load::{Arrivals, EndpointOutcome, LoadSpec, Outcome, ScenarioOutcome, Tally};
use coupon_loadgen::workload::Endpoint;
use coupon_measure::format::count;

/// A generator later than this, or busier, may be what was measured.
const LATE_US: u64 = 2_000;
const BUSY: f64 = 0.9;

pub(super) fn summary(target: &Target, spec: &LoadSpec, outcome: &Outcome) -> String {
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = head(&mut text, target, spec)
        .and_then(|()| interrupted(&mut text, spec, outcome))
        .and_then(|()| table(&mut text, outcome))
        .and_then(|()| scenarios(&mut text, spec, outcome))
        .and_then(|()| phases(&mut text, spec, outcome))
        .and_then(|()| errors(&mut text, outcome))
        .and_then(|()| grabs(&mut text, outcome))
        .and_then(|()| generator(&mut text, spec, outcome));
    text.truncate(text.trim_end().len());
    text
}

fn head(text: &mut String, target: &Target, spec: &LoadSpec) -> std::fmt::Result {
    let LoadSpec { workload, connections, duration, seed, .. } = spec;
    let arrivals = match spec.arrivals {
        Arrivals::Open { rate } => {
            let mean = if workload.arrivals.is_some() { " on average" } else { "" };
            format!("{} requests/s arriving{mean}", count(rate.round() as u64))
        }
        Arrivals::Closed => "closed loop".to_owned(),
    };
    let (name, seconds) = (&workload.name, duration.as_secs_f64());
    writeln!(
        text,
        "{}: {name}, {arrivals}, {connections} connections, {seconds} s, seed {seed}\n",
        target.url("")
    )
}

/// A run that was cut short says so before its figures.
fn interrupted(text: &mut String, spec: &LoadSpec, outcome: &Outcome) -> std::fmt::Result {
    if !spec.is_stopped() {
        return Ok(());
    }
    let (elapsed, duration) = (outcome.elapsed.as_secs_f64(), spec.duration.as_secs_f64());
    writeln!(text, "interrupted after {elapsed:.1} of {duration} s: these figures are of that part alone\n")
}

fn table(text: &mut String, outcome: &Outcome) -> std::fmt::Result {
    writeln!(
        text,
        "{:<21}{:>10}{:>10}{:>8}{:>8}{:>10}{:>10}{:>10}{:>10}{:>10}",
        "ms from the due start", "requests", "ok", "errors", "shards", "p50", "p90", "p99", "p99.9", "max"
    )?;
    for (endpoint, figures) in &outcome.endpoints {
        row(text, *endpoint, figures)?;
    }
    writeln!(text)
}

fn row(text: &mut String, endpoint: Endpoint, figures: &EndpointOutcome) -> std::fmt::Result {
    let [requests, ok, failed] = [figures.requests(), figures.ok, figures.error_count()].map(count);
    let shards = figures.mean_shards().map_or("-".to_owned(), |shards| format!("{shards:.1}"));
    write!(text, "{:<21}{requests:>10}{ok:>10}{failed:>8}{shards:>8}", endpoint.key())?;
    for quantile in [0.5, 0.9, 0.99, 0.999, 1.0] {
        if figures.latency.is_empty() {
            write!(text, "{:>10}", "-")?;
        } else {
            write!(text, "{:>10.2}", figures.latency.value_at_quantile(quantile) as f64 / 1_000.0)?;
        }
    }
    writeln!(text)
}

/// Each kind of user, if there are several.
fn scenarios(text: &mut String, spec: &LoadSpec, outcome: &Outcome) -> std::fmt::Result {
    if outcome.scenarios.len() < 2 {
        return Ok(());
    }
    parts_head(text)?;
    for ScenarioOutcome { name, tally } in &outcome.scenarios {
        part(text, name, outcome.elapsed.min(spec.duration), tally)?;
    }
    writeln!(text)
}

/// Each part of the load's shape: a step, or the jump and what follows it.
fn phases(text: &mut String, spec: &LoadSpec, outcome: &Outcome) -> std::fmt::Result {
    let begun: Vec<_> = outcome.phases.iter().filter(|phase| phase.from < spec.duration).collect();
    if begun.is_empty() {
        return Ok(());
    }
    parts_head(text)?;
    for phase in begun {
        part(text, &phase.name, phase.until.min(spec.duration).saturating_sub(phase.from), &phase.tally)?;
    }
    writeln!(text)
}

fn parts_head(text: &mut String) -> std::fmt::Result {
    writeln!(
        text,
        "{:<21}{:>10}{:>10}{:>10}{:>8}{:>10}{:>10}{:>10}{:>10}",
        "ms from the due start", "due/s", "requests", "ok", "errors", "p50", "p90", "p99", "max"
    )
}

fn part(text: &mut String, name: &str, over: Duration, tally: &Tally) -> std::fmt::Result {
    let due = (tally.requests() as f64 / over.as_secs_f64().max(1e-3)).round() as u64;
    let [due, requests, ok, failed] = [due, tally.requests(), tally.ok, tally.errors].map(count);
    write!(text, "{name:<21}{due:>10}{requests:>10}{ok:>10}{failed:>8}")?;
    for quantile in [0.5, 0.9, 0.99, 1.0] {
        if tally.latency.is_empty() {
            write!(text, "{:>10}", "-")?;
        } else {
            write!(text, "{:>10.2}", tally.latency.value_at_quantile(quantile) as f64 / 1_000.0)?;
        }
    }
    writeln!(text)
}

fn errors(text: &mut String, outcome: &Outcome) -> std::fmt::Result {
    for (endpoint, figures) in &outcome.endpoints {
        if !figures.errors.is_empty() {
            let kinds = figures.errors.iter().map(|(kind, number)| format!("{kind} × {}", count(*number)));
            writeln!(text, "errors, {}: {}", endpoint.key(), kinds.collect::<Vec<_>>().join(", "))?;
        }
    }
    if outcome.unsent > 0 {
        let unsent = count(outcome.unsent);
        writeln!(
            text,
            "{unsent} requests found no free connection in time: the target cannot take this rate"
        )?;
    }
    Ok(())
}

fn grabs(text: &mut String, outcome: &Outcome) -> std::fmt::Result {
    if outcome.grabs.is_empty() {
        let rate = outcome.ok_per_second();
        return writeln!(text, "answers: {}/s", count(rate.round() as u64));
    }
    let counts = outcome.counts;
    let rate = count(outcome.granted_per_second().round() as u64);
    write!(text, "grabs granted: {} ({rate}/s)", count(counts.granted))?;
    for (number, what) in [
        (counts.out_of_stock, "sold out"),
        (counts.duplicate, "duplicate"),
        (counts.invalid_time, "outside their window"),
        (counts.rejected, "rejected"),
        (counts.unknown, "unknown"),
    ] {
        if number > 0 {
            write!(text, ", {} {what}", count(number))?;
        }
    }
    writeln!(text)?;
    if outcome.sold_out > 0 {
        writeln!(text, "coupons sold out: the rate of grabs is not a throughput figure")?;
    }
    Ok(())
}

fn generator(text: &mut String, spec: &LoadSpec, outcome: &Outcome) -> std::fmt::Result {
    let generator = &outcome.generator;
    let busy = generator.cpu_seconds.map(|cpu| cpu / outcome.elapsed.as_secs_f64());
    write!(text, "generator: ")?;
    match generator.cpu_us_per_request().zip(busy) {
        Some((cost, busy)) => write!(text, "{cost:.1} µs CPU a request, {:.0}% of a core", busy * 100.0)?,
        None => write!(text, "CPU n/a: the system does not say")?,
    }
    let is_open = matches!(spec.arrivals, Arrivals::Open { .. });
    if is_open {
        let [p50, p99] = [generator.lateness_p50_us, generator.lateness_p99_us].map(|us| us as f64 / 1_000.0);
        write!(text, "; sent late by p50 {p50:.2} ms, p99 {p99:.2} ms")?;
    }
    writeln!(text)?;
    let late = is_open && generator.lateness_p99_us > LATE_US;
    if late || busy.is_some_and(|busy| busy > BUSY) {
        writeln!(
            text,
            "the generator may have been the limit: the target could be better than these figures"
        )?;
    }
    Ok(())
}
