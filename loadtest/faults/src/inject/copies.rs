//! Database servers that are put back to what they were a while before.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use coupon_cli::terminal;
use coupon_lab::wait::{blocking, until};
use coupon_servers::mysql::Database;
use coupon_servers::rebuild::Rebuilt;
use coupon_stack::{Server, Stack, Status};
use mysql_async::prelude::Queryable as _;

use super::databases::{reads_are_partial, todays_shard};
use super::disk::{aside, copy};
use super::{RECOVERY, gate};
use crate::context::now;
use crate::deployment::CaseDeployment;
use crate::proof::Proof;
use crate::service::TestedService;

/// The time for which it is watched that something does not move.
const STILL: Duration = Duration::from_secs(3);
/// The number of entries that must come between a copy and the moment when it is put in place.
const ENTRIES: i64 = 5;

/// A server's data as it was at one moment. When it is dropped, the server has the data that it had last, whole.
#[derive(Debug)]
struct EarlierCopy<'a> {
    stack: &'a Stack,
    server: Server,
    data: PathBuf,
}

impl<'a> EarlierCopy<'a> {
    /// Copies a server's data, for which it is stopped a moment.
    fn of(stack: &'a Stack, server: Server) -> Result<Self> {
        let earlier = Self { stack, server, data: stack.data_dir(server)?.to_owned() };
        stack.stop(server)?;
        fs::create_dir(earlier.copy())?;
        let copied = copy(&earlier.data, &earlier.copy());
        stack.restart(server)?;
        copied?;
        Ok(earlier)
    }

    fn copy(&self) -> PathBuf {
        self.data.with_extension("earlier")
    }

    /// The server dies, and comes back with what it knew when the copy was made.
    fn put_in_place(&self) -> Result<()> {
        self.stack.kill(self.server)?;
        fs::rename(&self.data, aside(&self.data))?;
        fs::rename(self.copy(), &self.data)?;
        self.stack.restart(self.server)
    }

    /// The server dies again, and comes back with all that it ever knew.
    fn take_back(&self) -> Result<()> {
        if self.stack.status(self.server)? != Status::Down {
            self.stack.kill(self.server)?;
        }
        // It is not there if the copy did not come to stand in its place.
        if self.data.exists() {
            fs::remove_dir_all(&self.data)?;
        }
        fs::rename(aside(&self.data), &self.data)?;
        self.stack.restart(self.server)
    }

    /// Makes what it has forgotten forgotten for good.
    fn leave_in_place(&self) -> Result<()> {
        fs::remove_dir_all(aside(&self.data)).context("what came after the copy cannot be removed")
    }

    fn tidy(&self) -> Result<()> {
        if aside(&self.data).exists() {
            self.take_back()?;
        }
        if self.copy().exists() {
            fs::remove_dir_all(self.copy())?;
        }
        Ok(())
    }
}

impl Drop for EarlierCopy<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.tidy() {
            terminal::note(format!("{}: {error:#}", self.data.display()));
        }
    }
}

/// The replica of a server that is put back: it may have what its primary has forgotten, and is made anew when this is dropped.
#[derive(Debug)]
struct MisledReplica<'a> {
    stack: &'a Stack,
    replica: Server,
}

impl MisledReplica<'_> {
    /// Has the replica of a server, if it has one, made anew at the end of the case.
    fn expect_of(deployment: &CaseDeployment<'_>, server: Server) -> Result<()> {
        let stack = deployment.stack()?;
        if let Some(replica) = server.other().filter(|replica| stack.servers().any(|one| one == *replica)) {
            deployment.keep(MisledReplica { stack, replica });
        }
        Ok(())
    }
}

impl Drop for MisledReplica<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.stack.rejoin(self.replica) {
            terminal::note(format!("{}: {error:#}", self.replica));
        }
    }
}

/// Main is put back to before an epoch of the gate, and to before much that it had applied; then one command makes its
/// books anew.
pub(crate) fn main_put_back(deployment: &CaseDeployment<'_>) -> Result<Proof> {
    let earlier = EarlierCopy::of(deployment.stack()?, Server::Main)?;
    MisledReplica::expect_of(deployment, Server::Main)?;
    let copied = each(deployment, |service| applied(deployment, service))?;
    let first = opened_after(deployment, &vec![0; copied.len()])?;
    until("main is told of more", RECOVERY, || {
        Ok(each(deployment, |service| applied(deployment, service))?
            .iter()
            .zip(&copied)
            .all(|(now, then)| *now >= then + ENTRIES))
    })?;
    gate::emptied(deployment)?;
    let lost = opened_after(deployment, &first)?;
    earlier.put_in_place()?;
    earlier.leave_in_place()?;
    let opened = opened_after(deployment, &lost)?;
    books_stand_still(deployment)?;
    let rebuilt = each(deployment, |service| books(deployment, service, true))?;
    deployment.fault_ends();
    let mut seen = Vec::new();
    for (service, (rebuilt, epochs)) in
        deployment.services.iter().zip(rebuilt.iter().zip(lost.iter().zip(opened)))
    {
        deployment.record.expect(rebuilt.set_aside.is_empty(), format!("{}: {rebuilt}", service.name));
        let changes: i64 = rebuilt.shards.iter().map(|lost| lost.last - lost.position).sum();
        seen.push(format!(
            "{}: main had forgotten {changes} changes with {} results, and epoch {}, after which came {}",
            service.name,
            forgotten(rebuilt),
            epochs.0,
            epochs.1
        ));
    }
    Proof::when(rebuilt.iter().all(|rebuilt| rebuilt.mended && forgotten(rebuilt) > 0), seen.join("; "))
}

