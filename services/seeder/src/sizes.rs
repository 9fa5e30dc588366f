//! The size of what is seeded, and its seeding.

use std::path::Path;

use anyhow::Result;
use clap::Args;
use coupon_cli::numbers::count;
use coupon_core::{Day, GrabTerms, ShardingStrategy, Timestamp};
use coupon_seeding::{SeedOptions, now, on_stderr, seed, seed_servers};
use coupon_store::settings::{BackendKind, StorageSettings};

use crate::say;

#[derive(Debug, Args)]
pub(super) struct Sizes {
    /// Users, with ids from 1: 100k, 1e5, 100_000 and 100000 are the same, here and for every other count.
    #[arg(long, value_name = "N", default_value_t = 100_000, value_parser = count::<u64>)]
    users: u64,
    /// Rooms, with ids from 1.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = count::<u64>)]
    rooms: u64,
    /// Number of hot rooms, the first ones [default: 5, or all where there are fewer]
    #[arg(long, value_name = "N", value_parser = count::<u64>)]
    hot_rooms: Option<u64>,
    /// Coupons on offer in each room.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = count::<u64>)]
    coupons_per_room: u64,
    /// Stock of each coupon on offer [default: drawn at random, more in hot rooms]
    #[arg(long, value_name = "N", value_parser = count::<u32>)]
    stock: Option<u32>,
    /// Seconds for which a grab of a coupon on offer is held, to be confirmed; 0: it is the user's at once.
    #[arg(long, value_name = "SECONDS", default_value_t = 0, value_parser = count::<u32>)]
    hold_s: u32,
    /// Live results of each coupon on offer that one user may have, up to 100.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = count::<u8>)]
    user_limit: u8,
    /// Let users hand back coupons on offer that they own; operators always may.
    #[arg(long)]
    returnable: bool,
    /// Past results, of coupons that have ended.
    #[arg(long, value_name = "ROWS", default_value_t = 0, value_parser = count::<u64>)]
    history: u64,
    /// Over how many whole days before --as-of they spread.
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = count::<u64>, requires = "history")]
    days: u64,
    /// The same seed gives the same data, whatever the strategy.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// The day or moment (UTC) that the data is made for [default: now]
    #[arg(long, value_name = "DATE", value_parser = moment)]
    as_of: Option<Timestamp>,
    /// Replace the data that is there; on servers, its keys in Redis and its queues in RabbitMQ go with it.
    #[arg(long)]
    reset: bool,
}

impl Sizes {
    fn hot_rooms(&self) -> u64 {
        self.hot_rooms.unwrap_or_else(|| SeedOptions::default().hot_rooms.min(self.rooms))
    }

    /// Fills the place that the settings name, for a strategy of that name.
    pub(super) fn seed(
        &self,
        name: &str,
        strategy: &dyn ShardingStrategy,
        settings: &StorageSettings,
    ) -> Result<()> {
        let options = SeedOptions {
            users: self.users,
            rooms: self.rooms,
            hot_rooms: self.hot_rooms(),
            coupons_per_room: self.coupons_per_room,
            given: None,
            stock: self.stock,
            terms: GrabTerms {
                hold_s: self.hold_s,
                user_limit: self.user_limit,
                returnable: self.returnable,
            },
            history: self.history,
            days: self.days,
            seed: self.seed,
            as_of: self.as_of.unwrap_or_else(now),
            room_index: settings.room_index,
        };
        let (progress, reset) = (&mut *on_stderr(), self.reset);
        say(&match settings.backend {
            BackendKind::Embedded => {
                let set = &settings.embedded.data;
                let dir = if set.as_os_str().is_empty() { &Path::new("data").join(name) } else { set };
                seed(dir, strategy, &options, reset, progress)?
            }
            BackendKind::Servers => seed_servers(&settings.servers, strategy, &options, reset, progress)?,
        })
    }
}

fn moment(text: &str) -> Result<Timestamp, String> {
    let day = text.parse::<Day>().map(Day::start);
    day.or_else(|_| text.parse())
        .map_err(|_| "give a day or a time, for example 2026-11-22 or 2026-11-22T15:00:00Z".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::Cli;

    #[test]
    fn defaults_are_those_of_the_options() {
        let cli = Cli::try_parse_from(["seeder", "--strategy", "hash"]).unwrap();
        let (sizes, options) = (&cli.sizes, SeedOptions::default());
        assert_eq!(
            (sizes.users, sizes.rooms, sizes.hot_rooms()),
            (options.users, options.rooms, options.hot_rooms)
        );
        assert_eq!((sizes.coupons_per_room, sizes.days), (options.coupons_per_room, options.days));
        assert_eq!((sizes.history, sizes.seed), (options.history, options.seed));
    }

    #[test]
    fn where_there_are_few_rooms_all_of_them_are_hot_unless_it_is_said() {
        let hot = |flags: &[&str]| {
            let all =
                ["seeder", "--strategy", "hash", "--rooms", "2"].into_iter().chain(flags.iter().copied());
            Cli::try_parse_from(all).unwrap().sizes.hot_rooms()
        };
        assert_eq!((hot(&[]), hot(&["--hot-rooms", "1"]), hot(&["--hot-rooms", "5"])), (2, 1, 5));
    }

    #[test]
    fn counts_are_written_as_everywhere() {
        let cli =
            Cli::try_parse_from(["seeder", "--strategy", "hash", "--history", "100k", "--users", "1e5"]);
        let sizes = cli.unwrap().sizes;
        assert_eq!((sizes.history, sizes.users), (100_000, 100_000));
    }

    #[test]
    fn a_day_is_a_moment() {
        assert_eq!(moment("2026-11-22").unwrap().to_string(), "2026-11-22T00:00:00.000Z");
        assert_eq!(moment("2026-11-22T15:00:00Z").unwrap().to_string(), "2026-11-22T15:00:00.000Z");
        assert!(moment("tomorrow").is_err());
    }
}
