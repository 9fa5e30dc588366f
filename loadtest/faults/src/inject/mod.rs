//! The injection of each fault, and its end.

pub(super) mod broker;
pub(super) mod clocks;
pub(super) mod cluster;
mod confirms;
pub(super) mod copies;
pub(super) mod databases;
mod disk;
pub(super) mod failover;
pub(super) mod filling;
pub(super) mod frozen;
pub(super) mod gate;
pub(super) mod gates;
pub(super) mod given_back;
pub(super) mod growth;
pub(super) mod leases;
pub(super) mod network;
pub(super) mod operations;
pub(super) mod promoted;
mod repeat_users;
pub(super) mod services;

use std::time::{Duration, Instant};

use anyhow::Result;
use coupon_stack::{Server, Stack, Status};

use super::context::CaseContext;
use super::deployment::CaseDeployment;
use super::proof::Proof;

/// The time that anything which depends on a restarted server may take.
const RECOVERY: Duration = Duration::from_secs(60);

/// Mends everything that a case has left broken.
pub(super) fn mend(context: &CaseContext<'_>) -> Result<()> {
    let stack = context.stack()?;
    for server in stack.servers() {
        match stack.status(server)? {
            Status::Up => {}
            Status::Paused => stack.resume(server)?,
            Status::Down => stack.restart(server)?,
        }
    }
    stack.servers().try_for_each(|server| put_in_its_place(stack, server))
}

/// Has a database's first server take writes again, and the other follow it.
fn put_in_its_place(stack: &Stack, server: Server) -> Result<()> {
    if !stack.is_in_place(server)? {
        stack.rejoin(server)?;
    }
    let Some(replica) = server.other() else { return Ok(()) };
    if matches!(server, Server::Main | Server::Shard(_)) && stack.is_read_only(server)? {
        stack.promote(server)?;
        stack.rejoin(replica)?;
    }
    Ok(())
}

/// Looks at what happens while something is wrong that no restart mends, and puts it right whatever came of that.
fn meanwhile<T>(
    wrong: impl FnOnce() -> Result<()>,
    look: impl FnOnce() -> Result<T>,
    right: impl FnOnce() -> Result<()>,
) -> Result<T> {
    let looked = wrong().and_then(|()| look());
    let righted = right();
    let looked = looked?;
    righted.map(|()| looked)
}

/// Kills a server, waits, and starts it again.
fn killed(deployment: &CaseDeployment<'_>, server: Server, down: Duration) -> Result<Proof> {
    away(deployment, server, down, Stack::kill, Stack::restart, || Ok(()))
}

/// Freezes a server, waits, and wakes it.
fn frozen(deployment: &CaseDeployment<'_>, server: Server, long: Duration) -> Result<Proof> {
    away(deployment, server, long, Stack::pause, Stack::resume, || Ok(()))
}

type ServerAction = fn(&Stack, Server) -> Result<()>;

/// Takes a server away, looks at what that does, and brings it back when it was away for long enough.
fn away(
    deployment: &CaseDeployment<'_>,
    server: Server,
    long: Duration,
    take: ServerAction,
    bring_back: ServerAction,
    look: impl FnOnce() -> Result<()>,
) -> Result<Proof> {
    let (stack, began) = (deployment.stack()?, Instant::now());
    let before = stack.pid(server);
    deployment.fault_begins();
    take(stack, server)?;
    let gone = stack.status(server)?;
    look()?;
    std::thread::sleep(long.saturating_sub(began.elapsed()));
    let still = stack.status(server)?;
    bring_back(stack, server)?;
    deployment.fault_ends();
    let (state, after) = (state(still), stack.pid(server));
    Proof::when(
        gone == still && still != Status::Up,
        format!(
            "{server}, process {}, was {state} for {:.1} s; then it was process {}",
            number(before),
            began.elapsed().as_secs_f64(),
            number(after)
        ),
    )
}

const fn state(status: Status) -> &'static str {
    match status {
        Status::Up => "up",
        Status::Paused => "frozen",
        Status::Down => "down",
    }
}

fn number(pid: Option<u32>) -> String {
    pid.map_or_else(|| "none".to_owned(), |pid| pid.to_string())
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use anyhow::bail;

    use super::*;

    #[test]
    fn what_was_made_wrong_is_put_right_whatever_came_of_it() {
        for (wrong, look) in [(true, true), (true, false), (false, true)] {
            let righted = Cell::new(false);
            let done = meanwhile(
                || if wrong { Ok(()) } else { bail!("half set") },
                || if look { Ok(7) } else { bail!("nothing seen") },
                || {
                    righted.set(true);
                    Ok(())
                },
            );
            assert!(righted.get());
            assert_eq!(done.ok(), (wrong && look).then_some(7));
        }
    }
}
