//! Networks that cut answers short, and lose what is sent.

use std::time::Duration;

use anyhow::{Context, Result};

use super::databases::todays_shard;
use crate::proof::Proof;
use crate::proxy::{Harm, Mode, Proxy};
use crate::scene::Scene;

/// How long answers are cut short.
const CUTTING: Duration = Duration::from_secs(2);
/// How long everything is swallowed.
const SWALLOWING: Duration = Duration::from_secs(5);
/// How long a server is out of reach.
const LOST: Duration = Duration::from_secs(8);

/// Answers are cut short in the middle.
pub(crate) fn cuts(scene: &Scene<'_>) -> Result<Proof> {
    scene.begins();
    set(scene, Mode::Cut);
    std::thread::sleep(CUTTING);
    set(scene, Mode::Pass);
    scene.lifted();
    let Harm { cut, .. } = harm(scene);
    Proof::when(cut > 0, format!("{cut} answers were cut"))
}

/// Answers are cut short, then everything is swallowed.
pub(crate) fn cuts_and_swallows(scene: &Scene<'_>) -> Result<Proof> {
    scene.begins();
    set(scene, Mode::Cut);
    std::thread::sleep(CUTTING);
    set(scene, Mode::Swallow);
    std::thread::sleep(SWALLOWING);
    set(scene, Mode::Pass);
    scene.lifted();
    let Harm { cut, held } = harm(scene);
    Proof::when(cut > 0 && held > 0, format!("{cut} answers were cut, and {held} packets held back"))
}

/// What is asked arrives, and no answer does.
pub(crate) fn swallows_answers(scene: &Scene<'_>) -> Result<Proof> {
    swallows(scene, &scene.proxies, Mode::SwallowAnswers)
}

/// Nothing arrives on either side.
pub(crate) fn swallows_everything(scene: &Scene<'_>) -> Result<Proof> {
    swallows(scene, &scene.proxies, Mode::Swallow)
}

/// What a shard is asked arrives there, and none of its answers does.
pub(crate) fn swallows_answers_of_a_shard(scene: &Scene<'_>) -> Result<Proof> {
    swallows(scene, before_a_shard(scene)?, Mode::SwallowAnswers)
}

/// Nothing arrives at a shard, or from it.
pub(crate) fn swallows_everything_of_a_shard(scene: &Scene<'_>) -> Result<Proof> {
    swallows(scene, before_a_shard(scene)?, Mode::Swallow)
}

/// The network before the shard that most of the load goes to.
fn before_a_shard<'a>(scene: &'a Scene<'_>) -> Result<&'a [Proxy]> {
    let shard = todays_shard(scene)?.index();
    scene.proxies.get(shard..=shard).context("there is no network before this shard")
}

fn swallows(scene: &Scene<'_>, proxies: &[Proxy], mode: Mode) -> Result<Proof> {
    scene.begins();
    proxies.iter().for_each(|proxy| proxy.set(mode));
    std::thread::sleep(LOST);
    set(scene, Mode::Pass);
    scene.lifted();
    let Harm { held, .. } = harm(scene);
    Proof::when(held > 0, format!("{held} packets were held back for {} s at most", LOST.as_secs()))
}

fn harm(scene: &Scene<'_>) -> Harm {
    scene
        .proxies
        .iter()
        .map(Proxy::harm)
        .fold(Harm::default(), |a, b| Harm { cut: a.cut + b.cut, held: a.held + b.held })
}

fn set(scene: &Scene<'_>, mode: Mode) {
    scene.proxies.iter().for_each(|proxy| proxy.set(mode));
}
