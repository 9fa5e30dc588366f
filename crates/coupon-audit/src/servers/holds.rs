//! The users' holds of a coupon in the gate, against the results that are stored.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::num::NonZeroU32;

use anyhow::{Context, Result};
use coupon_core::Timestamp;

use super::gates::Lines;
use super::keys::GateKeys;
use crate::scan::Holders;
use crate::source::{Parked, Snapshot};

/// The fields of a coupon's hash beside its holders and surpluses: total, start and end.
pub(super) const META: [&str; 3] = ["t", "s", "e"];
/// The field of the highest slot that any user ever had.
const LAST_SLOT: &str = "m";
/// The prefix of a field for a user's second result.
const SURPLUS: char = '+';
/// The prefix of a result that was set aside.
const PARKED: &str = "x";
/// The most by which the clocks of processes differ from main's while they take grabs.
const CLOCKS_DIFFER_MS: i64 = 10_000;

/// A coupon as the gate keeps it.
pub(super) struct Kept {
    /// Its total, start and end, as far as they can be read.
    pub(super) terms: [Option<i64>; 3],
    pub(super) held: Held,
}

/// The reservations that take a coupon's stock in the gate.
#[derive(Debug, Default)]
pub(super) struct Held {
    pub(super) holders: BTreeMap<Slot, Hold>,
    /// Users' second results in one slot, which should not be: each with its user.
    surpluses: BTreeMap<i64, i64>,
}

/// A user's slot of a coupon.
pub(super) type Slot = (i64, u8);

/// The result under which a user holds a coupon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Hold {
    pub(super) result: i64,
    /// True if that result was set aside.
    pub(super) parked: bool,
    /// True if nothing but its id is known of it: it is a final grab without a named request.
    pub(super) plain: bool,
    /// The second in which it ends, by the row of one that is held.
    ends_s: Option<NonZeroU32>,
}

impl Hold {
    /// Judges whether it may have expired since its row was read, by a clock that is as wrong as a process's may be.
    fn may_have_expired(&self, now: Timestamp) -> bool {
        self.ends_s.is_some_and(|ends_s| i64::from(ends_s.get()) * 1_000 <= now.millis() + CLOCKS_DIFFER_MS)
    }
}

impl Kept {
    /// `None` when the gate does not have the coupon.
    pub(super) fn read(lines: &mut Lines, gate: &GateKeys, coupon: i64) -> Result<Option<Self>> {
        let key = gate.holders(coupon);
        let fields: HashMap<String, String> =
            redis::cmd("HGETALL").arg(&key).query(lines.to(gate.of(coupon))?)?;
        if fields.is_empty() {
            return Ok(None);
        }
        let terms = META.map(|field| parsed(fields.get(field)));
        let (mut holders, mut surpluses) = (BTreeMap::new(), BTreeMap::new());
        for (field, held) in fields {
            if META.contains(&&*field) || field == LAST_SLOT {
                continue;
            }
            let wrong = || format!("Redis: {key} has a field {field:?} with {held:?}");
            if let Some(result) = field.strip_prefix(SURPLUS) {
                surpluses.insert(result.parse().with_context(wrong)?, held.parse().with_context(wrong)?);
                continue;
            }
            let (parked, result) = held.strip_prefix(PARKED).map_or((false, &*held), |result| (true, result));
            // Behind the id of a hold, or of one with a named request, come both.
            let (result, rest) = result.split_once(':').map_or((result, None), |(id, rest)| (id, Some(rest)));
            let (result, plain) = (result.parse().with_context(wrong)?, rest.is_none());
            // A user's first slot has no number.
            let (user, slot) = field.split_once('.').unwrap_or((&field, "0"));
            let slot = (user.parse().with_context(wrong)?, slot.parse().with_context(wrong)?);
            holders.insert(slot, Hold { result, parked, plain, ends_s: None });
        }
        Ok(Some(Self { terms, held: Held { holders, surpluses } }))
    }
}

impl Held {
    /// Says whether a result takes stock there for a user, in that slot or as one too many.
    pub(super) fn takes_stock(&self, slot: Slot, hold: Hold) -> bool {
        let in_slot = self.holders.get(&slot).is_some_and(|held| held.result == hold.result);
        in_slot || self.surpluses.get(&hold.result) == Some(&slot.0)
    }
}

/// A number of the gate's, if it has one there.
pub(super) fn parsed(field: Option<&String>) -> Option<i64> {
    field?.parse().ok()
}

/// The results by which a coupon's holds are accounted for, by slot: rows that take stock, and what was parked.
pub(super) type Accounted = BTreeMap<Slot, Vec<Hold>>;

