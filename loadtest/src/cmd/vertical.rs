//! `loadtest vertical`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use coupon_cli::numbers::{count, within};
use coupon_cli::output::Output;
use coupon_cli::terminal;
use coupon_lab::stop_services_on_interrupt;
use coupon_loadgen::workload::CatalogueSpec;
use coupon_seeding::SeedOptions;

use super::arguments;
use crate::vertical::{Both, VerticalOptions, measure};

/// Its command line.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Seconds for which each of the four reads is sent to each of the two services in a round
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// Turns of each read; five are the least that allow a verdict
    #[arg(long, default_value_t = 7, value_parser = |text: &str| within::<u32>(text, &(1..=1_000)))]
    rounds: u32,
    /// Connections that send one read after the other
    #[arg(long, default_value_t = 4, value_parser = count::<usize>)]
    connections: usize,
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
    let Args { seconds, rounds, connections, seed, json } = args;
    let options = VerticalOptions {
        duration: arguments::seconds(seconds, &(0.1..=3_600.0))?,
        rounds,
        connections: arguments::connections("--connections", connections)?,
        seed,
        catalogue: CatalogueSpec::default(),
    };
    let json = json.map(|path| Output::create("--json", &path)).transpose()?;
    stop_services_on_interrupt()?;
    let both = Both::start(&SeedOptions { seed, ..SeedOptions::default() }, &options.catalogue)?;
    let found = measure(&both, &options)?;
    terminal::tell(found.to_string().trim_end());
    json.map_or(Ok(()), |file| file.write_json(&found))?;
    both.stop()?;
    Ok(ExitCode::SUCCESS)
}
