//! Mechanisms that can be left out, to show that the cases notice it.

use std::fmt;

use coupon_audit::Kind;
use coupon_store::failpoints::Mechanism;

use super::case_result::{CaseResult, CaseVerdict};

/// A mechanism that can be left out, and the finding that must follow.
#[derive(Debug)]
pub struct Ablation {
    /// The mechanism.
    pub mechanism: Mechanism,
    /// The behaviour of services without it.
    pub instead: &'static str,
    /// The case that must fail.
    pub case: &'static str,
    /// The users of that case who ask again.
    pub(super) asking: AskingAgain,
    /// The finding that must follow, in words.
    pub must_find: &'static str,
    expected: ExpectedFinding,
}

/// The failure that a case must show.
#[derive(Debug)]
enum ExpectedFinding {
    /// The audit finds one of these.
    Audit(&'static [Kind]),
    /// Something that is not as promised contains these words.
    Said(&'static str),
}

/// The users who ask again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AskingAgain {
    /// Every second, as it is with people.
    EverySecond,
    /// All of them.
    Everybody,
    /// None.
    Nobody,
}

impl AskingAgain {
    /// Those of some, in their order, whose users ask again.
    pub(super) fn choose<T>(self, some: impl IntoIterator<Item = T>) -> impl Iterator<Item = T> {
        let asks = move |number| match self {
            Self::EverySecond => number % 2 == 0,
            Self::Everybody => true,
            Self::Nobody => false,
        };
        some.into_iter().enumerate().filter(move |(number, _)| asks(*number)).map(|(_, one)| one)
    }
}

impl Ablation {
    /// Its name on the command line.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.mechanism.name()
    }

    /// The switch of a service that leaves it out.
    pub(super) fn file(&self) -> String {
        format!("without-{self}")
    }

    /// The finding of a case that was run without it; `None` if the case has not failed in the manner expected.
    pub(super) fn found_by(&self, result: &CaseResult) -> Option<String> {
        let CaseVerdict::Broken(why) = &result.verdict else { return None };
        match self.expected {
            ExpectedFinding::Audit(kinds) => {
                let counted =
                    kinds.iter().map(|kind| (result.count(*kind), kind)).filter(|(count, _)| *count > 0);
                let counts: Vec<String> = counted.map(|(count, kind)| format!("{count} {kind}")).collect();
                (!counts.is_empty()).then(|| counts.join(", "))
            }
            ExpectedFinding::Said(words) => why.iter().find(|line| line.contains(words)).cloned(),
        }
    }
}

impl fmt::Display for Ablation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The mechanism of that name.
#[must_use]
pub fn find_ablation(name: &str) -> Option<&'static Ablation> {
    ABLATIONS.iter().find(|ablation| ablation.name() == name)
}

/// One that is found by the users of every case, of whom every second asks again.
const fn left_out(
    mechanism: Mechanism,
    instead: &'static str,
    case: &'static str,
    must_find: &'static str,
    expected: ExpectedFinding,
) -> Ablation {
    Ablation { mechanism, instead, case, asking: AskingAgain::EverySecond, must_find, expected }
}

const LOST: ExpectedFinding = ExpectedFinding::Audit(&[Kind::Lost]);
const STOCK: ExpectedFinding = ExpectedFinding::Audit(&[Kind::Miscounted]);
/// Granted, forgotten, and granted again: to another user, or to the same one, of whose two results one goes in.
const TWICE: ExpectedFinding = ExpectedFinding::Audit(&[Kind::Oversold, Kind::Duplicate, Kind::Lost]);

const LOST_GRABS: &str = "acknowledged grabs that are lost";
const GRANTED_TWICE: &str = "coupons oversold, or granted twice to a user, of which one is lost";
const FALSE_BOOKS: &str = "books that count rows which are not there";

