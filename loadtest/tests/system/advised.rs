//! Advice taken at its word: the command that it prints is started, and gets the trace.

use std::num::NonZeroU16;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use coupon_audit::Data;
use coupon_core::ShardingStats;
use coupon_lab::settle::{self, Patience};
use coupon_lab::{ServiceCommand, ServiceProcess, built};
use coupon_loadgen::http::get_json;
use coupon_loadgen::load::{Arrivals, LoadSpec, run_load};
use coupon_loadgen::workload::{CatalogueSpec, Requests, Workload};
use coupon_measure::random::Random;
use coupon_seeding::Silent;
use coupon_service::api::ShardsStatus;
use coupon_strategies::REGISTER;
use loadtest::replay::{QueryMix, ReadOptions, Recording, read};

const TRACES: u64 = 20;
/// The limit of a wait for everything to be stored.
const SETTLED: Duration = Duration::from_secs(60);

/// 300 grabs in rooms of which some are hot. Ids have gaps, are text, have twenty digits, or some of each.
fn trace(seed: u64) -> String {
    let mut random = Random::new(seed, 11);
    let room = |n: u64| match seed % 4 {
        0 => (n * n * 53 + 100).to_string(),
        1 => format!("hall {}", n * 37 % 1_000),
        2 => (u64::MAX - n * 4_194_304).to_string(),
        _ if n.is_multiple_of(3) => format!("h{n}"),
        _ => (n * 700).to_string(),
    };
    let user = |n: u64| match seed % 3 {
        0 => (n * 104_729 + 5).to_string(),
        1 => format!("customer-{n}"),
        _ => (9_007_199_254_740_992 + n).to_string(),
    };
    let mut line = |n: u64| {
        let most = 1 + random.below(40);
        format!("{},{},1,{}\n", user(n), room(random.below(most)), 1_700_000_000 + n * 30)
    };
    let lines: String = (0..300).map(&mut line).collect();
    format!("user_id,room_id,coupon_id,grab_time\n{lines}")
}

/// The advice, as the command printed it.
struct Advised {
    name: String,
    /// The printed command.
    words: Vec<String>,
    effective_shards: f64,
}

fn advised(folder: &Path) -> Advised {
    let output = Command::new(env!("CARGO_BIN_EXE_loadtest"))
        .args(["advise", "trace.csv", "--no-proof", "--mix", "grabs", "--json", "advice.json"])
        .current_dir(folder)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8(output.stdout).unwrap();
    // Where chance decides, it says so.
    let told = ["\nBest: ", "\nPerhaps the best: "].iter().find_map(|first| said.split_once(first));
    let (best, rest) = told.unwrap().1.split_once('\n').unwrap();
    let name = best.split(',').next().unwrap().to_owned();
    // A note about the rooms' numbers may follow.
    let command = rest.lines().next().unwrap().trim().split("  (").next().unwrap();
    let words = command.split_whitespace().map(|word| word.trim_matches('\'').to_owned()).collect();
    let advice: serde_json::Value =
        serde_json::from_slice(&std::fs::read(folder.join("advice.json")).unwrap()).unwrap();
    let mut alternatives = advice.pointer("/alternatives").unwrap().as_array().unwrap().iter();
    let named = |found: &&serde_json::Value| found.pointer("/name").is_some_and(|said| *said == name);
    let found = alternatives.find(named).unwrap();
    let effective_shards = found.pointer("/replayed/rows/effective_shards").unwrap().as_f64().unwrap();
    Advised { name, words, effective_shards }
}

/// The effective shards of the trace's rows on the service that the printed command starts.
fn measured(advised: &Advised, recording: &Recording, folder: &Path) -> f64 {
    let (program, flags) = advised.words.split_first().unwrap();
    let value = |pair: &[String], flag: &str| match pair {
        [key, value] if key == flag => Some(value.clone()),
        _ => None,
    };
    let pairs = || flags.chunks(2);
    let shards: u16 = pairs().find_map(|pair| value(pair, "--shards")).unwrap().parse().unwrap();
    let family = advised.name.split('+').next().unwrap();
    let family = REGISTER.sharded().find(|known| known.name == family).unwrap();
    let own: Vec<String> = pairs()
        .filter_map(|pair| value(pair, "--set"))
        .filter(|set| Some(set) != family.chosen_by().as_ref())
        .collect();
    let strategy = family.strategy(NonZeroU16::new(shards).unwrap(), &own).unwrap();
    let data = folder.join("data");
    coupon_seeding::seed(&data, &*strategy, &recording.catalogue(None, 1), false, &mut Silent).unwrap();

    let command = ServiceCommand::new(built(program).unwrap())
        .arguments(flags.to_vec())
        .arguments(["--data", data.to_str().unwrap()])
        .setting("backend=embedded");
    let service = ServiceProcess::start(command, folder.join("service.log")).unwrap();
    let target = service.target("advised");
    let requests = Requests::Trace(QueryMix::none().trace(recording, 1.0, 1));
    let load = LoadSpec {
        workload: Workload::of("trace.csv".into(), CatalogueSpec::default(), requests),
        connections: 8,
        duration: Duration::from_secs(300),
        timeout: Duration::from_secs(60),
        ..LoadSpec::new(Arrivals::Closed)
    };
    let outcome = run_load(&target, &load).unwrap();
    assert_eq!((outcome.errors(), outcome.grabs.len()), (0, recording.rows().len()));
    let data = Data::Folder(data);
    settle::settle(&data, &|| Ok(target.clone()), Patience::AtMost(SETTLED)).unwrap();
    let status: ShardsStatus = get_json(&target, "/admin/shards/status").unwrap();
    let rows: Vec<u64> = status.shards.iter().map(|shard| shard.rows_written).collect();
    assert_eq!(rows.iter().sum::<u64>(), recording.stored().count() as u64);
    service.stop().unwrap();
    ShardingStats::of_counts(&rows).effective_shards.unwrap()
}

#[test]
fn what_is_advised_started_by_the_printed_command_and_loaded_measures_what_was_predicted() {
    let mut kinds = std::collections::BTreeSet::new();
    for seed in 0..TRACES {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("trace.csv");
        std::fs::write(&path, trace(seed)).unwrap();
        let recording = read(&path, &ReadOptions::default()).unwrap();
        let advised = advised(folder.path());
        let (measured, predicted) = (measured(&advised, &recording, folder.path()), advised.effective_shards);
        assert!(
            (measured / predicted - 1.0).abs() < 0.05,
            "{seed} {:?}: measured {measured}, predicted {predicted}",
            advised.words
        );
        kinds.insert(advised.name);
    }
    assert!(kinds.len() > 1, "{kinds:?}");
}
