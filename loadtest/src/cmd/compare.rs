//! `loadtest compare`.

use std::num::{NonZeroU16, NonZeroUsize};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use seeder::SeedOptions;

use super::arguments::{self, Backend};
use super::audit::VIOLATED;
use super::servers::ServersArgs;
use crate::compare::{Ending, Options, Wanted, compare};
use crate::contestants::{Setup, Spec, all_different, cures};
use crate::duration::parse_duration;
use crate::http::Target;
use crate::load::LoadSpec;
use crate::workload::Catalogue;

/// Its command line. Exits with 0 when every promise was kept, 2 when one was broken, 1 on other failures.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Strategies to start, each on data of its own: hash, range-time, range-room, single (one shard); with +split (hot
    /// rooms in ranges of their own), +spread (a range over all shards), +hours (hourly tables), +modulo (no mixing) or
    /// +cache (of room statistics) where they apply, such as range-room+split.
    /// By default hash, range-time, range-room, single, range-room+split, range-time+spread, or none with --target
    #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
    contestants: Vec<String>,
    /// A service that runs already takes part as well; nobody else may use it meanwhile
    #[arg(long, value_name = "NAME=URL")]
    target: Vec<String>,
    /// For each range contestant, let its cures take part too
    #[arg(long)]
    vs_cured: bool,
    /// How often everybody has a turn; five are the least that allow verdicts
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    rounds: u32,
    /// How long a turn takes, in seconds
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// Requests a second, arriving whether or not answers do
    #[arg(long, value_name = "PER_SECOND", default_value_t = 1_000.0, allow_negative_numbers = true)]
    rate: f64,
    /// The most connections open at a time
    #[arg(long, default_value_t = LoadSpec::CONNECTIONS)]
    connections: usize,
    /// Past results to seed
    #[arg(long, value_name = "ROWS", default_value_t = 0)]
    history: u64,
    /// The days that they spread over
    #[arg(long, default_value_t = SeedOptions::default().days)]
    days: u64,
    /// Shards of each contestant, but for single
    #[arg(long, default_value = "4")]
    shards: NonZeroU16,
    /// A round trip to add before every call to a shard, such as 1ms: loopback makes many calls too cheap
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    shard_rtt: Option<Duration>,
    /// What all random choices follow from
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// A workload file; the built-in flash sale by default
    #[arg(long, value_name = "FILE")]
    workload: Option<PathBuf>,
    /// The folder for report.json and report.html
    #[arg(long, value_name = "DIR", default_value = "reports/latest")]
    out: PathBuf,
    /// Keep the contestants' data in this folder
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
    /// Where the contestants store: in files, or on MySQL, Redis and RabbitMQ. Without addresses (--config, --set,
    /// COUPON__SERVERS__… in the environment), servers of this run's own are started for it
    #[arg(long, value_enum, default_value_t = Backend::Embedded)]
    backend: Backend,
    #[command(flatten)]
    servers: ServersArgs,
    /// With --backend servers of this run's own: the cores that each shard's server may use, such as 0.2, so that a hot
    /// one saturates
    #[arg(long, value_name = "CORES", allow_negative_numbers = true)]
    shard_cpu: Option<f64>,
    /// With --backend servers: the service processes of each contestant; connections go round them
    #[arg(long, value_name = "NUMBER", default_value = "1")]
    processes: NonZeroUsize,
    /// The admin token of the services given with --target
    #[arg(long, value_name = "TOKEN", env = "COUPON__ADMIN__TOKEN", hide_env_values = true)]
    admin_token: Option<String>,
}

/// Who takes part when nobody is named: every strategy, the baseline, and a cure for each hotspot.
const DEFAULT: [&str; 6] =
    ["hash", "range-time", "range-room", "single", "range-room+split", "range-time+spread"];

/// The least and the most cores that a quota may say.
const QUOTAS: RangeInclusive<f64> = 0.01..=1_024.0;
/// More processes than this are a mistake.
const MOST_PROCESSES: usize = 64;

/// Longer round trips than this are no network's.
const LONGEST_RTT: Duration = Duration::from_secs(10);

/// Runs it.
///
/// # Errors
/// When the arguments make no sense, a contestant cannot be started or fails, or the report cannot be written.
pub fn run(args: Args) -> Result<ExitCode> {
    let options = options(args)?;
    arguments::folder("--out", &options.out)?;
    Ok(match compare(&options)? {
        Ending::Kept => ExitCode::SUCCESS,
        Ending::Violated => ExitCode::from(VIOLATED),
        Ending::NotAudited => ExitCode::FAILURE,
    })
}

