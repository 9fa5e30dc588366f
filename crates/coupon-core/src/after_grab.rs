//! The life of a result after its grab: its states, and the one table of the ways from one to another.
//!
//! ```text
//! held ──confirm──▶ owned ──use──▶ used
//!  │                  └──return──▶ returned
//!  ├──release──▶ released
//!  └──expire──▶ expired
//! ```
//!
//! A grab of a coupon without a hold begins at owned. Rows that are released, expired or returned gave their stock
//! back: they are not *live*, and stay only to be looked at. The statements of a store, what a service answers, and the
//! tests take all of it from here.

use std::fmt;
use std::str::FromStr;

use xxhash_rust::xxh3::xxh3_64;

use crate::books::Movement;
use crate::model::code;
use crate::{CouponResult, Money, Timestamp};

code!(
    /// The state of a result.
    ResultState, "state" {
        /// Reserved until `hold_until`, to be confirmed before.
        Held = 0,
        /// The user's.
        Owned = 1,
        /// Spent on an order.
        Used = 2,
        /// Handed back after it was owned.
        Returned = 3,
        /// Handed back while it was held.
        Released = 4,
        /// Not confirmed in time.
        Expired = 5,
    }
);

impl ResultState {
    /// All of them, in the order of their codes.
    pub const ALL: [Self; 6] =
        [Self::Held, Self::Owned, Self::Used, Self::Returned, Self::Released, Self::Expired];

    /// The word that JSON uses.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Owned => "owned",
            Self::Used => "used",
            Self::Returned => "returned",
            Self::Released => "released",
            Self::Expired => "expired",
        }
    }

    /// True if the row takes stock.
    #[must_use]
    pub const fn is_live(self) -> bool {
        match self {
            Self::Held | Self::Owned | Self::Used => true,
            Self::Returned | Self::Released | Self::Expired => false,
        }
    }
}

impl fmt::Display for ResultState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A word that is no state.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("state must be held, owned, used, returned, released or expired, not {0:?}")]
pub struct UnknownState(String);

impl FromStr for ResultState {
    type Err = UnknownState;

    fn from_str(text: &str) -> Result<Self, UnknownState> {
        let known = Self::ALL.into_iter().find(|state| state.as_str() == text);
        known.ok_or_else(|| UnknownState(text.chars().take(40).collect()))
    }
}

/// A step of a result's life after its grab.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// The user takes what is held for them.
    Confirm,
    /// The user spends it on an order of this amount.
    Use(Money),
    /// A held result is handed back.
    Release,
    /// An owned result is handed back.
    Return,
    /// A held result was not confirmed in time.
    Expire,
}

/// The time of a step, against the moment until which a result is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deadline {
    /// Only before it.
    Before,
    /// Only from it on.
    Reached,
    /// At any time.
    Any,
}

impl Deadline {
    /// True if a step is in time. A result without such a moment is never too late, and never due.
    #[must_use]
    pub fn is_met(self, hold_until: Option<Timestamp>, now: Timestamp) -> bool {
        match self {
            Self::Before => hold_until.is_none_or(|until| now < until),
            Self::Reached => hold_until.is_some_and(|until| now >= until),
            Self::Any => true,
        }
    }
}

/// The one who takes a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Actor {
    /// The user whose result it is.
    User,
    /// A person who runs the sale.
    Operator,
    /// The system itself.
    Service,
}

/// The way from one state to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transition {
    /// The only state that it leads from.
    pub from: ResultState,
    /// The state that it leads to.
    pub to: ResultState,
    /// The time at which it is possible.
    pub deadline: Deadline,
    /// The movement of stock in the books, if stock comes back by it.
    pub gives_back: Option<Movement>,
}

impl Action {
    /// Its row in the table of transitions.
    #[must_use]
    pub const fn transition(self) -> Transition {
        use ResultState::{Expired, Held, Owned, Released, Returned, Used};
        let (from, to, deadline, gives_back) = match self {
            Self::Confirm => (Held, Owned, Deadline::Before, None),
            Self::Use(_) => (Owned, Used, Deadline::Any, None),
            Self::Release => (Held, Released, Deadline::Any, Some(Movement::Released)),
            Self::Return => (Owned, Returned, Deadline::Any, Some(Movement::Returned)),
            Self::Expire => (Held, Expired, Deadline::Reached, Some(Movement::Expired)),
        };
        Transition { from, to, deadline, gives_back }
    }

