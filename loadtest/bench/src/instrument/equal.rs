//! Comparisons of which the truth is known: three processes of one program over data of their own, on a load that they can take,
//! on one that the generator cannot, with one of them made to fail, and with one of them made slower by a tenth.

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use coupon_lab::{Deployment, program, seed_of};
use coupon_loadgen::workload::CatalogueSpec;
use coupon_measure::format::counted;
use coupon_report::Report;
use coupon_report::model::{Contestant, DoubtKind, Metric, Need, NeedResult, Place, Quantile};
use coupon_seeding::SeedOptions;
use coupon_strategies::Spec;

use super::child;
use crate::context::{Context, SHARDS, Store};
use crate::grabs::PLENTY;
use crate::model::{Bound, Claim, Findings, Measurement, NamedFigure};
use crate::section::Section;

pub(super) const SECTION: Section = Section {
    name: "equal",
    family: "instrument",
    what: "`loadtest compare` of three equal services: who is said to lead, where nobody does",
    servers: false,
    claims,
    run,
};

const LEADERS: &str = "equal-leaders";
const LIMITED: &str = "equal-limited";
const FAILING: &str = "equal-failing";
const TENTH: &str = "equal-tenth";

const NAMES: [&str; 3] = ["a", "b", "c"];
/// Comparisons, and those when a few minutes must do.
const RUNS: u32 = 12;
const QUICK: u32 = 3;
/// The folder where their reports stay, from which rounds are drawn for tests (`record_equal` of crates/coupon-report).
const KEPT: &str = "reports/equal";
/// The part of needs of equal services that may name a leader.
const LEVEL: f64 = 0.05;
/// The exit code of `loadtest compare` where the load was the limit.
const LOAD_LIMITED: i32 = 4;
/// The rounds of a comparison, and of one that must find a tenth.
const FEW: &str = "5";
const MANY: &str = "15";
/// A load that all can take.
const LIGHT: Load = Load { rate: 300, connections: 64 };
/// One for which there are too few connections, and one that is more than a generator of one thread sends in time; with the doubt
/// that must be found.
const TOO_MUCH: [(Load, DoubtKind); 2] = [
    (Load { rate: 20_000, connections: 8 }, DoubtKind::ConnectionsLimited),
    (Load { rate: 100_000, connections: 256 }, DoubtKind::GeneratorLimited),
];
/// The load under which one fails that lets a single grab wait.
const FAILS: Load = Load { rate: 2_000, connections: 64 };
const ONE_WAITS: Setting = ("grab.waiting_max", "1");
/// The least part of its grabs that it must fail.
const FAILED: f64 = 0.1;
/// Shards at a distance, and by so much farther that a request takes a tenth longer: a timer waits half a millisecond more on
/// average, and a request takes about one without. It is nearly the same for every request: of times that vary more by themselves
/// a tenth is harder to find.
const NEAR: Setting = ("simulate.shard_rtt_ms", "10");
const FAR: Setting = ("simulate.shard_rtt_ms", "11.15");
/// The times that the farther one must take for the row to be about a tenth.
const ABOUT_A_TENTH: RangeInclusive<f64> = 1.05..=1.15;

/// A setting of a service, with its value.
type Setting = (&'static str, &'static str);

/// The requests of a comparison.
#[derive(Debug, Clone, Copy)]
struct Load {
    rate: u32,
    connections: u32,
}

fn claims() -> Vec<Claim> {
    vec![
        Claim::new(
            LEADERS,
            "needs of three equal services that name a leader, above 5 % of them, in standard errors",
            Bound::AtMost(2.0),
            "σ",
        ),
        Claim::new(
            LIMITED,
            "comparisons beyond what the generator or its connections can send that exit with 4, name that limit, and name \
             nobody by times",
            Bound::AtLeast(1.0),
            "of all",
        ),
        Claim::new(
            FAILING,
            "needs in which the one of three leads that fails a tenth of its grabs or more",
            Bound::AtMost(0.0),
            "needs",
        ),
        Claim::new(
            TENTH,
            "needs decided by times in which the one of three is behind after 15 rounds whose shards, at a distance of 10 ms, \
             are farther by a tenth of a request",
            Bound::AtLeast(1.0),
            "needs",
        ),
    ]
}

