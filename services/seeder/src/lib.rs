//! The command line of this seeder, and of any third strategy's.

mod archiving;
mod books;
mod copying;
mod gates;
mod layout;
mod room_index;
mod sizes;
mod storage;
mod verify;

use std::io::{self, Write};
use std::num::NonZeroU16;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use clap::builder::{PossibleValue, PossibleValuesParser};
use clap::{CommandFactory, Parser, Subcommand};
use coupon_cli::{Pages, heard, plain, screen};
use coupon_core::{ShardingStrategy, shards_in};
use coupon_store::settings::{Sources, shown};
use coupon_strategies::REGISTER;

use self::archiving::Retirement;
use self::books::Bookkeeping;
use self::copying::Copying;
use self::gates::GatesCommand;
use self::layout::{LayoutCommand, RebalanceArgs};
use self::room_index::RoomIndexCommand;
use self::sizes::Sizes;
use self::storage::Storage;
use self::verify::verified;

/// Runs the seeder of this workspace's strategies.
#[must_use]
pub fn main() -> ExitCode {
    let mut cli = Cli::parse();
    ending(match cli.command.take() {
        Some(Command::Archive { strategy, archive }) => archive.run(&of_layout, strategy.as_deref()),
        Some(Command::Copy { from_strategy, to_strategy, copying }) => copying
            .run(from_strategy.as_deref(), |sources, settings| {
                REGISTER.family(&to_strategy)?.configured(settings.shards, sources)
            }),
        Some(Command::Verify { strategy, storage }) => return verified(&storage, strategy.as_deref()),
        Some(Command::Books { strategy, books }) => return books.run(strategy.as_deref()),
        Some(Command::Gates { strategy, gates }) => gates.run(&of_layout, strategy.as_deref()),
        Some(Command::RoomIndex { strategy, command }) => command.run(strategy.as_deref()),
        Some(Command::Layout(command)) => command.run(&of_layout),
        Some(Command::Rebalance(rebalance)) => rebalance.run(&of_layout),
        Some(Command::Pages(pages)) => described(&pages, Cli::command()),
        None => cli.seed(),
    })
}

/// The strategy of this workspace that a layout line names.
fn of_layout(layout: &str) -> Result<Arc<dyn ShardingStrategy>> {
    let found = shards_in(layout).and_then(|shards| REGISTER.strategy_of_layout(layout, shards));
    found.with_context(|| format!("\"{layout}\" is the layout of no strategy that this seeder knows"))
}

fn described(pages: &Pages, command: clap::Command) -> Result<()> {
    pages.show(command).context("cannot write the page")
}

/// Runs the seeder of one strategy, with the same flags but those that choose one.
///
/// ```no_run
/// # use std::process::ExitCode;
/// fn main() -> ExitCode {
///     seeder::main_for("jump", |shards| coupon_strategies::strategy("hash", shards, &[]))
/// }
/// ```
pub fn main_for(
    name: &str,
    strategy: impl FnOnce(NonZeroU16) -> Result<Arc<dyn ShardingStrategy>>,
) -> ExitCode {
    let OneCli { sizes, storage, command } = OneCli::parse();
    let strategy = |sources: Sources, shards| {
        if let Some(set) = sources.flags.first() {
            bail!("--set {}: this strategy has no settings; others begin with servers.", shown(set));
        }
        strategy(shards)
    };
    ending(match command {
        Some(OneCommand::Archive(archive)) => {
            of_own(strategy).and_then(|of_layout| archive.run(&of_layout, Some(name)))
        }
        Some(OneCommand::Copy { from_strategy, copying }) => {
            copying.run(from_strategy.as_deref(), |sources, settings| strategy(sources, settings.shards))
        }
        Some(OneCommand::Gates(gates)) => {
            of_own(strategy).and_then(|of_layout| gates.run(&of_layout, Some(name)))
        }
        Some(OneCommand::RoomIndex(command)) => command.run(Some(name)),
        Some(OneCommand::Layout(command)) => of_own(strategy).and_then(|of_layout| command.run(&of_layout)),
        Some(OneCommand::Rebalance(rebalance)) => {
            of_own(strategy).and_then(|of_layout| rebalance.run(&of_layout))
        }
        Some(OneCommand::Verify(storage)) => return verified(&storage, Some(name)),
        Some(OneCommand::Books(books)) => return books.run(Some(name)),
        Some(OneCommand::Pages(pages)) => described(&pages, OneCli::command()),
        None => storage.read().and_then(|(settings, sources)| {
            sizes.seed(name, &*strategy(sources, settings.shards)?, &settings)
        }),
    })
}

