//! The stock that a database keeps which decides grabs, in the place of a gate.

use std::collections::{BTreeMap, HashSet};

use super::scan::Sold;
use super::source::{Shard, Snapshot, Terms};
use super::terms::{Keeper, OtherTerms, now, on_offer};
use super::{AuditReport, Kind, Scope};

const KEEPER: Keeper = Keeper { name: "the database", takes_over: "when it begins to decide grabs" };

/// A coupon's row of stock.
#[derive(Debug, Clone, Copy)]
pub(super) struct KeptStock {
    pub(super) coupon: i64,
    /// Results that take stock, those that were set aside included.
    pub(super) sold: i64,
    /// Results that are stored and have no entry in the outbox yet.
    pub(super) untold: i64,
    /// The terms by which it is sold.
    pub(super) terms: Terms,
}

impl KeptStock {
    pub(super) const TABLE: &str = "stock";
    pub(super) const COLUMNS: &str = "coupon_id, sold, untold, total, start_time, end_time";

    /// A row of those columns.
    pub(super) const fn of([coupon, sold, untold, total, start, end]: [i64; 6]) -> Self {
        Self { coupon, sold, untold, terms: Terms { total, start, end } }
    }
}

/// All rows of stock of a data set, each with its shard.
fn rows(snapshot: &Snapshot) -> impl Iterator<Item = (&Shard, &KeptStock)> {
    snapshot.shards.iter().flat_map(|shard| shard.stock.iter().flatten().map(move |kept| (shard, kept)))
}

/// True where a database decides grabs.
pub(super) fn is_kept(snapshot: &Snapshot) -> bool {
    snapshot.shards.iter().any(|shard| shard.stock.is_some())
}

/// The terms by which it sells coupons.
pub(super) fn terms(snapshot: &Snapshot) -> BTreeMap<i64, Terms> {
    rows(snapshot).map(|(_, kept)| (kept.coupon, kept.terms)).collect()
}

/// Adds to the report what such a database says otherwise than rows and main.
pub(super) fn check(snapshot: &Snapshot, sold: &Sold, scope: &Scope<'_>, report: &mut AuditReport) {
    if !is_kept(snapshot) {
        return;
    }
    for text in miscounted(snapshot, sold) {
        report.add(Kind::Miscounted, 1, || text);
    }
    if !scope.drained {
        let why = scope.why_not_still();
        let what = "the terms of the database's stock were not held against main's";
        report.skip(Kind::Miscounted, format!("{what}: {why}"));
        return;
    }
    let now = now().millis();
    for id in unknown(snapshot, now) {
        report.add(Kind::Miscounted, 1, || {
            format!("coupon {id} is on offer, and the database has no stock of it")
        });
    }
    let mut other = OtherTerms::of(KEEPER, snapshot, scope.start);
    let on_offer: HashSet<i64> = on_offer(&snapshot.catalogue, now).collect();
    for (_, kept) in rows(snapshot).filter(|(_, kept)| on_offer.contains(&kept.coupon)) {
        let Terms { total, start, end } = kept.terms;
        other.hold(kept.coupon, [total, start, end].map(Some));
    }
    other.report(report);
}

/// Coupons of which it has sold another number than is stored or set aside: more is stock that no user can ever get.
pub(super) fn miscounted(snapshot: &Snapshot, sold: &Sold) -> Vec<String> {
    let differs = |(shard, kept): (&Shard, &KeptStock)| {
        let parked = shard.parked.iter().filter(|parked| parked.grab.coupon == kept.coupon).count();
        let rows = sold.get(&(shard.number, kept.coupon)).copied().unwrap_or(0);
        let taken = rows + i64::try_from(parked).unwrap_or(0);
        (kept.sold != taken).then(|| {
            format!(
                "coupon {}: shard {} says that it has sold {}, and has {taken} results that take stock",
                kept.coupon, shard.number, kept.sold
            )
        })
    };
    rows(snapshot).filter_map(differs).collect()
}

/// Coupons on offer of which it has no stock.
pub(super) fn unknown(snapshot: &Snapshot, now: i64) -> impl Iterator<Item = i64> {
    let known: HashSet<i64> = rows(snapshot).map(|(_, kept)| kept.coupon).collect();
    on_offer(&snapshot.catalogue, now).filter(move |id| !known.contains(id))
}
