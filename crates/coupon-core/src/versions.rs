//! A layout that has changed while rows were stored: a strategy made of strategies, each of which had its turn.

use std::num::NonZeroU16;
use std::sync::Arc;

use crate::{
    Growth, LayoutChange, LayoutChangeError, Placement, Plan, RESULT_ID_EPOCH, ResultQuery, RouteError,
    RowKey, ShardingStrategy, TimeRange, Timestamp, Whole,
};

/// The number of a layout's version, counted from 1.
pub type VersionNumber = u32;

/// A strategy, and the rows that it has the places of.
#[derive(Debug, Clone)]
pub struct LayoutVersion {
    /// Its number, counted from 1.
    pub number: VersionNumber,
    /// The time of the first row that is written where it says. The earliest version of a list has all rows before, too.
    pub from: Timestamp,
    /// True once earlier rows are being moved to where it says.
    pub receives: bool,
    /// The places.
    pub strategy: Arc<dyn ShardingStrategy>,
}

/// The versions whose rows may still be where they put them, as one strategy.
///
/// A row is written where the version says that is in force at the row's time. Later it may be moved to where a later
/// version says that receives rows. So a query visits the places of every version that may hold a row which it covers.
#[derive(Debug, Clone)]
pub struct Versioned {
    versions: Vec<LayoutVersion>,
}

/// Visits that may be made at the same time, of those that answer a query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VisitRound {
    /// The places to visit.
    pub plan: Plan,
    /// The visits that [`Plan::All`] means.
    pub whole: Whole,
}

impl VisitRound {
    /// Visits whatever one of both does.
    fn union(self, other: Self) -> Self {
        Self { plan: Plan::union([self.plan, other.plan]), whole: self.whole.union(other.whole) }
    }
}

/// A list of versions that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VersionsError {
    /// There is no version.
    #[error("a layout has at least one version")]
    None,
    /// A version does not follow the one before it.
    #[error(
        "version {next} of the layout does not follow version {previous}: both numbers and times must ascend"
    )]
    NotAscending {
        /// The version before.
        previous: VersionNumber,
        /// The offender.
        next: VersionNumber,
    },
}

impl Versioned {
    /// These versions, from the earliest on.
    ///
    /// # Errors
    /// [`VersionsError`] unless there is one, and numbers and times ascend.
    pub fn new(versions: Vec<LayoutVersion>) -> Result<Self, VersionsError> {
        if versions.is_empty() {
            return Err(VersionsError::None);
        }
        for pair in versions.windows(2) {
            if let [previous, next] = pair
                && (next.number <= previous.number || next.from <= previous.from)
            {
                return Err(VersionsError::NotAscending { previous: previous.number, next: next.number });
            }
        }
        Ok(Self { versions })
    }

    /// A layout that has never changed.
    #[must_use]
    pub fn first(strategy: Arc<dyn ShardingStrategy>) -> Self {
        let from = RESULT_ID_EPOCH;
        Self { versions: vec![LayoutVersion { number: 1, from, receives: false, strategy }] }
    }

    /// The versions, from the earliest on.
    #[must_use]
    pub fn versions(&self) -> &[LayoutVersion] {
        &self.versions
    }

    /// The latest version. It may be in force from a later time on.
    #[must_use]
    #[expect(clippy::missing_panics_doc, clippy::expect_used, reason = "there is one by construction")]
    pub fn latest(&self) -> &LayoutVersion {
        self.versions.last().expect("a layout has at least one version")
    }

    /// The version that says where a row of that time is written.
    #[must_use]
    pub fn at(&self, time: Timestamp) -> &LayoutVersion {
        let in_force = self.versions.iter().rfind(|version| version.from <= time);
        in_force.or(self.versions.first()).unwrap_or_else(|| self.latest())
    }

    /// The version that says where a row of that time is once all rows have been moved which are to be.
    #[must_use]
    pub fn in_the_end(&self, time: Timestamp) -> &LayoutVersion {
        let written = self.at(time);
        let receives = |version: &&LayoutVersion| version.receives && version.number > written.number;
        self.versions.iter().rfind(receives).unwrap_or(written)
    }

    /// The place of a row once all rows have been moved which are to be.
    ///
    /// # Errors
    /// [`RouteError`] for a row that has no place.
    pub fn home(&self, row: &RowKey) -> Result<Placement, RouteError> {
        self.in_the_end(row.time).strategy.place(row)
    }

    /// The places where a row may be, each once: that of the version it was written by, then those that it is moved to,
    /// in the order in which it comes to them for the last time. A reader who asks in this order misses a row that a
    /// later version leads back to a place which it has left: [`Self::rounds`] visits that once for either version.
    ///
    /// # Errors
    /// [`RouteError`] for a row that has no place.
    pub fn places(&self, row: &RowKey) -> Result<Vec<Placement>, RouteError> {
        let written = self.at(row.time);
        let later =
            self.versions.iter().filter(|version| version.receives && version.number > written.number);
        let mut places = vec![written.strategy.place(row)?];
        for version in later {
            let place = version.strategy.place(row)?;
            // A later move may lead back.
            places.retain(|earlier| *earlier != place);
            places.push(place);
        }
        Ok(places)
    }