/// Everything that can be refused is refused here, before anything is seeded or started.
fn options(args: Args) -> Result<Options> {
    let load = load(&args)?;
    let names = names(&args);
    let specs = names
        .iter()
        .map(|name| Spec::parse(name, args.shards, &load.workload.catalogue).context("--contestants"));
    let contestants: Vec<Spec> = specs.collect::<Result<_>>()?;
    let targets: Vec<Target> = args.target.iter().map(|text| target(text, &args)).collect::<Result<_>>()?;
    let all =
        contestants.iter().map(|spec| spec.name.as_str()).chain(targets.iter().map(|t| t.name.as_str()));
    all_different(all)?;
    let shard_rtt = args.shard_rtt.unwrap_or_default();
    ensure!(shard_rtt <= LONGEST_RTT, "--shard-rtt must be {} s at most", LONGEST_RTT.as_secs());
    let seed = seed(&args, load.workload.catalogue);
    seed.check()?;
    let servers = servers(&args)?;
    Ok(Options {
        contestants,
        targets,
        setup: Setup { keep: args.keep, shard_rtt, processes: args.processes, ..Setup::embedded(seed) },
        servers,
        shard_cpu: args.shard_cpu,
        rounds: args.rounds,
        workload: args.workload.map_or_else(|| load.workload.name.clone(), |file| file.display().to_string()),
        load,
        out: args.out,
    })
}

/// Where contestants and targets on servers have them.
fn servers(args: &Args) -> Result<Wanted> {
    let settings = args.servers.settings()?;
    let given = !settings.main.is_empty();
    if args.backend == Backend::Embedded {
        ensure!(args.shard_cpu.is_none(), "--shard-cpu needs --backend servers: files have no CPU to limit");
        ensure!(
            args.processes.get() == 1,
            "--processes needs --backend servers: a data folder has one process"
        );
        return Ok(if given { Wanted::ForTargets(settings) } else { Wanted::None });
    }
    ensure!(args.processes.get() <= MOST_PROCESSES, "--processes must be {MOST_PROCESSES} at most");
    if let Some(cores) = args.shard_cpu {
        let (least, most) = (QUOTAS.start(), QUOTAS.end());
        ensure!(QUOTAS.contains(&cores), "--shard-cpu must be {least} to {most} cores, not {cores}");
        ensure!(
            !given,
            "--shard-cpu is for servers of this run's own: these are given, limit them where they run"
        );
    }
    if !given {
        return Ok(Wanted::Private);
    }
    for (name, missing) in [
        ("servers.shards", settings.shards.is_empty()),
        ("servers.redis", settings.redis.is_empty()),
        ("servers.rabbitmq", settings.rabbitmq.is_empty()),
    ] {
        ensure!(!missing, "setting `{name}` is missing, and `servers.main` is given");
    }
    Ok(Wanted::Given(settings))
}

fn load(args: &Args) -> Result<LoadSpec> {
    let workload = arguments::workload(args.workload.as_deref())?;
    ensure!(
        workload.trace().is_none(),
        "--workload: a trace is the same in every round, and from the second on its users hold their coupons already: \
         compare a workload of scenarios, or replay the trace with loadtest run"
    );
    Ok(LoadSpec {
        workload,
        connections: arguments::connections("--connections", args.connections)?,
        duration: arguments::seconds(args.seconds, &(0.1..=86_400.0))?,
        seed: args.seed,
        ..LoadSpec::new(arguments::rate(args.rate)?)
    })
}

fn seed(args: &Args, catalogue: Catalogue) -> SeedOptions {
    let Catalogue { users, rooms, hot_rooms, coupons_per_room } = catalogue;
    let Args { history, days, seed, .. } = *args;
    SeedOptions { users, rooms, hot_rooms, coupons_per_room, history, days, seed, ..SeedOptions::default() }
}

fn names(args: &Args) -> Vec<String> {
    let mut names = match (args.contestants.is_empty(), args.target.is_empty()) {
        (true, true) => DEFAULT.map(str::to_owned).into(),
        _ => args.contestants.clone(),
    };
    if args.vs_cured {
        let more: Vec<&str> = names.iter().flat_map(|name| cures(name)).copied().collect();
        for cure in more {
            if !names.iter().any(|name| name == cure) {
                names.push(cure.to_owned());
            }
        }
    }
    names
}

