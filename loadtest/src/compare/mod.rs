//! Several contestants under the same load, each round audited, and a report about it.
//!
//! All contestants are up all the time; they take turns within a round, in an order in which each has every place as often as
//! any other, so that a machine that slows down or speeds up does so for all of them alike. The round is the unit of statistics.

mod ending;
mod growth;
mod lag;
mod live;
mod loads;
pub(crate) mod machine;
mod observer;
mod options;
mod outlook;
mod round;
mod sampler;
mod servers;
mod turn;
mod wide_columns;
mod work;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, anyhow};
use coupon_cli::terminal;
use coupon_lab::{Deployment, Setup, stop_services_on_interrupt, wait_if_interrupted};
use coupon_measure::Turns;
use coupon_measure::stats::MIN_ROUNDS;
use coupon_report::model::{Requirement, Vertical};
use coupon_report::require;
use coupon_report::{self, Report, model};
use coupon_service::api::AdminStats;
use coupon_strategies::Spec;

pub use ending::Ending;
use growth::Planned;
pub(crate) use growth::key_of;
pub use growth::{GrowthArgs, PlannedGrowth};
pub use lag::latest_lag_ms;
pub use observer::Observer;
use observer::Watcher;
pub use options::CompareOptions;
use round::Entrant;
pub use sampler::Sample;
use servers::Servers;
pub use servers::ServersChoice;

/// The longest that the unmeasured load before the first round takes.
const WARM_UP: Duration = Duration::from_secs(1);

/// The part of repeated grabs with which two contestants no longer do the same work.
const REPEATED: f64 = 0.05;

/// Compares, prints the summary and writes the report.
///
/// # Errors
/// When a contestant cannot be started or stops answering altogether, or the report cannot be written.
pub fn compare(options: &CompareOptions) -> Result<Ending> {
    Ok(compare_and_keep(options)?.0)
}

/// The same, for a caller that has more to say about the report.
///
/// # Errors
/// As [`compare`].
pub fn compare_and_keep(options: &CompareOptions) -> Result<(Ending, Report)> {
    if !has_verdicts(options) {
        terminal::note("no verdicts under five rounds");
    }
    let (ending, report) = measure(options, None)?;
    show(&report, options)?;
    Ok((ending, report))
}

fn has_verdicts(options: &CompareOptions) -> bool {
    usize::try_from(options.rounds).is_ok_and(|rounds| rounds >= MIN_ROUNDS)
}

/// One round in which all contestants are under load at the same time, for an observer; nothing is printed or
/// written.
///
/// # Errors
/// When a contestant cannot be started or stops answering altogether, or the load is stopped before it began.
pub fn watched(options: &CompareOptions, observer: &Arc<dyn Observer>) -> Result<(Ending, Report)> {
    measure(options, Some(observer))
}

fn measure(options: &CompareOptions, observer: Option<&Arc<dyn Observer>>) -> Result<(Ending, Report)> {
    stop_services_on_interrupt()?;
    let date = coupon_lab::conditions::now();
    let servers = Servers::prepare(options)?;
    let mut entrants = start(options, &servers, observer)?;
    if let Some(observer) = observer {
        observer.stage("warming up");
    }
    let measured = warm_up(options, &mut entrants).and_then(|()| match observer {
        None => rounds(options, &servers, &mut entrants),
        Some(observer) => live::round(options, servers.quota, &mut entrants, &**observer),
    });
    let measured = measured.map(|ending| (ending, wide_columns::of(options)));
    let (ending, vertical) = match measured {
        Ok(measured) => measured,
        Err(error) => {
            wait_if_interrupted();
            give_up(entrants);
            return Err(error);
        }
    };
    let mut report = conclude(options, date, &servers, &entrants, vertical);
    let beyond = report.requirements.iter().any(Requirement::is_broken);
    for entrant in entrants {
        stop(entrant, &mut report);
    }
    let ending = if beyond { ending.or_worse(Ending::BeyondLimit) } else { ending };
    let limited = report.was_the_load_the_limit();
    let ending = if limited { ending.or_worse(Ending::LoadLimited) } else { ending };
    Ok((ending, report))
}

