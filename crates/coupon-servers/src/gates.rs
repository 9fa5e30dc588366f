//! The list of a data set's gates: as the setting names it, as main has it, and how it is changed.
//!
//! A gate knows the holders of its own coupons alone. So a list of which a gate's place, or the number of gates, is another gives
//! coupons to gates that know nothing of them: main has the list, and a process with another one is refused. It is changed while
//! no process is at work: every epoch so far is closed in main and at each shard, and the gates are filled anew.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use coupon_core::{GateCount, ShardId};
use coupon_store::clock::Clock;
use coupon_store::settings::{DecidedBy, ServersSettings};
use mysql_async::TxOpts;
use mysql_async::prelude::Queryable;

use super::at_work::processes_at_work;
use super::broker::Broker;
use super::cluster::{Cluster, Label};
use super::format::{self, FORMAT};
use super::gate::RedisServer;
use super::lane::Lane;
use super::mysql::{Database, GATE_LOCK, code, gate_lock, has_code};
use super::open::ensure_usable;
use super::seam::GateEpochs;
use super::stock;
use super::waits::in_queues;

/// The wait, in seconds, for a gate's lock that a process has which is just ending.
const ENDING_S: u32 = 10;

/// The gates that a setting names, each without user and password.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GateList(Vec<String>);

impl GateList {
    /// The list of the setting; of one gate where it names none.
    ///
    /// # Errors
    /// When it names the same gate twice, or too many.
    pub(super) fn of(settings: &ServersSettings) -> anyhow::Result<Self> {
        let named: Vec<String> = settings.redis.iter().map(|url| url.named()).collect();
        for (place, gate) in named.iter().enumerate() {
            ensure!(
                !named.iter().take(place).any(|before| before == gate),
                "setting `servers.redis` names {gate} twice: each gate has a Redis of its own"
            );
        }
        GateCount::new(named.len().max(1)).context("setting `servers.redis`")?;
        Ok(Self(named))
    }

    /// The number of gates.
    #[must_use]
    pub fn count(&self) -> GateCount {
        GateCount::new(self.0.len()).unwrap_or(GateCount::ONE)
    }

    /// The names of several gates; none where there is one, which main has the place of.
    fn several(&self) -> &[String] {
        if self.count().is_several() { &self.0 } else { &[] }
    }
}

impl std::fmt::Display for GateList {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.several() {
            [] => f.write_str("one gate"),
            several => f.write_str(&several.join(", ")),
        }
    }
}

/// The list that main has.
#[derive(Debug)]
struct Recorded {
    /// The number of times that it was changed.
    number: u64,
    gates: GateList,
    /// The last epoch of any gate that was taken, and the first that may not be closed.
    last: u64,
    first_open: u64,
}

impl Recorded {
    async fn read(conn: &mut impl Queryable) -> mysql_async::Result<Self> {
        let row: Option<(i64, u64, u64, u64)> =
            conn.query_first("SELECT id, gate_list, epoch, open_epoch FROM gate_state").await?;
        let (key, number, epoch, open_epoch) = row.unwrap_or_default();
        if key.to_string() == FORMAT {
            return Ok(Self { number, gates: GateList::default(), last: epoch, first_open: open_epoch });
        }
        let rows: Vec<(String, u64)> = conn.query("SELECT named, epoch FROM gates ORDER BY gate").await?;
        let last = rows.iter().map(|(_, epoch)| *epoch).fold(epoch, u64::max);
        let gates = GateList(rows.into_iter().map(|(named, _)| named).collect());
        Ok(Self { number, gates, last, first_open: open_epoch })
    }

    fn agrees_with(&self, gates: &GateList) -> bool {
        self.gates.several() == gates.several()
    }
}

/// What a change of the gates came to.
#[derive(Debug)]
pub struct ChangedGates {
    /// The gates before.
    pub before: GateList,
    /// The gates now.
    pub now: GateList,
    /// The time that it took until every epoch of before was closed.
    pub closed_in: Duration,
}

