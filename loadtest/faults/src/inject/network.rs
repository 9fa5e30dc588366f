//! Networks that cut answers short, and lose what is sent.

use std::time::Duration;

use anyhow::{Context, Result};

use super::databases::todays_shard;
use crate::deployment::CaseDeployment;
use crate::proof::Proof;
use crate::proxy::{FaultProxy, ProxyCounts, ProxyMode};

/// The time that answers are cut short.
const CUTTING: Duration = Duration::from_secs(2);
/// The time that everything is swallowed.
const SWALLOWING: Duration = Duration::from_secs(5);
/// The time that a server is out of reach.
const LOST: Duration = Duration::from_secs(8);

/// Answers are cut short in the middle.
pub(crate) fn cuts(deployment: &CaseDeployment<'_>) -> Result<Proof> {
    deployment.fault_begins();
    set(deployment, ProxyMode::Cut);
    std::thread::sleep(CUTTING);
    set(deployment, ProxyMode::Pass);
    deployment.fault_ends();
    let ProxyCounts { cut, .. } = harm(deployment);
    Proof::when(cut > 0, format!("{cut} answers were cut"))
}

/// Answers are cut short, then everything is swallowed.
pub(crate) fn cuts_and_swallows(deployment: &CaseDeployment<'_>) -> Result<Proof> {
    deployment.fault_begins();
    set(deployment, ProxyMode::Cut);
    std::thread::sleep(CUTTING);
    set(deployment, ProxyMode::Swallow);
    std::thread::sleep(SWALLOWING);
    set(deployment, ProxyMode::Pass);
    deployment.fault_ends();
    let ProxyCounts { cut, held } = harm(deployment);
    Proof::when(cut > 0 && held > 0, format!("{cut} answers were cut, and {held} packets held back"))
}

/// Requests arrive, and no answer does.
pub(crate) fn swallows_answers(deployment: &CaseDeployment<'_>) -> Result<Proof> {
    swallows(deployment, &deployment.proxies, ProxyMode::SwallowAnswers)
}

/// Nothing arrives on either side.
pub(crate) fn swallows_everything(deployment: &CaseDeployment<'_>) -> Result<Proof> {
    swallows(deployment, &deployment.proxies, ProxyMode::Swallow)
}

/// Requests arrive at a shard, and none of its answers does.
pub(crate) fn swallows_answers_of_a_shard(deployment: &CaseDeployment<'_>) -> Result<Proof> {
    swallows(deployment, before_a_shard(deployment)?, ProxyMode::SwallowAnswers)
}

/// Nothing arrives at a shard, or from it.
pub(crate) fn swallows_everything_of_a_shard(deployment: &CaseDeployment<'_>) -> Result<Proof> {
    swallows(deployment, before_a_shard(deployment)?, ProxyMode::Swallow)
}

/// The network before the shard that most of the load goes to.
fn before_a_shard<'a>(deployment: &'a CaseDeployment<'_>) -> Result<&'a [FaultProxy]> {
    let shard = todays_shard(deployment)?.index();
    deployment.proxies.get(shard..=shard).context("there is no network before this shard")
}

fn swallows(deployment: &CaseDeployment<'_>, proxies: &[FaultProxy], mode: ProxyMode) -> Result<Proof> {
    deployment.fault_begins();
    proxies.iter().for_each(|proxy| proxy.set(mode));
    std::thread::sleep(LOST);
    set(deployment, ProxyMode::Pass);
    deployment.fault_ends();
    let ProxyCounts { held, .. } = harm(deployment);
    Proof::when(held > 0, format!("{held} packets were held back for {} s at most", LOST.as_secs()))
}

fn harm(deployment: &CaseDeployment<'_>) -> ProxyCounts {
    deployment
        .proxies
        .iter()
        .map(FaultProxy::harm)
        .fold(ProxyCounts::default(), |a, b| ProxyCounts { cut: a.cut + b.cut, held: a.held + b.held })
}

fn set(deployment: &CaseDeployment<'_>, mode: ProxyMode) {
    deployment.proxies.iter().for_each(|proxy| proxy.set(mode));
}
