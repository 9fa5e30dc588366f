//! The command that starts an alternative.

use std::fmt;
use std::num::NonZeroU16;

use coupon_strategies::Spec;
use serde::Serialize;

use crate::replay::Recording;

/// A command that starts an alternative, for the ids that the service will see.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StartCommand {
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

impl StartCommand {
    /// The start of an alternative.
    #[must_use]
    pub fn of(spec: &Spec, recording: &Recording) -> Self {
        let rooms = spec.family.rooms;
        let has = |key: &str| spec.settings.iter().any(|setting| setting.split('=').next() == Some(key));
        let numbered = rooms.is_some() && recording.rooms.are_numbered;
        Self {
            program: spec.program.to_string(),
            shards: spec.shards,
            settings: spec.settings.clone(),
            note: numbered.then_some("rooms numbered as in rooms.csv"),
            is_fitted: rooms.is_some_and(|rooms| has(rooms.starts)),
        }
    }
}

impl fmt::Display for StartCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} --shards {}", self.program, self.shards)?;
        self.settings.iter().try_for_each(|setting| write!(f, " --set '{setting}'"))?;
        self.note.map_or(Ok(()), |note| write!(f, "  ({note})"))
    }
}

#[cfg(test)]
mod tests {
    use coupon_strategies::{Fit, RoomRanges};

    use super::*;

    #[test]
    fn the_settings_are_those_that_were_judged_and_numbered_rooms_are_told() {
        let mut recording = crate::advise::predict::tests::recording();
        let starts = [1, 900].map(|room| coupon_core::RoomId::new(room).unwrap());
        let (four, split) = (NonZeroU16::new(4).unwrap(), RoomRanges::starting_at(&starts).unwrap());
        let fit = Fit { shards: four, spread: four, split, rooms: None };
        let spec = Spec::fitted("range-room+split", &fit).unwrap();
        let told = StartCommand::of(&spec, &recording).to_string();
        assert_eq!(told, "range-svc --shards 4 --set 'range.by=room' --set 'range.boundaries=[1,900]'");
        recording.rooms.are_numbered = true;
        assert!(StartCommand::of(&spec, &recording).to_string().contains("numbered as in rooms.csv"));
    }
}