/// Every mechanism that can be left out.
pub static ABLATIONS: &[Ablation] = &[
    left_out(Mechanism::Confirms, "answered before the queue has confirmed", "19", LOST_GRABS, LOST),
    left_out(
        Mechanism::AckAfterCommit,
        "the queue forgets before the shard has committed",
        "5b",
        LOST_GRABS,
        LOST,
    ),
    left_out(
        Mechanism::Epoch,
        "one routing key for all epochs, none closed",
        "19",
        "coupons oversold",
        ExpectedFinding::Audit(&[Kind::Oversold, Kind::Duplicate]),
    ),
    left_out(
        Mechanism::RecordedEpochs,
        "only main knows which epochs there were",
        "19b",
        "coupons oversold",
        ExpectedFinding::Audit(&[Kind::Oversold, Kind::Duplicate]),
    ),
    left_out(
        Mechanism::ScriptFirst,
        "the gate's script is loaded after the gate is filled",
        "31",
        "a gate that was opened half-full",
        ExpectedFinding::Said("half-full"),
    ),
    left_out(
        Mechanism::WholeFill,
        "the gate is filled without a shard that does not answer",
        "30b",
        GRANTED_TWICE,
        TWICE,
    ),
    left_out(
        Mechanism::Markers,
        "the gate is filled while results wait in queues",
        "18b",
        GRANTED_TWICE,
        TWICE,
    ),
    left_out(
        Mechanism::Sentinel,
        "nobody looks whether the pending marks are lost",
        "17b",
        "stock held in the gate and stored nowhere, or users told that they hold a coupon which no shard has",
        ExpectedFinding::Audit(&[Kind::Miscounted, Kind::Lost]),
    ),
    left_out(
        Mechanism::OnePerUser,
        "whoever holds a coupon is granted another",
        "1",
        "acknowledged grabs that no shard takes beside the first",
        ExpectedFinding::Audit(&[Kind::Duplicate, Kind::Lost]),
    ),
    Ablation {
        // A user who asks again mends what the reconciler would have.
        asking: AskingAgain::Nobody,
        ..left_out(
            Mechanism::Reconciler,
            "neither direction; nobody asks again",
            "3",
            "stock held in the gate, and stored nowhere",
            STOCK,
        )
    },
    Ablation {
        // A user who does not ask again never learns what was wrong.
        asking: AskingAgain::Everybody,
        ..left_out(
            Mechanism::Pending,
            "every hold counts as stored; everybody asks again",
            "3",
            "users told that they hold a coupon which no shard has",
            LOST,
        )
    },
    left_out(
        Mechanism::PendingReads,
        "a result that no shard has is unknown",
        "12e",
        "acknowledged results that are 404",
        ExpectedFinding::Said("that there is no such result"),
    ),
    left_out(Mechanism::Conflicts, "rows that do not go in are ignored", "25", FALSE_BOOKS, STOCK),
    left_out(
        Mechanism::Parking,
        "the queue forgets what nobody can read",
        "24",
        "messages that are gone",
        ExpectedFinding::Said("messages that nobody can read are parked"),
    ),
    left_out(Mechanism::Repeats, "what comes twice counts twice", "5", FALSE_BOOKS, STOCK),
    left_out(
        Mechanism::Leases,
        "every process uses the same worker numbers",
        "1",
        "ids given out twice, of which one is lost",
        ExpectedFinding::Audit(&[Kind::Duplicate, Kind::Lost]),
    ),
    left_out(Mechanism::Floors, "a shard that has lost data is stored to", "39", LOST_GRABS, LOST),
    Ablation {
        // A user who was not answered, and asks again, gives back in the end what was sold once more meanwhile.
        asking: AskingAgain::Nobody,
        ..left_out(
            Mechanism::RowFirst,
            "the gate lets go of a result before its row gives its stock back; nobody asks again",
            "41",
            "coupons oversold",
            ExpectedFinding::Audit(&[Kind::Oversold]),
        )
    },
    left_out(
        Mechanism::LiveRows,
        "the gate is filled from every row, whether or not it takes stock",
        "42",
        "stock held in the gate that rows gave back",
        STOCK,
    ),
    left_out(
        Mechanism::LayoutLead,
        "a version of the layout is in force as soon as it is announced",
        "47",
        "rows where nobody looks",
        ExpectedFinding::Audit(&[Kind::Misplaced]),
    ),
    left_out(
        Mechanism::LayoutFence,
        "the gate grants what a process places that does not know the version of the layout",
        "46",
        "rows where nobody looks",
        ExpectedFinding::Audit(&[Kind::Misplaced]),
    ),
    left_out(
        Mechanism::LateRows,
        "a result that comes late is stored where it was to be before its rows moved",
        "45",
        "rows that are stored twice, or where nobody looks",
        ExpectedFinding::Audit(&[Kind::Misplaced, Kind::Duplicate]),
    ),
    left_out(
        Mechanism::Positions,
        "main forgets how far it has applied an outbox",
        "8",
        "books that count rows twice",
        STOCK,
    ),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cases::find_case;

    #[test]
    fn each_mechanism_has_a_name_of_its_own_and_a_case_that_there_is() {
        for ablation in ABLATIONS {
            assert!(std::ptr::eq(find_ablation(ablation.name()).unwrap(), ablation), "{ablation}");
            assert!(find_case(ablation.case).is_some(), "{ablation}: case {}", ablation.case);
        }
        assert!(find_ablation("all").is_none(), "the word for all of them");
    }

    #[test]
    fn a_case_that_fails_in_another_manner_has_not_found_it() {
        let mut result = CaseResult::of(find_case("31").unwrap(), None);
        let ablation = find_ablation("script-first").unwrap();
        for (verdict, found) in [
            (CaseVerdict::Held, false),
            (CaseVerdict::NotRun("opened half-full".to_owned()), false),
            (CaseVerdict::Broken(vec!["hash: 1 lost".to_owned()]), false),
            (CaseVerdict::Broken(vec!["hash: a gate was opened half-full".to_owned()]), true),
        ] {
            result.verdict = verdict;
            assert_eq!(ablation.found_by(&result).is_some(), found, "{:?}", result.verdict);
        }
        assert!(
            find_ablation("confirms").unwrap().found_by(&result).is_none(),
            "the audit has counted nothing"
        );
    }
}
