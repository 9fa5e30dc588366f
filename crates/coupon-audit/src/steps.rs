//! Steps after the grab: a row's state, held against the answers that its user got.

use super::life::Life;
use super::start::Before;

/// An answer that a client got about a step of a result, but for its use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum StepAnswer {
    /// Acknowledged: it is the user's, or was handed back as such.
    Confirmed,
    /// Acknowledged: its stock came back for good.
    Released,
    /// Acknowledged: it was the user's, and its stock came back for good.
    Returned,
    /// A time-out, a 503, a connection lost: confirmed or not.
    ConfirmUnknown,
    /// The same: released or not.
    ReleaseUnknown,
    /// The same: returned or not.
    ReturnUnknown,
}

impl StepAnswer {
    /// All of them, by the word that files of answers use.
    pub(super) const WORDS: [(Self, &str); 6] = [
        (Self::Confirmed, "confirmed"),
        (Self::Released, "released"),
        (Self::Returned, "returned"),
        (Self::ConfirmUnknown, "confirm_unknown"),
        (Self::ReleaseUnknown, "release_unknown"),
        (Self::ReturnUnknown, "return_unknown"),
    ];

    /// Its word.
    pub(super) fn word(self) -> &'static str {
        Self::WORDS.iter().find(|(told, _)| *told == self).map_or("", |(_, word)| word)
    }

    /// True if it says that a step was taken.
    pub(super) const fn is_clear(self) -> bool {
        matches!(self, Self::Confirmed | Self::Released | Self::Returned)
    }
}

/// The fault in a row's state, given the answers about it (`None` when there is no record of them) and its state before
/// the run.
pub(super) fn wrong(life: Life, told: Option<&[StepAnswer]>, before: Before) -> Option<String> {
    let told = told?;
    told.iter().find_map(|told| contradicts(life, *told)).or_else(|| unasked(life, told, before))
}

fn contradicts(life: Life, told: StepAnswer) -> Option<String> {
    let (kept, what) = match told {
        StepAnswer::Confirmed => (life.was_confirmed(), "confirmed"),
        StepAnswer::Released => (life.was_released(), "released"),
        StepAnswer::Returned => (life.was_returned(), "returned"),
        StepAnswer::ConfirmUnknown | StepAnswer::ReleaseUnknown | StepAnswer::ReturnUnknown => return None,
    };
    (!kept).then(|| format!("its user was told that it is {what}, and it is {life}"))
}

/// A step of a result of the run that no client asked for. No client asks a result to expire, and operators may take one back.
fn unasked(life: Life, told: &[StepAnswer], before: Before) -> Option<String> {
    let asked = |one, other| told.contains(&one) || told.contains(&other);
    let what = if life.was_released() && !asked(StepAnswer::Released, StepAnswer::ReleaseUnknown) {
        "released"
    } else if life.was_confirmed() && !asked(StepAnswer::Confirmed, StepAnswer::ConfirmUnknown) {
        "confirmed"
    } else {
        return None;
    };
    let own = before == Before::Absent;
    own.then(|| format!("it was {what}, and nobody asked for that: {life}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(state: &str) -> Life {
        let state = crate::life::state(state).unwrap();
        Life { state, hold_until: Some(9), ..Life::OWNED }
    }

    fn fault(state: &str, told: &[StepAnswer]) -> String {
        wrong(row(state), Some(told), Before::Absent).unwrap_or_default()
    }

    #[test]
    fn a_row_is_as_its_user_was_told() {
        for (told, kept) in [
            (StepAnswer::Confirmed, &["owned", "used", "returned"][..]),
            (StepAnswer::Released, &["released"]),
        ] {
            for state in ["held", "owned", "used", "returned", "released", "expired"] {
                assert_eq!(fault(state, &[told]).is_empty(), kept.contains(&state), "{told:?}: {state}");
            }
        }
    }

    #[test]
    fn what_was_confirmed_and_handed_back_is_returned() {
        let told = &[StepAnswer::Confirmed, StepAnswer::Returned];
        for state in ["held", "owned", "used", "returned", "released", "expired"] {
            assert_eq!(fault(state, told).is_empty(), state == "returned", "{state}");
        }
    }

    #[test]
    fn a_step_of_the_run_that_nobody_asked_for_is_found() {
        for state in ["owned", "released"] {
            assert!(fault(state, &[]).contains("nobody asked"), "{state}");
            for before in [Before::Same, Before::Unknown] {
                assert_eq!(wrong(row(state), Some(&[]), before), None, "{state}");
            }
            assert_eq!(wrong(row(state), None, Before::Absent), None, "{state}: nothing is known");
        }
        for state in ["held", "expired"] {
            assert_eq!(fault(state, &[]), "");
        }
        assert_eq!(wrong(Life::OWNED, Some(&[]), Before::Absent), None, "it was never held");
    }

    #[test]
    fn an_unclear_answer_explains_its_own_step_alone() {
        assert_eq!(fault("owned", &[StepAnswer::ConfirmUnknown]), "");
        assert_eq!(fault("released", &[StepAnswer::ReleaseUnknown]), "");
        assert_eq!(fault("held", &[StepAnswer::ConfirmUnknown, StepAnswer::ReleaseUnknown]), "");
        assert!(fault("owned", &[StepAnswer::ReleaseUnknown]).contains("nobody asked"));
        assert_eq!(fault("returned", &[StepAnswer::Confirmed, StepAnswer::ReturnUnknown]), "");
    }
}
