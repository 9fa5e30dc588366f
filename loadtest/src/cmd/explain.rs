//! `loadtest explain`.

use std::num::NonZeroU16;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::ensure;
use clap::builder::PossibleValuesParser;
use coupon_cli::terminal;
use coupon_core::{CouponId, RoomId, RowKey, ShardingStrategy, Timestamp, UserId};
use coupon_strategies::REGISTER;

use crate::explain::{Explanation, now, room_of};

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
    #[arg(long, value_delimiter = ',', default_value = "hash,range-time,range-room", value_parser = PossibleValuesParser::new(REGISTER.names()))]
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
        terminal::say(Explanation::of(&*strategy, &row).to_string());
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_goes_to_the_strategies_that_have_it() {
        assert!(applies("range.bucket=hour", "range-time") && !applies("range.bucket=hour", "range-room"));
        assert!(applies("range.spread=2", "range-time") && applies("range.spread=2", "range-room"));
        assert!(applies("hash.mix=modulo", "hash") && !applies("hash.mix=modulo", "range-time"));
    }
}
