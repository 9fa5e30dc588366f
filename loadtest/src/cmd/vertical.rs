//! `loadtest vertical`.

use std::num::NonZeroU16;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use coupon_cli::output::Output;
use coupon_cli::terminal;
use coupon_lab::{Deployment, Setup, stop_services_on_interrupt};
use coupon_loadgen::workload::Catalogue;
use coupon_seeding::SeedOptions;
use coupon_strategies::Spec;

use super::arguments;
use crate::vertical::{VerticalOptions, measure};

/// Its command line.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Seconds for which each of the four reads is sent in a round
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// Turns of each read; five are the least that allow a verdict
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    rounds: u32,
    /// Connections that send one read after the other
    #[arg(long, default_value_t = 4)]
    connections: usize,
    /// Running service with the seeder's catalogue; by default one is started on fresh data
    #[arg(long, value_name = "URL")]
    target: Option<String>,
    /// Seed of all random choices
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Write the figures to this file as well
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Runs it.
///
/// # Errors
/// When the service cannot be started or does not answer, or the file cannot be written.
pub fn run(args: Args) -> Result<ExitCode> {
    let Args { seconds, rounds, connections, target, seed, json } = args;
    let options = VerticalOptions {
        duration: arguments::seconds(seconds, &(0.1..=3_600.0))?,
        rounds,
        connections: arguments::connections("--connections", connections)?,
        seed,
        catalogue: Catalogue::default(),
    };
    let json = json.map(|path| Output::create("--json", &path)).transpose()?;
    // Held until the end: dropping it stops the service.
    let (target, service) = match target {
        Some(url) => (arguments::target(&url)?, None),
        None => {
            let service = start(seed)?;
            (service.target.clone(), Some(service))
        }
    };
    let found = measure(&target, &options).with_context(|| target.name.clone())?;
    terminal::say(found.to_string().trim_end());
    json.map_or(Ok(()), |file| file.write_json(&found))?;
    service.map_or(Ok(()), Deployment::stop)?;
    Ok(ExitCode::SUCCESS)
}

/// Coupons live in the main database, so that one shard does for any strategy.
fn start(seed: u64) -> Result<Deployment> {
    stop_services_on_interrupt()?;
    let seed = SeedOptions { seed, ..SeedOptions::default() };
    let setup = Setup::embedded(seed);
    Deployment::start(&Spec::parse("single", NonZeroU16::MIN, &Catalogue::default())?, &setup)
}