    /// The plan of each version that may hold a row which the query covers, from the earliest on: rows only ever move to a
    /// later one.
    #[must_use]
    pub fn plans(&self, query: &ResultQuery) -> Vec<Plan> {
        let plan = |(index, version): (usize, &LayoutVersion)| {
            let query = self.clipped(index, version, query)?;
            Some(version.strategy.plan(&query))
        };
        self.versions.iter().enumerate().filter_map(plan).collect()
    }

    /// The same plans, as rounds that must be made one after the other: a version that receives rows begins a new one, since a
    /// row may come to it while an earlier one is visited. Where no rows are moved there is one round.
    #[must_use]
    pub fn rounds(&self, query: &ResultQuery) -> Vec<VisitRound> {
        let mut rounds: Vec<VisitRound> = Vec::new();
        for (index, version) in self.versions.iter().enumerate() {
            let Some(query) = self.clipped(index, version, query) else { continue };
            let mut round =
                VisitRound { plan: version.strategy.plan(&query), whole: version.strategy.whole() };
            if !version.receives
                && let Some(before) = rounds.pop()
            {
                round = before.union(round);
            }
            rounds.push(round);
        }
        rounds
    }

    /// Every plan that answers a query in one round, each place once: for counts, which a row that is being moved may be missed
    /// by, or be counted twice.
    #[must_use]
    pub fn at_once(&self, query: &ResultQuery) -> Option<VisitRound> {
        self.rounds(query).into_iter().reduce(VisitRound::union)
    }

    /// True while rows of earlier versions are being moved to a later one.
    #[must_use]
    pub fn is_moving(&self) -> bool {
        self.versions.iter().skip(1).any(|version| version.receives)
    }

    /// The part of a query that a version may hold rows of.
    fn clipped(&self, index: usize, version: &LayoutVersion, query: &ResultQuery) -> Option<ResultQuery> {
        // To a question without a window "all" is as good an answer as every table since the beginning.
        let Some(asked) = query.time else { return Some(*query) };
        let start = (index > 0 && !version.receives).then_some(version.from);
        let end = self.versions.get(index + 1).map(|next| next.from);
        let within = TimeRange::new(
            start.map_or(asked.start, |start| asked.start.max(start)),
            end.map_or(asked.end, |end| asked.end.min(end)),
        );
        (!within.is_empty()).then_some(ResultQuery { time: Some(within), ..*query })
    }
}

impl ShardingStrategy for Versioned {
    fn name(&self) -> &str {
        self.latest().strategy.name()
    }

    fn shard_count(&self) -> NonZeroU16 {
        self.versions.iter().map(|version| version.strategy.shard_count()).max().unwrap_or(NonZeroU16::MIN)
    }

    fn whole(&self) -> Whole {
        let wholes = self.versions.iter().map(|version| version.strategy.whole());
        wholes.reduce(Whole::union).unwrap_or(Whole::Shards(NonZeroU16::MIN))
    }

    fn place(&self, row: &RowKey) -> Result<Placement, RouteError> {
        self.at(row.time).strategy.place(row)
    }

    fn plan(&self, query: &ResultQuery) -> Plan {
        let mut plans = self.plans(query);
        match plans.len() {
            1 => plans.remove(0),
            _ => Plan::union(plans),
        }
    }

    fn is_even(&self, query: &ResultQuery) -> bool {
        matches!(self.versions.as_slice(), [only] if only.strategy.is_even(query))
    }

    fn tables(&self, window: TimeRange) -> Vec<Placement> {
        let tables = |(index, version): (usize, &LayoutVersion)| {
            let covered = self.clipped(index, version, &ResultQuery::within(window))?;
            Some(version.strategy.tables(covered.time.unwrap_or(window)))
        };
        let mut tables: Vec<Placement> =
            self.versions.iter().enumerate().filter_map(tables).flatten().collect();
        tables.sort_unstable();
        tables.dedup();
        tables
    }

    fn layout(&self) -> String {
        self.latest().strategy.layout()
    }

    fn growths(&self, shards: NonZeroU16) -> Vec<Growth> {
        self.latest().strategy.growths(shards)
    }

    fn of_layout(&self, line: &str) -> Option<Arc<dyn ShardingStrategy>> {
        self.latest().strategy.of_layout(line)
    }

    fn changed(&self, change: &LayoutChange) -> Result<Arc<dyn ShardingStrategy>, LayoutChangeError> {
        self.latest().strategy.changed(change)
    }

    fn explain(&self, row: &RowKey) -> Vec<String> {
        let written = self.at(row.time);
        let [_] = self.versions.as_slice() else {
            let mut steps = vec![format!(
                "version {} of the layout, in force from {}: {}",
                written.number,
                written.from,
                written.strategy.layout()
            )];
            steps.extend(written.strategy.explain(row));
            let home = self.in_the_end(row.time);
            if home.number != written.number {
                steps.push(format!(
                    "rows are moved to where version {} says: {}",
                    home.number,
                    home.strategy.layout()
                ));
                steps.extend(home.strategy.explain(row));
            }
            return steps;
        };
        written.strategy.explain(row)
    }
}
