//! Marks at the gate what is stored, while the next transaction is under way.

use std::sync::Arc;

use futures_util::future::join_all;

use super::background::Background;
use super::handles::GateHandle;
use super::store::{Arrived, StoredBatch, TakenMessages};
use crate::seam::{GateError, Mark, Release};

/// Marks these as stored at their gates: a user who asks again is answered at once. If the gate cannot be reached, they
/// stay pending, and are found again.
///
/// Parked results take stock, of whatever epoch they are, and their users do not get "duplicate". Of a repeat whose stock
/// was given back since, the gate lets go: a question to it that arrived late may have reserved it a second time.
pub(super) async fn settle(
    background: &Arc<Background>,
    work: &TakenMessages,
    done: &StoredBatch,
) -> Result<(), GateError> {
    let settled = background.gates.iter().map(|gate| settle_at(background, gate, work, done));
    join_all(settled).await.into_iter().collect()
}

async fn settle_at(
    background: &Background,
    gate: &GateHandle,
    work: &TakenMessages,
    done: &StoredBatch,
) -> Result<(), GateError> {
    let Some(epoch) = gate.open() else { return Ok(()) };
    let count = background.gates.count();
    let (mut stored, mut parked, mut gone) = (Vec::with_capacity(work.results.len()), Vec::new(), Vec::new());
    let of_gate = |arrived: &&Arrived| count.of(arrived.row.result.coupon_id) == gate.id;
    for Arrived { row, epoch: of } in work.results.iter().filter(of_gate) {
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
    let server = gate.quick();
    gate.heard(server.park(&epoch, &parked).await)?;
    gate.heard(server.let_go(&epoch, &gone).await)?;
    gate.heard(server.unmark(&epoch, &stored).await)
}
