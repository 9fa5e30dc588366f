//! `loadtest compare`.

use std::num::NonZeroU16;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use coupon_cli::numbers::{count, nonzero, within};
use coupon_cli::output;
use coupon_lab::{all_different, seed_for};
use coupon_loadgen::http::Target;
use coupon_loadgen::load::LoadSpec;
use coupon_loadgen::workload::Workload;
use coupon_report::require::LimitSubject;
use coupon_seeding::SeedOptions;
use coupon_strategies::{REGISTER, Spec};

use super::arguments;
use super::arguments::{BEYOND_LIMIT, LOAD_LIMITED};
use super::audit::VIOLATED;
use super::servers::BackendArgs;
use crate::compare::{CompareOptions, Ending, GrowthArgs, PlannedGrowth, compare};

/// Its command line.
#[derive(Debug, clap::Args)]
pub struct Args {
    // Its help is made of the register's rows.
    #[arg(long, value_name = "NAME,…", value_delimiter = ',', help = contestants_help())]
    contestants: Vec<String>,
    /// A running service that takes part as well; it must have no other clients meanwhile
    #[arg(long, value_name = "NAME=URL")]
    target: Vec<String>,
    /// For each range contestant, let its cures take part too
    #[arg(long)]
    vs_cured: bool,
    /// Turns of each contestant; five are the least that allow verdicts
    #[arg(long, default_value_t = 5, value_parser = |text: &str| within::<u32>(text, &(1..=1_000)))]
    rounds: u32,
    /// Length of a turn, in seconds [default: 3, or the length of the workload's [arrivals]; 20 after a change of the layout]
    #[arg(long)]
    seconds: Option<f64>,
    /// Requests a second, arriving whether or not answers do [default: 1000, or as the workload's [arrivals] say]
    #[arg(long, value_name = "PER_SECOND", allow_negative_numbers = true)]
    rate: Option<f64>,
    /// The most connections open at a time
    #[arg(long, default_value_t = LoadSpec::CONNECTIONS, value_parser = count::<usize>)]
    connections: usize,
    /// Past results to seed
    #[arg(long, value_name = "ROWS", default_value_t = 0, value_parser = count::<u64>)]
    history: u64,
    /// The days that they spread over
    #[arg(long, default_value_t = SeedOptions::default().days, value_parser = count::<u64>, requires = "history")]
    days: u64,
    /// Shards of each contestant, but for single [default: 4]
    #[arg(long, value_parser = nonzero::<NonZeroU16>)]
    shards: Option<NonZeroU16>,
    #[command(flatten)]
    growth: GrowthArgs,
    /// Seed of all random choices
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// A workload file; the built-in flash sale by default
    #[arg(long, value_name = "FILE")]
    workload: Option<PathBuf>,
    /// A limit that a figure must keep, or the run exits with 3; may be given several times.
    /// CONTESTANT.ENDPOINT.METRIC with p50, p90, p99, p99.9, max, rate, errors, shards or tables, such as
    /// hash.grab.p99<20ms (of grabs granted, and of failed ones, which count as the time-out; grab.granted, grab.refused and
    /// grab.failed name one outcome alone); or CONTESTANT.METRIC with rate, errors, mean, skew, effective_shards,
    /// effective_shards_by_cpu, stored, lag or late, such as hash.errors<0.1%. `all` stands for every contestant;
    /// compare with <, <=, > or >=; units are us, ms, s, /s and %. What is held against the limit is the median over
    /// rounds, the worst round's for max and lag, and over all requests for errors; a figure that a round does not
    /// have keeps no limit, and a rate or a time where the load was the limit neither keeps nor breaks one
    #[arg(long, value_name = "LIMIT")]
    require: Vec<String>,
    /// The folder for report.json and report.html
    #[arg(long, value_name = "DIR", default_value = "reports/latest")]
    out: PathBuf,
    #[command(flatten)]
    backend: BackendArgs,
    /// The admin token of the services given with --target
    #[arg(long, value_name = "TOKEN", env = "COUPON__ADMIN__TOKEN", hide_env_values = true)]
    admin_token: Option<String>,
}