fn start(
    options: &CompareOptions,
    servers: &Servers,
    observer: Option<&Arc<dyn Observer>>,
) -> Result<Vec<Entrant>> {
    let mut entrants = Vec::new();
    let setup = Setup { site: servers.site.clone(), ..options.setup.clone() };
    for (contestant, spec) in options.contestants.iter().enumerate() {
        let stage = format!("seeding and starting {}", spec.name);
        terminal::progress(&stage);
        if let Some(observer) = observer {
            observer.stage(&stage);
        }
        let entrant = live::not_stopped(options).and_then(|()| begin(spec, &setup, options));
        let mut entrant = match entrant {
            Ok(entrant) => entrant,
            Err(error) => {
                terminal::clear_progress();
                give_up(entrants);
                return Err(error);
            }
        };
        if let Some(observer) = observer {
            let has_company = options.contestants.len() > 1;
            entrant.show(Watcher { observer: Arc::clone(observer), contestant, has_company });
        }
        entrants.push(entrant);
    }
    for target in &options.targets {
        entrants.push(Entrant::new(Deployment::attach(target.clone(), servers.for_targets.clone())?)?);
    }
    let stores: Vec<(&str, Option<Store>)> =
        entrants.iter().map(|entrant| (entrant.name(), store(&entrant.running().stats))).collect();
    if let Some((one, other, place)) = same_store(&stores) {
        let error = anyhow!("--target: {one} and {other} are the same service: both store in {place}");
        give_up(entrants);
        return Err(error);
    }
    Ok(entrants)
}

/// The store of a service: its data set's id, and the folder or the namespace that holds it.
type Store = (String, String);

fn store(stats: &AdminStats) -> Option<Store> {
    Some((stats.dataset.clone(), stats.data.clone().or_else(|| stats.namespace.clone())?))
}

/// Two contestants over the same data: each of them would find the other's grabs among its own.
fn same_store<'a>(all: &[(&'a str, Option<Store>)]) -> Option<(&'a str, &'a str, String)> {
    let mut seen: BTreeMap<&Store, &str> = BTreeMap::new();
    for (name, store) in all {
        let Some(store) = store else { continue };
        if let Some(first) = seen.insert(store, name) {
            return Some((first, name, store.1.clone()));
        }
    }
    None
}

fn begin(spec: &Spec, setup: &Setup, options: &CompareOptions) -> Result<Entrant> {
    let catalogue = &options.load.workload.catalogue;
    let planned = |growth: &PlannedGrowth| Planned::of(growth, spec, catalogue, &setup.seed);
    let growth = options.growth.as_ref().map(planned).transpose()?;
    let running = Deployment::start(spec, setup)?;
    let seeded = running.seeded.unwrap_or_default().as_secs_f64();
    terminal::clear_progress();
    terminal::note(format!("{}: seeded in {seeded:.1} s, at {}", running.name, running.target.url("")));
    Ok(Entrant::new(running)?.growing(growth))
}

/// Fills caches and opens files, unmeasured. Its grabs are audited like any others.
fn warm_up(options: &CompareOptions, entrants: &mut [Entrant]) -> Result<()> {
    for entrant in entrants {
        warm_up_one(options, entrant)?;
    }
    terminal::clear_progress();
    Ok(())
}

fn warm_up_one(options: &CompareOptions, entrant: &mut Entrant) -> Result<()> {
    terminal::progress(format!("warming up {}", entrant.name()));
    entrant.warm_up(&loads::of_warm_up(&options.load, WARM_UP))
}

fn rounds(options: &CompareOptions, servers: &Servers, entrants: &mut Vec<Entrant>) -> Result<Ending> {
    let mut turns = Turns::new(options.load.seed);
    let mut ending = Ending::Kept;
    for index in 0..options.rounds {
        let load = loads::of_round(&options.load, index, options.rounds);
        for (position, at) in (0..).zip(turns.next_order(entrants.len())) {
            if options.growth.is_some() && index > 0 {
                renew(options, servers, entrants, at)?;
            }
            let Some(entrant) = entrants.get_mut(at) else { continue };
            terminal::progress(format!("round {} of {}: {}", index + 1, options.rounds, entrant.name()));
            ending = ending.or_worse(entrant.round(index, position, &load, servers.quota)?);
        }
        terminal::clear_progress();
        // The round is finished for all, so that the report compares like with like; more would prove nothing.
        if ending == Ending::Violated {
            break;
        }
    }
    Ok(ending)
}

/// Seeds a contestant anew, since its last turn has left it with another layout.
fn renew(options: &CompareOptions, servers: &Servers, entrants: &mut Vec<Entrant>, at: usize) -> Result<()> {
    let Some(spec) = options.contestants.get(at) else { return Ok(()) };
    terminal::progress(format!("seeding and starting {}", spec.name));
    let setup = Setup { site: servers.site.clone(), ..options.setup.clone() };
    let mut renewed = entrants.remove(at).renewed(|| Deployment::start(spec, &setup))?;
    let warmed_up = warm_up_one(options, &mut renewed);
    entrants.insert(at, renewed);
    warmed_up
}

