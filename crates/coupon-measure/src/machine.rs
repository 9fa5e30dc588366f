//! The machine that figures were measured on.

use std::num::NonZeroUsize;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::reading::Reading;

/// The machine that everything ran on.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Machine {
    /// Logical processors that could be used.
    pub cores: Reading<u32>,
    /// The processor's model.
    pub cpu: Reading<String>,
    /// Operating system and kernel.
    pub kernel: Reading<String>,
}

impl Machine {
    /// The machine that this process runs on.
    #[must_use]
    pub fn this() -> Self {
        let cores = std::thread::available_parallelism().map(NonZeroUsize::get);
        let system = rustix::system::uname();
        let kernel = format!("{} {}", system.sysname().to_string_lossy(), system.release().to_string_lossy());
        Self {
            cores: cores.map(|cores| u32::try_from(cores).unwrap_or(u32::MAX)).into(),
            cpu: Reading::or_because(cpu(), "/proc/cpuinfo names no model"),
            kernel: Reading::Known(kernel),
        }
    }
}

fn cpu() -> Option<String> {
    let text = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    line.split_once(':').map(|(_, model)| model.trim().to_owned())
}