/// Reads the layouts of one strategy.
fn of_own(
    strategy: impl FnOnce(Sources, NonZeroU16) -> Result<Arc<dyn ShardingStrategy>>,
) -> Result<impl Fn(&str) -> Result<Arc<dyn ShardingStrategy>>> {
    let strategy = strategy(Sources::default(), NonZeroU16::MIN)?;
    Ok(move |layout: &str| {
        let found = strategy.of_layout(layout);
        found.with_context(|| format!("\"{layout}\" is no layout of the strategy {}", strategy.name()))
    })
}

fn ending(outcome: Result<()>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&format_args!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn complain(error: &dyn std::fmt::Display) {
    // There is nowhere left to complain about stderr.
    let _ = writeln!(io::stderr(), "error: {}", plain::lines(&error.to_string()));
}

const EXAMPLES: &str = "\
Examples:
  seeder --strategy hash --history 1000000
      data/hash, for hash-svc
  seeder --strategy range-room --set range.boundaries=[1,2,3,4,5,6,38,70]
      hot rooms in ranges of their own
  seeder --strategy hash --reset --stock 20
      what is there is replaced, by coupons that sell out
  seeder --strategy hash --reset --hold-s 120 --user-limit 3 --returnable
      by coupons that are held for two minutes, of which each user may have
      three, and may hand them back
  seeder --strategy hash --config data/stack/servers.toml
      the databases of a service that has this file
  seeder archive --data data/range-time --before 2026-11-12
      retire what is older

A service looks for its data where the seeder puts it, and must have the same
strategy settings and --shards.";

const COPIES: &str = "\
Examples:
  seeder copy --from-set embedded.data=data/hash --to-strategy range-room \\
    --to-set embedded.data=data/rooms
      another strategy
  seeder copy --from-set embedded.data=data/hash --to-strategy hash \\
    --to-set shards=6 --to-set embedded.data=data/six
      six shards instead of four
  seeder copy --from hash.toml --from-strategy hash --to servers.toml \\
    --to-strategy hash
      files to servers, or whatever the two files name";

/// Fills a data folder, or the databases of servers, with users, rooms and coupons, and with past results placed by a
/// sharding strategy.
///
/// Where data lives is set as for the services: by the defaults in the binary, then --config, then the environment
/// (COUPON__BACKEND=servers, COUPON__SERVERS__MAIN=mysql://…), then --set, then the other flags.
#[derive(Debug, Parser)]
#[command(
    name = "seeder",
    version,
    subcommand_negates_reqs = true,
    args_conflicts_with_subcommands = true,
    after_help = EXAMPLES
)]
struct Cli {
    /// Strategy that places results.
    #[arg(long, required = true, value_parser = strategies())]
    strategy: Option<String>,
    #[command(flatten)]
    sizes: Sizes,
    #[command(flatten)]
    storage: Storage,
    #[command(subcommand)]
    command: Option<Command>,
}

impl Cli {
    fn seed(&self) -> Result<()> {
        let name = self.strategy.as_deref().context("--strategy is missing")?;
        let family = REGISTER.family(name)?;
        if let (Some(asked), Some(its)) = (self.storage.shards, family.shards) {
            ensure!(asked == its, "--shards: the strategy {name} has {its}, not {asked}; leave it out");
        }
        let (settings, sources) = self.storage.read()?;
        let strategy = family.configured(settings.shards, sources)?;
        self.sizes.seed(name, &*strategy, &settings)
    }
}

/// The names of all strategies, with the place of a result by each.
fn strategies() -> PossibleValuesParser {
    REGISTER.all().map(|family| PossibleValue::new(family.name).help(family.place)).into()
}

