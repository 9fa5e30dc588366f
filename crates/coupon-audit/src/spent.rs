//! Uses: a row's account of its use, held against the answer that the user got.

use super::source::Spent;
use super::start::Before;

/// The most by which the clock that marks a result as used may be behind the one that made its id.
const SLACK_MS: i64 = 60_000;

/// An answer that a client got about a use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum UseAnswer {
    /// Acknowledged: exactly this must be stored.
    Used {
        /// The order's amount, in cents.
        cents: i64,
        /// The time of the use, in milliseconds since 1970, if the answer said so.
        time: Option<i64>,
    },
    /// Refused because it is used already: then it must be.
    UsedBefore,
    /// A time-out, a 503, a connection lost: stored or not.
    Unknown {
        /// The order's amount, in cents.
        cents: i64,
    },
}

/// The fault in a row's use, given the answers about it (`None` when there is no record of them) and its state before
/// the run.
pub(super) fn wrong(
    spent: Spent,
    grabbed: i64,
    told: Option<&[UseAnswer]>,
    before: Before,
) -> Option<String> {
    contradicts_itself(spent, grabbed)
        .or_else(|| told?.iter().find_map(|told| contradicts(spent, *told)))
        .or_else(|| unasked(spent, told?, before))
}

fn contradicts_itself(spent: Spent, grabbed: i64) -> Option<String> {
    let lawful = match spent {
        Spent { status: 0, time: None, cents: None } => true,
        Spent { status: 1, time: Some(time), cents: Some(cents) } => time >= grabbed - SLACK_MS && cents >= 0,
        _ => false,
    };
    (!lawful).then(|| format!("its use contradicts itself: {spent}"))
}

fn contradicts(spent: Spent, told: UseAnswer) -> Option<String> {
    match told {
        UseAnswer::Used { cents, time } => {
            let same = spent.is_used()
                && spent.cents == Some(cents)
                && time.is_none_or(|time| spent.time == Some(time));
            let told = Spent { status: 1, time, cents: Some(cents) };
            (!same).then(|| format!("its use was acknowledged with {told}; it has {spent}"))
        }
        UseAnswer::UsedBefore => {
            (!spent.is_used()).then(|| "its user was told that it is used already, and it is not".to_owned())
        }
        UseAnswer::Unknown { .. } => None,
    }
}

/// A use that came during the run, and that no client asked for.
fn unasked(spent: Spent, told: &[UseAnswer], before: Before) -> Option<String> {
    let explained = || {
        told.iter().any(|told| match told {
            UseAnswer::Used { .. } => true,
            UseAnswer::Unknown { cents } => spent.cents == Some(*cents),
            UseAnswer::UsedBefore => false,
        })
    };
    match before {
        Before::Absent if spent.is_used() && !explained() => {
            Some(format!("it is used, and nobody asked for that: {spent}"))
        }
        Before::Unused if !explained() => {
            Some(format!("it has been used since, and nobody asked for that: {spent}"))
        }
        Before::Other => Some(format!("it is not what it was at the start: now {spent}")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNUSED: Spent = Spent { status: 0, time: None, cents: None };
    const USED: Spent = Spent { status: 1, time: Some(900), cents: Some(500) };
    const TOLD: UseAnswer = UseAnswer::Used { cents: 500, time: Some(900) };

    #[test]
    fn a_use_has_a_time_and_an_amount_and_no_use_has_neither() {
        for spent in [
            Spent { status: 2, ..USED },
            Spent { time: None, ..USED },
            Spent { cents: None, ..USED },
            Spent { cents: Some(-1), ..USED },
            Spent { time: Some(1), ..UNUSED },
            Spent { cents: Some(1), ..UNUSED },
            Spent { status: 0, ..USED },
        ] {
            assert!(wrong(spent, 800, None, Before::Unknown).is_some(), "{spent}");
        }
        assert!(wrong(USED, 900 + SLACK_MS + 1, None, Before::Unknown).is_some());
        assert_eq!(wrong(USED, 800, None, Before::Unknown), None);
        assert_eq!(wrong(UNUSED, 800, None, Before::Unknown), None);
    }

    #[test]
    fn a_use_is_stored_as_it_was_acknowledged() {
        let wrong = |spent| wrong(spent, 800, Some(&[TOLD]), Before::Absent);
        assert_eq!(wrong(USED), None);
        for spent in [UNUSED, Spent { cents: Some(501), ..USED }, Spent { time: Some(901), ..USED }] {
            assert!(wrong(spent).unwrap().contains("acknowledged"), "{spent}");
        }
    }

    #[test]
    fn a_use_that_nobody_asked_for_is_found_unless_it_was_there_before() {
        let wrong = |before, told: &[UseAnswer]| wrong(USED, 800, Some(told), before);
        assert!(wrong(Before::Absent, &[]).unwrap().contains("nobody asked"));
        assert!(wrong(Before::Unused, &[]).unwrap().contains("nobody asked"));
        assert!(wrong(Before::Unused, &[UseAnswer::UsedBefore]).unwrap().contains("nobody asked"));
        assert!(wrong(Before::Unused, &[UseAnswer::Unknown { cents: 3 }]).unwrap().contains("nobody asked"));
        assert!(wrong(Before::Other, &[TOLD]).unwrap().contains("at the start"));
        for before in [Before::Same, Before::Unknown] {
            assert_eq!(wrong(before, &[]), None);
        }
        assert_eq!(wrong(Before::Unused, &[UseAnswer::Unknown { cents: 500 }]), None);
        assert_eq!(wrong(Before::Same, &[UseAnswer::UsedBefore]), None);
    }

    #[test]
    fn an_answer_that_it_is_used_already_contradicts_an_unused_row() {
        assert!(wrong(UNUSED, 800, Some(&[UseAnswer::UsedBefore]), Before::Same).is_some());
    }
}
