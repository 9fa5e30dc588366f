//! A layout that changes while services run: versions are announced, and earlier rows moved to the latest one.

use std::num::NonZeroU32;
use std::sync::Arc;

use coupon_core::catalogue_change::Operator;
use coupon_core::{ShardingStrategy, Timestamp, VersionNumber};

use super::{LocalFuture, Unavailable};

/// A version of the layout as main has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionRecord {
    /// Its number, counted from 1.
    pub number: VersionNumber,
    /// The time of the first row that is written where it says.
    pub from: Timestamp,
    /// Its layout, in one line.
    pub layout: String,
    /// True once earlier rows are being moved to where it says.
    pub receives: bool,
    /// True once no row is left where it said.
    pub closed: bool,
    /// The time at which it was announced.
    pub announced: Timestamp,
    /// The operator who announced it.
    pub operator: String,
    /// The change, in words.
    pub what: String,
}

/// A layout that is to be the next version.
#[derive(Debug, Clone)]
pub struct NextLayout {
    /// The latest version when it was made of it: it is refused if there is a later one by now.
    pub after: VersionNumber,
    /// The places of rows.
    pub strategy: Arc<dyn ShardingStrategy>,
    /// The change, in words.
    pub what: String,
}

impl NextLayout {
    /// The version that it becomes when it is announced now, in force from some time on.
    pub fn version(&self, now: Timestamp, from: Timestamp, operator: &Operator) -> VersionRecord {
        VersionRecord {
            number: self.after + 1,
            from,
            layout: self.strategy.layout(),
            receives: false,
            closed: false,
            announced: now,
            operator: operator.as_str().to_owned(),
            what: self.what.clone(),
        }
    }

    /// The reason why it cannot follow the latest version, or none: of any backend, which may have reasons of its own.
    pub fn in_the_way(
        &self,
        (number, from, layout): (VersionNumber, Timestamp, &str),
        now: Timestamp,
        moves: bool,
    ) -> Option<String> {
        if number != self.after {
            let after = self.after;
            Some(format!("the layout is at version {number} by now, and not at {after}: look again"))
        } else if layout == self.strategy.layout() {
            Some(format!("it is laid out so already: \"{layout}\""))
        } else if from > now {
            Some(format!("version {number} of the layout is in force from {from} on: wait until then"))
        } else if moves {
            Some(format!("rows are being moved to where version {number} says: wait for the end, or stop it"))
        } else {
            None
        }
    }
}

/// A version that was announced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announced {
    /// The version, as main has it.
    pub version: VersionRecord,
    /// Processes that live and had not confirmed it when they were no longer waited for.
    pub unconfirmed: Vec<String>,
    /// True if the gate knows of it; false while the gate is shut, which will be filled with it.
    pub gate: bool,
}

/// The movement of rows to the latest version.
#[derive(Debug, Clone, PartialEq)]
pub struct Moving {
    /// The version that receives them.
    pub to: VersionNumber,
    /// The time at which it began.
    pub began: Timestamp,
    /// The operator who had it begin.
    pub operator: String,
    /// True while it goes on; false once all are moved, or it was stopped.
    pub runs: bool,
    /// Rows that have arrived.
    pub moved: u64,
    /// Rows that there were to look at when it began, and those that were looked at since, moved or not.
    pub rows: u64,
    /// Of those, the ones that were looked at.
    pub looked_at: u64,
    /// The rows that it moves in a second, at most.
    pub rate: NonZeroU32,
    /// The rows that it looked at in the last seconds, by the second.
    pub rows_per_s: f64,
    /// The reason for which it does not go on, in words, if there is one.
    pub trouble: Option<String>,
}

