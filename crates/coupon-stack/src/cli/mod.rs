//! The command line.

mod engine;
mod run;

use std::ffi::OsString;
use std::fmt::Write as _;
use std::io::{self, Write};
use std::num::NonZeroU16;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Error, Result, ensure};
use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};
use coupon_cli::numbers::nonzero;
use coupon_cli::{Pages, heard, plain};

use self::engine::EngineCommand;
use crate::home::tablets;
use crate::record::Record;
use crate::{Server, Stack, StackOptions, Status, Topology};

const EXAMPLES: &str = "\
Examples:
  coupon-stack up
      seven servers; data/stack/servers.toml leads to them
  coupon-stack status
      what they do, and where they listen
  coupon-stack pause shard-0
      what do the services do now? `resume` lets it go on
  coupon-stack up --redis-sentinel
      Redis has a replica, which takes its place within seconds: try `kill redis`
  coupon-stack up --redis 2
      two gates: of coupons of the second, `pause redis-1` leaves 503
  coupon-stack limit shard-0 0.2
      a shard that saturates early
  coupon-stack promote shard-0-replica
      of a stack that is `up --replicas`: the services go on with it
  coupon-stack down
      the data stays, for the next `up`
  coupon-stack run -- hash-svc --set backend=servers
      servers for as long as one command runs
  coupon-stack up --engine vitess
      the same servers, and Vitess over the shards
  coupon-stack engine reshard --shards 8
      twice the shards of its own, while it serves";

/// Starts private MariaDB, Redis and RabbitMQ servers, and tries them.
#[derive(Debug, Parser)]
#[command(name = "coupon-stack", version, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start a stack that outlives this command, with the servers that the folder holds if it holds any; where one is up, say so.
    Up {
        #[command(flatten)]
        folder: Folder,
        #[command(flatten)]
        wanted: Wanted,
    },
    /// Stop it. Its data stays.
    Down {
        #[command(flatten)]
        folder: Folder,
    },
    /// Tell what its servers do.
    Status {
        #[command(flatten)]
        folder: Folder,
    },
    /// Kill a server: SIGKILL.
    Kill(One),
    /// Stop a server as a person would: SIGTERM.
    Stop(One),
    /// Freeze a server: SIGSTOP.
    Pause(One),
    /// Let a frozen server go on: SIGCONT.
    Resume(One),
    /// Start a server again, on the same port and data.
    Restart(One),
    /// Have a replica take writes, in the place of its primary, which is stopped if it runs.
    Promote(One),
    /// Make a database's server the replica of the one that takes writes. Both are stopped for a moment.
    Rejoin(One),
    /// Give a server so many cores and no more.
    Limit {
        #[command(flatten)]
        one: One,
        /// For example 0.5
        #[arg(value_name = "CORES", allow_negative_numbers = true)]
        cores: f64,
    },
    /// Run a command with a temporary stack in its environment (`COUPON__SERVERS__…`), then stop the stack.
    Run {
        #[command(flatten)]
        wanted: Wanted,
        /// The command and its arguments
        #[arg(last = true, required = true, value_name = "COMMAND")]
        command: Vec<OsString>,
    },
    /// Do to an engine what its operators do.
    #[command(subcommand)]
    Engine(EngineCommand),
    #[command(flatten)]
    Pages(Pages),
}

#[derive(Debug, Args)]
struct Folder {
    /// The stack's folder
    #[arg(long, value_name = "DIR", default_value = "data/stack")]
    dir: PathBuf,
}

// The servers that a command asks for. As a doc comment it would take the place of the command's own help.
#[derive(Debug, Args)]
struct Wanted {
    /// Number of shards [default: 4]
    #[arg(long, value_name = "N", value_parser = nonzero::<NonZeroU16>)]
    shards: Option<NonZeroU16>,
    /// Give main and each shard a replica, which `promote` has take writes
    #[arg(long)]
    replicas: bool,
    /// Number of Redis, each a gate of its own [default: 1]
    #[arg(long, value_name = "N", value_parser = nonzero::<NonZeroU16>)]
    redis: Option<NonZeroU16>,
    /// Give a single Redis a replica and three Sentinels, which elect it where Redis is gone
    #[arg(long)]
    redis_sentinel: bool,
    /// Number of nodes of RabbitMQ, all of one cluster [default: 1]
    #[arg(long, value_name = "N", value_parser = nonzero::<NonZeroU16>)]
    rabbitmq: Option<NonZeroU16>,
    #[command(flatten)]
    engine: EngineArgs,
}