fn target(text: &str, args: &Args) -> Result<Target> {
    let form = || format!("--target {text:?} is not NAME=URL, for example hash=http://127.0.0.1:8001");
    let (name, url) = text.split_once('=').with_context(form)?;
    ensure!(!name.is_empty(), form());
    let mut target = Target::from_url(name, url).with_context(|| format!("--target {text:?}"))?;
    target.admin_token.clone_from(&args.admin_token);
    Ok(target)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        args: Args,
    }

    fn parse(arguments: &[&str]) -> Result<Options> {
        options(Cli::try_parse_from(std::iter::once(&"compare").chain(arguments))?.args)
    }

    fn started(arguments: &[&str]) -> Vec<String> {
        parse(arguments).unwrap().contestants.into_iter().map(|spec| spec.name).collect()
    }

    #[test]
    fn without_names_every_strategy_the_baseline_and_the_cures_take_part() {
        assert_eq!(started(&[]), DEFAULT);
        assert!(started(&["--target", "mine=http://127.0.0.1:9"]).is_empty());
    }

    #[test]
    fn cures_join_once() {
        let names = started(&["--contestants", "range-room,range-room+split", "--vs-cured"]);
        assert_eq!(names, ["range-room", "range-room+split", "range-room+spread"]);
    }

    #[test]
    fn nonsense_is_refused() {
        assert!(parse(&["--contestants", "hash,hash"]).is_err());
        assert!(parse(&["--contestants", "hush"]).is_err());
        assert!(parse(&["--seconds", "0"]).is_err());
        assert!(parse(&["--target", "http://127.0.0.1:9"]).is_err());
        assert!(parse(&["--shard-rtt", "1"]).is_err());
    }

    #[test]
    fn what_a_contestant_would_refuse_is_refused_before_any_is_started_and_its_flag_named() {
        for (flag, value) in [
            ("--rate", "0"),
            ("--rate", "-1"),
            ("--rate", "NaN"),
            ("--connections", "0"),
            ("--connections", "60001"),
            ("--seconds", "NaN"),
            ("--history", "99999999999999"),
            ("--contestants", "hush"),
            ("--target", "mine=127.0.0.1:9"),
            ("--workload", "no-such.toml"),
        ] {
            let error = format!("{:#}", parse(&[flag, value]).unwrap_err());
            assert!(error.contains(flag) && !error.contains('\n'), "{error}");
        }
        assert!(format!("{:#}", parse(&["--history=1", "--days=0"]).unwrap_err()).contains("--days"));
    }

    #[test]
    fn a_trace_is_refused_since_its_second_round_would_be_all_duplicates() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("yesterday.toml");
        std::fs::write(&file, "name = \"yesterday\"\ntrace = \"grabs.csv\"\n").unwrap();
        let grabs = "user_id,room_id,coupon_id,grab_time\n3,1,2,2026-11-22T10:00:00Z\n";
        std::fs::write(folder.path().join("grabs.csv"), grabs).unwrap();
        let error = parse(&["--workload", file.to_str().unwrap()]).unwrap_err().to_string();
        assert!(error.contains("--workload") && error.contains("loadtest run"), "{error}");
    }

    #[test]
    fn servers_are_given_or_of_the_runs_own() {
        assert!(matches!(parse(&[]).unwrap().servers, Wanted::None));
        let servers = ["--backend", "servers"];
        let with = |more: &[&str]| parse(&[&servers, more].concat());
        assert!(matches!(with(&["--shard-cpu", "0.2"]).unwrap().servers, Wanted::Private));
        let main = ["--set", "servers.main=mysql://a:b@127.0.0.1:1"];
        let error = with(&main).unwrap_err().to_string();
        assert!(error.contains("servers.shards"), "{error}");
        let all = [
            &main[..],
            &[
                "--set",
                "servers.shards=mysql://a:b@127.0.0.1:2",
                "--set",
                "servers.redis=redis://127.0.0.1:3",
            ],
            &["--set", "servers.rabbitmq=amqp://127.0.0.1:4"],
        ]
        .concat();
        assert!(matches!(with(&all).unwrap().servers, Wanted::Given(_)));
        let limited = with(&[&all[..], &["--shard-cpu", "0.2"]].concat()).unwrap_err().to_string();
        assert!(limited.contains("--shard-cpu"), "{limited}");
    }

    #[test]
    fn what_only_servers_have_is_refused_for_files() {
        for (flag, value) in [("--shard-cpu", "0.5"), ("--processes", "2"), ("--set", "grab.batch_max=1")] {
            let error = parse(&[flag, value]).unwrap_err().to_string();
            assert!(error.contains(flag), "{error}");
        }
        for cores in ["0", "-1", "NaN"] {
            let error = parse(&["--backend", "servers", "--shard-cpu", cores]).unwrap_err().to_string();
            assert!(error.contains("--shard-cpu"), "{error}");
        }
    }

    #[test]
    fn a_round_trip_is_read_with_its_unit() {
        assert_eq!(parse(&["--shard-rtt", "0.5ms"]).unwrap().setup.shard_rtt, Duration::from_micros(500));
        assert_eq!(parse(&[]).unwrap().setup.shard_rtt, Duration::ZERO);
        assert!(parse(&["--shard-rtt", "1m"]).is_err());
    }
}
