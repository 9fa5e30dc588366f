use std::time::Duration;

use clap::{Args as _, FromArgMatches as _};

use super::costs::tests::{flat, line};
use super::*;

/// What a command line assumes.
fn sale(options: &[&str]) -> Sale {
    let command = Sale::augment_args(clap::Command::new("size").args_override_self(true));
    let matches = command.try_get_matches_from(["size"].iter().chain(options)).unwrap();
    Sale::from_arg_matches(&matches).unwrap()
}

/// Half of four cores, no skew and no hot coupon, so that figures can be worked out in one's head.
const PLAIN: [&str; 5] = ["--load=0.5", "--cores=4", "--skew=1", "--hot-coupon=0", "--batch=100"];

fn plan(grabs: u64, options: &[&str]) -> SalePlan {
    size(&[grabs], sale(&[&PLAIN[..], options].concat()), &flat()).plans.remove(0)
}

fn part<'a>(plan: &'a SalePlan, name: &str) -> &'a SalePart {
    plan.parts.iter().find(|part| part.name == name).unwrap()
}

fn needed(plan: &SalePlan) -> [u64; 5] {
    ["service", "gate", "RabbitMQ", "shard", "main"].map(|name| part(plan, name).needed)
}

fn machines(plan: &SalePlan, name: &str) -> (u64, f64, f64) {
    let PartMachines { number, cores, bytes } = part(plan, name).machines.unwrap();
    (number, cores, bytes / 1e6)
}

fn close(found: f64, expected: f64) {
    assert!((found - expected).abs() <= 1e-9 * expected.abs(), "{found} is not {expected}");
}

#[test]
fn a_sale_of_a_hundred_thousand_is_as_worked_out_by_hand() {
    let plan = plan(100_000, &[]);
    // Two cores of services; gates of 50,000 each; one core of RabbitMQ, and half of one for each of two copies; shards of 5,000
    // rows each.
    assert_eq!(needed(&plan), [1, 2, 3, 20, 1]);
    for (name, number, cores, megabytes) in [
        // A request of 1,000 bytes, and a result of 200 to a gate, to a queue, from there, and to a shard.
        ("service", 1, 2.0, 180.0),
        // Replicas hear of each result from their originals.
        ("gate", 2, 2.0, 60.0),
        ("RabbitMQ", 3, 2.0, 120.0),
        ("shard", 2, 2.0, 60.0),
        ("main", 2, 0.2, 0.0),
    ] {
        let found = machines(&plan, name);
        assert_eq!(found.0, number, "{name}");
        close(found.1, cores);
        close(found.2, megabytes);
    }
    assert_eq!((plan.machines, plan.euros_an_hour, plan.queued_rows), (10, None, 0.0));
    close(plan.cores, 8.2);
    // A hundred grabs for each of two gates come to one of four workers within 8 ms.
    close(plan.batch_ms.unwrap(), 8.0);
    assert!(plan.limits.is_empty(), "{:?}", plan.limits);
    let first: Vec<_> = plan.parts.iter().map(|part| (part.name, part.one_takes.map(f64::round))).collect();
    let expected = [
        ("shard", Some(5_000.0)),
        ("gate", Some(50_000.0)),
        ("queue", Some(50_000.0)),
        ("service", Some(100_000.0)),
        ("RabbitMQ", Some(300_000.0)),
        ("main", Some(2_000_000.0)),
        ("hottest coupon", None),
    ];
    assert_eq!(first, expected);
}

#[test]
fn nothing_takes_one_of_each_and_their_copies() {
    let plan = plan(0, &[]);
    assert_eq!(needed(&plan), [1, 1, 3, 1, 1]);
    assert_eq!((plan.machines, plan.cores, plan.batch_ms), (10, 0.0, None));
    assert!(plan.parts.iter().all(|part| part.one_takes.is_none()) && plan.limits.is_empty());
    let alone = size(&[0], sale(&["--copies=1", "--replicas=0"]), &flat()).plans.remove(0);
    assert_eq!((alone.machines, alone.batch), (5, 1.0));
}

#[test]
fn a_sale_beyond_all_measure_is_limited_by_what_there_is_one_of() {
    let plan = plan((1 << 53) - 1, &["--hot-coupon=0.5", "--reads=1000000", "--scatter=1"]);
    let named: Vec<&str> = plan.limits.iter().map(|limit| limit.split(':').next().unwrap()).collect();
    assert_eq!(named, ["one coupon", "gates", "reads of all shards", "shards", "main"]);
    assert!(plan.machines > 1_000_000_000 && plan.cores.is_finite(), "{plan:?}");
}

#[test]
fn a_coupon_is_no_more_than_one_gate_decides_and_leaves_its_gate_less_for_others() {
    // A gate decides 50,000. With 20,000 of one coupon, 30,000 are left to each for the other 80,000.
    let hot = plan(100_000, &["--hot-coupon=0.2"]);
    assert_eq!((part(&hot, "gate").needed, hot.limits.len()), (3, 0));
    close(part(&hot, "hottest coupon").one_takes.unwrap(), 250_000.0);
    let hotter = plan(100_000, &["--hot-coupon=0.6"]);
    assert_eq!(
        hotter.limits,
        ["one coupon: 60,000 grabs/s of it, of which a gate decides 50,000, and no other can"]
    );
}