/// Fills a data folder, or the databases of servers, with users, rooms and coupons, and with past results placed by
/// this sharding strategy.
///
/// Where data lives is set as for the services: by the defaults in the binary, then --config, then the environment
/// (COUPON__BACKEND=servers, COUPON__SERVERS__MAIN=mysql://…), then --set, then the other flags.
#[derive(Debug, Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
struct OneCli {
    #[command(flatten)]
    sizes: Sizes,
    #[command(flatten)]
    storage: Storage,
    #[command(subcommand)]
    command: Option<OneCommand>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Retire the results of old days: drops tables that hold nothing else, and deletes rows from the others.
    ///
    /// Beside a running service on files, name it with --target: it archives what it has, between the grabs, and goes
    /// on also when this command is ended. On servers, services may be running meanwhile; which databases are meant is
    /// said by servers.namespace, or, without it, by --strategy.
    Archive {
        /// On servers: whose databases, unless servers.namespace says so.
        #[arg(long, value_parser = strategies())]
        strategy: Option<String>,
        #[command(flatten)]
        archive: Retirement,
    },
    /// Copy a data set that is at rest into another one: of another strategy, of more or fewer shards, from files to
    /// servers or back. The source stays as it is.
    ///
    /// No service may be at work on it, and nothing may be on its way: end the load, POST /admin/drain, stop the services.
    /// A copy that is cut short goes on when the same command is run again; services open it only once every row was read
    /// back and held against the source. The environment has no part in the settings of either side.
    #[command(after_help = COPIES)]
    Copy {
        /// Strategy of the source: on servers, whose databases, unless servers.namespace says so.
        #[arg(long, value_parser = strategies())]
        from_strategy: Option<String>,
        /// Strategy of the copy.
        #[arg(long, value_parser = strategies())]
        to_strategy: String,
        #[command(flatten)]
        copying: Copying,
    },
    /// Hold the gate against what the shards store, and print the differences. Exits with 1 when there are some, and
    /// with 2 when it could not find out.
    ///
    /// On servers alone, and read-only; services may be running meanwhile. Which databases are meant is said by
    /// servers.namespace, or, without it, by --strategy.
    Verify {
        /// Strategy whose databases are meant, unless servers.namespace says so.
        #[arg(long, value_parser = strategies())]
        strategy: Option<String>,
        #[command(flatten)]
        storage: Storage,
    },
    /// Hold main's books against the shards' rows, and make them anew where main was put back to an earlier state.
    /// Exits with 1 when they differ and were not mended, and with 2 when it could not find out.
    ///
    /// On servers alone; services may be running meanwhile. Which databases are meant is said by
    /// servers.namespace, or, without it, by --strategy.
    Books {
        /// Strategy whose databases are meant, unless servers.namespace says so.
        #[arg(long, value_parser = strategies())]
        strategy: Option<String>,
        #[command(flatten)]
        books: Bookkeeping,
    },
    /// Give a data set other gates: those that servers.redis names. Closes all that there are, fills them anew, and says how long
    /// that took.
    ///
    /// On servers alone. No service may be at work on the data set: end the load, POST /admin/drain, stop the services, run this
    /// with the new setting, and start them with it. Cut short, it is run again. Which databases are meant is said by
    /// servers.namespace, or, without it, by --strategy.
    Gates {
        /// Strategy whose databases are meant, unless servers.namespace says so.
        #[arg(long, value_parser = strategies())]
        strategy: Option<String>,
        #[command(flatten)]
        gates: GatesCommand,
    },
    /// Make an index of results by room, or take it away: a room's orders and statistics are then read from one shard.
    ///
    /// No service may be using the data set. Services on it are to have the setting room_index = true from then on.
    RoomIndex {
        /// Strategy whose databases are meant, unless servers.namespace says so.
        #[arg(long, global = true, value_parser = strategies())]
        strategy: Option<String>,
        #[command(subcommand)]
        command: RoomIndexCommand,
    },
    /// Change the layout: go on over more shards, set hot rooms apart, spread ranges; new results follow at once.
    ///
    /// At a running service (--target), or in a folder that none is using (--data).
    #[command(subcommand)]
    Layout(LayoutCommand),
    /// Move earlier results to where the latest version of the layout puts them, and say how far it is.
    ///
    /// At a running service (--target), which goes on also when this command is ended, or in a folder that none is
    /// using (--data).
    Rebalance(RebalanceArgs),
    #[command(flatten)]
    Pages(Pages),
}

