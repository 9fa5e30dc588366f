//! Ctrl-C and SIGTERM stop the services that this process started before they stop this process.
//!
//! A child in the same terminal gets its own Ctrl-C, but `kill` and supervisors signal this process alone, and no
//! destructor runs when a signal ends it.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};
use tokio::signal::unix::{SignalKind, signal};

use crate::terminal;

/// What a shell expects of a program that an interrupt ended.
const EXIT_CODE: i32 = 130;
const PATIENCE: Duration = Duration::from_secs(5);

/// What must not be left behind.
#[derive(Debug)]
struct Left {
    children: Vec<u32>,
    folders: Vec<PathBuf>,
}

static INTERRUPTED: AtomicBool = AtomicBool::new(false);
static LEFT: Mutex<Left> = Mutex::new(Left { children: Vec::new(), folders: Vec::new() });

fn left() -> MutexGuard<'static, Left> {
    LEFT.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Starts a child that an interrupt will stop. None can slip in while an interrupt is being handled.
pub(super) fn spawn(command: &mut Command) -> io::Result<Child> {
    let mut left = left();
    let child = command.spawn()?;
    left.children.push(child.id());
    Ok(child)
}

pub(super) fn forget(child: u32) {
    left().children.retain(|known| *known != child);
}

pub(crate) fn register_folder(folder: PathBuf) {
    left().folders.push(folder);
}

pub(crate) fn forget_folder(folder: &Path) {
    left().folders.retain(|known| known != folder);
}

/// From now on, an interrupt stops the services and removes their temporary folders, then ends this process.
///
/// # Errors
/// When signals cannot be waited for.
pub fn stop_services_on_interrupt() -> Result<()> {
    static ONCE: Once = Once::new();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let guard = runtime.enter();
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot wait for Ctrl-C")?;
    let mut terminate = signal(SignalKind::terminate()).context("cannot wait for SIGTERM")?;
    drop(guard);
    ONCE.call_once(|| {
        std::thread::spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
            });
            INTERRUPTED.store(true, Ordering::SeqCst);
            terminal::clear_progress();
            terminal::note("interrupted: stopping the services");
            clean_up();
            std::process::exit(EXIT_CODE);
        });
    });
    Ok(())
}

/// To be called before a failure is told: after an interrupt it follows from the services being stopped, and the
/// process is about to end.
pub fn wait_if_interrupted() {
    if INTERRUPTED.load(Ordering::SeqCst) {
        std::thread::sleep(PATIENCE * 2);
    }
}

fn clean_up() {
    // The lock is kept: nothing new may start now.
    let left = left();
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
        // Whoever is seeding it may write one more file meanwhile.
        while std::fs::remove_dir_all(folder).is_err() && folder.exists() && Instant::now() < patience {
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}
