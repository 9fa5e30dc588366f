//! An engine that has a data set's shards (Vitess): which of its shards has which lane, and which rows there are a lane's.
//!
//! Rows are read at the address of a shard (`results:-40`), where the engine does not look at what belongs there: a row that is
//! on the wrong shard is found so, and by no question that the engine plans.

use std::fmt;
use std::ops::Range;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use coupon_core::TableId;
use mysql_async::prelude::Queryable as _;

use super::connect::Database;
use crate::placement::lane_of;
use crate::scan::Holders;
use crate::{AuditReport, Kind};

/// The setting that names one.
const SETTING: &str = "servers.engine";
/// The results that one question is about.
const ASKED: usize = 500;
/// The values of an id's first byte, by which shards and lanes are cut.
const BYTE: u64 = 256;

/// An engine's keyspace.
#[derive(Debug, Clone)]
pub(super) struct Keyspace {
    /// What is sent there is planned by the engine.
    whole: Database,
}

/// A shard of it: its name, and the first bytes of the ids that it has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct KeyspaceShard {
    name: String,
    bytes: Range<u64>,
}

/// The rows of a database that are one shard's: all of them, or those of a lane. As text it is the condition on the rows of small
/// tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part(Option<LaneRows>);

/// A lane, and the lanes that are on the same shard of an engine.
#[derive(Debug, Clone, PartialEq, Eq)]
struct LaneRows {
    lane: u64,
    lanes: u64,
    beside: Range<u64>,
}

impl Keyspace {
    /// The one that an address names at its end.
    pub(super) fn new(url: &str, ca_file: Option<&Path>) -> Result<Self> {
        // The password first: it may hold anything.
        let path = url.rsplit_once('@').map_or(url, |(_, host)| host).split('?').next();
        let name = path.unwrap_or_default().rsplit_once('/').map_or("", |(_, name)| name);
        ensure!(
            !name.is_empty(),
            "setting `{SETTING}` must end with the name of a keyspace: mysql://user:password@host:3306/keyspace"
        );
        Ok(Self { whole: Database::of_engine(SETTING, url, name, ca_file)? })
    }

    /// Asks the engine for every result by its user and coupon, as a service does: it looks for a row where its own hash says,
    /// and misses one that is elsewhere.
    pub(super) async fn hold_to_its_plan(&self, holders: &Holders, report: &mut AuditReport) -> Result<()> {
        let mut conn = self.whole.connect().await?;
        for (coupon, holdings) in holders {
            for some in holdings.chunks(ASKED) {
                let mut users: Vec<i64> = some.iter().map(|holding| holding.user).collect();
                users.sort_unstable();
                users.dedup();
                let listed = users.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
                let ids = some.iter().map(|holding| holding.id);
                let (first, last) = (ids.clone().min().unwrap_or(0), ids.max().unwrap_or(0));
                let sql = format!(
                    "SELECT COUNT(*) FROM {} WHERE user_id IN ({listed}) AND coupon_id = {coupon} \
                     AND result_id BETWEEN {first} AND {last}",
                    TableId::Single
                );
                let found: Option<u64> = conn.query_first(sql).await?;
                let (found, wanted) = (found.unwrap_or(0), some.len() as u64);
                if found < wanted {
                    report.add(Kind::Misplaced, wanted - found, || {
                        format!(
                            "coupon {coupon}: of {wanted} results the engine finds {found} by their users"
                        )
                    });
                }
            }
        }
        Ok(())
    }

    /// The shards that serve it.
    pub(super) async fn shards(&self) -> Result<Vec<KeyspaceShard>> {
        let mut conn = self.whole.connect().await?;
        let all: Vec<String> = conn.query("SHOW VITESS_SHARDS").await?;
        let of_this = all.iter().filter_map(|shard| shard.split_once('/'));
        let of_this = of_this.filter(|(keyspace, _)| *keyspace == self.whole.name());
        of_this.map(|(_, name)| KeyspaceShard::new(name)).collect()
    }

    /// The database that has a lane, of so many, and the lane's part of it.
    pub(super) fn lane(&self, shards: &[KeyspaceShard], lane: u16, lanes: u16) -> Result<(Database, Part)> {
        let (shard, part) = KeyspaceShard::with_lane(shards, lane.into(), lanes.into())?;
        Ok((self.whole.named(&format!("{}:{}", self.whole.name(), shard.name)), part))
    }
}

