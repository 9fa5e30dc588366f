//! A data set on servers, held still at one moment while it is read.

mod connect;
mod engine;
mod gate;
mod gates;
mod holds;
mod keys;
mod names;
mod read;
mod rows;
mod sentinels;
mod verify;

use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use mysql_async::Conn;
use mysql_async::prelude::Queryable as _;
use tokio::runtime::Runtime;

use super::Label;
use super::history::{History, Moved, Movement};
use super::placement::Law;
use super::source::{self, Catalogue, Place, Shard, Snapshot};
pub use connect::Addresses;
use connect::Database;
use engine::{Keyspace, Part};
use keys::GateKeys;
use names::Namespace;
use rows::Databases;
pub use verify::Differences;

/// Attempts at a snapshot while a service keeps applying outboxes.
const ATTEMPTS: u32 = 200;
const PAUSE: Duration = Duration::from_millis(5);

/// The place of a data set on servers.
#[derive(Debug, Clone)]
pub struct Servers {
    addresses: Addresses,
    namespace: Namespace,
    main: Database,
    /// The engine that has the shards of data sets which are laid out by its lanes, if one is named.
    engine: Option<Keyspace>,
}

impl Servers {
    /// The data set of a namespace, on the servers at these addresses.
    ///
    /// # Errors
    /// When a setting is missing or cannot be used; the error names it.
    pub fn new(addresses: Addresses, namespace: &str) -> Result<Self> {
        ensure!(!namespace.is_empty(), "setting `servers.namespace` is missing: whose data is it?");
        let namespace = Namespace::new(namespace)?;
        let ca_file = addresses.ca_file.as_deref();
        let main = Database::new("servers.main", &addresses.main, &namespace.main_database(), ca_file)?;
        let engine =
            (!addresses.engine.is_empty()).then(|| Keyspace::new(&addresses.engine, ca_file)).transpose()?;
        let servers = Self { addresses, namespace, main, engine };
        if servers.engine.is_none() {
            servers.shard_by_hand(0, &Recorded::new())?;
        }
        Ok(servers)
    }

    /// The engine that has a data set's shards, if they are not run by hand.
    fn engine_of(&self, label: &Label) -> Result<Option<&Keyspace>> {
        if !Law::of(&label.layout).is_some_and(|law| law.is_by_lane()) {
            return Ok(None);
        }
        let engine = self.engine.as_ref().context(
            "setting `servers.engine` is missing: give an address such as mysql://user:password@host:3306/keyspace",
        );
        engine.map(Some)
    }

    /// The database of each shard of a data set, and the shard's part of it.
    async fn shards(&self, label: &Label, recorded: &Recorded) -> Result<Vec<(Database, Part)>> {
        let numbers = 0..label.shards;
        let Some(engine) = self.engine_of(label)? else {
            return numbers.map(|number| Ok((self.shard_by_hand(number, recorded)?, Part::ALL))).collect();
        };
        let there = engine.shards().await?;
        numbers.map(|lane| engine.lane(&there, lane, label.shards)).collect()
    }

    /// A shard's database: it lives on the server that main has recorded, or else shard i on the server i mod their number.
    fn shard_by_hand(&self, number: u16, recorded: &Recorded) -> Result<Database> {
        let servers = &self.addresses.shards;
        let by_rule = usize::from(number).checked_rem(servers.len()).context(
            "setting `servers.shards` is missing: give a list of addresses such as mysql://user:password@host:3306",
        )?;
        let at = recorded.get(&number).map_or(by_rule, |at| usize::from(*at));
        let url = servers.get(at).with_context(|| {
            format!(
                "setting `servers.shards` names {} servers, and shard {number} is on the one in place {}",
                servers.len(),
                at + 1
            )
        })?;
        let name = self.namespace.shard_database(number);
        Database::new(&format!("servers.shards[{at}]"), url, &name, self.addresses.ca_file.as_deref())
    }

    /// Main's present record of the gate, and its coupons.
    fn gate_and_catalogue(&self) -> Result<(GateKeys, Catalogue)> {
        runtime()?.block_on(async {
            let mut main = self.main.connect().await?;
            let dataset = read::label(&mut main).await.with_context(|| self.main.to_string())?.dataset;
            let gate = GateKeys::read(&mut main, &self.namespace, &dataset).await?;
            Ok((gate, read::catalogue(&mut main).await?))
        })
    }

    /// Holds every database still: `together`, all at the same moment, or else each at its own.
    ///
    /// They lie on several servers, so their transactions cannot start at the same instant. What ties them together are
    /// the outbox positions in main: if they are the same before and after the shards were held, no entry moved from a
    /// shard to main in between, and all show the same moment.
    fn hold(&self, together: bool) -> Result<(Snapshot, GateKeys)> {
        let runtime = Rc::new(runtime()?);
        for _ in 0..ATTEMPTS {
            if let Some(held) = runtime.block_on(self.try_to_hold(together, &runtime))? {
                return Ok(held);
            }
            std::thread::sleep(PAUSE);
        }
        bail!("the service writes too much to hold the data still: drain it, and stop the load")
    }