fn contestants_help() -> String {
    format!(
        "Strategies to start, each on data of its own: {}, such as {}; or what most teams run: {}. By default {}, or none with --target",
        REGISTER.described(),
        REGISTER.compared().pop().unwrap_or_default(),
        REGISTER.baselines_described(),
        REGISTER.compared().join(", ")
    )
}

/// The default length of a turn.
const TURN: Duration = Duration::from_secs(3);
/// The time for which it goes on after a change of the layout: on servers ten seconds pass before one is in force.
const AFTER_GROWTH: Duration = Duration::from_secs(20);
/// The longest turn in which the layout changes, since each of its requests is kept.
const GROWTH_MOST: Duration = Duration::from_secs(600);

/// Runs it.
///
/// # Errors
/// When the arguments make no sense, a contestant cannot be started or fails, or the report cannot be written.
pub fn run(args: Args) -> Result<ExitCode> {
    let options = options(args)?;
    let _out = output::folder("--out", &options.out)?;
    Ok(exit_code(compare(&options)?))
}

/// The exit code of a comparison's end.
pub(super) fn exit_code(ending: Ending) -> ExitCode {
    match ending {
        Ending::Kept => ExitCode::SUCCESS,
        Ending::Violated => ExitCode::from(VIOLATED),
        Ending::BeyondLimit => ExitCode::from(BEYOND_LIMIT),
        Ending::LoadLimited => ExitCode::from(LOAD_LIMITED),
        Ending::NotAudited => ExitCode::FAILURE,
    }
}

/// Everything that can be refused is refused here, before anything is seeded or started.
fn options(args: Args) -> Result<CompareOptions> {
    let workload = arguments::workload(args.workload.as_deref())?;
    let growth = args.growth.wanted(&workload.catalogue)?;
    let load = load(&args, workload, growth.as_ref())?;
    let names = names(&args);
    if names.is_empty() {
        refuse_for_targets_alone(&args)?;
    }
    let shards = args.growth.shards(args.shards)?;
    let specs =
        names.iter().map(|name| Spec::parse(name, shards, &load.workload.catalogue).context("--contestants"));
    let mut contestants: Vec<Spec> = specs.collect::<Result<_>>()?;
    if let Some(growth) = &growth {
        ensure!(
            args.target.is_empty(),
            "--target: only the layouts of contestants that are started here are changed"
        );
        args.growth.prepare(growth, &mut contestants, &load.workload.catalogue)?;
        args.backend.refuse_keep("with a change of the layout, since every turn has data of its own")?;
    }
    let targets: Vec<Target> = args.target.iter().map(|text| target(text, &args)).collect::<Result<_>>()?;
    let all =
        contestants.iter().map(|spec| spec.name.as_str()).chain(targets.iter().map(|t| t.name.as_str()));
    all_different(all.clone())?;
    let names: Vec<&str> = all.collect();
    let limits = arguments::limits(&args.require, &LimitSubject::Contestants(&names))?;
    let Args { history, days, seed, .. } = args;
    let seed = SeedOptions { history, days, seed, ..seed_for(&load.workload) };
    seed.check()?;
    let servers = args.backend.wanted(!targets.is_empty())?;
    Ok(CompareOptions {
        contestants,
        targets,
        setup: args.backend.setup(seed),
        servers,
        shard_cpu: args.backend.shard_cpu,
        rounds: args.rounds,
        workload: args.workload.map_or_else(|| load.workload.name.clone(), |file| file.display().to_string()),
        load,
        notes: Vec::new(),
        growth,
        limits,
        out: args.out,
    })
}

