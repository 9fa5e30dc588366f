//! The cost of each part, as `loadtest bench` has measured it.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use coupon_measure::{Machine, Reading};
use serde::Deserialize;

/// The figures that are taken where no others are given, which recorded.jq took out of a bench.json.
const RECORDED: &str = include_str!("recorded.json");
/// The format of a bench.json that is read.
const FORMAT: u32 = 2;

/// The loads whose batches differ in size, each by its row and its name there. Costs in between are drawn from these.
const BATCHES: [(&str, &str); 4] = [
    ("batching-at-once", "one each, all at once, grab over 256 connections"),
    ("grab-servers-64", "grab over 64 connections"),
    ("grab-servers-256", "grab over 256 connections"),
    ("grab-servers-1024", "grab over 1,024 connections"),
];
/// Their rows in words.
pub(super) const OF_BATCHES: &str = "grab-servers-*, batching-*";
pub(super) const USUAL: &str = "grab-servers-256";
pub(super) const SOLD_OUT: &str = "sold-out";
pub(super) const CONSUMER: &str = "consumer-rate";
pub(super) const ONE_SHARD: &str = "query-user-single-p50";
pub(super) const ALL_SHARDS: &str = "query-room-scatter-p50";
pub(super) const HALF_RATE: &str = "grab-p99";

/// A bench.json, as far as it is read here.
#[derive(Debug, Deserialize)]
struct CostFile {
    date: String,
    machine: Machine,
    sections: Vec<CostSection>,
}

#[derive(Debug, Deserialize)]
struct CostSection {
    rows: Vec<CostRow>,
}

#[derive(Debug, Deserialize)]
struct CostRow {
    id: String,
    figures: Vec<CostFigure>,
    problems: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct CostFigure {
    what: String,
    unit: String,
    spread: Reading<CostMedian>,
}

#[derive(Debug, Deserialize)]
struct CostMedian {
    median: f64,
}

impl CostFile {
    fn row(&self, id: &str) -> Result<&CostRow> {
        let mut rows = self.sections.iter().flat_map(|section| &section.rows);
        let row = rows.find(|row| row.id == id).with_context(|| format!("there is no row {id}"))?;
        ensure!(row.problems.is_empty(), "the row {id} is not valid: {}", row.problems.join("; "));
        Ok(row)
    }

    /// The median of a row's figure. `*` in its name stands for any text.
    fn figure(&self, id: &str, name: &str, unit: &str) -> Result<f64> {
        let is_it = |figure: &&CostFigure| match name.split_once('*') {
            Some((start, end)) => figure.what.strip_prefix(start).is_some_and(|rest| rest.ends_with(end)),
            None => figure.what == name,
        };
        let figure = self.row(id)?.figures.iter().find(is_it);
        let figure = figure.with_context(|| format!("the row {id} has no figure {name:?}"))?;
        let median = match &figure.spread {
            Reading::Known(spread) => spread.median,
            Reading::Unknown(why) => anyhow::bail!("the figure {name:?} of the row {id} is missing: {why}"),
        };
        ensure!(
            figure.unit == unit,
            "the figure {name:?} of the row {id} is in {:?}, not {unit:?}",
            figure.unit
        );
        ensure!(median >= 0.0, "the figure {name:?} of the row {id} is below zero");
        Ok(median)
    }

    /// The number of shards that a load was stored on.
    fn shards(&self, (id, load): (&str, &str)) -> Result<f64> {
        let of_shard = format!("{load}: CPU a request, shard-");
        let shards = self.row(id)?.figures.iter().filter(|figure| figure.what.starts_with(&of_shard)).count();
        ensure!(shards > 0, "the row {id} has no figure \"{of_shard}0\"");
        Ok(shards as f64)
    }
}

/// A cost of each grab by how many share what is done once: some sizes, rising, and the cost at each in microseconds.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct BySize(Vec<(f64, f64)>);

impl BySize {
    fn new(mut points: Vec<(f64, f64)>) -> Self {
        points.sort_by(|(one, _), (other, _)| one.total_cmp(other));
        Self(points)
    }

