//! The report of a seeding, for programs and for people.

use std::fmt;
use std::time::Duration;

use coupon_core::ShardingStats;
use indicatif::HumanCount;

/// The rows that [`crate::seed`] or [`crate::seed_servers`] wrote, and the time it took.
#[derive(Debug, Clone)]
pub struct SeedReport {
    /// The folder, or the databases and where they are.
    pub place: String,
    /// The id of its data set.
    pub dataset: String,
    /// The strategy's name.
    pub strategy: String,
    /// The strategy's layout line.
    pub layout: String,
    /// Users written.
    pub users: u64,
    /// Rooms written.
    pub rooms: u64,
    /// Coupons on offer.
    pub coupons: u64,
    /// Coupons of the past, to which the results belong.
    pub past_coupons: u64,
    /// Results written, by shard.
    pub rows_per_shard: Vec<u64>,
    /// The time until users, rooms and coupons on offer were written.
    pub catalogue_took: Duration,
    /// The time until everything was indexed and synced.
    pub took: Duration,
}

impl SeedReport {
    /// Results written.
    #[must_use]
    pub fn results(&self) -> u64 {
        self.rows_per_shard.iter().sum()
    }

    /// The spread of the results over the shards.
    #[must_use]
    pub fn spread(&self) -> ShardingStats {
        ShardingStats::of_counts(&self.rows_per_shard)
    }
}

impl fmt::Display for SeedReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = |number: u64| HumanCount(number).to_string();
        writeln!(f, "{}: data set {} laid out as \"{}\"", self.place, self.dataset, self.layout)?;
        let (users, rooms, coupons) = (count(self.users), count(self.rooms), count(self.coupons));
        writeln!(f, "  {users} users, {rooms} rooms, {coupons} coupons on offer")?;
        if self.results() > 0 {
            let (results, past) = (count(self.results()), count(self.past_coupons));
            writeln!(f, "  {results} past results of {past} coupons that have ended")?;
            let spread = self.spread();
            for (shard, (rows, share)) in self.rows_per_shard.iter().zip(&spread.share).enumerate() {
                writeln!(f, "  shard {shard}: {:>12} results, {:5.1}%", count(*rows), share * 100.0)?;
            }
            if let (Some(skew), Some(effective)) = (spread.skew, spread.effective_shards) {
                let shards = self.rows_per_shard.len();
                let hottest = spread.hottest;
                writeln!(f, "  skew {skew:.2} (shard {hottest}); worth {effective:.2} of {shards} shards")?;
            }
        }
        write!(f, "  in {:.1} s, {:.1} s of it for the catalogue", secs(self.took), secs(self.catalogue_took))
    }
}

fn secs(duration: Duration) -> f64 {
    duration.as_secs_f64()
}