    /// Nothing, when something moved meanwhile.
    async fn try_to_hold(
        &self,
        together: bool,
        runtime: &Rc<Runtime>,
    ) -> Result<Option<(Snapshot, GateKeys)>> {
        let mut main = self.main.connect().await?;
        hold_one(&mut main).await.with_context(|| self.main.to_string())?;
        let label = read::label(&mut main).await.with_context(|| self.main.to_string())?;
        read::refuse_earlier(&mut main).await.with_context(|| self.main.to_string())?;
        let before = read::positions(&mut main).await?;
        let (versions, movement) = (read::versions(&mut main).await?, read::movement(&mut main).await?);
        let recorded = read::recorded(&mut main).await?;
        let databases = self.shards(&label, &recorded).await?;
        let moved = self.moved(movement, &databases).await?;
        let (mut shards, mut connections) = (Vec::new(), Vec::new());
        for (number, (database, part)) in (0..).zip(&databases) {
            let mut connection = database.connect().await?;
            let position = before.get(&number).copied().unwrap_or(0);
            let held = hold_shard(&mut connection, part, number, &label.dataset, position).await;
            let Some(shard) = held.with_context(|| database.to_string())? else { return Ok(None) };
            shards.push(shard);
            connections.push((connection, part.clone()));
        }
        let mut now = self.main.connect().await?;
        if together && before != read::positions(&mut now).await? {
            return Ok(None);
        }
        let movement_now = read::movement(&mut now).await?;
        // Whatever moment is meant, a row that moves in between is missed, or found twice.
        let moved_now = self.moved(movement_now, &databases).await?;
        if moved != moved_now || (together && movement != movement_now) {
            return Ok(None);
        }
        let gate = GateKeys::read(&mut main, &self.namespace, &label.dataset).await?;
        let catalogue = read::catalogue(&mut main).await?;
        let earlier = source::earlier(&catalogue, read::changed(&mut main).await?);
        let snapshot = Snapshot {
            dataset: label.dataset,
            history: History::of(versions, label.layout),
            movement,
            catalogue,
            earlier,
            users: read::users(&mut main).await?,
            accepts_unknown_users: read::accepts_unknown_users(&mut main).await?,
            copied_lines: read::copied_lines(&mut main).await?,
            archives: read::archives(&mut main).await?,
            indexed: read::indexed(&mut main).await?,
            shards,
            rows: Box::new(Databases { main, connections, runtime: Rc::clone(runtime) }),
        };
        Ok(Some((snapshot, gate)))
    }

    /// The counts of rows that have moved from each shard and to it; nothing where none ever were. They tie the databases
    /// together as well: none has moved, if each says the same before and after they were held. What has left a shard arrives
    /// also after a movement was stopped.
    async fn moved(&self, movement: Option<Movement>, databases: &[(Database, Part)]) -> Result<Vec<Moved>> {
        let mut moved = Vec::new();
        for (database, _) in if movement.is_some() { databases } else { &[] } {
            let mut connection = database.connect().await?;
            moved.push(read::moved(&mut connection).await.with_context(|| database.to_string())?);
        }
        Ok(moved)
    }

    /// Main's record of the gate now, after whatever was held still.
    fn gate_now(&self, gate: &GateKeys) -> Result<GateKeys> {
        runtime()?.block_on(async {
            let mut main = self.main.connect().await?;
            gate.again(&mut main).await
        })
    }
}

impl Place for &Servers {
    fn label(&self) -> Result<Label> {
        runtime()?.block_on(async {
            let mut main = self.main.connect().await?;
            read::label(&mut main).await.with_context(|| self.main.to_string())
        })
    }

    fn hold_still(&self) -> Result<(Snapshot, Option<Box<dyn source::Gate + '_>>)> {
        let (snapshot, gate) = self.hold(true)?;
        Ok((snapshot, Some(Box::new(gate::HeldGate { servers: self, gate }))))
    }

    fn kept_counts(&self) -> Result<Option<Vec<u64>>> {
        let count = async |(database, part): &(Database, Part)| {
            let mut shard = database.connect().await?;
            let (counted, _) = read::state(&mut shard, part).await.with_context(|| database.to_string())?;
            anyhow::Ok(u64::try_from(counted.map_or(0, |sums| sums.results)).unwrap_or(0))
        };
        runtime()?.block_on(async {
            let mut main = self.main.connect().await?;
            let (label, recorded) = (read::label(&mut main).await?, read::recorded(&mut main).await?);
            let mut counts = Vec::new();
            for shard in &self.shards(&label, &recorded).await? {
                counts.push(count(shard).await?);
            }
            Ok(Some(counts))
        })
    }

    fn settle(&self) -> Result<()> {
        self.gate_and_catalogue()?.0.settle(&self.addresses)
    }
}

/// Holds a shard still; nothing, when a table was made or removed meanwhile. An engine ends long transactions, so that its lanes
/// are read as they are.
async fn hold_shard(
    connection: &mut Conn,
    part: &Part,
    number: u16,
    dataset: &str,
    position: i64,
) -> Result<Option<Shard>> {
    // A snapshot does not see tables made after it began, though their names are seen.
    let before = read::tables(connection).await?;
    if !part.is_lanes() {
        hold_one(connection).await?;
    }
    if read::tables(connection).await? != before {
        return Ok(None);
    }
    read::check_dataset(connection, part, number, dataset).await?;
    Ok(Some(read::shard(connection, part, number, before, position).await?))
}

/// Has the connection see one moment from now on, and change nothing.
async fn hold_one(connection: &mut Conn) -> Result<()> {
    connection.query_drop("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ").await?;
    connection.query_drop("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY").await?;
    Ok(())
}

/// The auditor's own: one thread, as long as it reads.
fn runtime() -> Result<Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}

/// The server of each shard that main has recorded, by its place in the list of them.
type Recorded = BTreeMap<u16, u16>;

/// The position to which main has applied each shard's outbox.
type Positions = BTreeMap<u16, i64>;

impl fmt::Display for Servers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}", self.main.name(), self.main.host())
    }
}
