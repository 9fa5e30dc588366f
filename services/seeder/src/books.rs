//! The command that holds main's books against the shards' rows, and makes them anew.

use std::process::ExitCode;

use anyhow::{Result, ensure};
use clap::Args;
use coupon_seeding::{Rebuilt, now, rebuild_servers};
use coupon_store::settings::BackendKind;

use crate::storage::{OWN_LAYOUT, Storage};
use crate::verify::COULD_NOT_ASK;
use crate::{complain, say};

#[derive(Debug, Args)]
pub(super) struct Bookkeeping {
    /// Make the books anew; without it they are only looked at.
    #[arg(long)]
    rebuild: bool,
    #[command(flatten)]
    storage: Storage,
}

impl Bookkeeping {
    /// Prints what main has forgotten. Ends with 1 when there is something that was not mended, and with 2 when it
    /// could not be found out.
    pub(super) fn run(&self, strategy: Option<&str>) -> ExitCode {
        match self.looked_at(strategy) {
            Ok(rebuilt) if rebuilt.is_settled() => ExitCode::SUCCESS,
            Ok(_) => {
                complain(&"main's books are not what the shards' rows are");
                ExitCode::FAILURE
            }
            Err(error) => {
                complain(&format_args!("{error:#}"));
                ExitCode::from(COULD_NOT_ASK)
            }
        }
    }

    fn looked_at(&self, strategy: Option<&str>) -> Result<Rebuilt> {
        self.storage.refuse_strategy(OWN_LAYOUT)?;
        let (settings, _) = self.storage.read()?;
        ensure!(
            settings.backend == BackendKind::Servers,
            "books needs --backend servers: on files all of a folder's files are put back together"
        );
        let rebuilt = rebuild_servers(&settings.servers, strategy, self.rebuild, now())?;
        say(&rebuilt)?;
        Ok(rebuilt)
    }
}