    /// The cost at a size. What is done once is shared by all, so between two points it is a line over 1 ÷ size; beyond the last
    /// it is the last one's.
    pub(super) fn at(&self, size: f64) -> f64 {
        let below = self.0.iter().rfind(|(at, _)| *at <= size);
        let above = self.0.iter().find(|(at, _)| *at >= size);
        match (below, above) {
            (Some((low, dear)), Some((high, cheap))) if low < high => {
                let part = (size.recip() - high.recip()) / (low.recip() - high.recip());
                cheap + (dear - cheap) * part
            }
            (Some((_, cost)), _) | (None, Some((_, cost))) => *cost,
            (None, None) => 0.0,
        }
    }
}

/// The rows of a message, on average, where a batch of results is spread over shards: each shard that has any gets one.
pub(super) fn rows_a_message(batch: f64, shards: f64) -> f64 {
    let has_some = -(batch * (-shards.recip()).ln_1p()).exp_m1();
    (batch / (shards * has_some)).max(1.0)
}

/// The cost of each part. Times are of CPU, in microseconds, where nothing else is said.
#[derive(Debug, Clone, PartialEq)]
pub struct Costs {
    /// The time at which they were measured, RFC 3339.
    pub date: String,
    /// The machine that they were measured on.
    pub machine: Machine,
    /// A grab in a service, by grabs a batch.
    pub(super) service: BySize,
    /// … in a gate, likewise.
    pub(super) gate: BySize,
    /// … in RabbitMQ, by rows a message.
    pub(super) queue: BySize,
    /// … in main, at most: it is told of what each shard stored once a second or so, whatever the batches were.
    pub(super) main: f64,
    /// An answer that a service gives from memory.
    pub(super) from_memory: f64,
    /// A row in a shard.
    pub(super) stored: f64,
    /// Rows a second that a shard stores.
    pub(super) shard_rows: f64,
    /// A read of one shard in a service, at most.
    pub(super) read_service: f64,
    /// … in that shard, at most.
    pub(super) read_shard: f64,
    /// A read of all shards in each of them, at most.
    pub(super) scatter_shard: f64,
    /// Milliseconds that a batch is under way.
    pub(super) batch_ms: f64,
}

impl Costs {
    /// Those of the recorded benchmark.
    ///
    /// # Errors
    /// None, as a test knows.
    pub fn recorded() -> Result<Self> {
        Self::parse(RECORDED).context("the recorded figures")
    }

    /// Those of a bench.json.
    ///
    /// # Errors
    /// When it cannot be read, or lacks a figure, which is named.
    pub fn read(path: &Path) -> Result<Self> {
        let text =
            std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        Self::parse(&text).with_context(|| path.display().to_string())
    }

    fn parse(text: &str) -> Result<Self> {
        #[derive(Deserialize)]
        struct Version {
            format: u32,
        }
        let no_figures = "it holds no figures of loadtest bench";
        // First, since another format may have other fields.
        let Version { format } = serde_json::from_str(text).context(no_figures)?;
        ensure!(format == FORMAT, "its format is {format}; this program reads {FORMAT} alone");
        Self::of(serde_json::from_str(text).context(no_figures)?)
    }

