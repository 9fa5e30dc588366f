//! The command that gives a data set other gates.

use std::sync::Arc;

use anyhow::{Result, ensure};
use clap::Args;
use coupon_core::ShardingStrategy;
use coupon_seeding::change_gates;
use coupon_store::clock::Clock;
use coupon_store::settings::BackendKind;

use crate::say;
use crate::storage::{OWN_LAYOUT, Storage};

#[derive(Debug, Args)]
pub(super) struct GatesCommand {
    #[command(flatten)]
    storage: Storage,
}

impl GatesCommand {
    /// Closes all gates, has the data set go by those of the setting, fills them, and says how long that took.
    pub(super) fn run(
        &self,
        of_layout: &dyn Fn(&str) -> Result<Arc<dyn ShardingStrategy>>,
        strategy: Option<&str>,
    ) -> Result<()> {
        self.storage.refuse_strategy(OWN_LAYOUT)?;
        let (settings, _) = self.storage.read()?;
        ensure!(
            settings.backend == BackendKind::Servers,
            "gates needs --backend servers: on files the gate lives in the service alone"
        );
        say(&change_gates(&settings.servers, strategy, of_layout, &Clock::system())?)
    }
}
