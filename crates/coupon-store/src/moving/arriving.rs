//! The fate of a row that comes to a shard to be stored while the layout changes.

use coupon_core::{Placement, RouteError, RowKey, Versioned};

use super::ShardMoves;

/// The fate of a row that comes to a shard to be stored.
///
/// It may come late: its grab was placed by a version that rows are being moved away from, or have been, and it may be
/// a repeat of one that was stored, and moved since. So it is looked for at every later place before it counts as new.
/// That is safe, since a row is at its next place before it is gone from this shard, and this shard stores one
/// transaction after the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Arriving {
    /// It is stored here.
    Here,
    /// It is looked for at these places first, in this order; where it is at none, it is stored here, and counts as late.
    LookFirst(Vec<Placement>),
    /// The same, but where it is at none, it goes to the last of them: nothing of its version is stored here any more.
    LookThenPass(Vec<Placement>),
    /// It was placed by another list of versions, and goes to this place.
    Pass(Placement),
}

impl Arriving {
    /// The fate of a row that comes to this place, at a shard where so much has moved.
    ///
    /// # Errors
    /// [`RouteError`] for a row that has no place.
    pub fn of(
        versions: &Versioned,
        here: Placement,
        row: &RowKey,
        moves: ShardMoves,
    ) -> Result<Self, RouteError> {
        let written = versions.at(row.time);
        let place = written.strategy.place(row)?;
        if place != here {
            // What is passed on to where it is in the end is stored there, if it is not there already.
            let passed_on = versions.home(row)? == here;
            return Ok(if passed_on { Self::Here } else { Self::Pass(place) });
        }
        if moves.moving_from < written.number {
            return Ok(Self::Here);
        }
        let stays = moves.closed < written.number || versions.home(row)? == here;
        let mut later = versions.places(row)?;
        // A later version may lead back here: a row that has gone all its way is here then.
        later.retain(|other| *other != here);
        Ok(match (later.is_empty(), stays) {
            (true, _) => Self::Here,
            (false, true) => Self::LookFirst(later),
            (false, false) => Self::LookThenPass(later),
        })
    }
}