    /// The word that requests and logs use.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Confirm => "confirm",
            Self::Use(_) => "use",
            Self::Release => "release",
            Self::Return => "return",
            Self::Expire => "expire",
        }
    }

    /// True if that actor may take it; a user hands back what they own only where the coupon is `returnable`.
    #[must_use]
    pub const fn is_open_to(self, actor: Actor, returnable: bool) -> bool {
        match (self, actor) {
            (Self::Expire, actor) => matches!(actor, Actor::Service),
            (_, Actor::Service) => false,
            (Self::Return, Actor::User) => returnable,
            (Self::Confirm | Self::Use(_) | Self::Release | Self::Return, _) => true,
        }
    }

    /// Judges it about a row as it stands, at that time.
    #[must_use]
    pub fn judge(self, row: &CouponResult, now: Timestamp) -> StepVerdict {
        let Transition { from, to, deadline, .. } = self.transition();
        if row.state == from {
            return match (deadline.is_met(row.hold_until, now), deadline) {
                (true, _) => StepVerdict::Possible,
                (false, Deadline::Before) => StepVerdict::Refused(StepRefusal::TooLate),
                (false, _) => StepVerdict::Refused(StepRefusal::NotDue),
            };
        }
        match self {
            // What was used since was confirmed before.
            Self::Confirm if matches!(row.state, ResultState::Owned | ResultState::Used) => StepVerdict::Done,
            Self::Use(amount) if row.state == to => {
                if row.order_amount == Some(amount) {
                    StepVerdict::Done
                } else {
                    StepVerdict::Refused(StepRefusal::OtherOrder)
                }
            }
            Self::Release | Self::Return | Self::Expire if row.state == to => StepVerdict::Done,
            _ => StepVerdict::Refused(StepRefusal::State(row.state)),
        }
    }
}

/// The judgement of an action about a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepVerdict {
    /// The row can take this step now.
    Possible,
    /// It has taken this very step before: asking again gets the same answer.
    Done,
    /// It cannot take it.
    Refused(StepRefusal),
}

/// The reason why a row cannot take a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StepRefusal {
    /// It is in a state from which the step does not lead.
    #[error("the result is {0}")]
    State(ResultState),
    /// It was held until a moment that has passed.
    #[error("the result was held until a moment that has passed")]
    TooLate,
    /// It is held for longer.
    #[error("the result is held for longer")]
    NotDue,
    /// It was spent on an order of another amount.
    #[error("the result was used before, on an order of another amount")]
    OtherOrder,
}

/// The key of a caller's request: the same request asked for again has the same one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestKey(i64);

impl RequestKey {
    /// The key of the text by which a caller names its request: XXH3-64 without its highest bit, and never 0.
    #[must_use]
    pub fn of(request_id: &str) -> Self {
        let hash = (xxh3_64(request_id.as_bytes()) & i64::MAX.cast_unsigned()).cast_signed();
        Self(hash.max(1))
    }

    /// Reads a key back from its number; `None` for a number that no key has.
    #[must_use]
    pub const fn from_number(number: i64) -> Option<Self> {
        if number > 0 { Some(Self(number)) } else { None }
    }

    /// The number that databases store.
    #[must_use]
    pub const fn number(self) -> i64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{CouponId, ResultId, RoomId, UserId};

    const ACTIONS: [Action; 5] =
        [Action::Confirm, Action::Use(Money::from_cents(5)), Action::Release, Action::Return, Action::Expire];

    fn moment(millis: i64) -> Timestamp {
        Timestamp::from_millis(1_795_000_000_000 + millis)
    }

    fn row(state: ResultState, hold_until: Option<Timestamp>) -> CouponResult {
        let id = ResultId::from_parts(moment(0), 0, 0).unwrap();
        let (user, coupon, room) = (UserId::new(1), CouponId::new(2), RoomId::new(3));
        let granted = CouponResult::granted(id, user.unwrap(), coupon.unwrap(), room.unwrap());
        CouponResult { state, hold_until, ..granted }
    }