impl KeyspaceShard {
    fn new(name: &str) -> Result<Self> {
        let bound = |text: &str, open| match text {
            "" => Some(open),
            text if text.len() == 2 => u64::from_str_radix(text, 16).ok(),
            _ => None,
        };
        let range = name.split_once('-').and_then(|(from, to)| Some(bound(from, 0)?..bound(to, BYTE)?));
        let bytes = range.with_context(|| format!("shard {name:?} is no range of the first byte"))?;
        Ok(Self { name: name.to_owned(), bytes })
    }

    fn with_lane(shards: &[Self], lane: u64, lanes: u64) -> Result<(&Self, Part)> {
        ensure!(lanes.is_power_of_two() && lanes <= BYTE, "{lanes} lanes cut no byte evenly");
        let width = BYTE / lanes;
        let first = lane * width;
        let shard = shards.iter().find(|shard| shard.bytes.contains(&first));
        let shard = shard.with_context(|| format!("no shard serves lane {lane}"))?;
        let Range { start, end } = shard.bytes;
        ensure!(
            start % width == 0 && end % width == 0,
            "shard {} ends within one of the {lanes} lanes",
            shard.name
        );
        Ok((shard, Part(Some(LaneRows { lane, lanes, beside: start / width..end / width }))))
    }
}

impl Part {
    /// All rows.
    pub(super) const ALL: Self = Self(None);

    /// True of a row of a user's. What belongs on no lane of an engine's shard counts as its first lane's, where it is then found
    /// to be misplaced.
    pub(super) fn has(&self, user: i64) -> bool {
        let Self(Some(LaneRows { lane, lanes, beside })) = self else { return true };
        let home = u64::try_from(user).ok().map(|user| lane_of(user, *lanes));
        match home.filter(|home| beside.contains(home)) {
            Some(home) => home == *lane,
            None => *lane == beside.start,
        }
    }

    /// True of a lane's.
    pub(super) const fn is_lanes(&self) -> bool {
        self.0.is_some()
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self(None) => f.write_str("TRUE"),
            Self(Some(LaneRows { lane, lanes, .. })) => write!(f, "lane = X'{:02x}'", lane * (BYTE / lanes)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shards(names: &[&str]) -> Vec<KeyspaceShard> {
        names.iter().map(|name| KeyspaceShard::new(name).unwrap()).collect()
    }

    #[test]
    fn a_lane_is_on_the_shard_that_has_its_first_id() {
        let shards = shards(&["-40", "40-80", "80-"]);
        let of = |lane| KeyspaceShard::with_lane(&shards, lane, 8).unwrap();
        let found: Vec<(&str, String)> =
            [0, 3, 7].map(of).map(|(shard, part)| (&*shard.name, part.to_string())).into();
        assert_eq!(
            found,
            [
                ("-40", "lane = X'00'".to_owned()),
                ("40-80", "lane = X'60'".to_owned()),
                ("80-", "lane = X'e0'".to_owned())
            ]
        );
        assert_eq!(KeyspaceShard::with_lane(&shards, 1, 2).unwrap().0.name, "80-");
        assert!(KeyspaceShard::with_lane(&shards, 0, 2).unwrap_err().to_string().contains("within"));
        assert!(KeyspaceShard::new("-4000").is_err() && KeyspaceShard::new("0").is_err());
    }

    #[test]
    fn every_row_of_a_shard_is_of_one_of_its_lanes() {
        let shards = shards(&["-40", "40-"]);
        let parts: Vec<Part> =
            [0, 1].map(|lane| KeyspaceShard::with_lane(&shards, lane, 8).unwrap().1).into();
        for user in -1..200 {
            assert_eq!(parts.iter().filter(|part| part.has(user)).count(), 1, "user {user}");
        }
        // Of user 1 the id begins with d4: there is no lane of it on this shard.
        assert!(parts[0].has(1) && !parts[1].has(1));
        assert!(Part::ALL.has(1) && Part::ALL.to_string() == "TRUE");
    }

    #[test]
    fn an_address_names_its_keyspace_and_no_password_is_shown() {
        let keyspace = Keyspace::new("mysql://u:s3cret@gate:1/results?x=1", None);
        // An option that the driver does not know is refused by name.
        assert!(keyspace.is_err());
        let keyspace = Keyspace::new("mysql://u:s3cret@gate:1/results", None).unwrap();
        assert_eq!(keyspace.whole.name(), "results");
        assert!(!format!("{keyspace:?}").contains("s3cret"));
    }
}
