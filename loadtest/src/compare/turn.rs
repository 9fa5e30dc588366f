//! A contestant's turn: the load, what it left behind, and what both cost each shard.

use std::time::{Duration, Instant};

use anyhow::Result;
use coupon_lab::Deployment;
use coupon_lab::growth::{Changer, CompletedChange};
use coupon_loadgen::http::get_json;
use coupon_loadgen::load::{LoadSpec, Outcome, run_load_with};
use coupon_report::model::{Figure, Flow, GrowthRound, Reading, ShardLook, ShardRound};
use coupon_service::api::ShardsStatus;

use super::growth::Planned;
use super::lag::{self, RoundTotals, ShardTotals};
use super::observer::Watcher;
use super::sampler::{Sample, Sampler, looks};
use super::work;

/// The figures of a turn, but for its audit.
pub(super) struct Turn {
    pub(super) outcome: Outcome,
    /// Each shard's work.
    pub(super) shards: Vec<ShardRound>,
    /// The way from acknowledgement to storage, on servers.
    pub(super) flow: Option<Flow>,
    pub(super) looks: Reading<Vec<ShardLook>>,
    /// The change of the layout, if there was to be one.
    pub(super) growth: Option<GrowthRound>,
}

/// The samples of one turn.
struct Watched {
    before: ShardsStatus,
    after: ShardsStatus,
    samples: Vec<Sample>,
    totals: RoundTotals,
    /// The layout that was changed meanwhile.
    changed: Option<CompletedChange>,
    /// The time at which everything was stored.
    drained_at: Duration,
}

/// Lets a contestant have its turn; with a quota of so many cores for each shard's server, if there is one, in
/// view of the observer, if there is one, and with a change of its layout, if there is to be one.
pub(super) fn take(
    running: &Deployment,
    load: &LoadSpec,
    quota: Option<f64>,
    watcher: Option<&Watcher>,
    growth: Option<&Planned>,
) -> Result<Turn> {
    let on_servers = running.site().is_some();
    if on_servers {
        // Earlier work left undone would be counted as this round's.
        running.drain()?;
    }
    let (outcome, mut seen) = watch(running, load, watcher, growth)?;
    let mut shards = shards(&seen, on_servers, quota);
    if on_servers && watcher.is_some_and(|watcher| watcher.has_company) {
        shards.iter_mut().for_each(disown);
    }
    // On files nothing waits for its shard longer than the load takes.
    let end = if on_servers { seen.drained_at } else { outcome.elapsed };
    let latest = seen.samples.last().map_or(end, |last| last.at);
    seen.samples.push(Sample::of(end.max(latest), &seen.after));
    if let Some(watcher) = watcher {
        watcher.shards(&seen.samples);
        watcher.drained();
    }
    let grown = growth.zip(seen.changed.as_ref());
    let grown = grown.map(|(growth, changed)| growth.judge(changed, &outcome, load)).transpose()?;
    if let Some(grown) = &grown {
        grown.own_rows(&mut shards);
        seen.samples = grown.own_samples(&seen.samples);
    }
    Ok(Turn {
        shards,
        flow: on_servers.then(|| lag::of_round(&seen.totals)),
        looks: looks(&seen.samples),
        growth: grown.map(|grown| grown.round),
        outcome,
    })
}

fn watch(
    running: &Deployment,
    load: &LoadSpec,
    watcher: Option<&Watcher>,
    growth: Option<&Planned>,
) -> Result<(Outcome, Watched)> {
    let before = status(running)?;
    let totals_before = totals(running, &before);
    let began = Instant::now();
    let sampler = Sampler::start(&running.target, began, Sample::of(Duration::ZERO, &before), watcher);
    let changer = growth.map(|growth| growth.start(running, began));
    let outcome = run_load_with(&running.target, load, &mut |progress| {
        if let Some(watcher) = watcher {
            watcher.load(progress);
        }
    });
    let ended_at = began.elapsed();
    let at_end = status(running);
    let totals_at_end = at_end.as_ref().ok().map(|status| totals(running, status));
    let load_took = began.elapsed();
    let mut samples = sampler.stop();
    let (outcome, at_end) = (outcome?, at_end?);
    let latest = samples.last().map_or(ended_at, |last| last.at);
    samples.push(Sample::of(ended_at.max(latest), &at_end));
    let drained = running.drain().map_err(|error| format!("{error:#}"));
    let drained_at = began.elapsed();
    let changed = changer.map(Changer::finish).transpose()?;
    // Everything is stored now, so that all of the turn's work is in it, and none of the audit's.
    let after = status(running)?;
    let totals = RoundTotals {
        before: totals_before,
        at_end: totals_at_end.unwrap_or_else(|| totals(running, &at_end)),
        drained: totals(running, &after),
        load: load_took,
        drain: drained.map(|_| drained_at.saturating_sub(ended_at)).into(),
    };
    Ok((outcome, Watched { before, after, samples, totals, changed, drained_at }))
}

fn status(running: &Deployment) -> Result<ShardsStatus> {
    get_json(&running.target, "/admin/shards/status")
}

/// Reads the figures that only servers have: the shards' own counts of rows, and the use of their processes. A
/// service's own counts are as old as its last look.
fn totals(running: &Deployment, status: &ShardsStatus) -> ShardTotals {
    let known = || status.shards.iter().map(|shard| shard.rows_written).collect();
    let rows = match running.kept_counts() {
        Ok(counts) => Reading::Known(counts.unwrap_or_else(known)),
        Err(error) => Reading::unknown(format!("{error:#}")),
    };
    // A layout may go on over more of them than it began with.
    let shards = u16::try_from(status.shards.len()).unwrap_or(running.stats.shards);
    ShardTotals { rows, used: running.site().map(|site| site.used(shards)).unwrap_or_default() }
}

/// Each shard's work: by the service on files, by the servers themselves on servers.
fn shards(seen: &Watched, on_servers: bool, quota: Option<f64>) -> Vec<ShardRound> {
    let mut shards = work::between(&seen.before, &seen.after);
    if !on_servers {
        return shards;
    }
    let RoundTotals { before, drained, .. } = &seen.totals;
    for (at, shard) in shards.iter_mut().enumerate() {
        shard.rows_written = lag::rows_between(before, drained, at);
        shard.cpu_seconds = lag::cpu_between(before, drained, at);
        shard.bytes_written = lag::bytes_between(before, drained, at);
        shard.flow = Some(lag::of_shard(at, &seen.samples, &seen.totals, quota));
    }
    shards
}

/// Removes a server's use of CPU and disk where several contestants were under load on it: it belongs to none of them.
fn disown(shard: &mut ShardRound) {
    let shared = || Figure::unknown("contestants that were under load at the same time share the servers");
    (shard.cpu_seconds, shard.bytes_written) = (shared(), shared());
    if let Some(flow) = &mut shard.flow {
        flow.saturation = shared();
    }
}
