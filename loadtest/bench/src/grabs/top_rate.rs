//! The top rate of grabs on servers, the latency at half of it, and the memory that both take.

use anyhow::{Context as _, Result};
use coupon_loadgen::workload::CatalogueSpec;
use coupon_measure::format::count;

use super::disk;
use super::load_kind::LoadKind;
use super::measured::{Measured, PLENTY, Plan, What};
use super::sample::Sample;
use super::turns::{Rounds, take_turns};
use crate::context::{Context, Store};
use crate::model::{Bound, Claim, Findings, Measurement, NamedFigure, RoundSpread, Text};
use crate::section::Section;

pub(super) const SECTION: Section = Section {
    name: "grab",
    family: "grab",
    what: "grabs on servers against an echo of the same process",
    servers: true,
    claims,
    run,
};

/// The numbers of connections, and the part of an echo that a grab should come to over each.
const RATIOS: [(usize, f64); 3] = [(64, 0.55), (256, 0.65), (1_024, 0.75)];
/// The connections of the latency and the memory.
const USUAL: usize = 256;

const GRAB: What = What::Grab { rooms: 100 };

fn claims() -> Vec<Claim> {
    let ratio = |(connections, least)| {
        let many = count(connections as u64);
        let what = format!("grabs granted a second on servers, {many} connections, consumer on");
        Claim::ratio(id(connections), what, "echo of the same process", Bound::AtLeast(least))
    };
    let memory = |id, what, most| Claim::new(id, what, Bound::AtMost(most), "MB");
    let others = [
        Claim::ratio(
            "grab-p99",
            "p99 of a grab on servers at half its top rate, open arrivals",
            "p99 of the echo at that rate",
            Bound::AtMost(2.5),
        ),
        memory("memory-idle", "resident memory of a service on servers, idle", 30.0),
        memory("memory-top", "resident memory of a service on servers, at its top rate", 150.0),
    ];
    RATIOS.into_iter().map(ratio).chain(others).collect()
}

fn id(connections: usize) -> String {
    format!("grab-servers-{connections}")
}

fn run(context: &mut Context) -> Result<Findings> {
    let catalogue = CatalogueSpec::default();
    let plan =
        Plan { name: "bench", store: Store::Servers, catalogue, stock: PLENTY, hold_s: 0, settings: &[] };
    let mut service = Measured::start(context, &plan)?;
    let idle = service.memory_mb();
    let duration = context.round();
    let kinds: Vec<LoadKind> = RATIOS
        .iter()
        .flat_map(|(connections, _)| [What::Echo, GRAB].map(|what| LoadKind::closed(what, *connections)))
        .collect();
    warm_up(context, &mut service, &kinds)?;
    let top = take_turns(context, &kinds, |kind| service.round(&kind.load(duration)))?;
    let rates = top.values(LoadKind::closed(GRAB, USUAL), |sample| sample.per_s);
    let rate =
        RoundSpread::of(&rates).filter(|rate| rate.median > 0.0).context("no grab was granted")?.median / 2.0;
    let calm = [What::Echo, GRAB].map(|what| LoadKind { rate: Some(rate), ..LoadKind::closed(what, USUAL) });
    let half = take_turns(context, &calm, |kind| service.round(&kind.load(duration)))?;
    let audit = service.finish(context)?;
    let disk = (0..context.rounds()).map(|_| disk::sync_ms()).collect::<Result<Vec<_>>>()?;
    let audit = audit.as_ref();
    let mut measured = vec![
        latency("grab-p99", &half, calm, &disk, audit),
        match idle {
            Ok(idle) => Measurement::new("memory-idle", vec![idle]),
            Err(error) => Measurement::not_run("memory-idle", format!("{error:#}")),
        },
        memory("memory-top", &top, LoadKind::closed(GRAB, USUAL), audit),
    ];
    measured.extend(RATIOS.map(|(connections, _)| ratio(id(connections), &top, connections, GRAB, audit)));
    Ok(measured.into())
}

/// A short round of each kind, unmeasured but audited: it fills caches and opens connections.
pub(super) fn warm_up(context: &Context, service: &mut Measured, kinds: &[LoadKind]) -> Result<()> {
    for kind in kinds {
        context.progress(format!("warming up: {kind}"));
        service.round(&kind.load(context.round() / 3))?;
    }
    Ok(())
}

/// The rate of one kind of answers ÷ that of the echo, with where the CPU went.
pub(super) fn ratio(
    id: impl Into<Text>,
    rounds: &Rounds<LoadKind>,
    connections: usize,
    what: What,
    audit: Option<&String>,
) -> Measurement {
    let kinds = [what, What::Echo].map(|what| LoadKind::closed(what, connections));
    let [own, echo] = kinds;
    let mut figures = rounds.figures(own);
    figures.extend(rounds.figures(echo));
    figures.extend(rounds.profile(own));
    figures.extend(rounds.profile(echo));
    let batches: Vec<f64> = rounds.values(own, |sample| sample.batch.unwrap_or(0.0));
    figures.push(NamedFigure::of(format!("{own}: grabs a batch"), "", &batches));
    let samples = rounds.ratios(own, echo, |sample| sample.per_s);
    Measurement::new(id, samples).figures(figures).problems(problems(rounds, &kinds, audit))
}

/// The problems of the rounds, and the violations that the audit found.
pub(super) fn problems(rounds: &Rounds<LoadKind>, kinds: &[LoadKind], audit: Option<&String>) -> Vec<String> {
    rounds.problems(kinds).into_iter().chain(audit.cloned()).collect()
}

fn latency(
    id: &'static str,
    half: &Rounds<LoadKind>,
    [echo, grab]: [LoadKind; 2],
    disk: &[(f64, f64)],
    audit: Option<&String>,
) -> Measurement {
    let mut figures = half.figures(grab);
    figures.extend(half.figures(echo));
    for kind in [grab, echo] {
        let late = half.values(kind, |sample| sample.late_ms);
        figures.push(NamedFigure::of(format!("{kind}: sent later than meant, p99"), "ms", &late));
    }
    let [p50, p99]: [Vec<f64>; 2] =
        [disk.iter().map(|(p50, _)| *p50).collect(), disk.iter().map(|(_, p99)| *p99).collect()];
    figures.push(NamedFigure::of("4 kB written and synced, nothing else going on: p50", "ms", &p50));
    figures.push(NamedFigure::of("4 kB written and synced, nothing else going on: p99", "ms", &p99));
    let samples = half.ratios(grab, echo, |sample| sample.p99_ms);
    Measurement::new(id, samples).figures(figures).problems(problems(half, &[grab, echo], audit))
}

fn memory(id: &'static str, top: &Rounds<LoadKind>, grab: LoadKind, audit: Option<&String>) -> Measurement {
    let most = |sample: &Sample| sample.memory_mb.unwrap_or(f64::NAN);
    let samples = top.values(grab, most);
    if samples.iter().any(|sample| sample.is_nan()) {
        return Measurement::not_run(id, "the system does not tell a process's memory");
    }
    Measurement::new(id, samples).figures(top.figures(grab)).problems(problems(top, &[grab], audit))
}
