//! Mechanisms that can be left out, to show that the rows see it.

use std::fmt;

use coupon_audit::Kind;
use coupon_store::failpoints::Mechanism;

use super::report::{Row, Verdict};

/// A mechanism that can be left out, and what must then be found.
#[derive(Debug)]
pub struct Without {
    /// The mechanism.
    pub mechanism: Mechanism,
    /// What services do without it.
    pub instead: &'static str,
    /// The row that must fail.
    pub row: &'static str,
    /// Who asks again in that row.
    pub(super) who: Who,
    /// What the row must find, in words.
    pub must_find: &'static str,
    evidence: Evidence,
}

/// How a row must fail.
#[derive(Debug)]
enum Evidence {
    /// The audit finds one of these.
    Audit(&'static [Kind]),
    /// Something that is not as promised contains these words.
    Said(&'static str),
}

/// Which users ask again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Who {
    /// As it is with people.
    EverySecond,
    /// All of them.
    Everybody,
    /// None.
    Nobody,
}

impl Without {
    /// What it is called on the command line.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.mechanism.name()
    }

    /// The switch of a service that leaves it out.
    pub(super) fn file(&self) -> String {
        format!("without-{self}")
    }

    /// What a row that was played without it has found of that; `None` if it has not failed in the manner expected.
    pub(super) fn found_by(&self, row: &Row) -> Option<String> {
        let Verdict::Broken(why) = &row.verdict else { return None };
        match self.evidence {
            Evidence::Audit(kinds) => {
                let counted =
                    kinds.iter().map(|kind| (row.count(*kind), kind)).filter(|(count, _)| *count > 0);
                let told: Vec<String> = counted.map(|(count, kind)| format!("{count} {kind}")).collect();
                (!told.is_empty()).then(|| told.join(", "))
            }
            Evidence::Said(words) => why.iter().find(|line| line.contains(words)).cloned(),
        }
    }
}

impl fmt::Display for Without {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The mechanism of that name.
#[must_use]
pub fn find_without(name: &str) -> Option<&'static Without> {
    SWITCHES.iter().find(|without| without.name() == name)
}

/// One that is found by the users of every row, of whom every second asks again.
const fn left_out(
    mechanism: Mechanism,
    instead: &'static str,
    row: &'static str,
    must_find: &'static str,
    evidence: Evidence,
) -> Without {
    Without { mechanism, instead, row, who: Who::EverySecond, must_find, evidence }
}

const LOST: Evidence = Evidence::Audit(&[Kind::Lost]);
const STOCK: Evidence = Evidence::Audit(&[Kind::Stock]);
/// Granted to somebody, forgotten, and granted again: to another, or to the same user, of whose two results one goes in.
const TWICE: Evidence = Evidence::Audit(&[Kind::Oversold, Kind::Duplicate, Kind::Lost]);

const LOST_GRABS: &str = "acknowledged grabs that are lost";
const GRANTED_TWICE: &str = "coupons oversold, or granted twice to a user, of which one is lost";
const FALSE_BOOKS: &str = "books that count rows which are not there";

/// Every mechanism that can be left out.
pub static SWITCHES: &[Without] = &[
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
        Evidence::Audit(&[Kind::Oversold, Kind::Duplicate]),
    ),
    left_out(
        Mechanism::RecordedEpochs,
        "only main knows which epochs there were",
        "19b",
        "coupons oversold",
        Evidence::Audit(&[Kind::Oversold, Kind::Duplicate]),
    ),
    left_out(
        Mechanism::ScriptFirst,
        "the gate's script is loaded after the gate is filled",
        "31",
        "a gate that was opened half-full",
        Evidence::Said("half-full"),
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
        Evidence::Audit(&[Kind::Stock, Kind::Lost]),
    ),
    left_out(
        Mechanism::OnePerUser,
        "whoever holds a coupon is granted another",
        "1",
        "acknowledged grabs that no shard takes beside the first",
        Evidence::Audit(&[Kind::Duplicate, Kind::Lost]),
    ),
    Without {
        // A user who asks again mends what the reconciler would have.
        who: Who::Nobody,
        ..left_out(
            Mechanism::Reconciler,
            "neither direction; nobody asks again",
            "3",
            "stock held in the gate, and stored nowhere",
            STOCK,
        )
    },
    Without {
        // One who does not ask again never learns what was wrong.
        who: Who::Everybody,
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
        Evidence::Said("that there is no such result"),
    ),
    left_out(Mechanism::Conflicts, "rows that do not go in are ignored", "25", FALSE_BOOKS, STOCK),
    left_out(
        Mechanism::Parking,
        "the queue forgets what nobody can read",
        "24",
        "messages that are gone",
        Evidence::Said("messages that nobody can read are parked"),
    ),
    left_out(Mechanism::Repeats, "what comes twice counts twice", "5", FALSE_BOOKS, STOCK),
    left_out(
        Mechanism::Leases,
        "every process uses the same worker numbers",
        "1",
        "ids given out twice, of which one is lost",
        Evidence::Audit(&[Kind::Duplicate, Kind::Lost]),
    ),
    left_out(Mechanism::Floors, "a shard that has lost data is stored to", "39", LOST_GRABS, LOST),
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
    use crate::list::find;

    #[test]
    fn each_mechanism_has_a_name_of_its_own_and_a_row_that_there_is() {
        for without in SWITCHES {
            assert!(std::ptr::eq(find_without(without.name()).unwrap(), without), "{without}");
            assert!(find(without.row).is_some(), "{without}: row {}", without.row);
        }
        assert!(find_without("all").is_none(), "the word for all of them");
    }

    #[test]
    fn a_row_that_fails_in_another_manner_has_not_found_it() {
        let mut row = Row::of(find("31").unwrap(), None);
        let without = find_without("script-first").unwrap();
        for (verdict, found) in [
            (Verdict::Held, false),
            (Verdict::NotRun("opened half-full".to_owned()), false),
            (Verdict::Broken(vec!["hash: 1 lost".to_owned()]), false),
            (Verdict::Broken(vec!["hash: a gate was opened half-full".to_owned()]), true),
        ] {
            row.verdict = verdict;
            assert_eq!(without.found_by(&row).is_some(), found, "{:?}", row.verdict);
        }
        assert!(find_without("confirms").unwrap().found_by(&row).is_none(), "the audit has counted nothing");
    }
}
