//! Comparisons of which the truth is known: three processes of one program over data of their own, on a load that they can take,
//! on one that the generator cannot, and with one of them made to fail.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use coupon_lab::{Deployment, program, seed_of};
use coupon_loadgen::workload::CatalogueSpec;
use coupon_report::Report;
use coupon_report::model::{Contestant, Metric, Need, NeedResult, Place};
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

const NAMES: [&str; 3] = ["a", "b", "c"];
/// Comparisons, and those when a few minutes must do.
const RUNS: u32 = 12;
const QUICK: u32 = 3;
/// Where their reports stay, from which rounds are drawn for tests (`record_equal` of crates/coupon-report).
const KEPT: &str = "reports/equal";
/// The part of needs of equal services that may name a leader.
const LEVEL: f64 = 0.05;
/// The exit code of `loadtest compare` where the load was the limit.
const LOAD_LIMITED: i32 = 4;
/// A load that all can take.
const LIGHT: Load = Load { rate: 300, connections: 64 };
/// One for which there are too few connections, and one that is more than a generator of one thread sends in time.
const TOO_MUCH: [Load; 2] = [Load { rate: 20_000, connections: 8 }, Load { rate: 100_000, connections: 256 }];
/// The load under which one fails that lets a single grab wait.
const FAILS: Load = Load { rate: 2_000, connections: 64 };
const ONE_WAITS: (&str, &str) = ("grab.waiting_max", "1");

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
            "comparisons beyond what the generator or its connections can send that exit with 4 and name nobody by times",
            Bound::AtLeast(1.0),
            "of all",
        ),
        Claim::new(
            FAILING,
            "needs in which the one of three leads that fails most of its grabs",
            Bound::AtMost(0.0),
            "needs",
        ),
    ]
}

/// Measures one row.
type Part = fn(&Context) -> Result<Measurement>;

fn run(context: &mut Context) -> Result<Findings> {
    let context = &*context;
    let parts: [(&str, Part); 3] = [(LEADERS, leaders), (LIMITED, limited), (FAILING, failing)];
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
        let (_, report) = Trial::new(context, number)?.compare(LIGHT, &out)?;
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
    for (load, number) in TOO_MUCH.into_iter().zip(100..) {
        context.progress(format!("{} requests a second over {} connections", load.rate, load.connections));
        let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
        let (code, report) = Trial::new(context, number)?.compare(load, folder.path())?;
        let by_times =
            |need: &Need| need.result == NeedResult::Leads && need.by.as_ref().is_some_and(Metric::is_timed);
        let is_right = code == LOAD_LIMITED && !report.needs.iter().any(by_times);
        right.push(f64::from(u8::from(is_right)));
    }
    let part = right.iter().sum::<f64>() / right.len() as f64;
    Ok(Measurement::new(LIMITED, vec![part]))
}

fn failing(context: &Context) -> Result<Measurement> {
    context.progress("one of three fails");
    let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
    let trial = Trial::with(context, 200, Some(ONE_WAITS))?;
    let [first, ..] = NAMES;
    let (_, report) = trial.compare(FAILS, folder.path())?;
    let leads = |need: &&Need| {
        need.places.iter().any(|placed| placed.contestant == first && placed.place == Place::Leads)
    };
    let leads = report.needs.iter().filter(leads).count();
    let failed = report.contestant(first).map_or(0.0, failures);
    let problems = (failed < 0.1).then(|| "it failed too few to be one that fails".to_owned());
    let figures = vec![NamedFigure::of("grabs of it that failed", "%", &[100.0 * failed])];
    Ok(Measurement::new(FAILING, vec![leads as f64])
        .figures(figures)
        .problems(problems.into_iter().collect()))
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
    fn new(context: &Context, number: u32) -> Result<Self> {
        Self::with(context, number, None)
    }

    /// The first of them with another setting.
    fn with(context: &Context, number: u32, setting: Option<(&str, &str)>) -> Result<Self> {
        let catalogue = CatalogueSpec::default();
        let mut services = Vec::new();
        for (at, name) in NAMES.into_iter().enumerate() {
            let mut spec = Spec::parse("hash", SHARDS, &catalogue)?;
            name.clone_into(&mut spec.name);
            if let Some((key, value)) = setting.filter(|_| at == 0) {
                spec.set(key, value);
            }
            let seed = SeedOptions { stock: Some(PLENTY), seed: context.seed, ..seed_of(&catalogue) };
            services.push(context.start(&spec, Store::Embedded, seed)?);
        }
        Ok(Self { services, seed: context.seed.wrapping_add(number.into()) })
    }

    /// Compares them in five short rounds; returns the exit code, and the report.
    fn compare(self, load: Load, out: &Path) -> Result<(i32, Report)> {
        let mut command = Command::new(program("loadtest")?);
        command.args(["compare", "--rounds", "5", "--seconds", "1"]);
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
