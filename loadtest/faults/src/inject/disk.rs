//! A disk that is small enough to fill: memory, mounted where a database server keeps its data.

use std::fs;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use coupon_cli::terminal;
use coupon_stack::{Server, Stack, Status};

use crate::proof::NotInjected;

/// Room beside what is there, in KB: a server that starts makes files as well.
const ROOM_KB: u64 = 32_768;
static CHUNK: [u8; 65_536] = [0; 65_536];

/// A server's data on a small disk. When it is dropped, the data is back where it was, and the server runs.
#[derive(Debug)]
pub(super) struct SmallDisk<'a> {
    stack: &'a Stack,
    server: Server,
    data: PathBuf,
}

impl<'a> SmallDisk<'a> {
    /// Puts a server's data on a small disk.
    pub(super) fn under(stack: &'a Stack, server: Server) -> Result<Self> {
        let data = stack.data_dir(server)?.to_owned();
        stack.stop(server)?;
        let aside = aside(&data);
        fs::rename(&data, &aside)?;
        fs::create_dir(&data)?;
        let used = run(Command::new("du").arg("-sk").arg(&aside))?;
        let used: u64 = used.split_whitespace().next().unwrap_or_default().parse().context("du")?;
        let size = format!("size={}k", used + ROOM_KB);
        let mounted =
            run(Command::new("mount").args(["-t", "tmpfs", "-o", &size, "coupon-faults"]).arg(&data));
        if let Err(error) = mounted {
            fs::remove_dir(&data)?;
            fs::rename(&aside, &data)?;
            stack.restart(server)?;
            bail!(NotInjected(format!("a small disk cannot be mounted, which takes root: {error:#}")));
        }
        let disk = Self { stack, server, data };
        copy(&aside, &disk.data)?;
        stack.restart(server)?;
        Ok(disk)
    }

    fn filler(&self) -> PathBuf {
        self.data.join("filler")
    }

    /// Fills it to the last byte, and says how many there were.
    pub(super) fn fill(&self) -> Result<u64> {
        let mut file = fs::File::create(self.filler())?;
        let mut written = 0;
        loop {
            match file.write(&CHUNK) {
                Ok(count) => written += count as u64,
                Err(error) if error.kind() == ErrorKind::StorageFull => return Ok(written),
                Err(error) => return Err(error).context("the disk cannot be filled"),
            }
        }
    }

    /// Takes away what filled it.
    pub(super) fn make_room(&self) -> Result<()> {
        fs::remove_file(self.filler()).context("the disk cannot be emptied")
    }

    fn put_back(&self) -> Result<()> {
        if self.stack.status(self.server)? != Status::Down {
            self.stack.stop(self.server)?;
        }
        let aside = aside(&self.data);
        fs::remove_dir_all(&aside)?;
        copy(&self.data, &aside)?;
        run(Command::new("umount").arg(&self.data))?;
        fs::remove_dir(&self.data)?;
        fs::rename(&aside, &self.data)?;
        self.stack.restart(self.server)
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.put_back() {
            terminal::note(format!("{}: {error:#}", self.data.display()));
        }
    }
}

pub(super) fn aside(data: &Path) -> PathBuf {
    data.with_extension("aside")
}

pub(super) fn copy(from: &Path, to: &Path) -> Result<()> {
    run(Command::new("cp").arg("-a").arg(from.join(".")).arg(to)).map(drop)
}

fn run(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("cannot run {command:?}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{}", said.trim());
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
