//! `loadtest bench`: grabs against an echo of the same JSON, on the same service, in turns.
//!
//! Absolute rates say more about the machine than about the service, and a machine's speed drifts within minutes. The
//! echo is what the same HTTP server can do with the same bodies and nothing in between, so the ratio of the two is
//! what gate, hand-over and storage cost.

mod figures;
mod measure;
mod table;

use std::num::NonZeroU16;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, anyhow, ensure};
use seeder::SeedOptions;

use self::figures::Bench;
use self::measure::Plan;
use super::arguments::{self, Output};
use crate::contestants::{Running, Setup, Spec, stop_services_on_interrupt};
use crate::terminal;
use crate::workload::Catalogue;

/// Every coupon of a hot room has at least this stock, whatever the seed.
const LEAST_HOT_STOCK: u64 = 5_000;
/// More grabs a second than any service on one machine will answer.
const MOST_GRABS_PER_SECOND: f64 = 150_000.0;

/// Its command line.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to measure, by the name it has in `loadtest compare`
    #[arg(long, value_name = "NAME", default_value = "hash")]
    contestant: String,
    /// The service's program, if it is not the one beside this one
    #[arg(long, value_name = "PATH")]
    service: Option<PathBuf>,
    /// How many shards it has
    #[arg(long, value_name = "N", default_value = "4")]
    shards: NonZeroU16,
    /// A setting for the service; may be given several times
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// With how many connections, one after the other
    #[arg(long, value_name = "N,…", value_delimiter = ',', default_value = "64,256")]
    connections: Vec<usize>,
    /// How many rounds of each
    #[arg(long, value_name = "N", default_value_t = 5)]
    rounds: u32,
    /// Seconds a round
    #[arg(long, value_name = "SECONDS", default_value_t = 3.0)]
    seconds: f64,
    /// Decides the order within the rounds and the data
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Write the figures here as JSON
    #[arg(long, value_name = "FILE", default_value = "bench.json")]
    out: PathBuf,
}

/// Runs it. Exits with 2 when the figures are not valid.
///
/// # Errors
/// When an argument makes no sense, the service does not start, or the figures cannot be written.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let plan = plan(&args)?;
    let spec = spec(&args, &plan.catalogue)?;
    let path = args.out;
    let out = Output::create("--out", &path)?;
    stop_services_on_interrupt()?;
    terminal::progress(format!("seeding {} and starting it", spec.name));
    let seed = SeedOptions {
        users: plan.catalogue.users,
        rooms: plan.catalogue.rooms,
        hot_rooms: plan.catalogue.hot_rooms,
        coupons_per_room: plan.catalogue.coupons_per_room,
        seed: args.seed,
        ..SeedOptions::default()
    };
    let setup = Setup::embedded(seed);
    let service = Running::start(&spec, &setup)?;
    let samples = measure::all(&service.target, &plan);
    terminal::clear_progress();
    let samples = samples.map_err(|error| anyhow!("{error:#}{}", service.log()))?;
    let bench = Bench::new(&service.stats, &plan, samples);
    service.stop()?;

    terminal::say(table::text(&bench));
    out.write_json(&bench)?;
    terminal::say(format!("written to {}", path.display()));
    for problem in &bench.problems {
        terminal::note(format!("error: not valid: {problem}"));
    }
    Ok(if bench.problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(2) })
}

fn plan(args: &Args) -> anyhow::Result<Plan> {
    ensure!((1..=1_000).contains(&args.rounds), "--rounds must be 1 to 1000, not {}", args.rounds);
    let duration = arguments::seconds(args.seconds, &(0.1..=600.0))?;
    for connections in &args.connections {
        arguments::connections("each of --connections", *connections)?;
    }
    let mut sorted = args.connections.clone();
    sorted.sort_unstable();
    sorted.dedup();
    ensure!(sorted.len() == args.connections.len(), "--connections must not name a number twice");
    let rounds_of_grabs = f64::from(args.rounds) * sorted.len() as f64;
    let seconds_of_grabs =
        rounds_of_grabs * args.seconds + sorted.len() as f64 * measure::WARM_UP.as_secs_f64();
    Ok(Plan {
        connections: args.connections.clone(),
        rounds: args.rounds,
        duration,
        seed: args.seed,
        catalogue: catalogue(seconds_of_grabs),
    })
}

/// Enough stock that nothing sells out: every room is hot, and there are as many coupons as it takes.
fn catalogue(seconds: f64) -> Catalogue {
    let coupons = (seconds * MOST_GRABS_PER_SECOND) as u64 / LEAST_HOT_STOCK;
    let default = Catalogue::default();
    let coupons_per_room = coupons.div_ceil(default.rooms).max(default.coupons_per_room);
    Catalogue { hot_rooms: default.rooms, coupons_per_room, ..default }
}

fn spec(args: &Args, catalogue: &Catalogue) -> anyhow::Result<Spec> {
    let mut spec = Spec::parse(&args.contestant, args.shards, catalogue).context("--contestant")?;
    if let Some(path) = &args.service {
        let program = std::fs::canonicalize(path);
        let program = program.with_context(|| format!("--service: {} is not there", path.display()))?;
        spec.program = text(&program).into();
    }
    spec.settings.push("bench.echo=true".to_owned());
    spec.settings.extend(args.set.iter().cloned());
    Ok(spec)
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_longer_bench_gets_more_stock() {
        assert_eq!(catalogue(1.0).coupons_per_room, 5);
        let long = catalogue(600.0);
        assert_eq!(long.hot_rooms, long.rooms);
        assert!(long.coupons() * LEAST_HOT_STOCK >= 600 * 150_000);
        // Pairs spread evenly over coupons, and there are more of them than stock.
        assert!(long.users > LEAST_HOT_STOCK);
    }
}