/// The results of a coupon that are stored or parked.
pub(super) fn accounted(snapshot: &Snapshot, holders: &Holders, coupon: i64) -> Accounted {
    let parked = snapshot.shards.iter().flat_map(|shard| &shard.parked);
    let parked = parked.filter(|parked| parked.grab.coupon == coupon);
    let parked = parked.map(|Parked { grab, slot, .. }| ((grab.user, *slot), grab.id, true, None));
    let live = holders.get(&coupon).into_iter().flatten();
    let stored = live.filter_map(|held| Some(((held.user, held.slot?), held.id, false, held.ends_s)));
    let mut all = Accounted::new();
    for (slot, result, parked, ends_s) in stored.chain(parked) {
        all.entry(slot).or_default().push(Hold { result, parked, plain: true, ends_s });
    }
    all
}

/// The users about whose hold of a coupon gate and shards differ.
#[derive(Debug, Default)]
pub(super) struct Differing {
    /// Held, and stored nowhere.
    pub(super) not_stored: Vec<(Slot, Hold)>,
    /// Stored, and not held: each with the first result.
    pub(super) not_held: Vec<(Slot, i64)>,
    /// Held under another id than stored: the hold, and the ids that are stored.
    pub(super) otherwise: Vec<(Slot, Hold, String)>,
}

/// Compares the gate's holders of a coupon with those accounted for, by what was read until now.
pub(super) fn differing(held: &Held, accounted: &Accounted, now: Timestamp) -> Differing {
    let mut found = Differing::default();
    let Held { holders, surpluses } = held;
    // A result that was set aside may be held as any other: until the gate is filled anew, it is.
    let is = |held: Hold, known: &Hold| held.result == known.result && (known.parked || !held.parked);
    for (&slot, &hold) in holders {
        match accounted.get(&slot) {
            None => found.not_stored.push((slot, hold)),
            Some(known) if known.iter().any(|known| is(hold, known)) => {}
            Some(known) => {
                let ids: Vec<String> = known.iter().map(|known| known.result.to_string()).collect();
                found.otherwise.push((slot, hold, ids.join(", ")));
            }
        }
    }
    let stored = |result: i64| accounted.values().flatten().any(|known| known.result == result);
    for (&result, &user) in surpluses.iter().filter(|(result, _)| !stored(**result)) {
        found.not_stored.push(((user, 0), Hold { result, parked: false, plain: true, ends_s: None }));
    }
    let unheld = accounted.iter().filter(|(slot, known)| {
        // Gate and shards are not read at one moment, and what is held expires whenever its time comes.
        !holders.contains_key(slot) && !known.iter().all(|known| known.may_have_expired(now))
    });
    found.not_held = unheld.filter_map(|(slot, known)| Some((*slot, known.first()?.result))).collect();
    found
}

impl Differing {
    /// The number of users of each kind of difference, with an example.
    pub(super) fn in_short(&self) -> impl Iterator<Item = (u64, String)> {
        let leaked = self.not_stored.first().map(|((user, _), held)| {
            let count = self.not_stored.len();
            (
                count,
                format!(
                    "{count} held in the gate but not stored, for example by user {user}, result {}",
                    held.result
                ),
            )
        });
        let missing = self.not_held.first().map(|((user, _), _)| {
            let count = self.not_held.len();
            (count, format!("{count} stored but not held in the gate, for example by user {user}: it could be granted again"))
        });
        let renamed = self.otherwise.first().map(|((user, _), held, stored)| {
            let count = self.otherwise.len();
            let result = held.result;
            (count, format!("{count} held in the gate under another id than stored, for example by user {user}: result {result}, and stored is {stored}"))
        });
        [leaked, missing, renamed].into_iter().flatten().map(|(count, text)| (count as u64, text))
    }
}

/// The id, with the mark of one that was set aside.
impl fmt::Display for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", if self.parked { PARKED } else { "" }, self.result)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_have_expired_since_its_row_was_read_is_no_difference_and_what_may_not_is_one() {
        let row = |ends_s| Hold { result: 5, parked: false, plain: true, ends_s: NonZeroU32::new(ends_s) };
        let now = Timestamp::from_millis(100_000);
        for (ends_s, found) in [(90, 0), (110, 0), (111, 1), (0, 1)] {
            let accounted = Accounted::from([((7, 0), vec![row(ends_s)])]);
            assert_eq!(differing(&Held::default(), &accounted, now).not_held.len(), found, "{ends_s}");
            let holders = BTreeMap::from([((7, 0), row(0))]);
            let held = Held { holders, ..Held::default() };
            assert_eq!(differing(&held, &accounted, now).not_held.len(), 0, "{ends_s}");
        }
    }
}
