//! The findings as tables for a terminal.

use coupon_measure::Table;
use coupon_measure::format::{count, counted};

use super::{Case, FanOut, ShardEvenness, SimulateOptions, Simulation};

const RULE: char = '─';

/// Everything found, for people.
#[must_use]
pub fn text(simulation: &Simulation) -> String {
    let mut out = introduction(&simulation.options);
    for case in &simulation.cases {
        out.push_str(&title(&format!("{} shards", count(u64::from(case.shards.get())))));
        out.push_str(&loads(case).text());
        out.push('\n');
        out.push_str(&fan_outs(case).text());
        out.push('\n');
        out.push_str(&reshards(case).text());
    }
    out.push_str(&speed(simulation));
    out
}

#[expect(clippy::cast_precision_loss, reason = "rooms are far below 2^53")]
fn introduction(options: &SimulateOptions) -> String {
    let users = options.zipf.map_or("evenly".to_owned(), |s| format!("Zipf with s = {s}"));
    let first_25 = options.rooms.min(25) as f64;
    let hot_first_25 = first_25.min(options.hot_rooms as f64) / options.hot_rooms as f64;
    let share =
        options.hot_share * hot_first_25 + (1.0 - options.hot_share) * first_25 / options.rooms as f64;
    format!(
        "Routing only: {} rows a strategy, users 1 to {} ({users}), rooms 1 to {} ({:.0}% of grabs on rooms 1 to {}).\n\
         written: the rows of one hour of a sale. stored: the rows of {} days. skew: the hottest shard's share over\n\
         the fair share; 1 is even. effective: how many shards' worth of machines that is. idle: shards without a row.\n\
         gently: a hash moves whole slots; ranges stay, and only ranges that begin later go to the new shard.\n",
        count(options.rows),
        count(options.users),
        count(options.rooms),
        share * 100.0,
        options.rooms.min(25),
        options.days,
    )
}

/// A heading.
pub(crate) fn title(text: &str) -> String {
    format!("\n{text}\n{}\n", RULE.to_string().repeat(text.chars().count()))
}

fn loads(case: &Case) -> Table {
    let mut table =
        Table::new(["", "written: skew", "effective", "idle", "stored: skew", "effective", "idle"]);
    for finding in &case.variants {
        let mut row = vec![finding.strategy.clone()];
        row.extend(load(&finding.written));
        row.extend(load(&finding.stored));
        table.row(row);
    }
    table
}

fn load(load: &ShardEvenness) -> [String; 3] {
    let figure = |value: Option<f64>| value.map_or("n/a".to_owned(), |value| format!("{value:.2}"));
    [figure(load.skew), figure(load.effective_shards), load.idle_shards.to_string()]
}

fn fan_outs(case: &Case) -> Table {
    let queries = case.variants.first().map(|finding| finding.fan_out.as_slice()).unwrap_or_default();
    let names = queries.iter().map(|fan_out| fan_out.query.as_str());
    let mut table = Table::new(std::iter::once("visits: shards / tables").chain(names));
    for finding in &case.variants {
        let visits = |fan_out: &FanOut| format!("{} / {}", average(fan_out.shards), average(fan_out.tables));
        table.row(std::iter::once(finding.strategy.clone()).chain(finding.fan_out.iter().map(visits)));
    }
    table
}

/// A line a strategy: the gentle way first, the naive one beside it.
fn reshards(case: &Case) -> Table {
    let more = count(u64::from(case.shards.get()) + 1);
    let head = format!("rows moved by one more ({more})");
    let mut table = Table::new([&head, "gently", "the new one holds", "by modulo", "the new one holds"]);
    for finding in &case.variants {
        let percent = |part: f64| format!("{:.2}%", part * 100.0);
        let ways = finding.reshards.iter().flat_map(|way| [percent(way.moved), percent(way.new_shard_share)]);
        table.row(std::iter::once(finding.strategy.clone()).chain(ways));
    }
    table
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "rates"
)]
fn speed(simulation: &Simulation) -> String {
    let findings = simulation.cases.iter().flat_map(|case| &case.variants);
    let (number, seconds) =
        findings.fold((0_u64, 0.0), |(n, total), finding| (n + 1, total + finding.seconds));
    let rows = number * simulation.options.rows;
    format!(
        "\n{} rows routed in {seconds:.1} s: {} rows/s with {}.\n",
        count(rows),
        count((rows as f64 / seconds.max(1e-9)) as u64),
        counted(simulation.options.threads as u64, "thread"),
    )
}

/// Whole numbers without decimals, averages with two.
fn average(value: f64) -> String {
    if value.fract() == 0.0 { format!("{value:.0}") } else { format!("{value:.2}") }
}
