//! The terms by which coupons are sold where they are kept apart from main, by a gate or by a database that decides grabs: held
//! against main's.

use coupon_core::Timestamp;

use super::source::{Catalogue, Coupon, Earlier, Snapshot, Terms};
use super::start::{self, StartState};
use super::{AuditReport, Kind};

/// The names of terms in descriptions, and their places.
const TERMS: [(&str, Term); 3] =
    [("total", |terms| terms.total), ("start", |terms| terms.start), ("end", |terms| terms.end)];

/// One of a coupon's terms.
type Term = fn(&Terms) -> i64;

/// A keeper of terms, and the moment when it takes them over from main.
#[derive(Debug, Clone, Copy)]
pub(super) struct Keeper {
    pub(super) name: &'static str,
    pub(super) takes_over: &'static str,
}

/// Coupons that are sold by other terms than main's.
pub(super) struct OtherTerms<'a> {
    keeper: Keeper,
    snapshot: &'a Snapshot,
    start: Option<&'a StartState>,
    wrong: Vec<String>,
    /// Those of which there is no record of what the keeper had at the start: it may have taken them over from main at some
    /// time.
    undated: Vec<String>,
}

impl<'a> OtherTerms<'a> {
    pub(super) const fn of(keeper: Keeper, snapshot: &'a Snapshot, start: Option<&'a StartState>) -> Self {
        Self { keeper, snapshot, start, wrong: Vec::new(), undated: Vec::new() }
    }

    /// Holds what is kept of a coupon, as far as it can be read, against main.
    pub(super) fn hold(&mut self, id: i64, kept: [Option<i64>; 3]) {
        let Some(differing) = self.differing(id, kept) else { return };
        let text = format!("coupon {id}: {} has {differing}", self.keeper.name);
        let recorded = self.start.is_some_and(|start| start.gate.contains_key(&id));
        if recorded || kept.contains(&None) {
            self.wrong.push(text);
        } else {
            self.undated.push(text);
        }
    }

    /// A total or a window that is neither main's, nor what main or the keeper had at the start.
    fn differing(&self, id: i64, kept: [Option<i64>; 3]) -> Option<String> {
        let Self { snapshot, start, .. } = self;
        let now = snapshot.catalogue.get(&id)?;
        let nonsense =
            |coupon: &Coupon| coupon.remaining < -coupon.taken_back || coupon.remaining > coupon.total;
        // What is kept of a row that makes no sense, or of one that was withdrawn, is no law.
        let before = start.and_then(|start| start.coupon(id));
        if [Some(now), before].into_iter().flatten().any(|coupon| nonsense(coupon) || !coupon.active) {
            return None;
        }
        let known: Vec<Terms> = start::terms(&snapshot.catalogue, &Earlier::new(), *start, id).collect();
        let shown = |value: Option<i64>| value.map_or_else(|| "none".to_owned(), |value| value.to_string());
        let wrong: Vec<String> = TERMS
            .into_iter()
            .zip(kept)
            .filter(|((_, of), kept)| known.iter().all(|terms| Some(of(terms)) != *kept))
            .map(|((name, of), kept)| format!("{name} {} and main {}", shown(kept), of(&now.terms())))
            .collect();
        (!wrong.is_empty()).then(|| wrong.join(", "))
    }

    /// Adds them to the report.
    pub(super) fn report(self, report: &mut AuditReport) {
        let Self { keeper: Keeper { name, takes_over }, wrong, undated, .. } = self;
        if let Some(first) = undated.first() {
            let count = undated.len();
            let why = format!(
                "{name} takes totals and windows over {takes_over}, and of {count} that differ nobody recorded what it had at \
                 the start: for example {first}"
            );
            report.skip(Kind::Miscounted, why);
        }
        for text in wrong {
            report.add(Kind::Miscounted, 1, || text);
        }
    }
}

/// The time by this machine's clock.
pub(super) fn now() -> Timestamp {
    Timestamp::from_millis(jiff::Timestamp::now().as_millisecond())
}

/// The coupons that the gate, or the database that decides grabs, must have: on offer, and not ended yet. A row whose
/// ids are none is no coupon.
pub(super) fn on_offer(catalogue: &Catalogue, now: i64) -> impl Iterator<Item = i64> {
    let is_on_offer = move |(id, coupon): &(&i64, &Coupon)| {
        **id > 0 && coupon.room > 0 && coupon.active && coupon.end > now
    };
    catalogue.iter().filter(is_on_offer).map(|(id, _)| *id)
}
