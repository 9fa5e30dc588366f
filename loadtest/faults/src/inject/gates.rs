//! Several gates, of which one is frozen, or loses its memory.

use std::time::Duration;

use anyhow::Result;
use coupon_stack::{Server, Stack};

use super::gate::{FROZEN, connect, empty, restarted_on_nothing};
use super::{away, frozen};
use crate::deployment::CaseDeployment;
use crate::proof::Proof;

/// The first gate, and the other.
const GATES: [Server; 2] = [Server::Redis, Server::Gate(1)];
/// The time for which a fault of two gates at once lasts.
const LOST: Duration = Duration::from_secs(1);

/// One frozen, and woken.
pub(crate) fn one_frozen(deployment: &CaseDeployment<'_>) -> Result<Proof> {
    frozen(deployment, Server::Gate(1), FROZEN)
}

/// One killed, and started again on nothing.
pub(crate) fn one_restarted_without_its_file(deployment: &CaseDeployment<'_>) -> Result<Proof> {
    restarted_on_nothing(deployment, Server::Gate(1))
}

/// One frozen, and the other emptied while it is.
pub(crate) fn one_frozen_while_the_other_is_emptied(deployment: &CaseDeployment<'_>) -> Result<Proof> {
    let [first, other] = GATES;
    let url = deployment.stack()?.url(first)?;
    let empty_it = || empty(&mut connect(&url)?).map(drop);
    away(deployment, other, FROZEN, Stack::pause, Stack::resume, empty_it)
}

/// Both emptied while they run.
pub(crate) fn both_emptied(deployment: &CaseDeployment<'_>) -> Result<Proof> {
    let stack = deployment.stack()?;
    deployment.fault_begins();
    let left = GATES.map(|gate| empty(&mut connect(&stack.url(gate)?)?));
    std::thread::sleep(LOST);
    deployment.fault_ends();
    let left = left.into_iter().sum::<Result<u64>>()?;
    Proof::when(left == 0, format!("{left} keys were left"))
}