fn load(args: &Args, workload: Workload, growth: Option<&PlannedGrowth>) -> Result<LoadSpec> {
    ensure!(
        workload.trace().is_none(),
        "--workload: a trace is the same in every round, and from the second on its users hold their coupons already: \
         compare a workload of scenarios, or replay the trace with loadtest replay"
    );
    let given = args.seconds.map(|seconds| arguments::seconds(seconds, &(0.1..=86_400.0))).transpose()?;
    let turn = growth.map_or(TURN, |growth| growth.at + AFTER_GROWTH);
    let (arrivals, duration) = arguments::open_load(&workload, args.rate, given, turn)?;
    if let Some(growth) = growth {
        ensure!(
            growth.at < duration,
            "{}: a turn takes {} s, and is over before the change",
            args.growth.flag(),
            duration.as_secs_f64()
        );
        ensure!(
            duration <= GROWTH_MOST,
            "--seconds: each request of a turn in which the layout changes is kept, so that it lasts {} s at most",
            GROWTH_MOST.as_secs()
        );
    }
    Ok(LoadSpec {
        keep_each: growth.is_some(),
        workload,
        connections: arguments::connections("--connections", args.connections)?,
        duration,
        seed: args.seed,
        ..LoadSpec::new(arrivals)
    })
}

fn names(args: &Args) -> Vec<String> {
    let mut names = match (args.contestants.is_empty(), args.target.is_empty()) {
        (true, true) => REGISTER.compared(),
        _ => args.contestants.clone(),
    };
    if args.vs_cured {
        let more: Vec<String> = names.iter().flat_map(|name| REGISTER.cures(name)).collect();
        for cure in more {
            if !names.contains(&cure) {
                names.push(cure);
            }
        }
    }
    names
}

