//! The command that starts an alternative.

use std::fmt;
use std::num::NonZeroU16;

use coupon_strategies::Spec;
use serde::Serialize;

use crate::replay::Recording;

/// A command that starts an alternative, for the trace's own room ids where they are numbers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Start {
    /// The service.
    pub program: String,
    /// Its shards.
    pub shards: NonZeroU16,
    /// The settings for `--set`.
    pub settings: Vec<String>,
    /// A note for the person who starts it.
    pub note: Option<&'static str>,
    /// True when it has boundaries, which the trace suggested.
    #[serde(skip)]
    pub is_fitted: bool,
}

impl Start {
    /// The start of an alternative.
    #[must_use]
    pub fn of(spec: &Spec, recording: &Recording) -> Self {
        let labels = &recording.rooms.labels;
        let own: Option<Vec<u64>> =
            labels.iter().map(|label| label.parse().ok().filter(|id| *id > 0)).collect();
        let rooms = spec.family.rooms;
        let set = spec.settings.iter().map(|setting| match (setting.split_once('='), rooms, &own) {
            (Some((key, starts)), Some(rooms), Some(ids)) if key == rooms.starts => {
                format!("{key}={}", translated(starts, ids))
            }
            (Some((key, _)), Some(rooms), Some(ids)) if key == rooms.count => {
                format!("{key}={}", ids.iter().max().copied().unwrap_or(1))
            }
            _ => setting.clone(),
        });
        let settings: Vec<String> = set.collect();
        let has = |key: &str| settings.iter().any(|setting| setting.split('=').next() == Some(key));
        let note = match (&own, rooms) {
            (Some(_), Some(rooms)) if has(rooms.width) => {
                Some("the width counts rooms of the trace; with gaps between ids, ranges hold fewer")
            }
            (None, Some(_)) => Some("rooms numbered from 1 in the order of their names"),
            _ => None,
        };
        let is_fitted = rooms.is_some_and(|rooms| has(rooms.starts));
        Self { program: spec.program.to_string(), shards: spec.shards, settings, note, is_fitted }
    }
}

impl fmt::Display for Start {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} --shards {}", self.program, self.shards)?;
        self.settings.iter().try_for_each(|setting| write!(f, " --set '{setting}'"))?;
        self.note.map_or(Ok(()), |note| write!(f, "  ({note})"))
    }
}

/// A list of first rooms, each by its own id; the first range begins with the first room there can be.
fn translated(starts: &str, ids: &[u64]) -> String {
    let own = starts.trim_matches(['[', ']']).split(',').enumerate().map(|(at, start)| {
        let room = start.trim().parse::<usize>().ok().and_then(|room| ids.get(room.checked_sub(1)?));
        room.filter(|_| at > 0).map_or_else(|| "1".to_owned(), ToString::to_string)
    });
    format!("[{}]", own.collect::<Vec<_>>().join(","))
}

#[cfg(test)]
mod tests {
    use coupon_strategies::{Fit, RoomRanges};

    use super::*;

    #[test]
    fn boundaries_are_told_by_the_traces_own_ids() {
        assert_eq!(translated("[1,2,4]", &[7, 900, 901, 8_000]), "[1,900,8000]");
        let mut recording = crate::advise::predict::tests::recording();
        let starts = [1, 3].map(|room| coupon_core::RoomId::new(room).unwrap());
        let (four, split) = (NonZeroU16::new(4).unwrap(), RoomRanges::starting_at(&starts).unwrap());
        let fit = Fit { shards: four, spread: four, split, rooms: None };
        let spec = Spec::fitted("range-room+split", &fit).unwrap();
        let told = Start::of(&spec, &recording).to_string();
        assert_eq!(told, "range-svc --shards 4 --set 'range.by=room' --set 'range.boundaries=[1,3]'");
        recording.rooms.labels[0] = "north".to_owned();
        assert!(Start::of(&spec, &recording).to_string().contains("numbered from 1"));
    }
}
