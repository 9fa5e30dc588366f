//! Stops what an owner leaves behind, however the owner ends.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result};

use crate::process::{Identity, gated, let_through};

/// Reads the owner's lines until the owner closes the pipe or is gone.
const SCRIPT: &str = include_str!("guardian.sh");

/// A shell that holds the other end of a pipe. The system closes the pipe when the owner ends, even by `kill -9`.
#[derive(Debug)]
pub struct Guardian {
    child: Child,
    pipe: Mutex<Option<ChildStdin>>,
}

impl Guardian {
    /// Starts it, before there is anything to guard.
    ///
    /// # Errors
    /// When there is no shell.
    pub fn start() -> Result<Self> {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", SCRIPT, "coupon-stack-guardian"]).process_group(0);
        // It must not hold the owner's stdout open: a process that reads that to its end would wait for the guardian.
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().context("cannot start /bin/sh")?;
        let pipe = Mutex::new(child.stdin.take());
        Ok(Self { child, pipe })
    }

    /// Starts a program that the guardian stops at the end. `prepare` says what else there is to say of it, but for
    /// its stdin, which is empty.
    ///
    /// # Errors
    /// When it cannot be started, or the guardian is gone.
    pub fn spawn(
        &self,
        program: &Path,
        arguments: &[String],
        prepare: impl FnOnce(&mut Command),
    ) -> Result<Child> {
        let mut command = gated(program, arguments);
        prepare(&mut command);
        let (child, _) = let_through(&mut command, |identity| self.watch(identity))?;
        Ok(child)
    }

    /// At the end it removes this folder too, and does not ask processes to end first: what they would save is
    /// removed anyway.
    ///
    /// # Errors
    /// When the guardian is gone.
    pub fn remove_at_the_end(&self, temporary: &Path) -> Result<()> {
        self.send(&format!("folder {}\n", temporary.display()))
    }

    /// Registers a process with the guardian before it becomes a server.
    pub(crate) fn watch(&self, Identity { pid, started }: Identity) -> Result<()> {
        self.send(&format!("pid {pid}:{started}\n"))
    }

    /// A control group to remove at the end.
    pub(crate) fn watch_group(&self, path: &Path) -> Result<()> {
        self.send(&format!("group {}\n", path.display()))
    }

    /// Lets everything run on.
    pub(crate) fn release(&self) -> Result<()> {
        self.send("release\n")
    }

    fn send(&self, line: &str) -> Result<()> {
        let mut pipe = self.pipe.lock().unwrap_or_else(PoisonError::into_inner);
        let pipe = pipe.as_mut().context("the guardian has no pipe")?;
        pipe.write_all(line.as_bytes()).context("the guardian process is gone")
    }
}

impl Drop for Guardian {
    fn drop(&mut self) {
        *self.pipe.get_mut().unwrap_or_else(PoisonError::into_inner) = None;
        // It does what is left to do and ends; nothing is left after an orderly stop.
        let _ = self.child.wait();
    }
}