/// Refuses flags that say how contestants are started, where none is: they would do nothing.
fn refuse_for_targets_alone(args: &Args) -> Result<()> {
    let given =
        [("--history", args.history > 0), ("--shards", args.shards.is_some()), ("--vs-cured", args.vs_cured)];
    match given.into_iter().chain(args.backend.of_started()).find(|(_, given)| *given) {
        Some((flag, _)) => {
            bail!("{flag} has no effect on services that run already: name --contestants, or leave it out")
        }
        None => Ok(()),
    }
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
    use crate::compare::ServersChoice;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        args: Args,
    }

    fn parse(arguments: &[&str]) -> Result<CompareOptions> {
        options(Cli::try_parse_from(std::iter::once(&"compare").chain(arguments))?.args)
    }

    fn started(arguments: &[&str]) -> Vec<String> {
        parse(arguments).unwrap().contestants.into_iter().map(|spec| spec.name).collect()
    }

    #[test]
    fn without_names_every_strategy_the_baseline_and_the_cures_take_part() {
        assert_eq!(started(&[]), REGISTER.compared());
        assert!(REGISTER.names().all(|name| started(&[]).contains(&name.to_owned())));
        assert!(started(&["--target", "mine=http://127.0.0.1:9"]).is_empty());
    }

    #[test]
    fn a_change_of_the_layout_begins_with_its_own_shards_and_prepares_those_to_come() {
        let grown =
            parse(&["--contestants", "hash,single", "--grow", "4:8@2s", "--rebalance-rate", "700"]).unwrap();
        let [hash, single] = &grown.contestants[..] else { panic!("{:?}", grown.contestants) };
        assert!(
            hash.shards.get() == 4 && hash.settings.contains(&"shards_prepared=8".to_owned()),
            "{hash:?}"
        );
        assert!(single.settings.is_empty(), "{single:?}");
        let growth = grown.growth.unwrap();
        assert_eq!((growth.at, growth.rate.get()), (Duration::from_secs(2), 700));
        assert!(grown.load.keep_each && grown.load.duration == growth.at + AFTER_GROWTH);
        assert!(!parse(&[]).unwrap().load.keep_each);
        for (flags, named) in [
            (&["--grow", "4:8@2s", "--shards", "3"][..], "--shards"),
            (&["--grow", "4:8@5s", "--seconds", "4"], "--grow"),
            (&["--grow", "4:8@5s", "--target", "mine=http://127.0.0.1:9"], "--target"),
            (&["--grow", "4:8@5s", "--keep", "here"], "--keep"),
            (&["--grow", "4:8@5s", "--split", "hot@5s"], "--split"),
            (&["--contestants", "single", "--grow", "4:8@5s"], "single"),
            (&["--contestants", "hash", "--split", "hot@5s"], "cannot give ranges"),
            (&["--rebalance-rate", "5"], "--rebalance-rate"),
        ] {
            let error = format!("{:#}", parse(flags).unwrap_err());
            assert!(error.contains(named), "{flags:?}: {error}");
        }
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
    fn counts_may_be_written_as_people_write_them() {
        for text in ["100k", "1e5", "100_000", "100000"] {
            let options = parse(&["--history", text, "--connections", "1e2"]).unwrap();
            assert_eq!((options.setup.seed.history, options.load.connections), (100_000, 100), "{text}");
        }
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
        assert!(error.contains("--workload") && error.contains("loadtest replay"), "{error}");
    }

    #[test]
    fn servers_are_given_or_of_the_runs_own() {
        assert!(matches!(parse(&[]).unwrap().servers, ServersChoice::None));
        let servers = ["--backend", "servers"];
        let with = |more: &[&str]| parse(&[&servers, more].concat());
        assert!(matches!(with(&["--shard-cpu", "0.2"]).unwrap().servers, ServersChoice::Private));
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
        assert!(matches!(with(&all).unwrap().servers, ServersChoice::Given(_)));
        let limited = with(&[&all[..], &["--shard-cpu", "0.2"]].concat()).unwrap_err().to_string();
        assert!(limited.contains("--shard-cpu"), "{limited}");
    }

    #[test]
    fn what_only_servers_have_is_refused_for_files() {
        for (flag, value) in [
            ("--shard-cpu", "0.5"),
            ("--processes", "2"),
            ("--set", "grab.batch_max=1"),
            ("--set", "servers.main=mysql://h"),
        ] {
            let error = parse(&[flag, value]).unwrap_err().to_string();
            assert!(error.contains(flag), "{error}");
        }
        let target = ["--target", "mine=http://127.0.0.1:9", "--set", "servers.main=mysql://h"];
        assert!(
            matches!(parse(&target).unwrap().servers, ServersChoice::ForTargets(_)),
            "they are the target's"
        );
        let shards =
            parse(&["--target", "mine=http://127.0.0.1:9", "--shards", "8"]).unwrap_err().to_string();
        assert!(shards.contains("--shards has no effect"), "{shards}");
        let rtt = ["--target", "mine=http://127.0.0.1:9", "--contestants", "hash", "--shard-rtt", "1ms"];
        assert!(parse(&rtt).is_ok() && parse(&[&rtt[..2], &rtt[4..]].concat()).is_err());
        assert!(parse(&["--days", "9"]).unwrap_err().to_string().contains("--history"));
        for cores in ["0", "-1", "NaN"] {
            let error = parse(&["--backend", "servers", "--shard-cpu", cores]).unwrap_err().to_string();
            assert!(error.contains("--shard-cpu"), "{error}");
        }
    }

    #[test]
    fn a_workload_with_a_shape_sets_rate_and_length_unless_told_otherwise() {
        let spike = concat!(env!("CARGO_MANIFEST_DIR"), "/workloads/sale-start.toml");
        let load = parse(&["--workload", spike]).unwrap().load;
        assert_eq!(
            load.workload.arrivals.as_ref().and_then(coupon_loadgen::workload::ArrivalShape::length),
            Some(load.duration)
        );
        assert_eq!(
            parse(&["--workload", spike, "--seconds", "2"]).unwrap().load.duration,
            Duration::from_secs(2)
        );
        let error = parse(&["--workload", spike, "--rate", "10"]).unwrap_err().to_string();
        assert!(error.contains("--rate"), "{error}");
    }

    #[test]
    fn a_round_trip_is_read_with_its_unit() {
        assert_eq!(parse(&["--shard-rtt", "0.5ms"]).unwrap().setup.shard_rtt, Duration::from_micros(500));
        assert_eq!(parse(&[]).unwrap().setup.shard_rtt, Duration::ZERO);
        assert!(parse(&["--shard-rtt", "1m"]).is_err());
    }
}