#[derive(Debug, Subcommand)]
enum OneCommand {
    /// Retire the results of old days: drops tables that hold nothing else, and deletes rows from the others.
    ///
    /// Beside a running service on files, name it with --target: it archives what it has, between the grabs, and goes
    /// on also when this command is ended. On servers, services may be running meanwhile.
    Archive(Retirement),
    /// Copy a data set that is at rest into another one, of this strategy. The source stays as it is.
    ///
    /// No service may be at work on it, and nothing may be on its way: end the load, POST /admin/drain, stop the services.
    /// A copy that is cut short goes on when the same command is run again; services open it only once every row was read
    /// back and held against the source. The environment has no part in the settings of either side.
    Copy {
        /// Strategy of the source: on servers, whose databases, unless servers.namespace says so.
        #[arg(long)]
        from_strategy: Option<String>,
        #[command(flatten)]
        copying: Copying,
    },
    /// Hold the gate against what the shards store, and print the differences. Exits with 1 when there are some, and
    /// with 2 when it could not find out.
    ///
    /// On servers alone, and read-only; services may be running meanwhile. Where the database decides grabs, the stock that it
    /// keeps is held against its rows, and neither Redis nor RabbitMQ is asked.
    Verify(Storage),
    /// Hold main's books against the shards' rows, and make them anew where main was put back to an earlier state.
    /// Exits with 1 when they differ and were not mended, and with 2 when it could not find out.
    ///
    /// On servers alone; services may be running meanwhile.
    Books(Bookkeeping),
    /// Give a data set other gates: those that servers.redis names. Closes all that there are, fills them anew, and says how long
    /// that took.
    ///
    /// On servers alone. No service may be at work on the data set: end the load, POST /admin/drain, stop the services, run this
    /// with the new setting, and start them with it. Cut short, it is run again.
    Gates(GatesCommand),
    /// Make an index of results by room, or take it away: a room's orders and statistics are then read from one shard.
    ///
    /// No service may be using the data set. Services on it are to have the setting room_index = true from then on.
    #[command(subcommand)]
    RoomIndex(RoomIndexCommand),
    /// Change the layout: go on over more shards, set hot rooms apart, spread ranges; new results follow at once.
    ///
    /// At a running service (--target), or in a folder that none is using (--data).
    #[command(subcommand)]
    Layout(LayoutCommand),
    /// Move earlier results to where the latest version of the layout puts them, and say how far it is.
    ///
    /// At a running service (--target), which goes on also when this command is ended, or in a folder that none is
    /// using (--data).
    Rebalance(RebalanceArgs),
    #[command(flatten)]
    Pages(Pages),
}

fn say(report: &dyn std::fmt::Display) -> Result<()> {
    let (mut out, text) = (io::stdout().lock(), report.to_string());
    let text = plain::lines(&text);
    let text =
        screen::columns(&out).map_or_else(|| text.to_string(), |columns| screen::prose(&text, columns));
    heard(writeln!(out, "{text}")).context("cannot write to stdout")
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
    fn whose_room_index_is_made_is_said_before_or_after_what_is_done() {
        for arguments in
            [["room-index", "--strategy", "hash", "build"], ["room-index", "build", "--strategy", "hash"]]
        {
            let cli = Cli::try_parse_from(std::iter::once("seeder").chain(arguments)).unwrap();
            let Some(Command::RoomIndex { strategy, .. }) = cli.command else { panic!("{arguments:?}") };
            assert_eq!(strategy.as_deref(), Some("hash"));
        }
    }

    #[test]
    fn archive_needs_no_strategy_and_seeding_does() {
        assert!(Cli::try_parse_from(["seeder", "archive", "--data", "d", "--before", "2026-11-22"]).is_ok());
        assert!(Cli::try_parse_from(["seeder", "--users", "5"]).is_err());
        assert!(Cli::try_parse_from(["seeder", "--strategy", "luck"]).is_err());
    }
}
