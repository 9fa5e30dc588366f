//! Networks that cut answers short, and lose what is sent.

use std::time::Duration;

use anyhow::Result;

use crate::faults::proxy::Mode;
use crate::faults::scene::Scene;

/// How long answers are cut short.
const CUTTING: Duration = Duration::from_secs(2);
/// How long everything is swallowed.
const SWALLOWING: Duration = Duration::from_secs(5);

/// Answers are cut short in the middle.
pub(in crate::faults) fn cuts(scene: &Scene<'_>) -> Result<()> {
    scene.begins();
    set(scene, Mode::Cut);
    std::thread::sleep(CUTTING);
    set(scene, Mode::Pass);
    scene.lifted();
    Ok(())
}

/// Answers are cut short, then everything is swallowed.
pub(in crate::faults) fn cuts_and_swallows(scene: &Scene<'_>) -> Result<()> {
    scene.begins();
    set(scene, Mode::Cut);
    std::thread::sleep(CUTTING);
    set(scene, Mode::Swallow);
    std::thread::sleep(SWALLOWING);
    set(scene, Mode::Pass);
    scene.lifted();
    Ok(())
}

fn set(scene: &Scene<'_>, mode: Mode) {
    scene.proxies.iter().for_each(|proxy| proxy.set(mode));
}
