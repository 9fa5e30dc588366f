//! CPU quotas by control groups, version 1 or 2.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The length of the periods in which a quota is counted: the kernel's default.
const PERIOD_US: u64 = 100_000;
/// The kernel's lowest quota.
const LOWEST_US: u64 = 1_000;
/// The time that a group may stay busy after its last process has gone.
const PATIENCE: Duration = Duration::from_secs(2);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    V1,
    V2,
}

/// Makes a group, or explains in one line why there can be none.
pub(crate) fn make(name: &str) -> Result<PathBuf, String> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let parents = parents(&mounts, &own);
    let mut why = None;
    for (version, parent) in parents {
        match make_below(version, &parent, name) {
            Ok(group) => return Ok(group),
            // The first place is the best, so its reason is the one to report.
            Err(error) => why = why.or_else(|| Some(format!("{}: {error}", parent.display()))),
        }
    }
    let why = why.unwrap_or_else(|| "no cpu controller is mounted".to_owned());
    Err(format!("CPU quotas cannot be set here: {why}"))
}

fn make_below(version: Version, parent: &Path, name: &str) -> io::Result<PathBuf> {
    if version == Version::V2 {
        // It may be on already, and then need not be writable; what counts is what the group has.
        let _ = fs::write(parent.join("cgroup.subtree_control"), "+cpu");
    }
    let group = parent.join(name);
    match fs::create_dir(&group) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    if quota_file(&group).is_none() {
        fs::remove_dir(&group)?;
        return Err(io::Error::other("no cpu controller for groups in it"));
    }
    Ok(group)
}

fn quota_file(group: &Path) -> Option<PathBuf> {
    ["cpu.max", "cpu.cfs_quota_us"].map(|file| group.join(file)).into_iter().find(|file| file.exists())
}

/// Sets a group's quota.
pub(crate) fn limit(group: &Path, cores: f64) -> Result<(), String> {
    let quota = ((cores * PERIOD_US as f64).round() as u64).max(LOWEST_US);
    let file = quota_file(group).ok_or_else(|| format!("{} has no cpu controller", group.display()))?;
    let written = if file.ends_with("cpu.max") {
        fs::write(&file, format!("{quota} {PERIOD_US}"))
    } else {
        fs::write(group.join("cpu.cfs_period_us"), PERIOD_US.to_string())
            .and_then(|()| fs::write(&file, quota.to_string()))
    };
    written.map_err(|error| format!("CPU quotas cannot be set here: {}: {error}", file.display()))
}

/// Puts a process into a group, with all its threads and what it starts later.
pub(crate) fn enter(group: &Path, pid: u32) -> Result<(), String> {
    let file = group.join("cgroup.procs");
    fs::write(&file, pid.to_string())
        .map_err(|error| format!("CPU quotas cannot be set here: {}: {error}", file.display()))
}

/// Removes a group whose processes have ended.
pub(crate) fn remove(group: &Path) -> io::Result<()> {
    let end = Instant::now() + PATIENCE;
    loop {
        match fs::remove_dir(group) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy && Instant::now() < end => {
                std::thread::sleep(Duration::from_millis(10));
            }
            done => return done,
        }
    }
}

/// The groups below which one may be made, best first: the own one, so that its limits hold too, those above it, and
/// the root of each hierarchy.
fn parents(mounts: &str, own: &str) -> Vec<(Version, PathBuf)> {
    let mut parents = Vec::new();
    for (version, root, mount) in mounts.lines().filter_map(mounted) {
        let member = own.lines().find_map(|line| path_of(line, version));
        let inside = member.and_then(|path| path.strip_prefix(root).ok().map(Path::to_owned));
        for inside in inside.unwrap_or_default().ancestors() {
            let parent: PathBuf = mount.join(inside).components().collect();
            if parent.is_dir() {
                parents.push((version, parent));
            }
        }
    }
    parents
}

/// A hierarchy with a cpu controller, what of it is mounted, and where. Version 2 need not have it; that shows later.
fn mounted(line: &str) -> Option<(Version, &Path, &Path)> {
    let (mount, source) = line.split_once(" - ")?;
    let mut mount = mount.split(' ').skip(3);
    let (root, point) = (Path::new(mount.next()?), Path::new(mount.next()?));
    let mut source = source.split(' ');
    match source.next()? {
        "cgroup2" => Some((Version::V2, root, point)),
        "cgroup" if source.nth(1)?.split(',').any(|controller| controller == "cpu") => {
            Some((Version::V1, root, point))
        }
        _ => None,
    }
}

/// The group that a line of `/proc/self/cgroup` names, if it is of the cpu controller's hierarchy.
fn path_of(line: &str, version: Version) -> Option<&Path> {
    let mut fields = line.splitn(3, ':');
    let (id, controllers) = (fields.next()?, fields.next()?);
    let is_this = match version {
        Version::V1 => controllers.split(',').any(|controller| controller == "cpu"),
        Version::V2 => id == "0" && controllers.is_empty(),
    };
    fields.next().filter(|_| is_this).map(Path::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hierarchies_are_found_in_the_kernels_tables() {
        let v1 = "31 24 0:26 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid - cgroup cgroup rw,cpu,cpuacct";
        let cpu = Path::new("/sys/fs/cgroup/cpu,cpuacct");
        assert_eq!(mounted(v1), Some((Version::V1, Path::new("/"), cpu)));
        let v2 = "30 23 0:26 /docker/1 /sys/fs/cgroup ro shared:4 - cgroup2 cgroup2 rw,nsdelegate";
        let root = Path::new("/docker/1");
        assert_eq!(mounted(v2), Some((Version::V2, root, Path::new("/sys/fs/cgroup"))));
        let cpuacct = "32 24 0:27 / /sys/fs/cgroup/cpuacct rw - cgroup cgroup rw,cpuacct";
        assert_eq!(mounted(cpuacct), None);
        assert_eq!(mounted("22 1 0:21 / /proc rw - proc proc rw"), None);
    }

    #[test]
    fn the_own_group_is_that_of_the_cpu_controller() {
        assert_eq!(path_of("4:cpu,cpuacct:/user", Version::V1), Some(Path::new("/user")));
        assert_eq!(path_of("2:cpuacct:/user", Version::V1), None);
        assert_eq!(path_of("0::/user.slice/a:b", Version::V2), Some(Path::new("/user.slice/a:b")));
        assert_eq!(path_of("1:name=systemd:/user", Version::V2), None);
    }

    #[test]
    fn without_a_controller_the_reason_is_one_line() {
        assert!(parents("22 1 0:21 / /proc rw - proc proc rw", "").is_empty());
        let dir = tempfile::tempdir().unwrap();
        let error = make_below(Version::V2, dir.path(), "group").unwrap_err();
        assert!(error.to_string().contains("no cpu controller"));
        assert!(!dir.path().join("group").exists());
        assert!(limit(dir.path(), 1.0).unwrap_err().contains("no cpu controller"));
    }
}
