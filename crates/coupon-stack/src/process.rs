//! Processes: distinguished from later ones of the same number, signalled, measured, and started through a gate.

use std::ffi::{OsStr, OsString};
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use serde::{Deserialize, Serialize};

/// The interval at which a process that is to end is looked at.
pub(crate) const POLL: Duration = Duration::from_millis(10);
/// The time that a process may take to be frozen, or to go on.
const OBEYS: Duration = Duration::from_secs(5);

/// The started shell waits for a line before it becomes the server. Without that line, because its starter is gone,
/// it ends: at no moment does a server run that is not registered with the guardian.
const GATE: &str = r#"read -r go && exec "$@" </dev/null"#;

/// A server's use of the machine since it was last started.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Usage {
    /// CPU time of all its threads, in user and kernel mode.
    pub cpu_seconds: f64,
    /// Bytes that it made the system write to disks, as the kernel counts them (`write_bytes` of `/proc/PID/io`).
    pub bytes_written: u64,
}

/// A process, distinguished by its start time from a later one of the same number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Identity {
    pub(crate) pid: u32,
    /// In clock ticks since the machine started.
    pub(crate) started: u64,
}

struct Stat {
    state: char,
    cpu_ticks: u64,
    started: u64,
}

impl Stat {
    fn of(pid: u32) -> Result<Self> {
        let text = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        // The second field is the program's name in brackets, and may hold anything; field 3 follows the last bracket.
        let (_, rest) = text.rsplit_once(") ").context("no process name")?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        let number = |field: usize| -> Result<u64> {
            Ok(fields.get(field - 3).with_context(|| format!("no field {field}"))?.parse()?)
        };
        let state = fields.first().and_then(|state| state.chars().next()).context("no state")?;
        Ok(Self { state, cpu_ticks: number(14)? + number(15)?, started: number(22)? })
    }
}

impl Identity {
    /// The process that has this number now.
    pub(crate) fn of(pid: u32) -> Result<Self> {
        let stat = Stat::of(pid).with_context(|| format!("cannot read /proc/{pid}/stat"))?;
        Ok(Self { pid, started: stat.started })
    }

    fn stat(self) -> Option<Stat> {
        // One that has ended and waits to be collected runs no more.
        Stat::of(self.pid)
            .ok()
            .filter(|stat| stat.started == self.started && !matches!(stat.state, 'Z' | 'X'))
    }

    pub(crate) fn runs(self) -> bool {
        self.stat().is_some()
    }

    pub(crate) fn is_paused(self) -> bool {
        self.stat().is_some_and(|stat| stat.state == 'T')
    }

