//! The room on disk for a data set.

use std::path::Path;

use anyhow::{Context as _, Result};

/// The bytes that must be left for everything else.
const RESERVE: u64 = 2_000_000_000;

/// Checks that so many bytes can be written to the folder for temporary files, or says why they should not be.
///
/// # Errors
/// When the system does not say how much is free.
pub(super) fn room_for(bytes: u64) -> Result<Result<(), String>> {
    let folder = std::env::temp_dir();
    Ok(fits(bytes, free(&folder)?, &folder))
}

fn free(folder: &Path) -> Result<u64> {
    let status = rustix::fs::statvfs(folder);
    let status = status.with_context(|| format!("cannot tell how much is free in {}", folder.display()))?;
    Ok(status.f_bavail.saturating_mul(status.f_frsize))
}

fn fits(bytes: u64, free: u64, folder: &Path) -> Result<(), String> {
    let wanted = bytes.saturating_add(RESERVE);
    let gb = |bytes: u64| coupon_measure::format::number(bytes as f64 / 1e9);
    if free >= wanted {
        return Ok(());
    }
    Err(format!("it needs {} GB free in {}, and there are {}", gb(wanted), folder.display(), gb(free)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_fill_the_disk_is_refused_with_what_it_needs() {
        let folder = Path::new("/data");
        assert_eq!(fits(1_000_000_000, RESERVE + 1_000_000_000, folder), Ok(()));
        let why = fits(5_000_000_000, RESERVE, folder).unwrap_err();
        assert!(why.contains("7.00 GB") && why.contains("/data") && why.contains("2.00"), "{why}");
        assert!(fits(u64::MAX, u64::MAX - 1, folder).is_err());
    }

    #[test]
    fn what_is_free_is_known_of_a_folder_that_is_there() {
        assert!(free(&std::env::temp_dir()).is_ok());
        assert!(free(Path::new("/no such folder")).is_err());
    }
}
