//! Installs what a stack runs, where that can be done.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use crate::programs::{self, EnginePrograms, Programs};

/// `COUPON_STACK_INSTALL=never` keeps packages from being installed.
const SWITCH: &str = "COUPON_STACK_INSTALL";

/// Debian starts a server once it is installed, unless a policy forbids it. The policy is for this script alone: it is
/// removed whatever happens, and one that is there already stays.
const SCRIPT: &str = include_str!("install.sh");

/// Makes sure that the database server, Redis and RabbitMQ are installed.
///
/// On Debian and its kin, as root or where `sudo` asks for no password, it installs what is missing with `apt-get`
/// (without starting it), says so on stderr, and needs minutes. `COUPON_STACK_INSTALL=never` keeps it from that.
///
/// # Errors
/// Names what is missing, and how to get it.
pub fn ensure() -> Result<()> {
    programs().map(drop)
}

/// Makes sure that Chromium is installed, for tests of pages, in the same way; says where it is.
///
/// # Errors
/// As [`ensure()`].
pub fn chromium() -> Result<PathBuf> {
    found_or_installed(|| Ok(programs::chromium().ok_or_else(|| vec!["chromium"])))
}

pub(crate) fn programs() -> Result<Programs> {
    found_or_installed(Programs::find)
}

/// Those of an engine. etcd is a package; Vitess is built.
pub(crate) fn engine() -> Result<EnginePrograms> {
    found_or_installed(EnginePrograms::find)
}

/// Runs `find`, which returns the wanted or the packages that are missing, and installs these.
fn found_or_installed<T>(find: impl Fn() -> Result<Result<T, Vec<&'static str>>>) -> Result<T> {
    match find()? {
        Ok(found) => Ok(found),
        Err(missing) => install(&missing, find),
    }
}

fn install<T>(missing: &[&str], find: impl Fn() -> Result<Result<T, Vec<&'static str>>>) -> Result<T> {
    let advice = advice(missing);
    ensure!(std::env::var_os(SWITCH).is_none_or(|switch| switch != "never"), advice);
    ensure!(Path::new("/usr/bin/apt-get").is_file(), advice);
    let Some(mut command) = as_root() else { bail!(advice) };
    // Others wait here, and find everything installed then.
    let lock =
        std::env::temp_dir().join(format!("coupon-stack-{}.lock", rustix::process::geteuid().as_raw()));
    let file = OpenOptions::new().create(true).append(true).open(&lock);
    let file = file.with_context(|| format!("cannot write {}", lock.display()))?;
    file.lock().with_context(|| format!("cannot lock {}", lock.display()))?;
    if let Ok(found) = find()? {
        return Ok(found);
    }
    // There is nowhere left to complain about stderr.
    let _ = writeln!(io::stderr(), "coupon-stack: installing {} (apt-get; not started)", missing.join(", "));
    command.args(["/bin/sh", "-c", SCRIPT, "coupon-stack"]).args(missing).stdin(Stdio::null());
    let output = command.output().context("cannot start apt-get")?;
    let said = String::from_utf8_lossy(&output.stderr);
    let said = said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it said nothing");
    ensure!(output.status.success(), "apt-get failed: {said}; {advice}");
    find()?.map_err(|missing| anyhow::anyhow!("installed, and still not found: {}", missing.join(", ")))
}

fn advice(missing: &[&str]) -> String {
    let packages = missing.join(" ");
    format!("not installed: {}; on Debian or Ubuntu: sudo apt-get install {packages}", missing.join(", "))
}

/// The beginning of a command that runs as root.
fn as_root() -> Option<Command> {
    if rustix::process::geteuid().is_root() {
        return Some(Command::new("/usr/bin/env"));
    }
    let mut asked = Command::new("sudo");
    asked.args(["-n", "true"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut command = Command::new("sudo");
    command.arg("-n");
    asked.status().is_ok_and(|status| status.success()).then_some(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named_with_the_way_to_get_it() {
        let advice = advice(&["redis-server", "rabbitmq-server"]);
        assert!(!advice.contains('\n'));
        assert!(advice.contains("apt-get install redis-server rabbitmq-server"), "{advice}");
    }
}