    #[test]
    fn stock_comes_back_exactly_where_a_row_ceases_to_be_live() {
        for action in ACTIONS {
            let Transition { from, to, gives_back, .. } = action.transition();
            assert!(from.is_live(), "{action:?}");
            assert_eq!(gives_back.is_some(), !to.is_live(), "{action:?}");
        }
    }

    #[test]
    fn confirm_and_expire_never_have_the_same_moment() {
        let held = row(ResultState::Held, Some(moment(10)));
        for now in [moment(9), moment(10), moment(11)] {
            let possible = |action: Action| action.judge(&held, now) == StepVerdict::Possible;
            assert_ne!(possible(Action::Confirm), possible(Action::Expire), "{now}");
            assert!(possible(Action::Release), "whatever the time");
        }
        assert_eq!(Action::Confirm.judge(&held, moment(10)), StepVerdict::Refused(StepRefusal::TooLate));
        assert_eq!(Action::Expire.judge(&held, moment(9)), StepVerdict::Refused(StepRefusal::NotDue));
    }

    #[test]
    fn a_step_that_was_taken_is_done_and_from_any_other_state_it_is_refused() {
        for action in ACTIONS {
            for state in ResultState::ALL {
                let verdict = action.judge(&row(state, None), moment(0));
                let Transition { from, to, .. } = action.transition();
                let confirmed = action == Action::Confirm && state == ResultState::Used;
                let expected = if state == from && action != Action::Expire {
                    StepVerdict::Possible
                } else if state == from {
                    StepVerdict::Refused(StepRefusal::NotDue)
                } else if matches!(action, Action::Use(_)) && state == to {
                    StepVerdict::Refused(StepRefusal::OtherOrder)
                } else if state == to || confirmed {
                    StepVerdict::Done
                } else {
                    StepVerdict::Refused(StepRefusal::State(state))
                };
                assert_eq!(verdict, expected, "{action:?} of a row that is {state}");
            }
        }
        let amount = Money::from_cents(5);
        let used = CouponResult { order_amount: Some(amount), ..row(ResultState::Used, None) };
        assert_eq!(Action::Use(amount).judge(&used, moment(0)), StepVerdict::Done);
    }

    #[test]
    fn users_return_only_what_is_returnable_and_only_the_service_expires() {
        assert!(!Action::Return.is_open_to(Actor::User, false));
        assert!(Action::Return.is_open_to(Actor::User, true));
        assert!(Action::Return.is_open_to(Actor::Operator, false));
        for action in ACTIONS {
            assert_eq!(action.is_open_to(Actor::Service, true), action == Action::Expire);
        }
    }

    #[test]
    fn the_table_is_what_its_golden_cases_say() {
        /// Action, from, to, when against `hold_until`, and the operator in the log where stock comes back.
        type Case = (String, String, String, String, Option<String>);
        let cases: Vec<Case> = serde_json::from_str(include_str!("../golden/after_grab.json")).unwrap();
        let table = ACTIONS.map(|action| {
            let Transition { from, to, deadline, gives_back } = action.transition();
            let when = match deadline {
                Deadline::Before => "before",
                Deadline::Reached => "from",
                Deadline::Any => "any",
            };
            let operator = gives_back.and_then(Movement::word).map(str::to_owned);
            let [action, from, to] = [action.as_str(), from.as_str(), to.as_str()].map(str::to_owned);
            (action, from, to, when.to_owned(), operator)
        });
        assert_eq!(cases, table);
    }

    #[test]
    fn a_state_is_read_from_its_word_and_another_word_is_named() {
        for state in ResultState::ALL {
            assert_eq!(state.as_str().parse(), Ok(state));
            assert_eq!(ResultState::from_code(state.code()), Ok(state));
        }
        assert!("gone".parse::<ResultState>().unwrap_err().to_string().contains("gone"));
    }

    #[test]
    fn a_request_has_one_key_which_a_database_can_hold() {
        let key = RequestKey::of("order-17");
        assert_eq!((key, key.number()), (RequestKey::of("order-17"), 2_543_671_532_102_667_198));
        assert_ne!(key, RequestKey::of("order-18"));
        assert_eq!(RequestKey::from_number(key.number()), Some(key));
        assert_eq!((RequestKey::from_number(0), RequestKey::from_number(-1)), (None, None));
    }
}
