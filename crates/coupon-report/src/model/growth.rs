//! A change of the layout in the middle of a round.

use coupon_measure::stats::{Estimate, estimate};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Contestant, Figure, Quantile, Round, ScenarioRound};

/// A change of the layout in the middle of a round, and the price that grabs and reads paid meanwhile. Moments are seconds after
/// the load's start.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GrowthRound {
    /// The change, in words, as the service says it.
    pub what: String,
    /// The layout after it, in one line.
    pub layout: String,
    /// The moment at which the change was asked for.
    pub asked_s: f64,
    /// The moment from which on results are written where the new layout says.
    pub in_force_s: f64,
    /// The moment at which every earlier row had been moved to where the new layout says, to a tenth of a second. It may be after the load.
    pub even_s: Figure,
    /// The rate that rows were to be moved at, at most.
    pub rows_per_s_most: u32,
    /// The rows that were moved, as the service counts them.
    pub rows_moved: Figure,
    /// The rows that had to be moved, as routing alone says: those of the seeded past and of the grabs granted before `in_force_s` whose
    /// places by the two layouts differ.
    pub rows_predicted: Figure,
    /// Rows moved a second, from the beginning of the movement to its end.
    pub moved_per_s: Figure,
    /// The longest time without a grab that was decided, granted or refused by the gate, before the change: in milliseconds.
    pub longest_pause_before_ms: Figure,
    /// The same from the moment the change was asked for until every row had been moved, or the load ended.
    pub longest_pause_ms: Figure,
    /// Rows of grabs that each shard was written to before `in_force_s`, a second, by the layout that was in force. The audit finds
    /// them there, or where they were moved to.
    pub written_before: Vec<f64>,
    /// The same from then until the load's end.
    pub written_after: Vec<f64>,
    /// Evenly loaded shards that the rows written before are worth.
    pub effective_before: Figure,
    /// The same of those written after.
    pub effective_after: Figure,
    /// The load before the change was asked for.
    pub before: GrowthPart,
    /// The load from the moment on at which rows began to move until every one had been moved.
    pub during: GrowthPart,
    /// The load after that; empty where rows still moved when it ended.
    pub after: GrowthPart,
}

/// A part of a round in which the layout changes. Requests belong to the part in which they were due.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GrowthPart {
    /// Its beginning, in seconds after the load's.
    pub from_s: f64,
    /// Its end.
    pub until_s: f64,
    /// Grabs that got their coupon, a second.
    pub granted_per_s: Figure,
    /// Grabs that were granted or failed; refused ones are left out.
    pub grabs: ScenarioRound,
    /// All other requests.
    pub reads: ScenarioRound,
    /// Shards that a read visited, on average, as the answers' `plan` says.
    pub shards_visited: Figure,
    /// Tables, likewise.
    pub tables_visited: Figure,
}

/// The part by which a count of moved rows may differ from the one predicted.
const ALIKE: f64 = 0.01;

impl GrowthRound {
    /// False if the rows moved are not within a hundredth of those predicted; nothing where one of the two is not known.
    #[must_use]
    pub fn is_as_predicted(&self) -> Option<bool> {
        let (moved, predicted) = (self.rows_moved.value()?, self.rows_predicted.value()?);
        Some((moved - predicted).abs() <= ALIKE * predicted.max(1.0))
    }

    /// The seconds from the moment the change was asked for until every row had been moved.
    #[must_use]
    pub fn seconds_until_even(&self) -> Option<f64> {
        Some(self.even_s.value()? - self.asked_s)
    }

    /// A latency in one of the parts, in milliseconds.
    #[must_use]
    pub fn latency(&self, part: Part, of: Asked, quantile: Quantile) -> Option<f64> {
        let part = self.part(part);
        let requests = match of {
            Asked::Grabs => &part.grabs,
            Asked::Reads => &part.reads,
        };
        quantile.of(requests.timed, &requests.latency).value()
    }

    /// One of its parts.
    #[must_use]
    pub const fn part(&self, part: Part) -> &GrowthPart {
        match part {
            Part::Before => &self.before,
            Part::During => &self.during,
            Part::After => &self.after,
        }
    }
}

/// A part of a round in which the layout changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Before the change.
    Before,
    /// While rows move.
    During,
    /// Once all have been moved.
    After,
}

impl Part {
    /// All three, in order.
    pub const ALL: [Self; 3] = [Self::Before, Self::During, Self::After];
}

/// The requests that a latency is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// Grabs.
    Grabs,
    /// Everything else.
    Reads,
}

impl Asked {
    /// The name for people.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Grabs => "grabs",
            Self::Reads => "reads",
        }
    }
}

impl Contestant {
    /// The changes of its layout, one a round; none where its layout was left alone.
    pub fn growths(&self) -> impl Iterator<Item = &GrowthRound> {
        self.rounds.iter().filter_map(|round: &Round| round.growth.as_ref())
    }

    /// A figure of the changes, over the rounds that have it.
    #[must_use]
    pub fn growth(&self, figure: impl Fn(&GrowthRound) -> Option<f64>) -> Option<Estimate> {
        estimate(&self.growths().filter_map(figure).collect::<Vec<_>>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_movement_is_as_predicted_within_a_hundredth() {
        let of = |moved, predicted| {
            let (rows_moved, rows_predicted) = (Figure::of(moved), Figure::of(predicted));
            GrowthRound { rows_moved, rows_predicted, ..GrowthRound::default() }.is_as_predicted()
        };
        assert_eq!((of(1_000.0, 1_010.0), of(1_000.0, 1_011.0)), (Some(true), Some(false)));
        assert_eq!((of(0.0, 0.0), of(2.0, 0.0)), (Some(true), Some(false)));
        assert_eq!(of(f64::NAN, 1.0), None);
    }
}
