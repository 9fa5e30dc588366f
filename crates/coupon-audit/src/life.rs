//! The law of a result's life after its grab, as the auditor has it.
//!
//! - A row is held (0), owned (1), used (2), returned (3), released (4) or expired (5). From 3 on it has given its stock
//!   back, and only then it has no slot.
//! - What is held, was released or has expired has a moment until which it was held. It was confirmed before that moment,
//!   and has not expired earlier.
//! - A row's use is the state 2, and no other.
//! - The time of the last change is there once there was one, and is not before the grab.

use std::fmt;

use anyhow::{Context, Result};
use coupon_core::Timestamp;

use super::source::{Spent, UNTOLD};

const OWNED: i64 = 1;
const USED: i64 = 2;
const RETURNED: i64 = 3;
const RELEASED: i64 = 4;
const EXPIRED: i64 = 5;
/// The words of the states, in their order.
const WORDS: [&str; 6] = ["held", "owned", "used", "returned", "released", "expired"];
/// The most slots that a user can have of a coupon.
pub(super) const SLOTS: i64 = 100;
/// A clock may be put back between grab and change.
const SLACK_MS: i64 = 10_000;

/// A row's account of its life after the grab.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Life {
    pub(super) state: i64,
    pub(super) slot: Option<i64>,
    pub(super) hold_until: Option<i64>,
    pub(super) state_time: Option<i64>,
}

impl Life {
    /// The state of what is held.
    pub(super) const HELD: i64 = 0;
    /// The life of a final grab that nothing has happened to since.
    pub(super) const OWNED: Self = Self { state: OWNED, slot: Some(0), hold_until: None, state_time: None };

    /// True if the row takes stock.
    pub(super) const fn is_live(self) -> bool {
        self.state < RETURNED
    }

    /// True if it was held and then became the user's.
    pub(super) const fn was_confirmed(self) -> bool {
        self.hold_until.is_some() && matches!(self.state, OWNED | USED | RETURNED)
    }

    /// True if it was given up while it was held.
    pub(super) const fn was_released(self) -> bool {
        self.state == RELEASED
    }

    /// True if it was handed back after it was the user's.
    pub(super) const fn was_returned(self) -> bool {
        self.state == RETURNED
    }

    /// True if its hold ended by itself at that time or later.
    pub(super) fn expired_since(self, time: i64) -> bool {
        self.state == EXPIRED && self.state_time.is_some_and(|expired| expired >= time)
    }

    /// True if there is nothing to say of it beside its use.
    pub(super) const fn is_plain(self) -> bool {
        matches!(self.state, OWNED | USED | UNTOLD) && self.hold_until.is_none()
    }
}

/// The number of a state's word.
pub(super) fn state(word: &str) -> Result<i64> {
    let found = (0..).zip(WORDS).find(|(_, known)| *known == word);
    found.map(|(state, _)| state).with_context(|| format!("{word:?} is no state"))
}

/// The fault in a row's account, given the time of its grab and its use.
pub(super) fn wrong(life: Life, grabbed: i64, spent: Spent) -> Option<String> {
    let Life { state, slot, hold_until, state_time } = life;
    let (never_held, never_changed) = (hold_until.is_none(), state_time.is_none());
    let why = if !(0..=EXPIRED).contains(&state) {
        "there is no such state"
    } else if spent.is_used() != (state == USED) {
        "its use says otherwise"
    } else if slot.is_some() != life.is_live() {
        "it takes stock without a slot, or has a slot and takes none"
    } else if slot.is_some_and(|slot| !(0..SLOTS).contains(&slot)) {
        "there is no such slot"
    } else if never_held && matches!(state, Life::HELD | RELEASED | EXPIRED) {
        "it was held until no moment"
    } else if hold_until.is_some_and(|until| until <= grabbed) {
        "it was held until a moment that is not after its grab"
    } else if never_changed != (state == Life::HELD || (state == OWNED && never_held)) {
        "it changed at no time, or at a time when there was nothing to change"
    } else if state_time.is_some_and(|time| time < grabbed - SLACK_MS) {
        "it changed before it was grabbed"
    } else if state == OWNED && hold_until.zip(state_time).is_some_and(|(until, time)| time >= until) {
        "it was confirmed when it was not held any more"
    } else if state == EXPIRED && hold_until.zip(state_time).is_some_and(|(until, time)| time < until) {
        "it expired before its time"
    } else if state == USED && state_time != spent.time {
        "its use has another time than its last change"
    } else {
        return None;
    };
    Some(format!("its state contradicts itself: {life} ({why})"))
}

