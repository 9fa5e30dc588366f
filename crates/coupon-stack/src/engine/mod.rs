//! An engine over the stack's shards: Vitess, which shards by itself.
//!
//! One keyspace, a tablet for each of its shards, and before them one address. The tablets share the database servers
//! of the stack's shards, each with a database of its own. etcd knows what there is; vtctld changes it, when
//! [`Control`] asks it to.

mod answers;
mod control;
mod group;
mod launch;
mod plan;
mod reshard;

use coupon_core::KeyRange;
use serde::{Deserialize, Serialize};

use crate::Server;

pub(crate) use control::Control;
pub(crate) use launch::{Database, ProgramPorts, etcd, lives, open_to_programs, tablet, vtctld, vtgate};
pub(crate) use plan::Goal;
pub(crate) use reshard::{dry_run, reshard};

/// The one keyspace.
pub(crate) const KEYSPACE: &str = "results";
/// The one cell: what Vitess calls the servers that fail together.
const CELL: &str = "z1";
/// The folders in etcd for what all cells know, and for what this one does.
const GLOBAL_ROOT: &str = "/vitess/global";
const CELL_ROOT: &str = "/vitess/z1";

/// A server of one shard's queries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tablet {
    /// Its number, which no other one of this stack has, or ever had.
    pub(crate) number: u16,
    /// Its shard.
    pub(crate) range: KeyRange,
}

impl Tablet {
    pub(crate) fn server(self) -> Server {
        Server::Tablet(self.number)
    }

    /// The name that Vitess' tools know it by.
    fn alias(self) -> String {
        format!("{CELL}-{}", 100 + u32::from(self.number))
    }

    /// The database that its rows are in.
    fn database(self) -> String {
        format!("engine_{}", self.number)
    }
}

/// The tablets of a stack, as it records them.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Tablets {
    list: Vec<Tablet>,
    /// The number of the next one.
    next: u16,
}

impl Tablets {
    /// One for each shard.
    pub(crate) fn of(ranges: &[KeyRange]) -> Self {
        let mut tablets = Self::default();
        for range in ranges {
            tablets.add(*range);
        }
        tablets
    }

    pub(crate) fn all(&self) -> &[Tablet] {
        &self.list
    }

    /// Their shards, in the order of ids.
    pub(crate) fn ranges(&self) -> Vec<KeyRange> {
        let mut ranges: Vec<_> = self.list.iter().map(|tablet| tablet.range).collect();
        ranges.sort_unstable();
        ranges
    }

    /// The one of a shard.
    pub(crate) fn of_shard(&self, range: KeyRange) -> Option<Tablet> {
        self.list.iter().find(|tablet| tablet.range == range).copied()
    }

    pub(crate) fn remove(&mut self, tablet: Tablet) {
        self.list.retain(|other| *other != tablet);
    }

    /// One more.
    pub(crate) fn add(&mut self, range: KeyRange) -> Tablet {
        let tablet = Tablet { number: self.next, range };
        self.next += 1;
        self.list.push(tablet);
        tablet
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_of_a_tablet_is_used_once() {
        let range = |name: &str| name.parse::<KeyRange>().unwrap();
        let mut tablets = Tablets::of(&[range("-80"), range("80-")]);
        let last = tablets.add(range("-40"));
        assert_eq!((last.number, last.server()), (2, Server::Tablet(2)));
        tablets.remove(last);
        assert_eq!(tablets.of_shard(range("-40")), None);
        let record = serde_json::to_string(&tablets).unwrap();
        let mut again: Tablets = serde_json::from_str(&record).unwrap();
        assert_eq!(again.ranges(), [range("-80"), range("80-")]);
        assert_eq!(again.add(range("-40")).number, 3);
    }
}
