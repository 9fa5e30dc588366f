//! One reader of one document: a folder, a shell's variables, and the services that were started.

use std::fs::{self, File};
use std::io;
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};
use tempfile::TempDir;

use crate::blocks::{Block, Cost};
use crate::root;

/// The names that a session makes for itself; everything else in its folder is the repository's.
const OWN: [&str; 5] = [".git", "data", "reports", "bench.json", "target"];
/// The folders of the stacks that documents start.
const STACKS: [&str; 3] = ["data/stack", "data/sentinels", "data/gates"];
/// The ports that documents name.
const PORTS: [&str; 4] = ["127.0.0.1:8001", "127.0.0.1:8002", "127.0.0.1:8003", "127.0.0.1:8004"];
/// The time that a block may hang, by its cost.
const QUICK: Duration = Duration::from_secs(300);
const SLOW: Duration = Duration::from_secs(3_600);
const POLL: Duration = Duration::from_millis(20);
/// The time that a service is waited for, to start or to stop.
const SERVICE: Duration = Duration::from_secs(60);

pub(crate) struct Session {
    folder: TempDir,
    cost: Cost,
    ports: [u16; PORTS.len()],
    services: Vec<Child>,
}

impl Session {
    pub(crate) fn new(cost: Cost) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for entry in fs::read_dir(root()).unwrap() {
            let name = entry.unwrap().file_name();
            if !OWN.iter().any(|own| name == *own) {
                symlink(root().join(&name), folder.path().join(&name)).unwrap();
            }
        }
        symlink(target(), folder.path().join("target")).unwrap();
        let bin = folder.path().join(".bin");
        fs::create_dir(&bin).unwrap();
        fs::write(bin.join("cargo"), include_str!("cargo.sh")).unwrap();
        fs::set_permissions(bin.join("cargo"), fs::Permissions::from_mode(0o755)).unwrap();
        // Held together, so that they differ.
        let free = PORTS.map(|_| TcpListener::bind("127.0.0.1:0").unwrap());
        let ports = free.each_ref().map(|listener| listener.local_addr().unwrap().port());
        Self { folder, cost, ports, services: Vec::new() }
    }

    /// Runs a block.
    ///
    /// # Errors
    /// What it said, when it failed.
    pub(crate) fn run(&mut self, block: &Block) -> Result<(), String> {
        let heard = self.folder.path().join(".heard");
        let mut command = self.shell(&block.commands);
        let output = File::create(&heard).unwrap();
        command.stdout(output.try_clone().unwrap()).stderr(output).stdin(Stdio::null());
        let mut child = command.process_group(0).spawn().unwrap();
        let done = if block.service { self.ready(child, &heard) } else { self.ended(&mut child) };
        done.map_err(|why| format!("{why}\n{}", fs::read_to_string(&heard).unwrap_or_default()))
    }

    fn ended(&self, child: &mut Child) -> Result<(), String> {
        let end = Instant::now() + if self.cost == Cost::Quick { QUICK } else { SLOW };
        while Instant::now() < end {
            match child.try_wait().unwrap() {
                Some(status) if status.success() => return Ok(()),
                Some(status) => return Err(format!("failed: {status}")),
                None => thread::sleep(POLL),
            }
        }
        signal(child, Signal::KILL);
        child.wait().unwrap();
        Err("hangs".to_owned())
    }

    /// A service says where it listens.
    fn ready(&mut self, mut child: Child, heard: &Path) -> Result<(), String> {
        // A slow one is compiled first.
        let end = Instant::now() + if self.cost == Cost::Slow { SLOW } else { SERVICE };
        while !fs::read_to_string(heard).unwrap_or_default().contains("listening on http://") {
            if let Some(status) = child.try_wait().unwrap() {
                return Err(format!("ended: {status}"));
            }
            if Instant::now() > end {
                self.services.push(child);
                return Err("does not say where it listens".to_owned());
            }
            thread::sleep(POLL);
        }
        self.services.push(child);
        Ok(())
    }

    /// A shell that fails when a command does, and has the variables that earlier ones exported.
    fn shell(&self, commands: &str) -> Command {
        let known = self.folder.path().join(".environment");
        let (first, after) =
            ("[ ! -e \"$DOCUMENTS_KNOWN\" ] || . \"$DOCUMENTS_KNOWN\"", "export -p >\"$DOCUMENTS_KNOWN\"");
        let mut commands = commands.to_owned();
        if self.cost != Cost::Docker {
            for (named, port) in PORTS.iter().zip(self.ports) {
                commands = commands.replace(named, &format!("127.0.0.1:{port}"));
            }
        }
        let script = format!("set -euo pipefail\n{first}\n{commands}\n{after}\n");
        let mut shell = Command::new("bash");
        shell.args(["-c", &script]).current_dir(self.folder.path()).env("DOCUMENTS_KNOWN", known);
        for (name, _) in std::env::vars_os().filter(|(name, _)| {
            name.to_str().is_some_and(|name| name.starts_with("COUPON__") || name.starts_with("CARGO_PKG_"))
        }) {
            shell.env_remove(name);
        }
        let path = std::env::var("PATH").unwrap_or_default();
        shell.env("PATH", format!("{}:{path}", self.folder.path().join(".bin").display()));
        shell.env("DOCUMENTS_ROOT", root()).env("DOCUMENTS_CARGO", env!("CARGO"));
        shell.env("DOCUMENTS_PROGRAMS", programs(self.cost)).env("DOCUMENTS_TARGET", target());
        shell.env("DOCUMENTS_COST", if self.cost == Cost::Quick { "quick" } else { "slow" });
        for (number, port) in self.ports.iter().enumerate() {
            shell.env(format!("DOCUMENTS_PORT_{}", number + 1), port.to_string());
        }
        shell
    }
}

/// The folder that cargo builds in.
fn target() -> PathBuf {
    programs(Cost::Quick).parent().unwrap().to_owned()
}

/// The folder of this project's programs: as fast as they get where a block may take long.
pub(crate) fn programs(cost: Cost) -> PathBuf {
    // This test's own program is in target/debug/deps.
    let own = std::env::current_exe().unwrap();
    let debug = own.parent().and_then(Path::parent).unwrap();
    if cost == Cost::Quick { debug.to_owned() } else { debug.with_file_name("release") }
}

fn signal(child: &Child, signal: Signal) {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    // It may have ended just now.
    let _: io::Result<()> = pid.map_or(Ok(()), |pid| Ok(kill_process_group(pid, signal)?));
}

impl Drop for Session {
    fn drop(&mut self) {
        for service in &mut self.services {
            signal(service, Signal::TERM);
            let end = Instant::now() + SERVICE;
            while Instant::now() < end && service.try_wait().is_ok_and(|status| status.is_none()) {
                thread::sleep(POLL);
            }
            signal(service, Signal::KILL);
            let _ = service.wait();
        }
        for stack in STACKS.map(|stack| self.folder.path().join(stack)) {
            if stack.join("stack.json").exists() {
                // A document that takes its servers down left none, and the next command says so.
                let down = programs(self.cost).join("coupon-stack");
                let _ = Command::new(down).arg("down").arg("--dir").arg(stack).output();
            }
        }
    }
}
