//! The command line of this seeder, and of any third strategy's.

use std::io::{self, Write};
use std::num::NonZeroU16;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use clap::{Args, Parser, Subcommand};
use coupon_core::{Day, ShardingStrategy, Timestamp};

use crate::options::now;
use crate::{NAMES, SeedOptions, archive, on_stderr, seed, strategy};

/// Four, as the services'.
const SHARDS: NonZeroU16 = NonZeroU16::new(4).unwrap();

/// Runs the seeder of this workspace's strategies.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    ending(match cli.work.command {
        Some(command) => command.run(),
        None => cli.seed(),
    })
}

/// Runs the seeder of one strategy, with the same flags but those that choose one.
///
/// ```no_run
/// # use std::{process::ExitCode, sync::Arc};
/// # use hash_svc::{HashSettings, HashSharding};
/// fn main() -> ExitCode {
///     seeder::main_for("jump", |shards| Ok(Arc::new(HashSharding::from_settings(&HashSettings::default(), shards))))
/// }
/// ```
pub fn main_for(
    name: &str,
    strategy: impl FnOnce(NonZeroU16) -> Result<Arc<dyn ShardingStrategy>>,
) -> ExitCode {
    let work = OneCli::parse().work;
    ending(match work.command {
        Some(command) => command.run(),
        None => strategy(work.sizes.shards.unwrap_or(SHARDS))
            .and_then(|strategy| work.sizes.seed(name, &*strategy)),
    })
}

fn ending(outcome: Result<()>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // There is nowhere left to complain about stderr.
            let _ = writeln!(io::stderr(), "error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Fills a data folder with users, rooms and coupons, and with past results placed by a sharding strategy.
#[derive(Debug, Parser)]
#[command(name = "seeder", version, subcommand_negates_reqs = true, args_conflicts_with_subcommands = true)]
struct Cli {
    /// Where results live: by hash of the user, by ranges of time or of rooms, or on a single shard.
    #[arg(long, required = true, value_parser = NAMES)]
    strategy: Option<String>,
    /// A setting of the strategy, for example range.spread=2.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    sets: Vec<String>,
    #[command(flatten)]
    work: Work,
}

impl Cli {
    fn seed(&self) -> Result<()> {
        let name = self.strategy.as_deref().context("--strategy is missing")?;
        let sizes = &self.work.sizes;
        ensure!(
            name != "single" || sizes.shards.is_none_or(|shards| shards == NonZeroU16::MIN),
            "--shards: the strategy single has one shard; leave it out"
        );
        let strategy = strategy(name, sizes.shards.unwrap_or(SHARDS), &self.sets)?;
        sizes.seed(name, &*strategy)
    }
}

/// Fills a data folder with users, rooms and coupons, and with past results placed by this sharding strategy.
#[derive(Debug, Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
struct OneCli {
    #[command(flatten)]
    work: Work,
}

#[derive(Debug, Args)]
struct Work {
    #[command(flatten)]
    sizes: Sizes,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Args)]
struct Sizes {
    /// The folder to fill [default: data/STRATEGY]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Over how many shards results are spread [default: 4]
    #[arg(long, value_name = "N")]
    shards: Option<NonZeroU16>,
    /// Users, with ids from 1.
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    users: u64,
    /// Rooms, with ids from 1.
    #[arg(long, value_name = "N", default_value_t = 100)]
    rooms: u64,
    /// How many of the rooms, the first ones, are hot.
    #[arg(long, value_name = "N", default_value_t = 5)]
    hot_rooms: u64,
    /// Coupons on offer in each room.
    #[arg(long, value_name = "N", default_value_t = 5)]
    coupons_per_room: u64,
    /// Past results, of coupons that have ended.
    #[arg(long, value_name = "ROWS", default_value_t = 0)]
    history: u64,
    /// Over how many whole days before --as-of they spread.
    #[arg(long, value_name = "N", default_value_t = 30)]
    days: u64,
    /// The same seed gives the same data, whatever the strategy.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// The day or moment (UTC) that the data is made for [default: now]
    #[arg(long, value_name = "DATE", value_parser = moment)]
    as_of: Option<Timestamp>,
    /// Replace the data that the folder holds.
    #[arg(long)]
    reset: bool,
}

impl Sizes {
    fn seed(&self, name: &str, strategy: &dyn ShardingStrategy) -> Result<()> {
        let options = SeedOptions {
            users: self.users,
            rooms: self.rooms,
            hot_rooms: self.hot_rooms,
            coupons_per_room: self.coupons_per_room,
            history: self.history,
            days: self.days,
            seed: self.seed,
            as_of: self.as_of.unwrap_or_else(now),
        };
        let default = Path::new("data").join(name);
        let dir = self.data.as_deref().unwrap_or(&default);
        let report = seed(dir, strategy, &options, self.reset, &mut *on_stderr())?;
        say(&report)
    }
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Retire the results of old days: drops tables that hold nothing else, and deletes rows from the others.
    Archive {
        /// The folder, whatever its strategy; no service may be using it.
        #[arg(long, value_name = "DIR")]
        data: PathBuf,
        /// The first day (UTC) to keep.
        #[arg(long, value_name = "DAY", value_parser = day)]
        before: Day,
    },
}

impl Command {
    fn run(&self) -> Result<()> {
        let Self::Archive { data, before } = self;
        say(&archive(data, *before, now(), &mut *on_stderr())?)
    }
}

fn moment(text: &str) -> Result<Timestamp, String> {
    let day = text.parse::<Day>().map(Day::start);
    day.or_else(|_| text.parse())
        .map_err(|_| "give a day or a time, for example 2026-11-22 or 2026-11-22T15:00:00Z".to_owned())
}

fn day(text: &str) -> Result<Day, String> {
    text.parse().map_err(|_| "give a day, for example 2026-11-22".to_owned())
}

fn say(report: &dyn std::fmt::Display) -> Result<()> {
    writeln!(io::stdout().lock(), "{report}").context("cannot write to stdout")
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
        OneCli::command().debug_assert();
    }

    #[test]
    fn defaults_are_those_of_the_options() {
        let cli = Cli::try_parse_from(["seeder", "--strategy", "hash"]).unwrap();
        let (sizes, options) = (&cli.work.sizes, SeedOptions::default());
        assert_eq!(
            (sizes.users, sizes.rooms, sizes.hot_rooms),
            (options.users, options.rooms, options.hot_rooms)
        );
        assert_eq!((sizes.coupons_per_room, sizes.days), (options.coupons_per_room, options.days));
        assert_eq!((sizes.history, sizes.seed), (options.history, options.seed));
    }

    #[test]
    fn archive_needs_no_strategy_and_seeding_does() {
        assert!(Cli::try_parse_from(["seeder", "archive", "--data", "d", "--before", "2026-11-22"]).is_ok());
        assert!(Cli::try_parse_from(["seeder", "--users", "5"]).is_err());
        assert!(Cli::try_parse_from(["seeder", "--strategy", "luck"]).is_err());
    }

    #[test]
    fn a_day_is_a_moment() {
        assert_eq!(moment("2026-11-22").unwrap().to_string(), "2026-11-22T00:00:00.000Z");
        assert_eq!(moment("2026-11-22T15:00:00Z").unwrap().to_string(), "2026-11-22T15:00:00.000Z");
        assert!(moment("tomorrow").is_err());
    }
}
