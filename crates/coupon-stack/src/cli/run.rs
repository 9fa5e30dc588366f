//! `coupon-stack run`.

use std::ffi::OsString;
use std::num::NonZeroU16;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitCode, ExitStatus};
use std::thread;

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::{Stack, StackOptions};

/// The number that a shell adds to the signal that ended a command.
const BY_SIGNAL: i32 = 128;

/// Runs a command with the addresses of a temporary stack, and ends with its code.
pub(super) fn run(shards: NonZeroU16, engine: Option<NonZeroU16>, command: &[OsString]) -> Result<ExitCode> {
    let stack = Stack::start(&StackOptions { shards, dir: None, engine })?;
    let (program, arguments) = command.split_first().context("no command")?;
    // Until the command has ended, a signal is for it.
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
    let mut command = Command::new(program);
    command.args(arguments).envs(stack.addresses().environment());
    let mut child = command.spawn().with_context(|| format!("cannot start {}", program.display()))?;
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    thread::spawn(move || {
        for signal in signals.forever() {
            // A terminal's Ctrl-C has reached the command already, which shares its group with this process.
            if let (SIGTERM | SIGHUP, Some(pid)) = (signal, pid) {
                // It may have ended just now.
                let _ = kill_process(pid, Signal::TERM);
            }
        }
    });
    let status = child.wait()?;
    drop(stack);
    Ok(code(status))
}

fn code(status: ExitStatus) -> ExitCode {
    let code = status.code().or_else(|| status.signal().map(|signal| BY_SIGNAL + signal));
    code.and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from)
}