impl Cluster {
    /// Makes sure that the gates of the setting are those that main has of a data set with so many shards; where no gate was ever
    /// opened, they become those. Returns main's number of the list.
    pub(super) async fn agree_on_gates(&self, shards: u16) -> anyhow::Result<u64> {
        let main = &self.main;
        let mut conn = main.connect().await?;
        let recorded = Recorded::read(&mut conn).await.map_err(|error| main.error(&error))?;
        if recorded.agrees_with(&self.gates) {
            return Ok(recorded.number);
        }
        ensure!(
            recorded.last == 0,
            "{main}: its gates are {}, and setting `servers.redis` names {}. A gate knows the holders of its own coupons alone, so \
             that number, order and addresses stay as they are: stop all services, and run `seeder gates`, which closes all gates \
             and fills them anew",
            recorded.gates,
            self.gates
        );
        self.replace_gates(&recorded, shards, 0).await?;
        Ok(recorded.number + 1)
    }

    /// Makes sure that the setting names the gates that main has, for a program that asks them beside the services.
    pub(super) async fn ensure_gates_named(&self) -> anyhow::Result<()> {
        let main = &self.main;
        let asked = main.connect().await?.query("SELECT named FROM gates ORDER BY gate").await;
        let recorded = GateList(match asked {
            // An earlier version has made it: it has one.
            Err(error) if has_code(&error, code::NO_TABLE) => Vec::new(),
            asked => asked.map_err(|error| main.error(&error))?,
        });
        ensure!(
            recorded.several() == self.gates.several(),
            "{main}: its gates are {recorded}, and setting `servers.redis` names {}: name them as they are, in their order",
            self.gates
        );
        Ok(())
    }

    /// Makes sure that a shard goes by main's list of gates.
    pub(super) async fn ensure_gates_at(&self, shard: ShardId, list: u64) -> anyhow::Result<()> {
        let (lane, Some(database)) = (self.lane(shard), self.shards.get(shard.index())) else {
            return Ok(());
        };
        let mut conn = database.connect().await?;
        let sql = lane.named(format!("SELECT id, gate_list FROM shard_state WHERE {lane}"));
        let asked = conn.query_first(sql).await;
        let there: Option<(i64, u64)> = asked.map_err(|error| database.error(&error))?;
        let is_so =
            there.is_some_and(|(key, of)| key.to_string() == format::of(self.gates.count()) && of == list);
        ensure!(
            is_so,
            "{database}: it goes by other gates than main: a change of them was cut short; run `seeder gates` again"
        );
        Ok(())
    }

    /// Has main and the shards go by these gates, with every epoch closed up to that one. Wherever it is cut short, no process
    /// goes on before it was done to the end.
    async fn replace_gates(&self, before: &Recorded, shards: u16, closed: u64) -> anyhow::Result<()> {
        let (main, key, list) = (&self.main, format::of(self.gates.count()), before.number + 1);
        let mut conn = main.connect_alone().await?;
        let in_main = async {
            let mut transaction = conn.start_transaction(TxOpts::default()).await?;
            let state = format!(
                "UPDATE gate_state SET id = {key}, gate_list = {list}, epoch = {closed}, open_epoch = {}",
                before.first_open
            );
            for statement in [&*state, "DELETE FROM gates", "DELETE FROM gate_record"] {
                transaction.query_drop(statement).await?;
            }
            self.write_gates(&mut transaction, closed, before.first_open).await?;
            let format = "UPDATE meta SET value = ? WHERE name = 'format'";
            transaction.exec_drop(format, (key,)).await?;
            transaction.commit().await
        };
        in_main.await.map_err(|error| main.error(&error))?;
        for (shard, database) in self.numbered().take(usize::from(shards)) {
            let lane = self.lane(shard);
            let mut conn = database.connect_alone().await?;
            let at_shard = async {
                let mut transaction = conn.start_transaction(TxOpts::default()).await?;
                let forget = lane.only("DELETE FROM shard_meta WHERE name LIKE 'epoch.%'");
                transaction.query_drop(forget).await?;
                let state = format!(
                    "UPDATE shard_state SET id = {key}, gate_list = {list}, \
                     closed_epoch = GREATEST(closed_epoch, {closed}), closed_epochs = '', commits = commits + 1 WHERE {lane}"
                );
                transaction.query_drop(lane.named(state)).await?;
                // An engine that is switching its shards may have rolled back, and would still answer a commit well.
                if transaction.affected_rows() != 1 {
                    return Ok(false);
                }
                transaction.commit().await.map(|()| true)
            };
            let is_done = at_shard.await.map_err(|error| database.error(&error))?;
            ensure!(is_done, "{database}: it has no row of state for its gates to be noted in: try it again");
        }
        Ok(())
    }