impl fmt::Display for Life {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { state, slot, hold_until, state_time } = self;
        let word = usize::try_from(*state).ok().and_then(|state| WORDS.get(state));
        match word {
            Some(word) => f.write_str(word)?,
            None => write!(f, "state {state}")?,
        }
        if let Some(slot) = slot {
            write!(f, ", slot {slot}")?;
        }
        if let Some(until) = hold_until {
            write!(f, ", held until {}", Timestamp::from_millis(*until))?;
        }
        if let Some(time) = state_time {
            write!(f, ", changed at {}", Timestamp::from_millis(*time))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRABBED: i64 = 1_000_000;
    const UNTIL: i64 = GRABBED + 60_000;
    const UNUSED: Spent = Spent { status: 0, time: None, cents: None };

    fn life(state: i64, slot: Option<i64>, hold_until: Option<i64>, state_time: Option<i64>) -> Life {
        Life { state, slot, hold_until, state_time }
    }

    fn used(time: i64) -> Spent {
        Spent { status: 1, time: Some(time), cents: Some(5) }
    }

    #[test]
    fn every_lawful_life_is_sound() {
        let at = GRABBED + 5;
        for (life, spent) in [
            (Life::OWNED, UNUSED),
            (life(0, Some(0), Some(UNTIL), None), UNUSED),
            (life(1, Some(99), Some(UNTIL), Some(UNTIL - 1)), UNUSED),
            (life(2, Some(0), None, Some(at)), used(at)),
            (life(2, Some(1), Some(UNTIL), Some(UNTIL + 9)), used(UNTIL + 9)),
            (life(3, None, None, Some(at)), UNUSED),
            (life(3, None, Some(UNTIL), Some(at)), UNUSED),
            (life(4, None, Some(UNTIL), Some(UNTIL + 5)), UNUSED),
            (life(5, None, Some(UNTIL), Some(UNTIL)), UNUSED),
        ] {
            assert_eq!(wrong(life, GRABBED, spent), None, "{life}");
        }
    }

    #[test]
    fn each_breach_of_the_law_is_found() {
        let at = GRABBED + 5;
        for (life, spent, why) in [
            (life(6, None, None, Some(at)), UNUSED, "no such state"),
            (Life::OWNED, used(at), "its use says otherwise"),
            (life(2, Some(0), None, Some(at)), UNUSED, "its use says otherwise"),
            (life(1, None, None, None), UNUSED, "without a slot"),
            (life(4, Some(0), Some(UNTIL), Some(at)), UNUSED, "without a slot"),
            (life(1, Some(100), None, None), UNUSED, "no such slot"),
            (life(0, Some(0), None, None), UNUSED, "until no moment"),
            (life(0, Some(0), Some(GRABBED), None), UNUSED, "not after its grab"),
            (life(3, None, None, None), UNUSED, "changed at no time"),
            (life(0, Some(0), Some(UNTIL), Some(at)), UNUSED, "changed at no time"),
            (life(1, Some(0), Some(UNTIL), None), UNUSED, "changed at no time"),
            (life(3, None, None, Some(1)), UNUSED, "before it was grabbed"),
            (life(1, Some(0), Some(UNTIL), Some(UNTIL)), UNUSED, "not held any more"),
            (life(5, None, Some(UNTIL), Some(UNTIL - 1)), UNUSED, "before its time"),
            (life(2, Some(0), None, Some(at)), used(at + 1), "another time"),
        ] {
            let found = wrong(life, GRABBED, spent).unwrap_or_default();
            assert!(found.contains(why), "{life}: {found:?} does not say {why:?}");
        }
    }

    /// The services' own table of transitions: each step of it leads to a state that is sound here.
    #[test]
    fn the_services_table_speaks_of_the_same_states() {
        let table: Vec<(String, String, String, String, Option<String>)> =
            serde_json::from_str(include_str!("../../coupon-core/golden/after_grab.json")).unwrap();
        assert_eq!(table.len(), 5);
        for (action, from, to, _, operator) in table {
            let (from, to) = (state(&from).unwrap(), state(&to).unwrap());
            let live = |state| Life { state, ..Life::OWNED }.is_live();
            assert!(live(from), "{action}");
            assert_eq!(operator.is_some(), !live(to), "{action}");
            assert!(operator.is_none_or(|word| crate::books::GIVEN_BACK.contains(&word.as_str())));
        }
        assert!(state("gone").is_err());
    }
}