impl Moving {
    /// A movement that begins now, to the latest of so many versions that are open, in a data set of so many rows.
    /// Where it goes on from the last one, which was stopped, the rows that have arrived are those of both.
    ///
    /// # Errors
    /// [`GrowthError::Refused`] where every row is in its place already, or the latest version is not yet in force.
    pub fn begin(
        open: usize,
        (to, from): (VersionNumber, Timestamp),
        now: Timestamp,
        rows: u64,
        (rate, operator): (NonZeroU32, &Operator),
        last: Option<&Self>,
    ) -> Result<Self, GrowthError> {
        if open < 2 {
            let why = "there is nothing to move: every row is where the layout says";
            return Err(GrowthError::Refused(why.to_owned()));
        }
        if from > now {
            let why = format!("version {to} of the layout is in force from {from} on: wait until then");
            return Err(GrowthError::Refused(why));
        }
        Ok(Self {
            to,
            began: now,
            operator: operator.as_str().to_owned(),
            runs: true,
            moved: last.filter(|last| last.to == to).map_or(0, |last| last.moved),
            rows,
            looked_at: 0,
            rate,
            rows_per_s: 0.0,
            trouble: None,
        })
    }

    /// The time left at the pace of the last seconds, in seconds; none where it stands still.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    pub fn seconds_left(&self) -> Option<f64> {
        let left = self.rows.saturating_sub(self.looked_at) as f64;
        (self.rows_per_s > 0.0).then(|| left / self.rows_per_s)
    }
}

/// The reason why a layout does not change, or no rows are moved.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GrowthError {
    /// Something is in the way, and nothing has changed.
    #[error("{0}")]
    Refused(String),
    /// It may be done or not; asking again is safe, and finds out.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// Changes the layout while services run. Each is answered from main, so that any process can be asked.
pub trait Growing: Send + Sync {
    /// Every version that there ever was, from the first on.
    fn versions(&self) -> LocalFuture<'_, Result<Vec<VersionRecord>, GrowthError>>;

    /// Announces the next version: rows of grabs are written where it says from a moment on that main names.
    fn announce(
        &self,
        next: NextLayout,
        operator: Operator,
    ) -> LocalFuture<'_, Result<Announced, GrowthError>>;

    /// The reason why a version would be refused now, if there is one; nothing is announced.
    fn refuses(&self, next: NextLayout) -> LocalFuture<'_, Result<Option<String>, GrowthError>>;

    /// Goes by the latest version that there is, since the gate refused grabs that were placed by an earlier one.
    /// A backend of one process is never behind.
    fn catch_up(&self) -> LocalFuture<'_, Result<(), Unavailable>> {
        Box::pin(std::future::ready(Ok(())))
    }

    /// Begins to move earlier rows to the latest version, so many a second at most. Where that goes on already, it goes on at
    /// this rate.
    fn start_moving(
        &self,
        rate: NonZeroU32,
        operator: Operator,
    ) -> LocalFuture<'_, Result<Moving, GrowthError>>;

    /// Moves no further row for now. What has left its shard arrives.
    fn stop_moving(&self) -> LocalFuture<'_, Result<Option<Moving>, GrowthError>>;

    /// The last movement of rows; none before the first.
    fn moving(&self) -> LocalFuture<'_, Result<Option<Moving>, GrowthError>>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_the_way_of_a_movement_is_named() {
        let (now, ann) = (Timestamp::from_millis(1_795_348_800_000), Operator::new("Ann").unwrap());
        let begun = |open, from| {
            Moving::begin(open, (2, from), now, 10, (NonZeroU32::MIN, &ann), None)
                .map_err(|error| error.to_string())
        };
        let moving = begun(2, now).unwrap();
        assert_eq!((moving.to, moving.began, moving.rows, moving.runs), (2, now, 10, true));
        assert_eq!(moving.operator, "Ann");
        let goes_on = |last: &Moving| {
            let by = (NonZeroU32::MIN, &ann);
            Moving::begin(3, (2, now), now, 10, by, Some(last)).unwrap().moved
        };
        let stopped = Moving { moved: 7, runs: false, ..moving };
        assert_eq!((goes_on(&stopped), goes_on(&Moving { to: 1, ..stopped })), (7, 0));
        assert!(begun(1, now).unwrap_err().contains("nothing to move"));
        assert!(begun(2, now.plus_millis(1)).unwrap_err().contains("wait until then"));
    }
}