    /// Writes a row for each of several gates, of which these were the last epochs that were taken and opened.
    pub(super) async fn write_gates(
        &self,
        conn: &mut impl Queryable,
        epoch: u64,
        open_epoch: u64,
    ) -> mysql_async::Result<()> {
        for (gate, named) in self.gates.several().iter().enumerate() {
            let sql = "INSERT INTO gates (gate, named, epoch, open_epoch, address, seen) VALUES (?, ?, ?, ?, '', 0)";
            conn.exec_drop(sql, (gate, named, epoch, open_epoch)).await?;
        }
        Ok(())
    }

    /// Has the data set go by the gates that the setting names, with every epoch so far closed: they are to be filled anew. No
    /// process may be at work: one that could not reach main for a while is waited for until `renewals` ends.
    ///
    /// # Errors
    /// When a process is at work, results wait in a queue, a database decides grabs, or a server cannot be asked. Where it is cut
    /// short, it is run again.
    pub async fn change_gates(
        &self,
        settings: &ServersSettings,
        clock: &Clock,
        renewals: impl Future<Output = ()>,
    ) -> anyhow::Result<ChangedGates> {
        let _lock = self.lock().await?;
        let label = self.label().await?.with_context(|| format!("{}: it holds no data set", self.main))?;
        label.ensure_complete(&self.main)?;
        ensure!(
            !label.of_before,
            "{}: data set {} is of an earlier version: start a service, which brings it up to date, and stop it",
            self.main,
            label.dataset
        );
        // Once the gates of before are closed, those of now must be filled.
        ensure_usable(&RedisServer::list(&settings.redis)?, false).await?;
        let whole = self.recorded().await?;
        let processes = processes_at_work(&whole.main, clock, renewals).await?;
        ensure!(
            processes == 0,
            "{}: services are at work on data set {} (processes: {processes}): stop them first; one that was killed counts for \
             a minute",
            whole.main,
            label.dataset
        );
        let opened = stock::opened_by(&whole.main).await?;
        ensure!(
            opened.is_none_or(|(decided_by, _)| decided_by == DecidedBy::Gate),
            "{}: a database decides the grabs of data set {}: it has no gates",
            whole.main,
            label.dataset
        );
        let began = Instant::now();
        whole.update_main_tables().await?;
        if whole.engine.is_none() {
            for (_, shard) in whole.numbered().take(usize::from(label.shards)) {
                whole.update_shard_tables(shard, false).await?;
            }
        }
        // What was granted and handed over is stored first: what is left of an epoch that is closed is never granted.
        let waits = in_queues(&whole, settings, &label.dataset).await?;
        if let Some(results) = waits.iter().find(|waits| !waits.for_a_person) {
            bail!("{results}: start a service with the gates of before, which stores them, and stop it");
        }
        let before = whole.close_gates(settings, &label).await?;
        Ok(ChangedGates { before, now: whole.gates.clone(), closed_in: began.elapsed() })
    }

