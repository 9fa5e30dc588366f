//! Marks at the gate what is stored, while the next transaction is under way.

use std::sync::Arc;

use super::background::Background;
use super::store::{Arrived, StoredBatch, TakenMessages};
use crate::servers::seam::{GateError, Mark, Release};

/// Marks these as stored at the gate: a user who asks again is answered at once. If the gate cannot be reached, they
/// stay pending, and are found again.
///
/// Parked results take stock, of whatever epoch they are, and their users do not get "duplicate". Of a repeat whose stock
/// was given back since, the gate lets go: a question to it that arrived late may have reserved it a second time.
pub(super) async fn settle(
    background: &Arc<Background>,
    work: &TakenMessages,
    done: &StoredBatch,
) -> Result<(), GateError> {
    let Some(epoch) = background.gate.epoch.open() else { return Ok(()) };
    let (mut stored, mut parked, mut gone) = (Vec::with_capacity(work.results.len()), Vec::new(), Vec::new());
    for Arrived { row, epoch: of } in &work.results {
        if done.parked.contains(&row.result.result_id) {
            parked.push(row.result);
        }
        if done.gone.contains(&row.result.result_id) {
            gone.push(Release::of(&row.result));
        }
        // A result that was passed on is marked by the consumer that stores it. Keys of an epoch that is over are gone, and must
        // not come back.
        if *of == epoch.number && !done.passed.contains(&row.result.result_id) {
            stored.push(Mark::of(&row.result));
        }
    }
    let gate = &background.gate.server;
    gate.park(&epoch, &parked).await?;
    gate.let_go(&epoch, &gone).await?;
    gate.unmark(&epoch, &stored).await
}
