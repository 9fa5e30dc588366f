//! Proof by breaking things on purpose: load at a set rate, one fault in the middle of it, recovery, audit.
//!
//! Each case of [`CASES`] gets every service, with its first strategy, side by side on the same private servers, each
//! with its own data and processes. `run_case` runs it: `start` the `deployment` that is its `plan`, put it under
//! `load`, `inject` the fault, ask again for every grab (`ask_again`) and every step (`steps`) that ended without a
//! clear answer, wait until everything is settled, audit. `report` shows the results.

mod ablation;
mod ask_again;
mod case_result;
mod cases;
pub mod cli;
mod context;
mod customers;
mod deployment;
mod inject;
mod load;
mod plan;
mod process;
mod proof;
mod proxy;
mod record;
pub mod report;
mod rows;
mod run_case;
mod service;
mod service_result;
mod start;
mod steps;

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Result, bail};

pub use ablation::{ABLATIONS, Ablation, find_ablation};
pub use ask_again::AskedAgain;
pub use case_result::{CaseResult, CaseVerdict};
pub use cases::{CASES, FaultCase, RequiredServices, find_case};
pub use customers::CustomerCounts;
pub use load::LoadAtFault;
pub use plan::DeploymentPlan;
pub use proof::Proof;
pub use report::MatrixReport;
pub use service_result::ServiceResult;
pub use steps::StepCounts;

use coupon_cli::terminal;
use coupon_lab::SharedServers;

use context::{CaseContext, SHARDS, ServicePrograms};
use run_case::run_case;

/// The cases of a run, and the settings that all of them share.
#[derive(Debug, Clone)]
pub struct MatrixOptions {
    /// The cases to run, in this order.
    pub cases: Vec<SelectedCase>,
    /// Requests a second to each service.
    pub rate: f64,
    /// The seed that all random choices follow from.
    pub seed: u64,
    /// The folder for the logs of services.
    pub logs: PathBuf,
    /// The services that are meant for use are broken, even where the one with fail points is built.
    pub plain: bool,
}

/// A case to run.
#[derive(Debug, Clone, Copy)]
pub struct SelectedCase {
    /// The fault and its promise.
    pub case: &'static FaultCase,
    /// A mechanism to leave out; its absence must be found.
    pub ablation: Option<&'static Ablation>,
}

/// Runs every case, one after the other, on servers of this run's own.
///
/// # Errors
/// When the servers do not start, or the services are not built. A case that cannot be run says so itself.
pub fn run(options: &MatrixOptions) -> Result<MatrixReport> {
    let programs = ServicePrograms::find(options.plain)?;
    let mut left_out = options.cases.iter().filter_map(|selected| selected.ablation);
    if let (Some(ablation), Err(why)) = (left_out.next(), programs.have_fail_points()) {
        bail!("--without {ablation}: {why}");
    }
    let started = Instant::now();
    let lacking = |case: &FaultCase| match case.needs {
        RequiredServices::Servers => Ok(()),
        RequiredServices::FailPoints => programs.have_fail_points(),
    };
    // Cases that cannot be run need no servers to say so.
    let any = options.cases.iter().any(|selected| lacking(selected.case).is_ok());
    let site = any.then(|| SharedServers::private(SHARDS, None)).transpose()?;
    let mut results = Vec::new();
    for &SelectedCase { case, ablation } in &options.cases {
        terminal::progress(format!("{} {} …", case.id, case.name));
        let result = match (lacking(case), &site) {
            (Ok(()), Some(site)) => {
                run_case(&CaseContext { site, programs: &programs, options, ablation }, case)
            }
            (Err(why), _) => CaseResult::not_run(case, ablation, why),
            (Ok(()), None) => CaseResult::not_run(case, ablation, "there are no servers".to_owned()),
        };
        terminal::clear_progress();
        terminal::note(report::line(&result));
        results.push(result);
    }
    Ok(MatrixReport::new(options, results, started.elapsed()))
}
