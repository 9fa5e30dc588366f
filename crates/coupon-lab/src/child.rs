//! A service as a child process that never outlives its owner.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use super::interrupt;
use super::wait::POLL;

/// The time that a service may take until it says that it listens.
const START: Duration = Duration::from_secs(60);
/// The time that a service may take to end when it is asked to, before it is killed.
const STOP: Duration = Duration::from_secs(10);
/// The beginning of the line that a service prints when it listens.
const READY: &str = "listening on ";
/// The number of lines of a log that are shown when a start fails.
const LOG_LINES: usize = 20;

/// A running service; dropping it stops it.
#[derive(Debug)]
pub(super) struct ServiceChild {
    child: Child,
    url: String,
    log: PathBuf,
}

impl ServiceChild {
    /// Starts a program and waits until it listens. Its stderr goes to the log.
    ///
    /// # Errors
    /// When it cannot be started, ends, or does not listen in time; the error quotes the end of the log.
    pub(super) fn start(
        program: &Path,
        arguments: &[String],
        environment: &[(&'static str, String)],
        log: PathBuf,
    ) -> Result<Self> {
        let errors = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        let prepare = |command: &mut Command| {
            command.stdout(Stdio::piped()).stderr(errors);
            command.envs(environment.iter().map(|(name, value)| (name, value)));
        };
        let mut child = interrupt::spawn(program, arguments, prepare)
            .with_context(|| format!("cannot start {}", program.display()))?;
        let stdout = child.stdout.take();
        // From here on the child is stopped whatever happens.
        let mut service = Self { child, url: String::new(), log };
        let ready = stdout.context("its output cannot be read").and_then(ready);
        match ready {
            Ok(url) => service.url = url,
            Err(error) => {
                let ended = service.child.try_wait().ok().flatten();
                let ended = ended.map_or_else(String::new, |status| format!(" ({status})"));
                let log = tail(&service.log);
                bail!("{} did not start: {error}{ended}{log}", program.display());
            }
        }
        Ok(service)
    }

    /// The URL at which it listens.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// Its process id.
    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The end of its log, to go with an error; empty when it logged nothing.
    pub(super) fn log_tail(&self) -> String {
        tail(&self.log)
    }

    /// Says whether it still runs.
    pub(super) fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Asks it to stop and waits until it has; makes it stop if it takes too long.
    ///
    /// # Errors
    /// When it had to be made to, or ended with another code than 0.
    pub(super) fn stop(mut self) -> Result<()> {
        self.end()
    }

    fn end(&mut self) -> Result<()> {
        let result = end(&mut self.child);
        interrupt::forget(self.child.id());
        result.with_context(|| format!("see {}", self.log.display()))
    }
}

impl Drop for ServiceChild {
    fn drop(&mut self) {
        // An owner to whom it matters how it ends has called `stop`.
        let _ = self.end();
    }
}

fn end(child: &mut Child) -> Result<()> {
    if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw)
        && child.try_wait()?.is_none()
    {
        kill_process(pid, Signal::TERM)?;
    }
    let patience = Instant::now() + STOP;
    loop {
        match child.try_wait()? {
            Some(status) if status.success() => return Ok(()),
            Some(status) => bail!("the service ended with {status}"),
            None if Instant::now() >= patience => break,
            None => std::thread::sleep(POLL),
        }
    }
    child.kill()?;
    child.wait()?;
    bail!("the service did not stop within {} s and was killed", STOP.as_secs());
}

/// Waits for the line that says where a service listens.
fn ready(stdout: ChildStdout) -> Result<String> {
    let (send, lines) = mpsc::channel();
    // The thread goes on reading, so that the service never waits for a full pipe; it ends with the service.
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            let _ = send.send(line);
        }
    });
    let patience = Instant::now() + START;
    loop {
        let left = patience.saturating_duration_since(Instant::now());
        match lines.recv_timeout(left) {
            Ok(line) => {
                if let Some(url) = line.strip_prefix(READY) {
                    return Ok(url.trim().to_owned());
                }
            }
            Err(mpsc::RecvTimeoutError::Timeout) => {
                bail!("it did not say that it listens within {} s", START.as_secs())
            }
            Err(mpsc::RecvTimeoutError::Disconnected) => bail!("it ended before it listened"),
        }
    }
}

fn tail(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    let last = lines.get(lines.len().saturating_sub(LOG_LINES)..).unwrap_or_default();
    if last.is_empty() { String::new() } else { format!("; its log ends with:\n{}", last.join("\n")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> (Result<ServiceChild>, tempfile::TempDir) {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        (ServiceChild::start(Path::new("/bin/sh"), &["-c".to_owned(), script.to_owned()], &[], log), dir)
    }

    fn runs(pid: u32) -> bool {
        let pid = Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
        rustix::process::test_kill_process(pid).is_ok()
    }

    #[test]
    fn a_service_that_listens_is_stopped_when_dropped() {
        let (service, _dir) = shell("echo starting; echo listening on http://127.0.0.1:1; exec sleep 60");
        let mut service = service.unwrap();
        assert_eq!(service.url(), "http://127.0.0.1:1");
        assert!(service.is_running());
        let pid = service.pid();
        drop(service);
        assert!(!runs(pid));
    }

    #[test]
    fn a_service_that_ends_at_once_is_quoted() {
        let (service, _dir) = shell("echo no such setting >&2; exit 1");
        let error = service.unwrap_err().to_string();
        assert!(error.contains("ended before it listened") && error.contains("no such setting"), "{error}");
    }

    #[test]
    fn a_graceful_end_is_no_error_and_another_is() {
        let trap = "trap 'exit 0' TERM; echo listening on http://x; while :; do sleep 0.02; done";
        shell(trap).0.unwrap().stop().unwrap();
        let error = shell(&trap.replace("exit 0", "exit 3")).0.unwrap().stop().unwrap_err();
        assert!(format!("{error:#}").contains('3'), "{error:#}");
    }
}
