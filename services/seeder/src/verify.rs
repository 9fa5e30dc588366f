//! The command that holds the gate against the shards.

use std::process::ExitCode;

use anyhow::{Result, ensure};
use coupon_seeding::{now, verify_servers};
use coupon_store::settings::BackendKind;

use crate::storage::{OWN_LAYOUT, Storage};
use crate::{complain, say};

/// The exit code of a comparison that could not be made: as for diff, 1 is kept for a difference.
pub(super) const COULD_NOT_ASK: u8 = 2;

/// Prints how gate and shards differ, and ends with 1 when they do.
pub(super) fn verified(storage: &Storage, strategy: Option<&str>) -> ExitCode {
    match compared(storage, strategy) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => {
            complain(&"gate and shards differ");
            ExitCode::FAILURE
        }
        Err(error) => {
            complain(&format_args!("{error:#}"));
            ExitCode::from(COULD_NOT_ASK)
        }
    }
}

/// Prints how gate and shards differ, and counts the differences.
fn compared(storage: &Storage, strategy: Option<&str>) -> Result<usize> {
    storage.refuse_strategy(OWN_LAYOUT)?;
    let (settings, _) = storage.read()?;
    ensure!(
        settings.backend == BackendKind::Servers,
        "verify needs --backend servers: on files the gate lives in the service alone; loadtest audit reads them"
    );
    let found = verify_servers(&settings.servers, strategy, now())?;
    say(&found)?;
    Ok(found.count())
}