    fn of(bench: CostFile) -> Result<Self> {
        let figure = |id: &str, name: &str, unit: &str| bench.figure(id, name, unit);
        let batch = |(id, load): (&str, &str)| {
            figure(id, &format!("{load}: grabs a batch"), "").map(|batch| batch.max(1.0))
        };
        let message =
            |load: (&str, &str)| -> Result<f64> { Ok(rows_a_message(batch(load)?, bench.shards(load)?)) };
        let of_batches = |process: &str, size: &dyn Fn((&str, &str)) -> Result<f64>| -> Result<BySize> {
            let point = |load: &(&str, &str)| -> Result<(f64, f64)> {
                Ok((size(*load)?, figure(load.0, &format!("{}: CPU a request, {process}", load.1), "µs")?))
            };
            Ok(BySize::new(BATCHES.iter().map(point).collect::<Result<_>>()?))
        };
        let shards = bench.shards(BATCHES[0])?;
        let from_memory = figure(SOLD_OUT, "sold out over 256 connections: CPU a request, service", "µs")?;
        let read_shard = figure(ONE_SHARD, "bare connections at once", "ms")? * 1e3;
        Ok(Self {
            service: of_batches("service", &batch)?,
            gate: of_batches("redis", &batch)?,
            main: figure(USUAL, "grab over 256 connections: CPU a request, main", "µs")?,
            queue: of_batches("rabbitmq", &message)?,
            from_memory,
            stored: figure(CONSUMER, "CPU of the shards' servers, consumer", "µs/row")?,
            shard_rows: figure(CONSUMER, "consumer", "rows/s")? / shards,
            read_service: (figure(ONE_SHARD, "API", "ms")? * 1e3 - read_shard).max(0.0),
            read_shard,
            scatter_shard: figure(ALL_SHARDS, "slowest shard, each asked alone", "ms")? * 1e3,
            batch_ms: figure(HALF_RATE, "grab over 256 connections at *: p50", "ms")?,
            date: bench.date,
            machine: bench.machine,
        })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A cost of each, and one that is shared by all.
    pub(in super::super) fn line(each: f64, once: f64) -> BySize {
        BySize::new([120.0, 1.0, 12.0, 4.0].map(|size| (size, each + once / size)).into())
    }

    /// Costs that are easily multiplied, whatever the size of a batch.
    pub(in super::super) fn flat() -> Costs {
        Costs {
            date: "2026-11-30T12:00:00Z".to_owned(),
            machine: Machine::default(),
            service: line(20.0, 0.0),
            gate: line(10.0, 0.0),
            main: 1.0,
            queue: line(10.0, 0.0),
            from_memory: 10.0,
            stored: 10.0,
            shard_rows: 10_000.0,
            read_service: 100.0,
            read_shard: 100.0,
            scatter_shard: 200.0,
            batch_ms: 5.0,
        }
    }

    #[test]
    fn a_cost_between_two_sizes_is_shared_by_as_many_as_there_are() {
        // 8 µs each, and 12 µs for whatever is done once.
        let cost = line(8.0, 12.0);
        for (size, expected) in [(1.0, 20.0), (2.0, 14.0), (4.0, 11.0), (6.0, 10.0), (120.0, 8.1)] {
            assert!((cost.at(size) - expected).abs() < 1e-9, "{size}: {}", cost.at(size));
        }
        assert_eq!((cost.at(0.5), cost.at(1e6)), (20.0, cost.at(120.0)));
    }

    #[test]
    fn a_batch_makes_a_message_for_each_shard_that_has_some_of_it() {
        for (batch, shards, rows) in
            [(8.0, 1.0, 8.0), (1.0, 4.0, 1.0), (2.0, 2.0, 4.0 / 3.0), (400.0, 4.0, 100.0)]
        {
            let found = rows_a_message(batch, shards);
            assert!((found - rows).abs() < 1e-9, "{batch} over {shards}: {found}");
        }
        assert!((rows_a_message(1_024.0, 1e15) - 1.0).abs() < 0.01);
    }

    #[test]
    fn the_recorded_figures_are_whole() {
        let costs = Costs::recorded().unwrap();
        for cost in [&costs.service, &costs.gate, &costs.queue] {
            assert!(cost.at(1.0) > cost.at(200.0) && cost.at(200.0) > 0.0, "{cost:?}");
        }
        assert!(costs.shard_rows > 1_000.0 && costs.machine.cores.known().is_some(), "{costs:?}");
    }

    #[test]
    fn a_figure_that_is_missing_is_named() {
        let without = |from: &str, to: &str| {
            assert!(RECORDED.contains(from), "{from}");
            format!("{:#}", Costs::parse(&RECORDED.replace(from, to)).unwrap_err())
        };
        for (from, to, named) in [
            ("\"consumer-rate\"", "\"other\"", "there is no row consumer-rate"),
            ("\"API\"", "\"other\"", "the row query-user-single-p50 has no figure \"API\""),
            (
                "CPU a request, redis\"",
                "CPU\"",
                "the row batching-at-once has no figure \"one each, all at once, grab",
            ),
            ("\"ms\"", "\"s\"", "is in \"s\", not \"ms\""),
            ("\"problems\": []", "\"problems\": [\"3 failed\"]", "is not valid: 3 failed"),
            ("\"format\": 2", "\"format\": 1", "its format is 1"),
            ("\"sections\"", "\"parts\"", "no figures of loadtest bench"),
        ] {
            let error = without(from, to);
            assert!(error.contains(named), "{error}");
        }
        assert!(Costs::parse("{}").is_err() && Costs::parse("").is_err());
        assert!(Costs::read(Path::new("no-such.json")).unwrap_err().to_string().contains("no-such.json"));
    }

    #[test]
    fn a_figure_that_could_not_be_read_says_why() {
        let mut bench: serde_json::Value = serde_json::from_str(RECORDED).unwrap();
        let rows = bench["sections"][0]["rows"].as_array_mut().unwrap();
        let figures = rows.iter_mut().flat_map(|row| row["figures"].as_array_mut().unwrap());
        figures.for_each(|figure| {
            figure["spread"] = serde_json::json!({ "value": null, "reason": "no /proc" });
        });
        let error = format!("{:#}", Costs::parse(&bench.to_string()).unwrap_err());
        assert!(error.contains("is missing: no /proc"), "{error}");
    }
}
