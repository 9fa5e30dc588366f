//! `loadtest simulate`.

use std::num::NonZeroU16;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::ensure;
use coupon_cli::numbers::{between, nonzero, some, within};
use coupon_cli::output::Output;
use coupon_cli::terminal;
use serde::Serialize;

use crate::simulate::{self, SimulateOptions, machines};

/// The hot rooms of the standard workload.
const HOT_ROOMS: u64 = 5;

/// Its command line.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Number of shards; several numbers make several cases. At most 1,024.
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "4,16,64,1024",
        default_value_if("machines", clap::builder::ArgPredicate::IsPresent, "8"),
        value_parser = |text: &str| within::<u16>(text, &(1..=1_024))
    )]
    shards: Vec<u16>,
    /// Rows to route for each strategy and number of shards: 10M, 1e7 and 10000000 are the same.
    #[arg(long, default_value = "10M", value_parser = some::<u64>)]
    rows: u64,
    /// Users 1 to this number grab.
    #[arg(long, default_value = "1e9", value_parser = some::<u64>)]
    users: u64,
    /// Let user k grab as often as k to the power of minus this, instead of all alike.
    #[arg(long, value_name = "S", value_parser = |text: &str| between(text, &(0.01..=10.0)))]
    zipf: Option<f64>,
    /// Rooms 1 to this number offer coupons.
    #[arg(long, default_value = "100", value_parser = some::<u64>)]
    rooms: u64,
    /// Rooms 1 to this number are hot [default: 5, or all where there are fewer]
    #[arg(long, value_parser = some::<u64>)]
    hot_rooms: Option<u64>,
    /// The part of grabs that goes to the hot rooms, 0 to 1; the rest goes to all rooms. The default is that of
    /// the standard workload: 20 grabs of 31.9.
    #[arg(long, default_value_t = 20.0 / 31.9, value_parser = |text: &str| between(text, &(0.0..=1.0)))]
    hot_share: f64,
    /// Number of shards over which the cured ranges are spread (all of them, where there are fewer).
    #[arg(long, default_value = "4", value_parser = nonzero::<NonZeroU16>)]
    spread: NonZeroU16,
    /// Put the shards on so many machines, dealt to them in turn, and say instead how even the machines are and what the loss of one
    /// costs; for 8 shards unless --shards says otherwise.
    #[arg(long, value_name = "N", value_parser = |text: &str| within::<u16>(text, &(2..=256)))]
    machines: Option<u16>,
    /// The strength of each machine, which decides how many shards it gets: 2,1,1 gives the first one half
    #[arg(long, value_delimiter = ',', value_name = "W,…", requires = "machines", value_parser = |text: &str| within::<u32>(text, &(1..=1_000)))]
    weights: Vec<u32>,
    /// Over how many days stored rows lie.
    #[arg(long, default_value = "30", value_parser = |text: &str| within::<u32>(text, &(1..=3_650)))]
    days: u32,
    /// Threads to route with; as many as there are processors by default.
    #[arg(long, value_parser = |text: &str| within::<u16>(text, &(1..=1_024)))]
    threads: Option<u16>,
    /// Decides every row.
    #[arg(long, default_value = "1")]
    seed: u64,
    /// Also write everything found to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Runs it.
///
/// # Errors
/// When the arguments contradict each other, or the file cannot be written.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let (rooms, hot) = (args.rooms, args.hot_rooms.unwrap_or(HOT_ROOMS.min(args.rooms)));
    ensure!(rooms <= 1_000_000, "--rooms is {rooms}, but at most 1,000,000 can be simulated");
    ensure!(hot <= rooms, "--hot-rooms is {hot}, but --rooms has only {rooms}");
    ensure!(hot <= 10_000, "--hot-rooms is {hot}, but at most 10,000 can have ranges of their own");
    let weights = args.machines.map(|machines| weights(machines, args.weights)).transpose()?;
    let json = args.json.map(|path| Output::create("--json", &path)).transpose()?;
    let options = SimulateOptions {
        shards: args.shards.into_iter().filter_map(NonZeroU16::new).collect(),
        rows: args.rows,
        users: args.users,
        zipf: args.zipf,
        rooms,
        hot_rooms: hot,
        hot_share: args.hot_share,
        spread: args.spread,
        days: args.days,
        threads: args.threads.map_or_else(processors, usize::from),
        seed: args.seed,
    };
    let mut progress = |doing: &str| terminal::progress(doing);
    match weights {
        None => {
            let found = simulate::run(options, &mut progress)?;
            tell(&simulate::text(&found), json, &found)
        }
        Some(weights) => {
            let found = machines::run(options, weights, &mut progress)?;
            tell(&machines::text(&found), json, &found)
        }
    }
}

fn tell(text: &str, json: Option<Output>, found: &impl Serialize) -> anyhow::Result<ExitCode> {
    terminal::clear_progress();
    terminal::tell(text.trim_end());
    json.map_or(Ok(()), |file| file.write_json(found))?;
    Ok(ExitCode::SUCCESS)
}

/// The strength of each machine; all alike unless it is said.
fn weights(machines: u16, weights: Vec<u32>) -> anyhow::Result<Vec<u32>> {
    let (machines, given) = (usize::from(machines), weights.len());
    ensure!(given == 0 || given == machines, "--weights has {given} of them, but --machines is {machines}");
    Ok(if given == 0 { vec![1; machines] } else { weights })
}

fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Command {
        #[command(flatten)]
        args: Args,
    }

    #[test]
    fn a_bad_value_is_refused_by_the_name_of_its_flag() {
        for (flag, value, allowed) in [
            ("--shards", "4,0", "from 1 to 1024"),
            ("--shards", "1025", "from 1 to 1024"),
            ("--rows", "many", "a whole number"),
            ("--users", "1e16", "a whole number up to"),
            ("--zipf", "-1", "from 0.01 to 10"),
            ("--hot-share", "72", "from 0 to 1"),
            ("--spread", "0", "at least 1"),
            ("--days", "0", "from 1 to 3650"),
            ("--threads", "0", "from 1 to 1024"),
            ("--machines", "1", "from 2 to 256"),
            ("--weights", "1,0", "from 1 to 1000"),
        ] {
            let error =
                Command::try_parse_from(["simulate", &format!("{flag}={value}")]).unwrap_err().to_string();
            assert!(error.contains(flag) && error.contains(allowed), "{error}");
        }
    }

    #[test]
    fn weights_are_those_of_the_machines() {
        let args = Command::parse_from(["simulate", "--machines", "3", "--weights", "2,1"]).args;
        assert_eq!(args.shards, [8]);
        assert_eq!(run(args).unwrap_err().to_string(), "--weights has 2 of them, but --machines is 3");
        assert_eq!(weights(3, Vec::new()).unwrap(), [1, 1, 1]);
        let alone = Command::try_parse_from(["simulate", "--weights", "2,1"]).unwrap_err().to_string();
        assert!(alone.contains("--machines"), "{alone}");
    }

    #[test]
    fn more_hot_rooms_than_rooms_are_refused() {
        let args = Command::parse_from(["simulate", "--rooms", "5", "--hot-rooms", "7"]).args;
        assert_eq!(run(args).unwrap_err().to_string(), "--hot-rooms is 7, but --rooms has only 5");
    }
}
