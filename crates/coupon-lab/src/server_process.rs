//! The use that a MySQL server which was not started here makes of its machine: its process, if it is on this machine,
//! and its own counters.

use std::path::Path;
use std::process::Command;

use coupon_store::settings::ServerUrl;

use super::drivers::ask;

/// The names of MySQL's and MariaDB's server programs.
const PROGRAMS: [&str; 2] = ["mysqld", "mariadbd"];

/// Digits of a container's id that its host is called by.
const CONTAINER_ID: usize = 12;

const COUNTERS: &str = "SHOW GLOBAL STATUS WHERE Variable_name IN ('Innodb_data_written', \
                        'Innodb_os_log_written', 'Innodb_dblwr_pages_written', 'Innodb_page_size')";

/// A process of this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pid(u32);

/// Finds a server's process: by the file that the server keeps its number in, by the container that its host is, or as
/// the container that publishes its port.
pub(super) fn find(url: &ServerUrl) -> Result<Pid, String> {
    let told = ask(url, "SELECT @@hostname, CONCAT_WS(CHAR(10), @@datadir, @@pid_file)")?;
    let (host, paths) = told.into_iter().next().ok_or("it tells no pid file")?;
    by_pid_file(&host, &paths)
        .or_else(|file| by_control_group(&host).map_err(|group| format!("{file}, {group}")))
        .or_else(|others| by_container(url).map_err(|container| format!("{others}, and {container}")))
}

/// Bytes that the server has written to its data files, its log and its doublewrite buffer, as it counts them itself.
///
/// MySQL's `Innodb_data_written` counts all three; MariaDB's leaves out the latter two, and counts them apart.
pub(super) fn bytes_written(url: &ServerUrl) -> Result<f64, String> {
    let rows = ask(url, COUNTERS)?;
    let of = |name: &str| {
        let value = rows.iter().find(|(found, _)| found == name).map(|(_, value)| value);
        let value = value.ok_or_else(|| format!("the server does not tell its {name}"))?;
        value.parse::<f64>().map_err(|_| format!("{name} is {value:?}"))
    };
    let data = of("Innodb_data_written")?;
    let (_, version) = ask(url, "SELECT '', @@version")?.into_iter().next().unwrap_or_default();
    if !version.contains("MariaDB") {
        return Ok(data);
    }
    Ok(data + of("Innodb_os_log_written")? + of("Innodb_dblwr_pages_written")? * of("Innodb_page_size")?)
}

/// The name and the version of the server, in its own words.
pub(super) fn version(url: &ServerUrl) -> Result<String, String> {
    let told = ask(url, "SELECT @@version_comment, @@version")?.into_iter().next();
    told.map(|(comment, version)| format!("{version} ({comment})")).ok_or_else(|| "it tells none".to_owned())
}

/// Says whether an address is this machine's own.
pub(super) fn is_local(url: &ServerUrl) -> bool {
    let is_local = |host: &str| {
        let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
        matches!(name, "127.0.0.1" | "localhost" | "[::1]")
    };
    url.host().split(',').all(is_local)
}

fn by_pid_file(host: &str, paths: &str) -> Result<Pid, String> {
    // The same path may be there on this machine as well, and mean another server.
    let own = rustix::system::uname().nodename().to_string_lossy().into_owned();
    if host != own {
        return Err(format!("it runs on host {host:?}, not on {own:?}"));
    }
    let (datadir, file) = paths.split_once('\n').ok_or("it tells no pid file")?;
    let path = Path::new(datadir).join(file);
    let text = std::fs::read_to_string(&path)
        .map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
    let pid = text.trim().parse().map_err(|_| format!("{} holds no number", path.display()))?;
    Pid(pid).checked()
}

/// A container's host is named by the first digits of its id, and its processes are in a control group that is named
/// by all of them. Their numbers are seen from outside of it, or by a process that shares the machine's processes
/// (`pid: host`).
fn by_control_group(host: &str) -> Result<Pid, String> {
    if host.len() < CONTAINER_ID || !host.chars().all(|digit| digit.is_ascii_hexdigit()) {
        return Err("its host is no container".to_owned());
    }
    let processes = std::fs::read_dir("/proc").map_err(|error| format!("/proc: {error}"))?;
    let numbers = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let in_group = |pid: &Pid| {
        std::fs::read_to_string(format!("/proc/{}/cgroup", pid.0)).is_ok_and(|groups| groups.contains(host))
    };
    let found = numbers.map(Pid).find(|pid| pid.checked().is_ok() && in_group(pid));
    found.ok_or_else(|| "no process seen here is in its container".to_owned())
}

fn by_container(url: &ServerUrl) -> Result<Pid, String> {
    let (host, port) = url.host().rsplit_once(':').unwrap_or((url.host(), "3306"));
    if !is_local(url) {
        return Err(format!("{host} is another machine"));
    }
    let ids = docker(&["ps", "--quiet", "--filter", &format!("publish={port}")])?;
    let id = ids.lines().next().ok_or_else(|| format!("no container publishes port {port}"))?;
    let pid = docker(&["inspect", "--format", "{{.State.Pid}}", id])?;
    let pid = pid.trim().parse().map_err(|_| format!("docker inspect says {pid:?}"))?;
    Pid(pid).checked()
}

fn docker(arguments: &[&str]) -> Result<String, String> {
    let output = Command::new("docker").args(arguments).output();
    let output = output.map_err(|error| format!("docker cannot be run: {error}"))?;
    if !output.status.success() {
        let why = String::from_utf8_lossy(&output.stderr);
        return Err(format!("docker {}: {}", arguments.join(" "), why.lines().next().unwrap_or_default()));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

impl Pid {
    /// This number, if a MySQL server has it: a file may be older than the process it names.
    fn checked(self) -> Result<Self, String> {
        let path = format!("/proc/{}/comm", self.0);
        let comm = std::fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
        let comm = comm.trim();
        if PROGRAMS.contains(&comm) { Ok(self) } else { Err(format!("process {} is {comm:?}", self.0)) }
    }

    /// CPU time of all its threads, in user and kernel mode.
    pub(super) fn cpu_seconds(&self) -> Result<f64, String> {
        let path = format!("/proc/{}/stat", self.0);
        let stat = std::fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
        let ticks = ticks(&stat).ok_or_else(|| format!("{path} is not as expected"))?;
        Ok(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
    }
}

/// User and system time in `/proc/PID/stat`: the 14th and 15th field. The second, the name, may hold spaces.
fn ticks(stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11);
    let mut next = || fields.next()?.parse::<u64>().ok();
    Some(next()? + next()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_is_found_behind_a_name_with_spaces() {
        let stat = "7 (my sql) d) S 1 7 7 0 -1 4194560 100 0 0 0 31 11 0 0 20 0 9 0 12345 1000 200";
        assert_eq!(ticks(stat), Some(42));
        assert_eq!(ticks("7 (mysqld) S 1"), None);
    }

    #[test]
    fn this_process_has_cpu_time_and_is_no_server() {
        let own = Pid(std::process::id());
        assert!(own.cpu_seconds().is_ok());
        assert!(own.checked().unwrap_err().contains("process"));
    }

    #[test]
    fn a_host_that_is_no_container_and_one_that_is_not_here_have_no_process() {
        assert!(by_control_group("db-1").unwrap_err().contains("no container"));
        assert!(by_control_group("0123456789ab").unwrap_err().contains("no process"));
    }

    #[test]
    fn a_server_on_another_machine_has_no_process_here() {
        let away = ServerUrl::new("mysql://a:b@192.0.2.1:3306");
        assert!(by_container(&away).unwrap_err().contains("another machine"));
    }
}
