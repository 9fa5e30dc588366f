//! `loadtest explain`.

use std::num::NonZeroU16;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, ensure};
use coupon_core::{
    CouponId, Placement, Plan, ResultQuery, RoomId, RowKey, ShardingStrategy, TimeRange, Timestamp, UserId,
};

use crate::format::counted;
use crate::terminal;

/// How many tables of a plan are named before the rest is only counted.
const NAMED: usize = 4;
const HOUR: i64 = 3_600_000;

/// Its command line.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Who grabs.
    #[arg(long, default_value = "123")]
    user: UserId,
    /// Which coupon.
    #[arg(long, default_value = "456")]
    coupon: CouponId,
    /// The coupon's room [default: the one that seeded data gives it]
    #[arg(long)]
    room: Option<RoomId>,
    /// When, for example 2026-11-22T23:59:59.999Z [default: now]
    #[arg(long, value_name = "RFC3339")]
    time: Option<Timestamp>,
    /// How many shards there are.
    #[arg(long, default_value = "4")]
    shards: NonZeroU16,
    /// The strategies to explain.
    #[arg(long, value_delimiter = ',', default_value = "hash,range-time,range-room", value_parser = seeder::NAMES)]
    strategy: Vec<String>,
    /// A setting of a strategy, for example range.spread=2; may be given several times.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    sets: Vec<String>,
}

/// Runs it.
///
/// # Errors
/// When a setting makes no strategy.
#[expect(clippy::needless_pass_by_value, reason = "every subcommand takes its arguments over")]
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let room = args.room.map_or_else(|| room_of(args.coupon), Ok)?;
    let time = args.time.map_or_else(now, Ok)?;
    let strategies = strategies(&args)?;
    let row = RowKey { user: args.user, room, time };
    terminal::say(format!("User {} grabs coupon {} of room {room} at {time}.", args.user, args.coupon));
    terminal::say("Where the result lives follows from its user, room and time; the coupon decides nothing.");
    for strategy in strategies {
        terminal::say("");
        terminal::say(explanation(&*strategy, &row).trim_end());
    }
    Ok(ExitCode::SUCCESS)
}

/// Every strategy asked for, each with the settings that it has.
fn strategies(args: &Args) -> anyhow::Result<Vec<Arc<dyn ShardingStrategy>>> {
    for set in &args.sets {
        let known = ["hash.", "range."].iter().any(|section| set.trim_start().starts_with(section));
        ensure!(known, "--set {set}: settings of strategies begin with \"hash.\" or \"range.\"");
        let used = args.strategy.iter().any(|name| applies(set, name));
        ensure!(used, "--set {set}: no strategy chosen by --strategy has such a setting");
    }
    let make = |name: &String| {
        let sets: Vec<String> = args.sets.iter().filter(|set| applies(set, name)).cloned().collect();
        seeder::strategy(name, args.shards, &sets)
    };
    args.strategy.iter().map(make).collect()
}

/// Seeded coupons come five a room.
fn room_of(coupon: CouponId) -> anyhow::Result<RoomId> {
    Ok(RoomId::new((coupon.get() - 1) / 5 + 1)?)
}

fn now() -> anyhow::Result<Timestamp> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).context("the clock says it is before 1970")?;
    Ok(Timestamp::from_millis(i64::try_from(since.as_millis())?))
}

/// Whether a strategy has the setting; one that is misspelt goes to every strategy of its section, which refuses it.
fn applies(set: &str, strategy: &str) -> bool {
    let key = set.split('=').next().unwrap_or(set).trim();
    match key {
        "range.bucket" => strategy == "range-time",
        "range.room_width" | "range.boundaries" | "range.rooms" => strategy == "range-room",
        _ if key.starts_with("range.") => strategy.starts_with("range-"),
        _ => matches!(strategy, "hash" | "single"),
    }
}

fn explanation(strategy: &dyn ShardingStrategy, row: &RowKey) -> String {
    let layout = strategy.layout();
    let mut out = format!("{layout}\n{}\n", "─".repeat(layout.chars().count()));
    out.push_str(&match strategy.place(row) {
        Ok(placement) => format!("stored on   {placement}, because\n"),
        Err(error) => format!("not stored  {error}\n"),
    });
    for step in strategy.explain(row) {
        out.push_str(&format!("              {step}\n"));
    }
    out.push_str(&format!("\n{}", line("query", "knows", "visits")));
    for (name, knows, query) in queries(row) {
        out.push_str(&line(name, knows, &visits(strategy, &query)));
    }
    out
}

