//! Each shard's work in a round: which figures are shown of it, and their medians.

use coupon_measure::format::{bytes, number, percent, plain};
use coupon_measure::stats::estimate;

use super::Report;
use super::model::{Contestant, Figure, Reading, Round, ShardFlow, ShardRound};

/// A figure of a shard's round.
pub(super) struct Column {
    /// The column's heading.
    pub(super) title: &'static str,
    figure: fn(&ShardRound) -> Figure,
    show: fn(f64) -> String,
}

const WORK: [Column; 4] = [
    Column { title: "rows written", figure: |shard| shard.rows_written.clone(), show: plain },
    Column { title: "share", figure: |shard| shard.share.clone(), show: percent },
    Column { title: "CPU s", figure: |shard| shard.cpu_seconds.clone(), show: number },
    Column { title: "bytes written", figure: |shard| shard.bytes_written.clone(), show: bytes },
];

const QUEUE: [Column; 2] = [
    Column { title: "queue, most", figure: |shard| flow(shard, |flow| &flow.queue_depth_max), show: plain },
    Column { title: "lag ms, most", figure: |shard| flow(shard, |flow| &flow.lag_ms_max), show: number },
];

const QUOTA: Column =
    Column { title: "CPU ÷ quota", figure: |shard| flow(shard, |flow| &flow.saturation), show: percent };

fn flow(shard: &ShardRound, figure: fn(&ShardFlow) -> &Figure) -> Figure {
    shard
        .flow
        .as_ref()
        .map_or_else(|| Figure::unknown("no queue lies before it"), |flow| figure(flow).clone())
}

/// The columns of the table of shards: queues where there are any, and quotas where there was one.
pub(super) fn columns(report: &Report) -> Vec<Column> {
    let queues = report.contestants.iter().any(has_queues);
    let quota = report.meta.shard_cpu.is_some();
    WORK.into_iter().chain(QUEUE.into_iter().filter(|_| queues)).chain(quota.then_some(QUOTA)).collect()
}

/// True when a queue lies before its shards.
pub(super) fn has_queues(contestant: &Contestant) -> bool {
    contestant.rounds.iter().any(|round| round.flow.is_some())
}

impl Column {
    /// A shard's median over rounds.
    pub(super) fn of(&self, contestant: &Contestant, shard: usize) -> Reading<String> {
        let figures = contestant.rounds.iter().filter_map(|round| round.shards.get(shard)).map(self.figure);
        median(&figures.collect::<Vec<_>>(), self.show)
    }
}

/// The median over a contestant's rounds of a figure that rounds with queues have.
pub(super) fn of_rounds(
    contestant: &Contestant,
    figure: fn(&Round) -> Option<&Figure>,
    show: fn(f64) -> String,
) -> Reading<String> {
    median(&contestant.rounds.iter().filter_map(figure).cloned().collect::<Vec<_>>(), show)
}

/// The median of what is known, or why nothing is.
fn median(figures: &[Figure], show: fn(f64) -> String) -> Reading<String> {
    let values: Vec<f64> = figures.iter().filter_map(Figure::value).collect();
    match estimate(&values) {
        Some(estimate) => Reading::Known(show(estimate.median)),
        None => Reading::unknown(figures.iter().find_map(Figure::reason).unwrap_or("no round was run")),
    }
}
