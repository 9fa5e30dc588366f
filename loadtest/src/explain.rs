//! The place of a row, the places a query visits, and the reasons: for `loadtest explain` and the live page.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use coupon_core::{
    CouponId, Placement, Plan, ResultQuery, RoomId, RowKey, ShardingStrategy, TimeRange, Timestamp,
};
use coupon_measure::format::counted;
use serde::Serialize;

/// The number of a plan's tables that are named before the rest is only counted.
const NAMED: usize = 4;
const HOUR: i64 = 3_600_000;

/// A strategy's treatment of a row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// The layout, in a line.
    pub layout: String,
    /// The place of the row, or the reason why it has none.
    pub stored: Result<String, String>,
    /// The steps that lead there.
    pub because: Vec<String>,
    /// The API's questions about results, and the places that answer them.
    pub queries: Vec<ExplainedQuery>,
}

/// A query, and what it visits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ExplainedQuery {
    /// The name for people.
    pub query: &'static str,
    /// The conditions on the rows that it wants.
    pub knows: &'static str,
    /// The places it visits.
    pub visits: String,
}

impl Explanation {
    /// Asks the strategy.
    #[must_use]
    pub fn of(strategy: &dyn ShardingStrategy, row: &RowKey) -> Self {
        let stored = strategy.place(row);
        let visit =
            |(query, knows, question)| ExplainedQuery { query, knows, visits: visits(strategy, &question) };
        Self {
            layout: strategy.layout(),
            stored: stored.map(|placement| placement.to_string()).map_err(|error| error.to_string()),
            because: strategy.explain(row).iter().map(ToString::to_string).collect(),
            queries: queries(row).into_iter().map(visit).collect(),
        }
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { layout, stored, because, queries } = self;
        writeln!(f, "{layout}\n{}", "─".repeat(layout.chars().count()))?;
        match stored {
            Ok(placement) => writeln!(f, "stored on   {placement}, because")?,
            Err(error) => writeln!(f, "not stored  {error}")?,
        }
        for step in because {
            writeln!(f, "              {step}")?;
        }
        let line = |query: &str, knows: &str, visits: &str| format!("\n{query:<12}{knows:<24}{visits}");
        f.write_str(&line("query", "knows", "visits"))?;
        queries.iter().try_for_each(|visit| f.write_str(&line(visit.query, visit.knows, &visit.visits)))
    }
}

/// The room of a seeded coupon: they come five a room.
///
/// # Errors
/// When there is no such room.
pub fn room_of(coupon: CouponId) -> anyhow::Result<RoomId> {
    Ok(RoomId::new((coupon.get() - 1) / 5 + 1)?)
}

/// The time now, by this machine's clock.
///
/// # Errors
/// When that is before 1970.
pub fn now() -> anyhow::Result<Timestamp> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).context("the clock says it is before 1970")?;
    Ok(Timestamp::from_millis(i64::try_from(since.as_millis())?))
}

/// The API's questions about results, and the conditions of each on the rows that it wants.
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
    use std::num::NonZeroU16;

    use coupon_core::UserId;

    use super::*;

    fn explained(strategy: &str, sets: &[&str]) -> String {
        let sets: Vec<String> = sets.iter().map(ToString::to_string).collect();
        let strategy = coupon_strategies::strategy(strategy, NonZeroU16::new(4).unwrap(), &sets).unwrap();
        let row = RowKey {
            user: UserId::new(123).unwrap(),
            room: RoomId::new(92).unwrap(),
            time: "2026-11-22T00:30:00Z".parse().unwrap(),
        };
        Explanation::of(&*strategy, &row).to_string()
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
    fn a_seeded_coupon_knows_its_room() {
        assert_eq!(room_of(CouponId::new(456).unwrap()).unwrap().get(), 92);
        assert_eq!(room_of(CouponId::new(1).unwrap()).unwrap().get(), 1);
    }
}
