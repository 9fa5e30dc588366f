//! A signal that asks this process to end stops the services that it started first, or a load whose figures are kept.
//!
//! A child in the same terminal gets its own Ctrl-C, but `kill` and supervisors signal this process alone, and no
//! destructor runs when a signal ends it.

use std::future::poll_fn;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError};
use std::task::Poll;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use coupon_cli::terminal;
use coupon_stack::Guardian;
use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};

/// The exit code of a program that an interrupt ended, as shells expect it.
pub const INTERRUPTED_CODE: u8 = 130;
const PATIENCE: Duration = Duration::from_secs(5);

/// Processes and folders that must not be left behind.
#[derive(Debug)]
struct Left {
    children: Vec<u32>,
    folders: Vec<PathBuf>,
    /// Sees to the same where this process cannot, since it is killed.
    guardian: Option<Guardian>,
}

impl Left {
    fn guardian(&mut self) -> Result<&Guardian> {
        if self.guardian.is_none() {
            self.guardian = Some(Guardian::start()?);
        }
        self.guardian.as_ref().context("there is no guardian")
    }
}

static INTERRUPTED: AtomicBool = AtomicBool::new(false);
static LEFT: Mutex<Left> = Mutex::new(Left { children: Vec::new(), folders: Vec::new(), guardian: None });

fn left() -> MutexGuard<'static, Left> {
    LEFT.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Starts a child that the end of this process will stop, whatever end that is. None can slip in while an interrupt is
/// being handled.
pub(super) fn spawn(
    program: &Path,
    arguments: &[String],
    prepare: impl FnOnce(&mut Command),
) -> Result<Child> {
    let mut left = left();
    let child = left.guardian()?.spawn(program, arguments, prepare)?;
    left.children.push(child.id());
    Ok(child)
}

pub(super) fn forget(child: u32) {
    left().children.retain(|known| *known != child);
}

/// A folder that the end of this process will remove.
pub fn register_folder(folder: PathBuf) -> Result<()> {
    let mut left = left();
    left.guardian()?.remove_at_the_end(&folder)?;
    left.folders.push(folder);
    Ok(())
}

/// Takes a folder off those that the end of this process will remove.
pub fn forget_folder(folder: &Path) {
    left().folders.retain(|known| known != folder);
}

/// Has an interrupt stop the services and remove their temporary folders from now on, then end this process.
///
/// # Errors
/// When signals cannot be waited for.
pub fn stop_services_on_interrupt() -> Result<()> {
    static ONCE: Once = Once::new();
    let signals = Signals::new()?;
    ONCE.call_once(|| {
        std::thread::spawn(move || {
            signals.wait(|_| {
                INTERRUPTED.store(true, Ordering::SeqCst);
                terminal::clear_progress();
                terminal::note("interrupted: stopping the services");
                clean_up();
                std::process::exit(INTERRUPTED_CODE.into());
            });
        });
    });
    Ok(())
}

/// Has an interrupt end the load that heeds this flag from now on, whose figures are then kept; a second one ends this process at
/// once.
///
/// # Errors
/// When signals cannot be waited for.
pub fn end_load_on_interrupt() -> Result<Arc<AtomicBool>> {
    let signals = Signals::new()?;
    let ended = Arc::new(AtomicBool::new(false));
    let end = Arc::clone(&ended);
    std::thread::spawn(move || {
        signals.wait(|earlier| {
            terminal::clear_progress();
            if earlier > 0 {
                std::process::exit(INTERRUPTED_CODE.into());
            }
            end.store(true, Ordering::Relaxed);
            terminal::note("interrupted: waiting for what was sent; once more, and all figures are lost");
        });
    });
    Ok(ended)
}

/// The signals that ask a process to end: of Ctrl-C, of `kill` and supervisors, of a terminal that closes, of Ctrl-\.
struct Signals {
    runtime: Runtime,
    signals: Vec<tokio::signal::unix::Signal>,
}

impl Signals {
    /// From here on they no longer end the process.
    fn new() -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let guard = runtime.enter();
        let kinds =
            [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup(), SignalKind::quit()];
        // A process that was started with nohup is to outlive the terminal.
        let kinds = kinds.into_iter().filter(|kind| *kind != SignalKind::hangup() || !ignores_hangup());
        let signals = kinds.map(|kind| signal(kind).context("cannot wait for signals"));
        let signals = signals.collect::<Result<_>>()?;
        drop(guard);
        Ok(Self { runtime, signals })
    }

    /// Calls `each` for every signal that comes, with how many there were before.
    fn wait(mut self, mut each: impl FnMut(usize)) {
        for earlier in 0.. {
            let any = poll_fn(|cx| {
                let came = self.signals.iter_mut().any(|signal| signal.poll_recv(cx).is_ready());
                if came { Poll::Ready(()) } else { Poll::Pending }
            });
            self.runtime.block_on(any);
            each(earlier);
        }
    }
}

/// Says whether this process was started with SIGHUP ignored.
fn ignores_hangup() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    // Signal 1 is the lowest bit.
    ignored.is_some_and(|mask| u64::from_str_radix(mask.trim(), 16).is_ok_and(|mask| mask & 1 == 1))
}

/// To be called before a failure is reported: after an interrupt it follows from the services being stopped, and the
/// process is about to end.
pub fn wait_if_interrupted() {
    if INTERRUPTED.load(Ordering::SeqCst) {
        std::thread::sleep(PATIENCE * 2);
    }
}

fn clean_up() {
    // The lock is kept: nothing new may start now.
    let mut left = left();
    let pids: Vec<Pid> =
        left.children.iter().filter_map(|id| Pid::from_raw(i32::try_from(*id).ok()?)).collect();
    for pid in &pids {
        let _ = kill_process(*pid, Signal::TERM);
    }
    let patience = Instant::now() + PATIENCE;
    for pid in &pids {
        // An error says that it has been waited for already.
        while let Ok(None) = waitpid(Some(*pid), WaitOptions::NOHANG) {
            if Instant::now() >= patience {
                let _ = kill_process(*pid, Signal::KILL);
                let _ = waitpid(Some(*pid), WaitOptions::empty());
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
    for folder in &left.folders {
        // A thread that seeds it may write one more file meanwhile.
        while std::fs::remove_dir_all(folder).is_err() && folder.exists() && Instant::now() < patience {
            std::thread::sleep(Duration::from_millis(10));
        }
    }
    // Waits for its end, so that nothing of this process is left when it has ended.
    left.guardian = None;
}
