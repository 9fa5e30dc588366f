//! Results that are stored twice, and slots that are held twice: what only all rows together show.

use anyhow::Result;

use super::{Holders, Holding};
use crate::source::Snapshot;
use crate::{AuditReport, Kind};

/// Finds results that are stored more than once.
pub(super) fn twice_stored(
    snapshot: &mut Snapshot,
    mut ids: Vec<i64>,
    report: &mut AuditReport,
) -> Result<()> {
    ids.sort_unstable();
    for same in ids.chunk_by(|a, b| a == b).filter(|same| same.len() > 1) {
        let Some(&id) = same.first() else { continue };
        let copies = if report.shows(Kind::Duplicate) { snapshot.copies(id)? } else { Vec::new() };
        report.add(Kind::Duplicate, same.len() as u64 - 1, || {
            format!("result {id} is stored {} times: {}", same.len(), copies.join(", "))
        });
    }
    Ok(())
}

/// Finds users who hold a coupon twice in one slot; leaves each coupon's holders sorted.
pub(super) fn twice_held(
    snapshot: &mut Snapshot,
    holders: &mut Holders,
    report: &mut AuditReport,
) -> Result<()> {
    for (&coupon, users) in holders {
        users.sort_unstable();
        let in_one_slot = users.chunk_by(|one, next| (one.user, one.slot) == (next.user, next.slot));
        for same in in_one_slot.filter(|same| same.len() > 1) {
            let Some(&Holding { user, slot: Some(slot), .. }) = same.first() else { continue };
            let held =
                if report.shows(Kind::Duplicate) { snapshot.holdings(user, coupon)? } else { Vec::new() };
            report.add(Kind::Duplicate, same.len() as u64 - 1, || {
                let slot = if slot == 0 { String::new() } else { format!(" in slot {slot}") };
                format!("user {user} holds coupon {coupon} {} times{slot}: {}", same.len(), held.join(", "))
            });
        }
    }
    Ok(())
}
