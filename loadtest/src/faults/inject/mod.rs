//! How each fault is brought about, and lifted again.

pub(super) mod broker;
pub(super) mod databases;
mod disk;
pub(super) mod gate;
pub(super) mod network;
pub(super) mod services;

use anyhow::{Context, Result};
use coupon_stack::{Server, Status};

use super::scene::Scene;
use super::stage::Stage;

/// Whatever a row has left broken is mended.
pub(super) fn mend(stage: &Stage<'_>) -> Result<()> {
    let stack = stage.site.stack().context("these servers are not this run's own")?;
    for server in stack.servers() {
        match stack.status(server)? {
            Status::Up => {}
            Status::Paused => stack.resume(server)?,
            Status::Down => stack.restart(server)?,
        }
    }
    Ok(())
}

/// Kills a server, waits, and starts it again.
fn killed(scene: &Scene<'_>, server: Server, down: std::time::Duration) -> Result<()> {
    let stack = scene.stack()?;
    scene.begins();
    stack.kill(server)?;
    std::thread::sleep(down);
    stack.restart(server)?;
    scene.lifted();
    Ok(())
}
