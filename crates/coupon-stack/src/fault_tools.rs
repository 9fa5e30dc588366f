//! Servers and tools that only tests of faults need: a Redis more, and RabbitMQ's own tool.

use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::node::{Node, World};
use crate::rabbitmq;

/// One Redis more than the stack has, with the same password; it ends when this is dropped.
#[derive(Debug)]
pub struct SpareRedis {
    node: Node,
}

impl SpareRedis {
    /// Starts it in its own folder below the stack's.
    pub(crate) fn start(stack: &std::path::Path, like: &Node, world: World<'_>) -> Result<Self> {
        let node = Node::like(like, like.kind(), "redis-spare".to_owned(), stack)?;
        if node.data().exists() {
            std::fs::remove_dir_all(node.data()).context("the data of an earlier spare Redis")?;
        }
        let spare = Self { node };
        spare.node.start(world)?;
        Ok(spare)
    }

    /// Default address; wrong where another one is configured.
    #[must_use]
    pub fn url(&self) -> String {
        self.node.url()
    }
}

impl Drop for SpareRedis {
    fn drop(&mut self) {
        // An error has nowhere to go, and the guardian tries once more.
        let _ = self.node.kill();
    }
}

/// Runs `rabbitmqctl` on a stack's node.
pub(crate) fn rabbitmqctl(world: World<'_>, node: &Node, arguments: &[&str]) -> Result<String> {
    let tool = world.programs.rabbitmq.with_file_name("rabbitmqctl");
    let tool = if tool.is_file() { tool } else { "rabbitmqctl".into() };
    let dir = node.data().parent().context("RabbitMQ has no folder")?;
    let mut command = Command::new(&tool);
    command.env_clear().env("LANG", "C.UTF-8").env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.envs(rabbitmq::tool_environment(node.name(), dir, world.epmd)).args(arguments).current_dir(dir);
    let output = command.output().with_context(|| format!("cannot run {}", tool.display()))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    let said = text(&output.stderr);
    ensure!(output.status.success(), "rabbitmqctl {}: {} {said}", arguments.join(" "), text(&output.stdout));
    Ok(text(&output.stdout))
}
