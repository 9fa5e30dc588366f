//! The cost of the process as a whole.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};

/// CPU seconds of all its threads so far.
#[expect(clippy::cast_precision_loss, reason = "processes do not run for 2^52 seconds")]
pub(super) fn cpu_seconds() -> Option<f64> {
    let spent = clock_gettime(ClockId::ProcessCPUTime);
    Some(spent.tv_sec as f64 + spent.tv_nsec as f64 / 1e9).filter(|seconds| *seconds >= 0.0)
}

/// Its start, in seconds since 1970.
pub(super) fn started(at: Instant) -> Option<f64> {
    let at = SystemTime::now().checked_sub(at.elapsed())?;
    Some(at.duration_since(UNIX_EPOCH).ok()?.as_secs_f64())
}

/// Its number of threads; `None` where the system does not say.
pub(super) fn threads() -> Option<u64> {
    figure(&std::fs::read_to_string("/proc/self/status").ok()?, "Threads:")
}

/// Resident memory; `None` where the system does not say.
pub(super) fn memory_bytes() -> Option<u64> {
    resident(&std::fs::read_to_string("/proc/self/status").ok()?)
}

fn resident(status: &str) -> Option<u64> {
    figure(status, "VmRSS:")?.checked_mul(1_024)
}

fn figure(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?.trim();
    line.strip_suffix("kB").unwrap_or(line).trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resident_memory_is_read_or_not_claimed() {
        assert_eq!(resident("Name:\tx\nVmRSS:\t    1234 kB\nThreads:\t1\n"), Some(1_234 * 1_024));
        assert_eq!(figure("VmRSS:\t9 kB\nThreads:\t12\n", "Threads:"), Some(12));
        assert_eq!((resident("Name:\tx\n"), resident("VmRSS:\tmany kB\n")), (None, None));
    }

    #[test]
    fn a_process_that_ran_has_spent_some_cpu() {
        assert!(cpu_seconds().unwrap() > 0.0);
    }
}
