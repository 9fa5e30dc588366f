//! wrk: started, timed, and read.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use coupon_loadgen::http::Target;
use coupon_report::model::Figure;

use super::super::sample::Sample;

/// The script of wrk, whose body is as long as a grab's is on average.
const SCRIPT: &str = r#"wrk.method = "POST"
wrk.body = '{"user_id":54321,"coupon_id":321,"room_id":65}'
wrk.headers["Content-Type"] = "application/json"
"#;

/// Finds the program, or says why there is none.
pub(super) fn find() -> Result<PathBuf, String> {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let mut found = std::env::split_paths(&folders).map(|folder| folder.join("wrk"));
    found.find(|path| path.is_file()).ok_or_else(|| "wrk is not installed (apt-get install wrk)".to_owned())
}

/// A round by it: its rate, and its own CPU.
pub(super) fn round(
    program: &Path,
    target: &Target,
    connections: usize,
    duration: Duration,
) -> Result<Sample> {
    let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
    let script = folder.path().join("post.lua");
    std::fs::write(&script, SCRIPT).context("cannot write wrk's script")?;
    let before = children_cpu_seconds();
    let output = Command::new(program)
        .args(["-t1", &format!("-c{connections}"), &format!("-d{}s", duration.as_secs().max(1)), "-s"])
        .arg(&script)
        .arg(target.url("/bench/echo"))
        .output()
        .context("cannot start wrk")?;
    let after = children_cpu_seconds();
    let text = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "wrk ended with {}: {}", output.status, text.trim());
    let said = Said::read(&text).with_context(|| format!("wrk said something else: {}", text.trim()))?;
    let cpu = match (before, after) {
        (Some(before), Some(after)) => Figure::of((after - before) * 1e6 / said.requests),
        _ => Figure::unknown("the system does not tell"),
    };
    Ok(Sample {
        per_s: said.requests / said.seconds,
        cpu_us: [("generator".to_owned(), cpu)].into(),
        problem: said.problem,
        ..Sample::default()
    })
}

/// The figures that it prints of a round.
#[derive(Debug, PartialEq)]
struct Said {
    requests: f64,
    seconds: f64,
    problem: Option<String>,
}

impl Said {
    /// Reads `  123456 requests in 3.00s, 20.00MB read`, and lines of errors.
    fn read(text: &str) -> Option<Self> {
        let mut lines = text.lines().map(str::trim);
        let (requests, rest) = lines.find_map(|line| line.split_once(" requests in "))?;
        let seconds = rest.split_once("s,")?.0;
        let errors = ["Non-2xx", "Socket errors"];
        let problem =
            text.lines().map(str::trim).find(|line| errors.iter().any(|error| line.starts_with(error)));
        let (requests, seconds) = (requests.parse().ok()?, seconds.parse().ok()?);
        (requests > 0.0 && seconds > 0.0).then(|| Self {
            requests,
            seconds,
            problem: problem.map(str::to_owned),
        })
    }
}

/// CPU seconds of the processes that this one has started and waited for: of a round, wrk's alone.
fn children_cpu_seconds() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The second field, a name in brackets, may hold anything. Field 3 follows it; 16 and 17 are the children's.
    let fields: Vec<&str> = text.rsplit_once(") ")?.1.split_ascii_whitespace().collect();
    let ticks = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
    Some((ticks(16)? + ticks(17)?) as f64 / rustix::param::clock_ticks_per_second() as f64)
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn what_wrk_says_is_read() {
        let text = "Running 3s test @ http://127.0.0.1:1\n  1 threads and 64 connections\n  \
                    120000 requests in 3.00s, 20.03MB read\nRequests/sec:  40000.00\n";
        assert_eq!(Said::read(text), Some(Said { requests: 120_000.0, seconds: 3.0, problem: None }));
        let failing = format!("{text}  Non-2xx or 3xx responses: 7\n");
        assert_eq!(Said::read(&failing).unwrap().problem.unwrap(), "Non-2xx or 3xx responses: 7");
        assert_eq!(Said::read("unable to connect"), None);
        assert_eq!(Said::read("  0 requests in 3.00s, 0.00B read"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_work_of_a_child_is_counted_once_it_has_ended() {
        let before = children_cpu_seconds().unwrap();
        let deadline = Instant::now() + Duration::from_secs(60);
        while children_cpu_seconds().unwrap() <= before {
            assert!(Instant::now() < deadline, "no child's work is counted");
            let spin = "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done";
            assert!(Command::new("/bin/sh").args(["-c", spin]).status().unwrap().success());
        }
    }
}