#[test]
fn refusals_cost_a_service_alone() {
    let plan = plan(100_000, &["--granted=0.1"]);
    // 10,000 of 20 µs and 90,000 of 10.
    close(machines(&plan, "service").1, 1.1);
    close(machines(&plan, "gate").1, 0.2);
    assert!(plan.costs.iter().any(|cost| cost.from == "sold-out" && cost.value == 10.0));
}

#[test]
fn rows_that_shards_do_not_store_at_once_wait_in_the_queues() {
    let plan = plan(100_000, &["--rows=25000"]);
    assert_eq!((part(&plan, "shard").needed, plan.queued_rows), (5, 75_000.0));
}

#[test]
fn reads_of_all_shards_are_asked_of_each() {
    // 10,000 reads of one shard of 100 µs; 100 of all 20 shards, 200 µs in each; the rows take 2 cores.
    let plan = plan(100_000, &["--reads=10100", "--scatter=0.00990099009900990099"]);
    close(machines(&plan, "shard").1, 2.0 + 1.0 + 0.4);
    // The same reads in the service, 100 µs a shard.
    close(machines(&plan, "service").1, 2.0 + 1.0 + 0.2);
}

#[test]
fn a_full_network_card_takes_more_machines() {
    // 180 MB a second through cards of 62.5, half used.
    let plan = plan(100_000, &["--gbit=0.5"]);
    assert_eq!(needed(&plan), [6, 2, 4, 20, 1]);
    assert_eq!(machines(&plan, "shard").0, 2);
}

#[test]
fn what_the_machines_cost_is_said_where_a_price_is() {
    close(plan(100_000, &["--core-hour=0.05"]).euros_an_hour.unwrap(), 2.0);
}

#[test]
fn batches_are_what_comes_in_meanwhile() {
    let costs = flat();
    let settled = |options: &[&str], costs: &Costs| {
        let sale = sale(&[&PLAIN[..4], options].concat());
        size(&[100_000], sale, costs).plans.remove(0)
    };
    // 12,500 a second for each of four workers and two gates.
    assert_eq!(settled(&["--batch-time=8.1ms"], &costs).batch, 101.0);
    assert_eq!(settled(&[], &costs).batch, 62.0);
    assert_eq!(settled(&["--batch-time=1h"], &costs).batch, 1_024.0);
    // A call of the script costs 100 µs whatever is in it: smaller batches take a third gate, for which they are smaller still.
    let plan = settled(&["--batch-time=8.1ms"], &Costs { gate: line(10.0, 100.0), ..costs });
    assert_eq!((plan.batch, part(&plan, "gate").needed), (67.0, 3));
}

#[test]
fn a_message_to_each_of_many_shards_is_small_and_takes_more_queues() {
    // 10 µs a row, and 90 for each message.
    let costs = Costs { queue: line(10.0, 90.0), ..flat() };
    let plan = size(&[1_000_000], sale(&PLAIN), &costs).plans.remove(0);
    // 200 shards for the rows; a batch of 100 makes messages of 1.27 rows, which are 162 queues' work, so 200 are enough.
    assert_eq!(((plan.rows_a_message * 100.0).round(), part(&plan, "shard").needed), (127.0, 200));
    let slow = size(&[1_000_000], Sale { queue_cores: 0.5, ..sale(&PLAIN) }, &costs).plans.remove(0);
    assert!(part(&slow, "shard").needed > 320 && slow.rows_a_message < 1.27, "{slow:?}");
}

#[test]
fn everything_is_said_within_80_columns_with_where_it_is_from() {
    let options = [
        "--reads=100000",
        "--scatter=0.01",
        "--granted=0.9",
        "--rows=50000",
        "--core-hour=0.05",
        "--hot-coupon=0.9",
    ];
    let sizes = size(&[10_000, 1_000_000], sale(&options), &flat());
    let text = text(&sizes);
    for line in text.lines() {
        assert!(line.chars().count() <= 80, "{line}");
    }
    for said in ["1,000,000 grabs/s", "As it grows", "euros an hour", "The queues grow by", "one coupon"] {
        assert!(text.contains(said), "{said}: {text}");
    }
    for (_, _, option) in sizes.sale.assumptions() {
        assert!(text.contains(option), "{option}: {text}");
    }
    for cost in &sizes.plans[1].costs {
        assert!(text.contains(cost.what) && text.contains(cost.from), "{cost:?}: {text}");
    }
}

#[test]
fn every_option_is_among_what_is_assumed() {
    let given = Sale {
        batch_time: Some(Duration::from_millis(1)),
        ..sale(&["--rows=1", "--batch=1", "--core-hour=1"])
    };
    let command = Sale::augment_args(clap::Command::new("size"));
    let told: Vec<&str> = given.assumptions().into_iter().map(|(_, _, option)| option).collect();
    for argument in command.get_arguments().filter_map(clap::Arg::get_long) {
        // How long a batch takes is a cost, unless batches are given.
        assert!(argument == "batch-time" || told.contains(&format!("--{argument}").as_str()), "{argument}");
    }
}
