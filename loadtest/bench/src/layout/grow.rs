//! From four shards to eight under load: at the default rate while the load goes on, then as fast as rows move.

use std::num::NonZeroU16;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use coupon_audit::{Claims, Scope};
use coupon_lab::growth::{Changer, CompletedChange, LayoutStep, rebalance};
use coupon_lab::{Deployment, acks};
use coupon_loadgen::load::{Arrivals, LoadSpec, Outcome, Tally, run_load};
use coupon_loadgen::workload::CatalogueSpec;
use coupon_seeding::SeedOptions;
use coupon_service::growth::ROWS_PER_S;
use coupon_strategies::Spec;

use super::UNTHROTTLED;
use super::lists::{Lists, Looked};
use crate::context::{Context, HISTORY, SHARDS, Store};
use crate::grabs::{MemoryWatch, PLENTY};
use crate::model::{Bound, Claim, Measurement, NamedFigure};

/// The shards that there are to be.
const MORE: NonZeroU16 = NonZeroU16::new(8).unwrap();
/// Requests a second of the flash sale beside it: so few that two cores with all servers on them answer each of them in time before the
/// change, too. With a thousand, of which every tenth counts a hot room of a million results, some waited for ten seconds then.
const RATE: f64 = 200.0;
/// The first part of the load, in which connections are made and files read for the first time: it is no measure of what was before.
const SETTLES: Duration = Duration::from_secs(3);
/// Results when a few minutes must do.
const QUICK: u64 = 200_000;
/// The memory that moving as fast as it goes may take more, in MB, however many rows there are.
const MEMORY: f64 = 100.0;

/// The lengths of a round: before the change, until it is in force at the latest, and while rows move at the default rate.
struct Lengths {
    before: Duration,
    lead: Duration,
    moving: Duration,
}

impl Lengths {
    fn of(context: &Context, store: Store) -> Self {
        let seconds = |full, quick| Duration::from_secs(if context.quick { quick } else { full });
        let lead = match store {
            Store::Servers => Duration::from_secs(11),
            Store::Embedded => Duration::from_secs(2),
        };
        Self { before: seconds(12, 6), lead, moving: seconds(20, 8) }
    }

    fn load(&self) -> Duration {
        self.before + self.lead + self.moving
    }
}

fn id(what: &str, store: Store) -> String {
    format!("growth-{what}-{}", store.name())
}

pub(super) fn claims(store: Store) -> Vec<Claim> {
    let place = match store {
        Store::Servers => "on servers",
        Store::Embedded => "on files",
    };
    let least = match store {
        Store::Servers => 30_000.0,
        Store::Embedded => 50_000.0,
    };
    let beside = format!("{place} while rows move at the default rate, of 1 M, {RATE} requests a second");
    vec![
        Claim::new(
            id("audit", store),
            format!(
                "results lost, twice, oversold or misplaced, and reads that came short, {place}: hash, 4 → 8 shards under load"
            ),
            Bound::AtMost(0.0),
            "",
        ),
        Claim::new(
            id("pause", store),
            format!("longest time without a decided grab from the change on, {place}"),
            Bound::AtMost(1.0),
            "s",
        ),
        Claim::ratio(
            id("grabs", store),
            format!("p99 of grabs {beside}"),
            "before the change",
            Bound::AtMost(1.5),
        ),
        Claim::ratio(
            id("reads", store),
            format!("p99 of reads {beside}"),
            "before the change",
            Bound::AtMost(1.5),
        ),
        Claim::new(
            id("rows", store),
            format!("rows moved and verified a second, unthrottled, {place}"),
            Bound::AtLeast(least),
            "/s",
        ),
        Claim::new(
            id("memory", store),
            format!(
                "memory that a service takes more while rows move as fast as they go than at the default rate, {place}"
            ),
            Bound::AtMost(MEMORY),
            "MB",
        ),
    ]
}

