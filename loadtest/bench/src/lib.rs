//! The benchmark: one run that measures what the project promises of its speed, each figure beside its ceiling.
//!
//! Absolute rates say more about the machine than about the service, and a machine's speed drifts within minutes. So
//! nearly every row is a ratio, of two kinds that take turns within one section, in an order drawn anew for each round.
//!
//! - [`model`] has what comes out, [`section`] what a part of the benchmark is, [`context`] what the parts share.
//! - [`record`] is `bench.json`; [`doc`] makes `docs/BENCHMARKS.md` from it, and [`table`] what the terminal shows.

pub mod cli;
mod client;
pub mod context;
mod disk;
pub mod doc;
mod grabs;
mod growth;
mod instrument;
mod layout;
pub mod model;
pub mod record;
mod run;
mod scale;
pub mod section;
pub mod storage;
pub mod table;
mod text;

use std::sync::Arc;

use anyhow::{Result, bail};
use coupon_cli::terminal;
use coupon_lab::{SharedServers, stop_services_on_interrupt};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use context::{Context, SHARDS};
use record::Bench;
use section::Section;

/// All sections, in the order in which they run.
#[must_use]
pub fn sections() -> Vec<Section> {
    let mut sections = grabs::sections();
    sections.extend(storage());
    sections.extend(scale::sections());
    sections.push(layout::SECTION);
    sections.extend(instrument::sections());
    sections
}

/// The sections on storing and querying.
fn storage() -> Vec<Section> {
    storage::sections()
}

/// The sections of these names, in the order in which they run; all of them without names.
///
/// # Errors
/// For a name that no section has, with those there are.
pub fn chosen(names: &[String]) -> Result<Vec<Section>> {
    let all = sections();
    let known = |name: &String| all.iter().any(|section| section.name == name);
    if let Some(other) = names.iter().find(|name| !known(name)) {
        let there_are: Vec<&str> = all.iter().map(|section| section.name).collect();
        bail!("there is no section {other:?}; there are {}", there_are.join(", "));
    }
    let wanted = |section: &Section| names.is_empty() || names.iter().any(|name| name == section.name);
    Ok(all.into_iter().filter(wanted).collect())
}

/// Runs sections, on private servers if any of them needs some.
///
/// # Errors
/// When servers are needed and do not start. What goes wrong in a section is part of what it finds.
pub fn bench(sections: &[Section], quick: bool, seed: u64) -> Result<Bench> {
    stop_services_on_interrupt()?;
    raise_open_files();
    let site = if sections.iter().any(|section| section.servers) {
        terminal::progress("starting MySQL, Redis and RabbitMQ");
        let site = SharedServers::private(SHARDS, None);
        terminal::clear_progress();
        Some(Arc::new(site?))
    } else {
        None
    };
    let mut context = Context::new(quick, seed, site);
    let done = run::all(sections, &mut context);
    let versions = context.versions();
    let bench = Bench::new(quick, seed, versions, done);
    if let Err(error) = context.finish() {
        // What was measured is worth more than how a service ended.
        terminal::note(format!("a service that sections shared: {error:#}"));
    }
    Ok(bench)
}

/// Thousands of connections are as many open files, here and in the services, which inherit the limit. Where it
/// cannot be raised, opening them fails and says so.
fn raise_open_files() {
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_section_row_and_name_is_there_once() {
        let sections = sections();
        let names: BTreeSet<&str> = sections.iter().map(|section| section.name).collect();
        assert_eq!(names.len(), sections.len());
        let claims: Vec<_> = sections.iter().flat_map(|section| (section.claims)()).collect();
        let ids: BTreeSet<&str> = claims.iter().map(|claim| &*claim.id).collect();
        assert_eq!(ids.len(), claims.len());
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        assert!(ids.iter().all(|id| id.chars().all(plain)), "{ids:?}");
    }

    #[test]
    fn a_section_that_is_not_there_is_refused_with_those_that_are() {
        let error = chosen(&["routing".to_owned(), "speed".to_owned()]).unwrap_err().to_string();
        assert!(error.contains("\"speed\"") && error.contains("routing, "), "{error}");
        let [one] = &chosen(&["routing".to_owned()]).unwrap()[..] else { panic!("one section") };
        assert_eq!(one.name, "routing");
        assert_eq!(chosen(&[]).unwrap().len(), sections().len());
    }
}
