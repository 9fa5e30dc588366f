//! Free ports, and whether a process listens on one.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::files::random;

/// The lowest port that is tried.
const LOWEST: u16 = 15_000;
const ATTEMPTS: u16 = 200;

/// Finds ports that no process listens on, all different.
///
/// They lie below those that the system hands out to connections. A client that keeps connecting to a server that is
/// down could otherwise be given the server's own port, be connected to itself, and keep the server from coming back.
pub(crate) fn free(count: usize) -> Result<Vec<u16>> {
    let highest = ephemeral().filter(|lowest| *lowest > LOWEST + 1_000).map(|lowest| lowest - 1);
    let mut held = Vec::with_capacity(count);
    for _ in 0..ATTEMPTS {
        if held.len() == count {
            break;
        }
        let port = match highest {
            Some(highest) => LOWEST + u16::from_le_bytes(random()?) % (highest - LOWEST),
            None => 0,
        };
        held.extend(TcpListener::bind((Ipv4Addr::LOCALHOST, port)));
    }
    ensure!(held.len() == count, "no {count} free ports from {LOWEST} on");
    held.iter().map(|listener| Ok(listener.local_addr()?.port())).collect()
}

/// True when no process listens on a port.
pub(crate) fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

fn ephemeral() -> Option<u16> {
    let range = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").ok()?;
    range.split_ascii_whitespace().next()?.parse().ok()
}

/// True when it is this process that listens on a port, not another that was faster to take it.
pub(crate) fn listens(pid: u32, port: u16) -> Result<bool> {
    let path = format!("/proc/{pid}/net/tcp");
    let table = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    let sockets: Vec<String> = table
        .lines()
        .filter_map(|line| listening(line, port))
        .map(|inode| format!("socket:[{inode}]"))
        .collect();
    let open = format!("/proc/{pid}/fd");
    let open = fs::read_dir(&open).with_context(|| format!("cannot read {open}"))?;
    // A file may be closed while its folder is read.
    let mut targets = open.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
    Ok(targets.any(|target| sockets.iter().any(|socket| target == Path::new(socket))))
}

/// The inode of a listening socket on this port, from a line of `/proc/net/tcp`.
fn listening(line: &str, port: u16) -> Option<&str> {
    const LISTEN: &str = "0A";
    let mut fields = line.split_ascii_whitespace().skip(1);
    let (_, local) = fields.next()?.rsplit_once(':')?;
    let is_this = u16::from_str_radix(local, 16) == Ok(port);
    let state = fields.nth(1)?;
    fields.nth(5).filter(|_| is_this && state == LISTEN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_free_and_different() {
        let mut ports = free(20).unwrap();
        assert!(ports.iter().all(|port| is_free(*port)));
        ports.sort_unstable();
        ports.dedup();
        assert_eq!(ports.len(), 20);
    }

    #[test]
    fn only_the_process_that_listens_does() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        assert!(!is_free(port));
        assert!(listens(std::process::id(), port).unwrap());
        let mut other = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let others = listens(other.id(), port);
        other.kill().unwrap();
        other.wait().unwrap();
        assert!(!others.unwrap());
        drop(listener);
        assert!(!listens(std::process::id(), port).unwrap());
    }
}