/// Measures one row.
type Part = fn(&Context) -> Result<Measurement>;

fn run(context: &mut Context) -> Result<Findings> {
    let context = &*context;
    let parts: [(&str, Part); 4] =
        [(LEADERS, leaders), (LIMITED, limited), (FAILING, failing), (TENTH, tenth)];
    // What one cannot do leaves the figures of the others.
    let measured = parts.map(|(id, part)| {
        part(context).unwrap_or_else(|error| Measurement::failed(id, format!("{error:#}")))
    });
    Ok(Vec::from(measured).into())
}

fn leaders(context: &Context) -> Result<Measurement> {
    let (mut needs, mut lead, mut without, mut differ) = (0, 0, 0, 0);
    let runs = if context.quick { QUICK } else { RUNS };
    for number in 1..=runs {
        context.progress(format!("equal services, run {number} of {runs}"));
        let out = PathBuf::from(KEPT).join(format!("run-{number:02}"));
        let (_, report) = Trial::new(context, number, |_| None)?.compare(LIGHT, FEW, &out)?;
        let told = |result| report.needs.iter().filter(|need| need.result == result).count();
        let (leads, equal) = (told(NeedResult::Leads), told(NeedResult::Equal));
        without += u32::from(leads + equal == 0);
        (needs, lead) = (needs + leads + equal, lead + leads);
        differ += report.shapes.iter().filter(|shape| shape.differs).count();
    }
    let figures = vec![
        NamedFigure::of("needs", "", &[needs as f64]),
        NamedFigure::of("needs that name a leader", "", &[lead as f64]),
        NamedFigure::of("shapes that differ", "", &[differ as f64]),
        NamedFigure::of("runs without a verdict", "", &[f64::from(without)]),
    ];
    let problems = (2 * without > runs)
        .then(|| format!("{without} of {runs} runs gave no verdict: this machine has other things to do"));
    let above = standard_errors(lead as f64, needs as f64);
    Ok(Measurement::new(LEADERS, vec![above]).figures(figures).problems(problems.into_iter().collect()))
}

/// The standard errors by which so many of all are above the level.
fn standard_errors(lead: f64, needs: f64) -> f64 {
    (lead - LEVEL * needs) / (LEVEL * (1.0 - LEVEL) * needs).sqrt()
}

fn limited(context: &Context) -> Result<Measurement> {
    let mut right = Vec::new();
    for ((load, limit), number) in TOO_MUCH.into_iter().zip(100..) {
        context.progress(format!("{} requests a second over {} connections", load.rate, load.connections));
        let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
        let (code, report) = Trial::new(context, number, |_| None)?.compare(load, FEW, folder.path())?;
        let is_found = report.doubts.iter().any(|doubt| doubt.kind == limit);
        let leads_by_times = |need: &Need| need.result == NeedResult::Leads && is_by_times(need);
        let is_right = code == LOAD_LIMITED && is_found && !report.needs.iter().any(leads_by_times);
        right.push(f64::from(u8::from(is_right)));
    }
    let part = right.iter().sum::<f64>() / right.len() as f64;
    Ok(Measurement::new(LIMITED, vec![part]))
}

fn failing(context: &Context) -> Result<Measurement> {
    context.progress("one of three fails");
    let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
    let trial = Trial::new(context, 200, |at| (at == 0).then_some(ONE_WAITS))?;
    let [first, ..] = NAMES;
    let (_, report) = trial.compare(FAILS, FEW, folder.path())?;
    let leads = report.needs.iter().filter(|need| is(need, first, Place::Leads)).count();
    let failed = report.contestant(first).map_or(0.0, failures);
    // Where no service leads, that this one does not shows nothing.
    let has_leader = report.needs.iter().any(|need| need.result == NeedResult::Leads);
    let problems = [
        (failed < FAILED).then(|| "it failed too few to be one that fails".to_owned()),
        report.doubt_of_load().map(|doubt| doubt.text.clone()),
        (!has_leader).then(|| "no other leads in any need".to_owned()),
    ];
    let figures = vec![NamedFigure::of("grabs of it that failed", "%", &[100.0 * failed])];
    Ok(Measurement::new(FAILING, vec![leads as f64])
        .figures(figures)
        .problems(problems.into_iter().flatten().collect()))
}