fn line(name: &str, knows: &str, visits: &str) -> String {
    format!("{name:<12}{knows:<24}{visits}\n")
}

/// What the API asks about results, and what each of the questions knows about the rows it wants.
fn queries(row: &RowKey) -> [(&'static str, &'static str, ResultQuery); 6] {
    let last_hour = TimeRange::new(row.time.plus_millis(-HOUR), row.time.plus_millis(1));
    [
        ("my coupons", "user", ResultQuery::of_user(row.user)),
        ("room orders", "room", ResultQuery::of_room(row.room)),
        ("recent, 1 h", "time", ResultQuery::within(last_hour)),
        ("result id", "time (in the id)", ResultQuery::everything().at(row.time)),
        ("use coupon", "user, time (in the id)", ResultQuery::of_user(row.user).at(row.time)),
        ("global", "nothing", ResultQuery::everything()),
    ]
}

fn visits(strategy: &dyn ShardingStrategy, query: &ResultQuery) -> String {
    let shards = strategy.shard_count().get();
    match strategy.plan(query) {
        Plan::One(only) => format!("1 table: {only}"),
        Plan::Some(places) if places.is_empty() => "nothing: no row can match".to_owned(),
        Plan::Some(places) => {
            let visited = Plan::Some(places.clone()).shards(shards).len();
            let all = counted(places.len() as u64, "table");
            format!("{all} on {}: {}", counted(visited as u64, "shard"), named(&places))
        }
        Plan::All => {
            let every =
                if shards == 1 { "its only shard".to_owned() } else { format!("all {shards} shards") };
            format!("every table on {every}: what it knows does not say where")
        }
    }
}

fn named(places: &[Placement]) -> String {
    let mut names: Vec<String> = places.iter().take(NAMED).map(ToString::to_string).collect();
    if places.len() > NAMED {
        names.push(format!("and {} more", places.len() - NAMED));
    }
    names.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn explained(strategy: &str, sets: &[&str]) -> String {
        let sets: Vec<String> = sets.iter().map(ToString::to_string).collect();
        let strategy = seeder::strategy(strategy, NonZeroU16::new(4).unwrap(), &sets).unwrap();
        let row = RowKey {
            user: UserId::new(123).unwrap(),
            room: RoomId::new(92).unwrap(),
            time: "2026-11-22T00:30:00Z".parse().unwrap(),
        };
        explanation(&*strategy, &row)
    }

    fn line_of<'a>(text: &'a str, start: &str) -> &'a str {
        text.lines().find(|line| line.trim_start().starts_with(start)).unwrap()
    }

    #[test]
    fn hash_shows_the_way_from_hash_to_slot_to_shard() {
        let text = explained("hash", &[]);
        assert!(text.contains("stored on   shard 0, table coupon_results"), "{text}");
        assert!(text.contains("0x6a6c5e5967cd2748") && text.contains("slot 10056"), "{text}");
        assert!(line_of(&text, "my coupons").contains("1 table: shard 0"), "{text}");
        assert!(line_of(&text, "room orders").contains("all 4 shards"), "{text}");
    }

    #[test]
    fn an_hour_after_midnight_reaches_back_to_yesterdays_table() {
        let text = explained("range-time", &[]);
        let recent = line_of(&text, "recent, 1 h");
        assert!(recent.contains("2 tables on 2 shards") && recent.contains("2026_11_21"), "{recent}");
        assert!(line_of(&text, "result id").contains("1 table: shard 3"), "{text}");
    }

    #[test]
    fn a_spread_range_is_read_from_every_shard_it_is_spread_over() {
        let text = explained("range-room", &["range.spread=2"]);
        assert!(line_of(&text, "room orders").contains("2 tables on 2 shards"), "{text}");
    }

    #[test]
    fn a_setting_goes_to_the_strategies_that_have_it() {
        assert!(applies("range.bucket=hour", "range-time") && !applies("range.bucket=hour", "range-room"));
        assert!(applies("range.spread=2", "range-time") && applies("range.spread=2", "range-room"));
        assert!(applies("hash.mix=modulo", "hash") && !applies("hash.mix=modulo", "range-time"));
    }

    #[test]
    fn a_seeded_coupon_knows_its_room() {
        assert_eq!(room_of(CouponId::new(456).unwrap()).unwrap().get(), 92);
        assert_eq!(room_of(CouponId::new(1).unwrap()).unwrap().get(), 1);
    }
}