    pub(crate) fn signal(self, signal: Signal) -> Result<()> {
        ensure!(self.runs(), "process {} runs no more", self.pid);
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw).context("no process id")?;
        let sent = match signal {
            // With its helpers, if it has any: it leads their process group. They are no use without it.
            Signal::KILL => kill_process_group(pid, signal),
            _ => kill_process(pid, signal),
        };
        sent.with_context(|| format!("cannot signal process {}", self.pid))
    }

    /// Signals one that is to end. One that has ended by itself, perhaps while it was looked at, needs no signal: of a
    /// process of many threads the first may be gone before it can be collected.
    pub(crate) fn tell(self, signal: Signal) -> Result<()> {
        self.signal(signal).or_else(|error| if self.runs() { Err(error) } else { Ok(()) })
    }

    /// Freezes it or lets it go on, and waits until it does: a process of many threads takes a moment.
    pub(crate) fn freeze(self, freeze: bool) -> Result<()> {
        self.signal(if freeze { Signal::STOP } else { Signal::CONT })?;
        let deadline = Instant::now() + OBEYS;
        while self.is_paused() != freeze {
            ensure!(self.runs(), "process {} runs no more", self.pid);
            ensure!(Instant::now() < deadline, "process {} does not obey a signal", self.pid);
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    pub(crate) fn usage(self) -> Result<Usage> {
        let stat = self.stat().with_context(|| format!("process {} runs no more", self.pid))?;
        let path = format!("/proc/{}/io", self.pid);
        let io = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
        let written = io.lines().find_map(|line| line.strip_prefix("write_bytes: "));
        let bytes_written =
            written.with_context(|| format!("{path} tells no write_bytes"))?.trim().parse()?;
        // Ticks fit a float exactly for longer than any machine runs.
        let cpu_seconds = stat.cpu_ticks as f64 / rustix::param::clock_ticks_per_second() as f64;
        Ok(Usage { cpu_seconds, bytes_written })
    }
}

/// A program to start.
#[derive(Debug)]
pub(crate) struct Launch {
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<OsString>,
    pub(crate) environment: Vec<(&'static str, OsString)>,
    /// The file that its stdout and stderr are appended to. It runs in this file's folder, so that anything else it
    /// leaves where it runs is there too.
    pub(crate) log: PathBuf,
}

/// An argument that names a path.
pub(crate) fn flag(name: &str, value: &Path) -> OsString {
    let mut flag = OsString::from(name);
    flag.push(value);
    flag
}

/// A program behind the gate.
pub(crate) fn gated<A: AsRef<OsStr>>(program: &Path, arguments: &[A]) -> Command {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", GATE, "coupon-stack"]).arg(program).args(arguments);
    command
}

/// Starts what [`gated`] made, and lets it through once `register` has its process.
pub(crate) fn let_through(
    command: &mut Command,
    register: impl FnOnce(Identity) -> Result<()>,
) -> Result<(Child, Identity)> {
    let mut child = command.stdin(Stdio::piped()).spawn().context("cannot start /bin/sh")?;
    let mut gate = child.stdin.take().context("its stdin is missing")?;
    let opened = Identity::of(child.id()).and_then(|identity| {
        register(identity)?;
        gate.write_all(b"go\n")?;
        Ok(identity)
    });
    drop(gate);
    match opened {
        Ok(identity) => Ok((child, identity)),
        Err(error) => {
            // With its gate closed it ends by itself.
            child.wait()?;
            Err(error)
        }
    }
}

/// A process that was started here, or by an earlier owner.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) identity: Identity,
    child: Option<Child>,
}

impl Process {
    /// Starts a program once `register` has its process.
    ///
    /// The environment is not passed on, but for where programs and temporary files are: what a person has set for
    /// servers of theirs (`RABBITMQ_…`) must not reach these.
    pub(crate) fn start(launch: &Launch, register: impl FnOnce(Identity) -> Result<()>) -> Result<Self> {
        let log = OpenOptions::new().create(true).append(true).open(&launch.log);
        let log = log.with_context(|| format!("cannot write {}", launch.log.display()))?;
        let mut command = gated(&launch.program, &launch.arguments);
        let kept = ["PATH", "TMPDIR"].into_iter().filter_map(|name| Some((name, std::env::var_os(name)?)));
        command.env_clear().envs(kept).env("LANG", "C.UTF-8").envs(launch.environment.iter().cloned());
        command.stdout(log.try_clone()?).stderr(log);
        if let Some(dir) = launch.log.parent() {
            command.current_dir(dir);
        }
        // A terminal's Ctrl-C goes to a whole group; it is for the owner alone.
        command.process_group(0);
        let (child, identity) = let_through(&mut command, register)?;
        Ok(Self { identity, child: Some(child) })
    }

    /// One that an earlier owner started, if it still runs.
    pub(crate) fn adopt(identity: Identity) -> Option<Self> {
        identity.runs().then_some(Self { identity, child: None })
    }

    pub(crate) fn runs(&mut self) -> bool {
        match &mut self.child {
            // Collects it when it has ended.
            Some(child) => matches!(child.try_wait(), Ok(None)),
            None => self.identity.runs(),
        }
    }

    /// Asks it to end, also when it is paused.
    pub(crate) fn ask_to_end(&mut self) -> Result<()> {
        if self.runs() {
            self.identity.tell(Signal::TERM)?;
            self.identity.tell(Signal::CONT)?;
        }
        Ok(())
    }

    /// Makes it end.
    pub(crate) fn kill(&mut self) -> Result<()> {
        if self.runs() {
            self.identity.tell(Signal::KILL)?;
            ensure!(
                self.ended_within(Duration::from_secs(10)),
                "process {} cannot be killed",
                self.identity.pid
            );
        }
        Ok(())
    }

    pub(crate) fn ended_within(&mut self, patience: Duration) -> bool {
        let end = Instant::now() + patience;
        while self.runs() {
            if Instant::now() >= end {
                return false;
            }
            std::thread::sleep(POLL);
        }
        true
    }

    /// Waits until a process of this owner has ended by itself.
    pub(crate) fn finish(mut self, patience: Duration) -> Result<()> {
        if !self.ended_within(patience) {
            self.kill()?;
            bail!("it took longer than {} s", patience.as_secs());
        }
        let status = self.child.as_mut().context("it was started by another")?.wait()?;
        ensure!(status.success(), "it ended with {status}");
        Ok(())
    }

    /// Asks it to end, and makes it when that takes too long.
    pub(crate) fn stop(&mut self, patience: Duration) -> Result<()> {
        self.ask_to_end()?;
        if self.ended_within(patience) {
            return Ok(());
        }
        self.kill()?;
        bail!("it did not stop within {} s and was killed", patience.as_secs());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn launch(script: &str, dir: &tempfile::TempDir) -> Launch {
        Launch {
            program: "/bin/sh".into(),
            arguments: vec!["-c".into(), script.into()],
            environment: Vec::new(),
            log: dir.path().join("log"),
        }
    }

    #[test]
    fn a_process_is_started_signalled_and_ended() {
        let dir = tempfile::tempdir().unwrap();
        let mut process = Process::start(&launch("exec sleep 60", &dir), |_| Ok(())).unwrap();
        let identity = process.identity;
        assert!(process.runs() && identity.runs() && !identity.is_paused());
        identity.freeze(true).unwrap();
        assert!(identity.is_paused());
        identity.freeze(false).unwrap();
        assert!(!identity.is_paused());
        identity.freeze(true).unwrap();
        process.stop(Duration::from_secs(10)).unwrap();
        assert!(!process.runs() && !identity.runs());
        assert!(identity.signal(Signal::CONT).is_err());
    }

    #[test]
    fn one_that_ended_before_it_was_collected_needs_no_signal() {
        let dir = tempfile::tempdir().unwrap();
        let mut process = Process::start(&launch("exec sleep 60", &dir), |_| Ok(())).unwrap();
        let identity = process.identity;
        identity.tell(Signal::KILL).unwrap();
        while identity.runs() {
            std::thread::sleep(POLL);
        }
        assert!(identity.signal(Signal::TERM).is_err());
        identity.tell(Signal::TERM).unwrap();
        process.stop(Duration::from_secs(10)).unwrap();
    }

    #[test]
    fn what_could_not_be_registered_never_runs() {
        let dir = tempfile::tempdir().unwrap();
        let mark = dir.path().join("mark");
        let launch = launch(&format!("touch {}", mark.display()), &dir);
        let error = Process::start(&launch, |_| bail!("no guardian")).unwrap_err();
        assert_eq!(error.to_string(), "no guardian");
        assert!(!mark.exists());
    }

    #[test]
    fn a_later_process_of_the_same_number_is_another() {
        let own = Identity::of(std::process::id()).unwrap();
        assert!(own.runs());
        assert!(!Identity { started: own.started + 1, ..own }.runs());
    }

    #[test]
    fn work_is_counted() {
        let own = Identity::of(std::process::id()).unwrap();
        let before = own.usage().unwrap().cpu_seconds;
        let mut sum = 0_u64;
        while own.usage().unwrap().cpu_seconds <= before {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
        assert!(sum > 0);
    }
}