fn conclude(
    options: &CompareOptions,
    date: String,
    servers: &Servers,
    entrants: &[Entrant],
    vertical: model::Reading<Vertical>,
) -> Report {
    let contestants: Vec<model::Contestant> = entrants.iter().map(Entrant::contestant).collect();
    let mut warnings = servers.warnings.clone();
    warnings.extend(options.notes.iter().cloned());
    if options.load.workload.trace().is_none() {
        // A trace may well have users who ask again for what they hold.
        warnings.extend(contestants.iter().filter_map(repeated));
    }
    let meta = machine::meta(options, date, servers, entrants, warnings);
    let mut report = Report::new(meta, contestants);
    report.vertical = vertical;
    terminal::progress("routing the same grabs over more shards");
    report.outlook = outlook::of(options);
    terminal::clear_progress();
    coupon_report::summarise(&mut report);
    report.requirements = require::check(&options.limits, &report);
    report
}

/// Warns of a service whose data has seen these requests before: a seed repeats them exactly, and a user who holds
/// a coupon is refused another.
fn repeated(contestant: &model::Contestant) -> Option<String> {
    let grabs = contestant.rounds.iter().map(|round| &round.grabs);
    let granted: u64 = grabs.clone().map(|grabs| grabs.granted).sum();
    let again: u64 = grabs.filter_map(|grabs| grabs.refused.get("duplicate")).sum();
    let (name, part) = (&contestant.name, again as f64 / (granted + again).max(1) as f64);
    (part > REPEATED).then(|| {
        format!(
            "{name}: {:.0} % of the grabs were refused because their users held the coupon already. Either its data has \
             seen these requests before (give another --seed), or the workload has too few users and coupons.",
            part * 100.0
        )
    })
}

/// Cleans up after a failed start; errors of the clean-up are only noted, so that the original one is returned.
fn give_up(entrants: Vec<Entrant>) {
    for entrant in entrants {
        if let Err(error) = entrant.stop() {
            terminal::note(format!("{error:#}"));
        }
    }
}

fn stop(entrant: Entrant, report: &mut Report) {
    if let Err(error) = entrant.stop() {
        report.meta.warnings.push(format!("{error:#}"));
    }
}

fn show(report: &Report, options: &CompareOptions) -> Result<()> {
    let printed = coupon_report::terminal::show(report);
    // A report that cannot be written does not withhold the summary, nor the other way round.
    let paths =
        coupon_report::write_all(report, &options.out).map_err(|error| keep_elsewhere(report, error))?;
    printed?;
    if let Some(earlier) = &paths.earlier {
        terminal::note(format!("the report that was there before is {} now", earlier.display()));
    }
    terminal::say(paths.json.display().to_string());
    terminal::say(paths.html.display().to_string());
    Ok(())
}

/// A copy where there is room, since what was measured is not to be had again.
fn keep_elsewhere(report: &Report, error: anyhow::Error) -> anyhow::Error {
    let copy = || {
        let folder = tempfile::Builder::new().prefix("loadtest-report-").tempdir()?;
        coupon_report::write_all(report, folder.path())?;
        anyhow::Ok(folder.keep())
    };
    match copy() {
        Ok(folder) => error.context(format!("--out (a copy of the report is in {})", folder.display())),
        Err(_) => error.context("--out"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_that_has_seen_the_requests_before_is_told() {
        let mut contestant = model::Contestant { name: "mine".to_owned(), ..model::Contestant::default() };
        let mut round = model::Round::default();
        round.grabs.granted = 60;
        contestant.rounds.push(round.clone());
        assert_eq!(repeated(&contestant), None);
        round.grabs.refused.insert("duplicate".to_owned(), 40);
        contestant.rounds.push(round);
        assert!(repeated(&contestant).unwrap().contains("mine: 25 %"));
    }

    #[test]
    fn a_service_that_is_given_twice_is_found_by_where_it_stores() {
        let at = |id: &str, place: &str| Some((id.to_owned(), place.to_owned()));
        let apart = [("a", at("1", "/data/a")), ("b", at("1", "/data/b")), ("c", None), ("d", None)];
        assert_eq!(same_store(&apart), None);
        let twice = [("a", at("1", "/data/a")), ("c", None), ("b", at("1", "/data/a"))];
        assert_eq!(same_store(&twice), Some(("a", "b", "/data/a".to_owned())));
    }
}