impl Wanted {
    /// What it names, and else what a folder holds.
    fn of(&self, record: Option<&Record>) -> Topology {
        let held = record.map(|record| record.topology).unwrap_or_default();
        Topology {
            shards: self.shards.unwrap_or(held.shards),
            replicas: self.replicas || held.replicas,
            redis: self.redis.unwrap_or(held.redis),
            redis_sentinel: self.redis_sentinel || held.redis_sentinel,
            rabbitmq: self.rabbitmq.unwrap_or(held.rabbitmq),
            engine: self.engine.shards(record.is_some_and(|record| record.tablets.is_some())),
        }
    }
}

#[derive(Debug, Args)]
struct EngineArgs {
    /// An engine over the shards, which shards by itself. It takes MySQL, and what `make engine` builds
    #[arg(long, value_name = "ENGINE", value_enum)]
    engine: Option<Engine>,
    /// Number of the engine's own shards: 1, 2, 4, 8 or so on [default: 4, or those that the folder holds]
    #[arg(long, value_name = "N", requires = "engine", value_parser = nonzero::<NonZeroU16>)]
    engine_shards: Option<NonZeroU16>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Engine {
    Vitess,
}

impl EngineArgs {
    /// The number of shards to ask for, where a folder holds an engine or not.
    fn shards(&self, held: bool) -> Option<NonZeroU16> {
        const SHARDS: NonZeroU16 = NonZeroU16::new(4).unwrap();
        self.engine?;
        self.engine_shards.or((!held).then_some(SHARDS))
    }
}

#[derive(Debug, Args)]
struct One {
    /// main, shard-0, shard-1 and so on, main-replica, shard-0-replica and so on, redis, redis-1 and so on, redis-replica,
    /// sentinel-0 and so on, rabbitmq, rabbitmq-1 and so on; of an engine etcd, vtctld, tablet-0 and so on, vtgate
    #[arg(value_name = "NAME")]
    server: Server,
    #[command(flatten)]
    folder: Folder,
}

/// Runs the command line.
#[must_use]
pub fn main() -> ExitCode {
    match Cli::parse().command.run() {
        Ok(code) => code,
        Err(error) => {
            // There is nowhere left to complain about stderr.
            let _ = writeln!(io::stderr(), "error: {}", plain::lines(&format!("{error:#}")));
            ExitCode::FAILURE
        }
    }
}

impl Command {
    fn run(self) -> Result<ExitCode> {
        match self {
            Self::Up { folder, wanted } => up(&folder.dir, &wanted)?,
            Self::Down { folder } => down(&folder.dir)?,
            Self::Status { folder } => show(&Stack::attach(&folder.dir)?)?,
            Self::Kill(one) => one.stack()?.kill(one.server)?,
            Self::Stop(one) => one.stack()?.stop(one.server)?,
            Self::Pause(one) => one.stack()?.pause(one.server)?,
            Self::Resume(one) => one.stack()?.resume(one.server)?,
            Self::Restart(one) => one.stack()?.restart(one.server)?,
            Self::Promote(one) => one.stack()?.promote(one.server)?,
            Self::Rejoin(one) => one.stack()?.rejoin(one.server)?,
            Self::Limit { one, cores } => one.stack()?.limit_cpu(one.server, cores).map_err(Error::msg)?,
            Self::Engine(command) => command.run()?,
            Self::Pages(pages) => pages.show(Cli::command())?,
            Self::Run { wanted, command } => {
                return run::run(&wanted.of(None).into(), &command);
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl One {
    fn stack(&self) -> Result<Stack> {
        Stack::attach(&self.folder.dir)
    }
}

/// Accepts a stack that is already up, if it is the one that was asked for.
fn already_up(dir: &Path, record: &Record, wanted: Topology) -> Result<()> {
    let (shown, held) = (dir.display(), record.topology);
    ensure!(
        wanted.engine.is_none() || record.tablets.is_some(),
        "a stack without an engine is up in {shown}: take it down first"
    );
    tablets(Some(record), dir, wanted.engine)?;
    let wanted = Topology { engine: None, ..wanted };
    ensure!(held == wanted, "a stack of {held}, not of {wanted}, is up in {shown}: take it down first");
    heard(writeln!(io::stdout(), "already up in {shown}:"))?;
    show(&Stack::attach(dir)?)?;
    Ok(heard(usage(dir))?)
}

fn up(dir: &Path, wanted: &Wanted) -> Result<()> {
    let record = Record::load(dir)?;
    let topology = wanted.of(record.as_ref());
    if let Some(record) = record.filter(Record::is_up) {
        return already_up(dir, &record, topology);
    }
    let options = StackOptions { topology, dir: Some(dir.to_owned()) };
    let stack = Stack::start(&options)?;
    // A reader that closes the output early (`up | head`) is no reason to stop it.
    let shown = show(&stack).and_then(|()| Ok(heard(usage(dir))?));
    stack.leave_running()?;
    shown
}

fn down(dir: &Path) -> Result<()> {
    let stack = Stack::attach(dir)?;
    let up = stack.servers().filter(|server| stack.pid(*server).is_some()).count();
    stack.shut_down()?;
    Ok(heard(writeln!(io::stdout(), "{up} servers stopped; their data is in {}", dir.display()))?)
}

fn usage(dir: &Path) -> io::Result<()> {
    let config = dir.join("servers.toml");
    let mut out = io::stdout().lock();
    writeln!(out, "\nUse it:  cargo run --release -p hash-svc -- --config {}", config.display())?;
    writeln!(out, "Stop it: cargo run --release -p coupon-stack -- down --dir {}", dir.display())
}

/// One line a server: its name, what it does, and where.
fn show(stack: &Stack) -> Result<()> {
    let mut lines = String::new();
    let width = stack.servers().map(|server| server.to_string().len()).max().unwrap_or_default();
    for server in stack.servers() {
        let url = stack.url(server)?;
        let status = match stack.status(server)? {
            Status::Up => "up",
            Status::Paused => "paused",
            Status::Down => "down",
        };
        let pid = stack.pid(server).map_or_else(|| "-".to_owned(), |pid| pid.to_string());
        let takes_none = if stack.is_read_only(server)? { "  read-only" } else { "" };
        writeln!(lines, "{server:<width$} {status:<6} {pid:>8}  {url}{takes_none}")?;
    }
    Ok(heard(io::stdout().lock().write_all(lines.as_bytes()))?)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_server_that_cannot_be_is_refused() {
        let error = Cli::try_parse_from(["coupon-stack", "kill", "mysql"]).unwrap_err().to_string();
        assert!(error.contains("shard-0"), "{error}");
    }

    #[test]
    fn a_change_of_shards_says_their_number_or_goes_back() {
        let read = |flags: &[&str]| {
            let all = ["coupon-stack", "engine", "reshard"].iter().chain(flags);
            Cli::try_parse_from(all).map(drop).map_err(|error| error.to_string())
        };
        for flags in [
            &["--shards", "8"][..],
            &["--shards", "8", "--dry-run"],
            &["--shards", "8", "--keep-way-back"],
            &["--shards", "8", "--back"],
            &["--back"],
        ] {
            assert_eq!(read(flags), Ok(()), "{flags:?}");
        }
        for flags in [
            &["--dry-run"][..],
            &["--dry-run", "--back"],
            &["--back", "--keep-way-back"],
            &["--shards", "0"],
            &[],
        ] {
            assert!(read(flags).is_err(), "{flags:?}");
        }
    }

    #[test]
    fn an_engine_has_four_shards_or_those_that_it_has() {
        let shards = |flags: &[&str], held| {
            let up = ["coupon-stack", "up"].iter().chain(flags);
            let Command::Up { wanted, .. } = Cli::try_parse_from(up).unwrap().command else { unreachable!() };
            wanted.engine.shards(held).map(NonZeroU16::get)
        };
        assert_eq!(shards(&[], false), None);
        assert_eq!(shards(&["--engine", "vitess"], false), Some(4));
        assert_eq!(shards(&["--engine", "vitess"], true), None);
        assert_eq!(shards(&["--engine", "vitess", "--engine-shards", "8"], true), Some(8));
        assert!(Cli::try_parse_from(["coupon-stack", "up", "--engine-shards", "8"]).is_err());
    }
}