/// The findings of one round.
struct Found {
    violations: f64,
    problem: Option<String>,
    pause_s: f64,
    pause_before_s: f64,
    failed: f64,
    /// Users' lists that were held against what they had before, while rows moved.
    lists: f64,
    /// p99 in milliseconds, before and while rows move.
    grabs: (f64, f64),
    reads: (f64, f64),
    rows_per_s: f64,
    memory_mb: f64,
    rows: f64,
}

impl Found {
    /// The reason why a round proves nothing whose requests were not all answered.
    fn failures(&self) -> Option<String> {
        let Self { failed, .. } = self;
        (*failed > 0.0).then(|| format!("{failed} requests failed"))
    }
}

pub(super) fn measure(context: &Context, store: Store) -> Result<Vec<Measurement>> {
    let rounds = if context.quick { 1 } else { 2 };
    let found = (0..rounds)
        .map(|round| {
            context.progress(format!("round {} of {rounds} ({})", round + 1, store.name()));
            one(context, store)
        })
        .collect::<Result<Vec<Found>>>()?;
    let all = |figure: fn(&Found) -> f64| found.iter().map(figure).collect::<Vec<f64>>();
    let failures: Vec<String> = found.iter().filter_map(Found::failures).collect();
    let violations = found.iter().filter_map(|found| found.problem.clone());
    let problems: Vec<String> = violations.chain(failures.iter().cloned()).collect();
    let measured = |what, samples, figures| {
        Measurement::new(id(what, store), samples).figures(figures).problems(problems.clone())
    };
    let latency = |what, of: fn(&Found) -> (f64, f64)| {
        let pairs: Vec<(f64, f64)> = found.iter().map(of).collect();
        let figures = vec![
            NamedFigure::of("before", "ms", &pairs.iter().map(|(before, _)| *before).collect::<Vec<_>>()),
            NamedFigure::of(
                "while rows move",
                "ms",
                &pairs.iter().map(|(_, during)| *during).collect::<Vec<_>>(),
            ),
        ];
        measured(what, pairs.iter().map(|(before, during)| during / before).collect(), figures)
    };
    let failed = NamedFigure::of("requests that failed", "", &all(|found| found.failed));
    let lists = NamedFigure::of("lists that were held against those before", "", &all(|found| found.lists));
    let before = NamedFigure::of("before the change", "s", &all(|found| found.pause_before_s));
    let rows = NamedFigure::of("rows moved in all", "", &all(|found| found.rows));
    Ok(vec![
        // What is found is the figure, and makes no figure of its own invalid.
        Measurement::new(id("audit", store), all(|found| found.violations))
            .figures(vec![failed, lists])
            .problems(failures),
        measured("pause", all(|found| found.pause_s), vec![before]),
        latency("grabs", |found| found.grabs),
        latency("reads", |found| found.reads),
        measured("rows", all(|found| found.rows_per_s), vec![rows]),
        measured("memory", all(|found| found.memory_mb), Vec::new()),
    ])
}

fn one(context: &Context, store: Store) -> Result<Found> {
    let catalogue = CatalogueSpec::default();
    let mut spec = Spec::parse("hash", SHARDS, &catalogue)?;
    spec.name = "growing".to_owned();
    spec.set("shards_prepared", &MORE.to_string());
    let history = if context.quick { QUICK } else { HISTORY };
    let seed = SeedOptions { history, stock: Some(PLENTY), seed: context.seed, ..SeedOptions::default() };
    let running = context.start(&spec, store, seed)?;
    let start = running.remember()?;
    let since = running.newest_result()?;
    let lengths = Lengths::of(context, store);
    let lists = Lists::remember(&running.target, context.seed, catalogue.users)?;
    context.progress("four shards become eight");
    let (grown, looked) = lists.watch_while(|| grow(&running, &lengths, context.seed));
    let ((outcome, changed, unthrottled), looked) = (grown?, looked?);
    let mut claims = Claims::default();
    acks::claim_all(&outcome, &mut claims);
    context.progress("auditing");
    let scope =
        Scope { claims: Some(&claims), since: Some(since), start: start.as_ref(), ..Scope::default() };
    let audited = running.audit(&scope)?;
    running.stop()?;
    found(&outcome, &changed, &unthrottled, audited.violations(), &looked, &lengths)
}

