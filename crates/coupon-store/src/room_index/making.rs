//! The progress of an index that is being made. Main has it until the index is there: where the making was cut short, it goes on
//! from there.

use std::fmt;
use std::str::FromStr;

use anyhow::Context as _;
use coupon_core::{CouponResult, Placement, ResultId, ShardId, TableId};

use super::RoomPlaces;

/// The name under which main's label has it.
pub const MAKING: &str = "room_index_making";

/// The progress: shard after shard, table after table, row after row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MakingProgress {
    places: RoomPlaces,
    /// The changes that all shards together had seen when it began. If there are others since, rows that the index has taken may
    /// have changed. 0 on files, where each process that changes rows takes note of that.
    changes: u64,
    /// The number of rows that the index has taken.
    taken: u64,
    /// The last of them, and where it is.
    last: Option<(Placement, ResultId)>,
}

impl MakingProgress {
    /// The beginning.
    pub const fn begin(places: RoomPlaces, changes: u64) -> Self {
        Self { places, changes, taken: 0, last: None }
    }

    /// The one that main has noted, if it can go on.
    pub fn go_on(noted: Option<&str>, places: RoomPlaces, changes: u64) -> Option<Self> {
        let noted = noted?.parse::<Self>().ok()?;
        ((noted.places, noted.changes) == (places, changes)).then_some(noted)
    }

    /// The index's shards.
    pub(crate) const fn places(self) -> RoomPlaces {
        self.places
    }

    /// The tables of a shard, in an order that stays, that the index has not taken to the end, each with the id of the last row
    /// that it has taken.
    pub fn left(self, shard: ShardId, tables: Vec<TableId>) -> Vec<(TableId, i64)> {
        let whole = |table| (table, -1);
        match self.last {
            Some((at, _)) if shard < at.shard => Vec::new(),
            Some((at, id)) if shard == at.shard => {
                let done = tables.iter().position(|table| *table == at.table).unwrap_or(0);
                let from = |table| if table == at.table { (table, id.number()) } else { whole(table) };
                tables.into_iter().skip(done).map(from).collect()
            }
            _ => tables.into_iter().map(whole).collect(),
        }
    }

    /// Takes note that the index has taken these rows of a table. Returns how many it has taken in all.
    pub fn took(&mut self, at: Placement, rows: &[CouponResult]) -> u64 {
        self.taken += rows.len() as u64;
        self.last = rows.last().map(|row| (at, row.result_id)).or(self.last);
        self.taken
    }
}

impl fmt::Display for MakingProgress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.places.shards(), self.changes, self.taken)?;
        self.last.map_or(Ok(()), |(at, id)| write!(f, " {} {} {id}", at.shard, at.table))
    }
}

impl FromStr for MakingProgress {
    type Err = anyhow::Error;

    fn from_str(noted: &str) -> anyhow::Result<Self> {
        let mut words = noted.split(' ');
        let mut word = || words.next().context("it ends too early");
        let places = RoomPlaces::read(word()?)?;
        let (changes, taken) = (word()?.parse()?, word()?.parse()?);
        let Ok(shard) = word() else { return Ok(Self { places, changes, taken, last: None }) };
        let table = TableId::parse(word()?).context("it names no table of results")?;
        let at = Placement::new(ShardId::new(shard.parse()?), table);
        let id = ResultId::from_number(word()?.parse()?)?;
        Ok(Self { places, changes, taken, last: Some((at, id)) })
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU16;

    use coupon_core::{CouponId, RoomId, Timestamp, UserId};

    use super::*;

    fn row(sequence: u16) -> CouponResult {
        let id = ResultId::from_parts(Timestamp::from_millis(1_795_000_000_000), 0, sequence).unwrap();
        CouponResult::granted(id, UserId::new(1).unwrap(), CouponId::new(1).unwrap(), RoomId::new(1).unwrap())
    }

    #[test]
    fn what_was_noted_goes_on_from_there_unless_something_has_changed() {
        let places = |shards| RoomPlaces::over(NonZeroU16::new(shards).unwrap());
        let tables = vec![TableId::Part(2), TableId::Part(1), TableId::Part(0)];
        let mut making = MakingProgress::begin(places(3), 7);
        assert_eq!(MakingProgress::go_on(Some(&making.to_string()), places(3), 7), Some(making));
        assert_eq!(making.left(ShardId::new(0), tables.clone()).len(), 3);

        let at = Placement::new(ShardId::new(1), TableId::Part(1));
        assert_eq!((making.took(at, &[row(4), row(5)]), making.took(at, &[])), (2, 2));
        let noted = making.to_string();
        assert_eq!(MakingProgress::go_on(Some(&noted), places(3), 7), Some(making));
        for (other, changes) in [(places(4), 7), (places(3), 8)] {
            assert_eq!(MakingProgress::go_on(Some(&noted), other, changes), None);
        }
        assert_eq!(MakingProgress::go_on(Some("3 7 2 1"), places(3), 7), None);
        assert_eq!(MakingProgress::go_on(None, places(3), 7), None);

        let left = |shard| making.left(ShardId::new(shard), tables.clone());
        let id = row(5).result_id.number();
        assert_eq!(left(0), []);
        assert_eq!(left(1), [(TableId::Part(1), id), (TableId::Part(0), -1)]);
        assert_eq!(left(2).len(), 3);
    }
}