    async fn close_gates(&self, settings: &ServersSettings, label: &Label) -> anyhow::Result<GateList> {
        let main = &self.main;
        let failed = |error| main.error(&error);
        let mut locks = main.connect_alone().await?;
        let recorded = Recorded::read(&mut locks).await.map_err(failed)?;
        let most = recorded.gates.count().get().max(self.gates.count().get());
        let gates = GateCount::new(usize::from(most))?;
        for gate in gates.all() {
            let name = gate_lock(&self.namespace, GATE_LOCK, gate);
            let had: Option<Option<i64>> =
                locks.exec_first("SELECT GET_LOCK(?, ?)", (name, ENDING_S)).await.map_err(failed)?;
            ensure!(
                had.flatten() == Some(1),
                "{main}: a process fills gate {gate}, or moves rows: stop it first"
            );
        }
        let mut last = recorded.last;
        for (shard, database) in self.numbered().take(usize::from(label.shards)) {
            self.check_shard(shard, &label.dataset).await?;
            last = last.max(heard_of(database, self.lane(shard)).await?);
        }
        // An epoch that never opens: all before it are closed by it.
        let closed = last + 1;
        self.replace_gates(&recorded, label.shards, closed).await?;
        self.unbind_epochs(settings, label, recorded.first_open..closed).await?;
        let _ = locks.disconnect().await;
        Ok(recorded.gates)
    }

    /// Has the keys of these epochs lead nowhere: a process that was frozen hands nothing over by them.
    async fn unbind_epochs(
        &self,
        settings: &ServersSettings,
        label: &Label,
        epochs: std::ops::Range<u64>,
    ) -> anyhow::Result<()> {
        let (names, mut admin) =
            (self.names(&label.dataset), Broker::new(&settings.rabbitmq)?.admin().await?);
        admin.declare(&names, u16::try_from(self.shards.len())?).await?;
        for epoch in epochs {
            for (shard, _) in self.numbered() {
                admin.unbind(&names, epoch, shard).await?;
            }
        }
        admin.close().await;
        Ok(())
    }
}

/// The last epoch of any gate that a shard has heard of.
async fn heard_of(shard: &Database, lane: Lane) -> anyhow::Result<u64> {
    let mut conn = shard.connect().await?;
    let announced = "SELECT COALESCE(MAX(CAST(value AS UNSIGNED)), 0) FROM shard_meta \
                     WHERE (name = 'epoch' OR name LIKE 'epoch.%')";
    let asked = async {
        let announced: Option<u64> = conn.query_first(lane.only(announced)).await?;
        let closed = format!("SELECT closed_epoch, closed_epochs FROM shard_state WHERE {lane}");
        let closed: Option<(u64, String)> = conn.query_first(lane.named(closed)).await?;
        let closed = closed.map_or(0, |(all, several)| GateEpochs::read(all, &several).last());
        Ok(closed.max(announced.unwrap_or(0)))
    };
    Ok(asked.await.map_err(|error: mysql_async::Error| shard.error(&error))?)
}

#[cfg(test)]
mod tests {
    use coupon_store::settings::ServerUrl;

    use super::*;

    #[test]
    fn a_list_names_each_gate_once_and_without_its_password() {
        let list = |urls: &[&str]| urls.iter().map(|url| ServerUrl::new(*url).named()).collect::<Vec<_>>();
        assert_eq!(list(&["redis://:s3cret@h:1", "redis://u:p@h:1/2?a=b"]), ["h:1", "h:1/2"]);
        assert_eq!(list(&["redis+sentinel://:p@h:1,i:1/mymaster"]), ["h:1,i:1/mymaster"]);
        let (one, two) = (GateList(list(&["redis://h:1"])), GateList(list(&["redis://h:1", "redis://i:1"])));
        assert_eq!((one.to_string(), two.to_string()), ("one gate".to_owned(), "h:1, i:1".to_owned()));
        assert_eq!((one.count(), two.count().get()), (GateCount::ONE, 2));
    }
}
