//! A program that is run to its end, with the time and the memory that it took.

use std::fs::File;
use std::io::{self, BufWriter, Read as _, Seek as _, Write};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

/// The interval at which the most memory so far is read: what a program took in its last moments may be missing.
const LOOK: Duration = Duration::from_millis(5);

/// A program that has ended.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) status: ExitStatus,
    pub(super) seconds: f64,
    /// The most memory that it had in RAM at any time, by the system's account.
    pub(super) peak_bytes: Option<u64>,
    pub(super) stdout: String,
    pub(super) stderr: String,
}

impl Ended {
    /// The same, if it is a success.
    ///
    /// # Errors
    /// The end of what it said of its failure.
    pub(super) fn successful(self) -> Result<Self> {
        let said = self.stderr.lines().next_back().unwrap_or("it said nothing");
        ensure!(self.status.success(), "it ended with {}: {said}", self.status);
        Ok(self)
    }
}

/// Runs a program, which gets what is written as its standard input.
pub(super) fn run(
    command: &mut Command,
    input: impl FnOnce(&mut dyn Write) -> io::Result<()> + Send,
) -> Result<Ended> {
    let (mut stdout, mut stderr) = (tempfile::tempfile()?, tempfile::tempfile()?);
    let began = Instant::now();
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(stdout.try_clone()?)
        .stderr(stderr.try_clone()?)
        .spawn()
        .with_context(|| format!("cannot start {}", command.get_program().display()))?;
    let pipe = child.stdin.take().context("it has no input")?;
    let status_of = format!("/proc/{}/status", child.id());
    let mut peak_bytes = None;
    let status = std::thread::scope(|scope| {
        // A program that ends early reads no further, and says itself why.
        scope.spawn(|| {
            let mut pipe = BufWriter::with_capacity(1 << 16, pipe);
            let _ = input(&mut pipe).and_then(|()| pipe.flush());
        });
        loop {
            peak_bytes =
                std::fs::read_to_string(&status_of).ok().and_then(|text| peak(&text)).max(peak_bytes);
            if let Some(status) = child.try_wait()? {
                return io::Result::Ok(status);
            }
            std::thread::sleep(LOOK);
        }
    })?;
    let seconds = began.elapsed().as_secs_f64();
    Ok(Ended { status, seconds, peak_bytes, stdout: text(&mut stdout)?, stderr: text(&mut stderr)? })
}

fn text(file: &mut File) -> io::Result<String> {
    let mut bytes = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The most memory so far, of the text of `/proc/PID/status`; a process that has ended has none.
fn peak(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok()?.checked_mul(1_024)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, input: &'static str) -> Ended {
        let mut command = Command::new("/bin/sh");
        run(command.args(["-c", script]), move |out| out.write_all(input.as_bytes())).unwrap()
    }

    #[test]
    fn a_program_gets_its_input_and_is_heard_to_its_end() {
        let ended = shell("cat; echo wrong >&2; exit 3", "what it reads");
        assert_eq!((ended.stdout.as_str(), ended.status.code()), ("what it reads", Some(3)));
        assert!(format!("{:#}", ended.successful().unwrap_err()).contains("wrong"));
    }

    #[test]
    fn a_program_that_reads_nothing_ends_all_the_same() {
        assert!(shell("exit 0", "nobody reads it").successful().is_ok());
    }

    #[test]
    fn the_most_memory_is_read_of_its_status() {
        assert_eq!(peak("Name:\tx\nVmHWM:\t    1234 kB\nVmRSS:\t 99 kB\n"), Some(1_234 * 1_024));
        assert_eq!((peak("Name:\tx\n"), peak("VmHWM:\tmany kB\n")), (None, None));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_most_memory_of_a_program_is_known_after_it_has_given_it_back() {
        // A shell needs a megabyte or so, and certainly no gigabyte.
        let peak = shell("sleep 0.2", "").peak_bytes.unwrap();
        assert!((100_000..1_000_000_000).contains(&peak), "{peak}");
    }
}