/// The movement once the load is over, as fast as it goes.
struct Unthrottled {
    began: Instant,
    /// Rows that had been moved by then.
    moved: u64,
    memory_mb: f64,
}

/// The load with the change in it, and the rest of the movement after it.
fn grow(
    running: &Deployment,
    lengths: &Lengths,
    seed: u64,
) -> Result<(Outcome, CompletedChange, Unthrottled)> {
    let target = &running.target;
    let load = LoadSpec {
        duration: lengths.load(),
        seed,
        keep_each: true,
        ..LoadSpec::new(Arrivals::Open { rate: RATE })
    };
    let at = Instant::now() + lengths.before;
    let changer = Changer::start(target, LayoutStep::Shards(MORE), at, ROWS_PER_S, |_| {});
    let outcome = run_load(target, &load)?;
    let watch = MemoryWatch::start(target);
    let before = MemoryWatch::now(target)?;
    let began = Instant::now();
    let moved = rebalance(target, UNTHROTTLED).context("cannot move what is left as fast as it goes")?.moved;
    let changed = changer.finish()?;
    let most = watch.stop().unwrap_or(before);
    let memory_mb = most.saturating_sub(before) as f64 / 1e6;
    Ok((outcome, changed, Unthrottled { began, moved, memory_mb }))
}

fn found(
    outcome: &Outcome,
    changed: &CompletedChange,
    unthrottled: &Unthrottled,
    violations: u64,
    looked: &Looked,
    lengths: &Lengths,
) -> Result<Found> {
    let since = |moment: Instant| moment.saturating_duration_since(outcome.began);
    let (asked, moving, end) = (since(changed.version.asked), since(changed.moving), lengths.load());
    let (before, during) = (outcome.window(SETTLES, asked), outcome.window(moving, end));
    let pause = |from, until, end| {
        let longest = outcome.longest_pause(from, until, end);
        longest.map(|pause| pause.as_secs_f64()).context("no grab was decided")
    };
    let short: u64 = outcome.endpoints.values().filter_map(|of| of.errors.get("partial answer")).sum();
    let took = changed.even.saturating_duration_since(unthrottled.began).as_secs_f64();
    let lists = looked.between(changed.moving, changed.even);
    let audit = (violations > 0).then(|| format!("the audit found {violations} violations"));
    let problems: Vec<String> = audit.into_iter().chain(looked.problem(lists)).collect();
    Ok(Found {
        violations: (violations + short + looked.faults) as f64,
        problem: (!problems.is_empty()).then(|| problems.join("; ")),
        pause_s: pause(asked, end, end)?,
        pause_before_s: pause(SETTLES, asked, asked)?,
        failed: outcome.errors() as f64,
        lists: lists as f64,
        grabs: (p99(&before.grabs), p99(&during.grabs)),
        reads: (p99(&before.reads), p99(&during.reads)),
        rows_per_s: changed.moved.saturating_sub(unthrottled.moved) as f64 / took,
        memory_mb: unthrottled.memory_mb,
        rows: changed.moved as f64,
    })
}

/// A p99 in milliseconds, in which what failed is slower than everything.
fn p99(tally: &Tally) -> f64 {
    let mut latency = tally.latency.clone();
    let timeout = u64::try_from(LoadSpec::TIMEOUT.as_micros()).unwrap_or(u64::MAX);
    latency.saturating_record_n(timeout, tally.errors);
    latency.value_at_quantile(0.99) as f64 / 1e3
}
