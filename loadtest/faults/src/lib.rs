//! Proof by breaking things on purpose: load at a set rate, one fault in the middle of it, recovery, audit.
//!
//! Each row of `list::FAULTS` gets every service, with its first strategy, side by side on the same private servers, each
//! with data and processes of its own. `row` plays it: start, load, `inject`, ask again whatever ended without a clear
//! answer (`resolve`), wait until everything is settled, audit. `report` shows what came of it.

mod cast;
mod casting;
pub mod cli;
mod customers;
mod inject;
mod list;
mod observe;
mod pressure;
mod process;
mod proof;
mod proxy;
pub mod report;
mod resolve;
mod row;
mod scene;
mod service;
mod stage;
mod without;

use std::time::Instant;

use anyhow::{Result, bail};

pub use casting::Casting;
pub use customers::Asked;
pub use list::{FAULTS, Fault, Needs, find};
pub use observe::Observed;
pub use pressure::Pressed;
pub use proof::Proof;
pub use report::{Report, Row, Verdict};
pub use stage::Terms;
pub use without::{SWITCHES, Without, find_without};

use coupon_cli::terminal;
use coupon_lab::Site;

use stage::{Programs, SHARDS, Stage};

/// What to break, and how hard to press meanwhile.
#[derive(Debug, Clone)]
pub struct Options {
    /// The rows to play, in this order.
    pub plays: Vec<Play>,
    /// What all rows are played by.
    pub terms: Terms,
    /// Break the services that are meant for use, even where those with fail points are built.
    pub plain: bool,
}

/// A row to play.
#[derive(Debug, Clone, Copy)]
pub struct Play {
    /// What to break.
    pub fault: &'static Fault,
    /// A mechanism to leave out; its absence must be found.
    pub without: Option<&'static Without>,
}

/// Plays every row, one after the other, on servers of this run's own.
///
/// # Errors
/// When the servers do not start, or the services are not built. A row that cannot be played says so itself.
pub fn run(options: &Options) -> Result<Report> {
    let programs = Programs::find(options.plain)?;
    let mut switched = options.plays.iter().filter_map(|play| play.without);
    if let (Some(without), Err(why)) = (switched.next(), programs.have_fail_points()) {
        bail!("--without {without}: {why}");
    }
    let started = Instant::now();
    let lacking = |fault: &Fault| match fault.needs {
        Needs::Servers => Ok(()),
        Needs::FailPoints => programs.have_fail_points(),
    };
    // Rows that cannot be played need no servers to say so.
    let playable = options.plays.iter().any(|play| lacking(play.fault).is_ok());
    let site = playable.then(|| Site::private(SHARDS)).transpose()?;
    let mut rows = Vec::new();
    for &Play { fault, without } in &options.plays {
        terminal::progress(format!("{} {} …", fault.casting.id, fault.name));
        let row = match (lacking(fault), &site) {
            (Ok(()), Some(site)) => {
                row::play(&Stage { site, programs: &programs, terms: &options.terms, without }, fault)
            }
            (Err(why), _) => Row::not_run(fault, without, why),
            (Ok(()), None) => Row::not_run(fault, without, "there are no servers".to_owned()),
        };
        terminal::clear_progress();
        terminal::note(report::line(&row));
        rows.push(row);
    }
    Ok(Report::new(&options.terms, rows, started.elapsed()))
}
