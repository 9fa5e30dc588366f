//! Holds what a service stored against what it promised.
//!
//! The auditor shares the schema's table names with the services and nothing else: it reads the shards' files
//! itself, so that a mistake in the code audited cannot hide in the audit as well. It reads every row every time;
//! a duplicate of an old row is still a duplicate.

mod claims;
mod findings;
mod folder;
mod inbox;
mod scan;
mod stock;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result};
use coupon_core::ShardingStrategy;

pub use claims::{CLAIMS_HEADER, Claim, Claims};
pub use findings::{AuditReport, Finding, Kind, SHOWN, Unapplied};
use folder::Snapshot;
pub use folder::{Label, label, newest_result};

/// What the auditor is told beside the data itself.
#[derive(Debug, Clone, Copy, Default)]
pub struct Scope<'a> {
    /// What the service answered. Without it nothing can be called lost or invented.
    pub claims: Option<&'a Claims>,
    /// Rows with a larger `result_id` were written during the run, by the run alone. Without it, the run starts
    /// with the first id acknowledged.
    pub since: Option<i64>,
    /// Where rows belong. Without it, only what a table's own name promises is checked.
    pub strategy: Option<&'a dyn ShardingStrategy>,
    /// Whether everything handed over has been told to the main database: then nothing may be left to apply.
    pub drained: bool,
}

/// Audits a data folder. The service may be running: each file is read at one moment, without blocking it.
///
/// # Errors
/// When the folder cannot be read, is not a data folder, or mixes two data sets. A violation is no error.
pub fn audit(folder: &Path, scope: &Scope<'_>) -> Result<AuditReport> {
    let started = Instant::now();
    let snapshot = Snapshot::open(folder).with_context(|| format!("cannot audit {}", folder.display()))?;
    let mut report = AuditReport::new(folder, snapshot.shards.len());
    let catalogue = stock::catalogue(&snapshot.main)?;
    let ledger = scope.claims.map(Claims::ledger);
    let sold = scan::scan(&snapshot, scope, &catalogue, ledger.as_ref(), &mut report)?;
    stock::check(&snapshot, &catalogue, &sold, scope.drained, &mut report)?;
    if let Some(ledger) = &ledger {
        stock::left_over(&catalogue, &sold, ledger, &mut report);
    }
    report.took_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    Ok(report)
}