fn tenth(context: &Context) -> Result<Measurement> {
    context.progress("one of three takes a tenth longer");
    let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
    let trial = Trial::new(context, 300, |at| Some(if at == 0 { FAR } else { NEAR }))?;
    let [first, second, third] = NAMES;
    let (_, report) = trial.compare(LIGHT, MANY, folder.path())?;
    let needs = || report.needs.iter();
    let behind = needs().filter(|need| is_by_times(need) && is(need, first, Place::Behind)).count();
    let others =
        needs().filter(|need| [second, third].iter().any(|name| is(need, name, Place::Behind))).count();
    let p50 = |name: &str| report.contestant(name)?.median(&Metric::latency("grab", Quantile::P50));
    let times = p50(first).zip(p50(second)).map_or(f64::NAN, |(far, near)| far / near);
    let problems = [
        (!ABOUT_A_TENTH.contains(&times)).then(|| format!("it took {times:.3} times as long")),
        (others > 0).then(|| format!("another is behind in {}", counted(others as u64, "need"))),
    ];
    let figures = vec![NamedFigure::of("its p50 of grabs, times that of another", "×", &[times])];
    Ok(Measurement::new(TENTH, vec![behind as f64])
        .figures(figures)
        .problems(problems.into_iter().flatten().collect()))
}

fn is_by_times(need: &Need) -> bool {
    need.by.as_ref().is_some_and(Metric::is_timed)
}

fn is(need: &Need, name: &str, place: Place) -> bool {
    need.places.iter().any(|placed| placed.contestant == name && placed.place == place)
}

/// The part of a contestant's grabs that failed.
fn failures(contestant: &Contestant) -> f64 {
    let grabs = contestant.rounds.iter().filter_map(|round| round.endpoints.get("grab"));
    let (all, ok) = grabs.fold((0, 0), |(all, ok), grab| (all + grab.requests, ok + grab.ok));
    1.0 - ok as f64 / all.max(1) as f64
}

/// Three services that are up, and the seed of the requests that they get.
struct Trial {
    services: Vec<Deployment>,
    seed: u64,
}

impl Trial {
    /// Starts them, each with a setting of its own if it is to have one.
    fn new(context: &Context, number: u32, setting: impl Fn(usize) -> Option<Setting>) -> Result<Self> {
        let catalogue = CatalogueSpec::default();
        let mut services = Vec::new();
        for (at, name) in NAMES.into_iter().enumerate() {
            let mut spec = Spec::parse("hash", SHARDS, &catalogue)?;
            name.clone_into(&mut spec.name);
            if let Some((key, value)) = setting(at) {
                spec.set(key, value);
            }
            let seed = SeedOptions { stock: Some(PLENTY), seed: context.seed, ..seed_of(&catalogue) };
            services.push(context.start(&spec, Store::Embedded, seed)?);
        }
        Ok(Self { services, seed: context.seed.wrapping_add(number.into()) })
    }

    /// Compares them in short rounds; returns the exit code, and the report.
    fn compare(self, load: Load, rounds: &str, out: &Path) -> Result<(i32, Report)> {
        let mut command = Command::new(program("loadtest")?);
        command.args(["compare", "--rounds", rounds, "--seconds", "1"]);
        for service in &self.services {
            command.args(["--target", &format!("{}={}", service.name, service.target.url(""))]);
        }
        command.args(["--rate", &load.rate.to_string(), "--connections", &load.connections.to_string()]);
        command.args(["--seed", &self.seed.to_string(), "--out"]).arg(out);
        let ended = child::run(&mut command, |_| Ok(()))?;
        let code = ended.status.code().context("the comparison was killed")?;
        let said = ended.stderr.lines().next_back().unwrap_or("it said nothing");
        ensure!([0, LOAD_LIMITED].contains(&code), "the comparison ended with {code}: {said}");
        let report = coupon_report::read(&out.join("report.json"))?;
        self.services.into_iter().try_for_each(Deployment::stop)?;
        Ok((code, report))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_in_a_hundred_are_what_chance_may_do() {
        assert!(standard_errors(5.0, 100.0).abs() < 1e-9);
        assert!(standard_errors(9.0, 100.0) < 2.0 && standard_errors(10.0, 100.0) > 2.0);
        assert!(!standard_errors(0.0, 0.0).is_finite());
    }
}