/// Something of each service.
pub(super) fn each<T>(
    deployment: &CaseDeployment<'_>,
    what: impl Fn(&TestedService) -> Result<T>,
) -> Result<Vec<T>> {
    deployment.services.iter().map(what).collect()
}

fn forgotten(rebuilt: &Rebuilt) -> i64 {
    rebuilt.shards.iter().map(|lost| lost.rows).sum()
}

/// The books of which entries are missing are found out, and do not go on.
fn books_stand_still(deployment: &CaseDeployment<'_>) -> Result<()> {
    let look = || each(deployment, |service| books(deployment, service, false));
    until("entries are missing from every service's outboxes", RECOVERY, || {
        Ok(look()?.iter().all(|looked| !looked.shards.is_empty()))
    })?;
    let before = look()?;
    std::thread::sleep(STILL);
    for ((service, before), after) in deployment.services.iter().zip(before).zip(look()?) {
        deployment.record.expect(
            positions(&before) == positions(&after),
            format!("{}: books of which entries are missing went on: {before}; then {after}", service.name),
        );
    }
    Ok(())
}

/// The number of entries of the shards' outboxes that main has applied.
fn applied(deployment: &CaseDeployment<'_>, service: &TestedService) -> Result<i64> {
    let sql = "SELECT CAST(COALESCE(SUM(outbox_id), 0) AS SIGNED) FROM outbox_positions";
    number(&deployment.main(service)?, sql)
}

/// Waits until each service has a later epoch of the gate open than that, and says which.
fn opened_after(deployment: &CaseDeployment<'_>, last: &[i64]) -> Result<Vec<i64>> {
    let sql = "SELECT IF(epoch = open_epoch, epoch, 0) FROM gate_state";
    let open = || each(deployment, |service| number(&deployment.main(service)?, sql));
    let later = || Ok(open()?.iter().zip(last).all(|(open, last)| open > last));
    until("a later epoch of the gate is open", RECOVERY, later)?;
    open()
}

/// The report of the command that holds main's books against the rows.
fn books(deployment: &CaseDeployment<'_>, service: &TestedService, mend: bool) -> Result<Rebuilt> {
    let settings = deployment.context.site.of(&service.namespace);
    let now = now();
    coupon_seeding::rebuild_servers(&settings, None, mend, now).context("seeder books")
}

fn positions(rebuilt: &Rebuilt) -> Vec<(u16, i64)> {
    rebuilt.shards.iter().map(|lost| (lost.shard.number(), lost.position)).collect()
}

/// The shard that most of the load goes to fails over to a replica that has received nothing for a while, until the full
/// copy is back.
pub(crate) fn stale_shard_promoted(deployment: &CaseDeployment<'_>) -> Result<Proof> {
    let (stack, shard) = (deployment.stack()?, todays_shard(deployment)?);
    let earlier = EarlierCopy::of(stack, Server::Shard(shard.number()))?;
    MisledReplica::expect_of(deployment, Server::Shard(shard.number()))?;
    let sql = "SELECT commits FROM shard_state";
    let commits = || each(deployment, |service| number(&deployment.shard(service, shard)?, sql));
    let copied = commits()?;
    let more = |than: &[i64]| Ok(commits()?.iter().zip(than).all(|(now, then)| *now >= then + ENTRIES));
    until("the shard stores more", RECOVERY, || more(&copied))?;
    // Every process has looked at it since.
    std::thread::sleep(Duration::from_secs(1));
    let full = commits()?;
    deployment.fault_begins();
    earlier.put_in_place()?;
    let stale = commits()?;
    let refused = deployment.services.iter().try_for_each(|service| {
        until("the shard is refused by name", RECOVERY, || says(service, "a shard is refused"))
    });
    deployment.record.expect(refused.is_ok(), "a shard that has lost data was not refused".to_owned());
    let before = commits()?;
    let partial = if refused.is_ok() { reads_are_partial(deployment, shard) } else { Ok(()) };
    std::thread::sleep(STILL);
    let after = commits()?;
    deployment.record.expect(
        before == after,
        format!("a shard that had lost data was stored to: {before:?}, then {after:?}"),
    );
    earlier.take_back()?;
    partial?;
    deployment.fault_ends();
    let whole = commits()?.iter().zip(&full).all(|(now, then)| now >= then);
    ensure!(whole, "the full copy is not what is back");
    Proof::when(
        stale.iter().zip(&full).all(|(stale, full)| stale < full),
        format!("{}: transactions {full:?}, of its copy {stale:?}", Server::Shard(shard.number())),
    )
}

/// Says whether a process of a service has logged that.
pub(super) fn says(service: &TestedService, text: &str) -> Result<bool> {
    let said = service.processes.iter().map(|process| process.logged(text));
    Ok(said.collect::<Result<Vec<_>>>()?.iter().any(Option::is_some))
}

/// The number that a statement answers.
pub(super) fn number(database: &Database, sql: &str) -> Result<i64> {
    blocking(async {
        let mut conn = database.connect_alone().await?;
        let number: Option<i64> = conn.query_first(sql).await?;
        conn.disconnect().await?;
        number.with_context(|| format!("{database} does not answer {sql}"))
    })
}
