//! Tells the gate what is stored, while the next transaction is under way.

use std::sync::Arc;

use super::Background;
use super::store::{Arrived, Done, Work};
use crate::servers::seam::{GateError, Mark};

/// Marks these as stored at the gate: a user who asks again is answered at once. If the gate cannot be reached, they
/// stay pending, and are found again.
///
/// Parked results take stock, of whatever epoch they are, and their users do not get "duplicate".
pub(super) async fn settle(background: &Arc<Background>, work: &Work, done: &Done) -> Result<(), GateError> {
    let Some(epoch) = background.gate.epoch.open() else { return Ok(()) };
    let (mut stored, mut parked) = (Vec::with_capacity(work.results.len()), Vec::new());
    for Arrived { row, epoch: of } in &work.results {
        if done.parked.contains(&row.result.result_id) {
            parked.push(row.result);
        }
        // Keys of an epoch that is over are gone, and must not come back.
        if *of == epoch.number {
            stored.push(Mark { user: row.result.user_id, coupon: row.result.coupon_id });
        }
    }
    let gate = &background.gate.server;
    gate.park(&epoch, &parked).await?;
    gate.unmark(&epoch, &stored).await
}
