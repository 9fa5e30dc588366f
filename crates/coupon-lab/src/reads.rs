//! What a service's read endpoints tell, for the auditor.

use std::time::Duration;

use anyhow::Result;
use coupon_audit::{Claims, Data, Read, fetch};
use coupon_loadgen::http::{Target, ask};

/// How long an answer may take: a scatter over much data takes its time.
const PATIENCE: Duration = Duration::from_secs(30);

/// Asks a service for a sample of everything that it tells. Nothing may be under way: what is asked now is held against
/// what is read later.
///
/// # Errors
/// When the data cannot be read, or the service does not answer.
pub fn reads(data: &Data, target: &Target, claims: Option<&Claims>) -> Result<Vec<Read>> {
    let asked = match claims {
        Some(claims) => data.sample(claims)?,
        None => data.sample(&Claims::default())?,
    };
    fetch(&asked, |path| ask(target, "GET", path, &[], PATIENCE))
}
