//! An engine's servers among those of a stack.

use std::path::Path;
use std::thread;

use anyhow::{Context, Result, ensure};
use coupon_core::KeyRange;

use super::{Stack, joined};
use crate::engine::{self, Control, Tablet, Tablets};
use crate::kind::ServerKind;
use crate::node::Node;
use crate::programs::{self, EnginePrograms, Programs};
use crate::tls::Tls;
use crate::{Server, install};

impl Stack {
    /// Starts etcd and vtctld, which knows there what there is.
    pub(super) fn start_control(&self) -> Result<()> {
        [ServerKind::Etcd, ServerKind::Vtctld].into_iter().try_for_each(|kind| self.start_kind(kind))
    }

    /// Starts the rest of an engine, over databases that run.
    pub(super) fn start_engine(&self) -> Result<()> {
        self.control()?.make_keyspace()?;
        self.start_tablets(&self.used_tablets()?)?;
        self.start_kind(ServerKind::Vtgate)
    }

    fn start_kind(&self, kind: ServerKind) -> Result<()> {
        self.of_kind(kind).try_for_each(|node| node.start(self.world()))
    }

    /// The tablets to be started. A change of shards that was cut short leaves others, whose shards are gone, or were never
    /// made; each would make its shard when it starts, though others serve these ids.
    fn used_tablets(&self) -> Result<Vec<Tablet>> {
        let shards = self.control()?.shards()?;
        let is_used = |tablet: &&Tablet| {
            let is_there = shards.iter().any(|shard| shard.range == tablet.range);
            let mut serving = shards.iter().filter(|shard| shard.serves);
            is_there || !serving.any(|shard| shard.range.overlaps(tablet.range))
        };
        Ok(self.tablets.iter().flat_map(Tablets::all).filter(is_used).copied().collect())
    }

    /// Starts tablets, makes their shards, and lets each take writes that is the first of its shard.
    fn start_tablets(&self, tablets: &[Tablet]) -> Result<()> {
        let control = self.control()?;
        let shards = control.shards()?;
        let known = |tablet: &Tablet| shards.iter().find(|shard| shard.range == tablet.range);
        for tablet in tablets.iter().filter(|tablet| known(tablet).is_none()) {
            control.create_shard(tablet.range)?;
        }
        thread::scope(|scope| {
            let start = |tablet: &Tablet| {
                let node = self.node(tablet.server())?;
                if node.identity().is_some() { Ok(()) } else { node.start(self.world()) }
            };
            let starts: Vec<_> = tablets.iter().map(|tablet| scope.spawn(move || start(tablet))).collect();
            starts.into_iter().try_for_each(joined)
        })?;
        let waiting = |tablet: &&Tablet| !known(tablet).is_some_and(|shard| shard.has_primary);
        tablets.iter().filter(waiting).try_for_each(|tablet| control.make_primary(*tablet))
    }

    /// Gives each of these shards of the engine a tablet, if it has none that runs.
    pub(crate) fn add_tablets(&mut self, ranges: &[KeyRange]) -> Result<()> {
        let tablets = self.tablets.as_mut().context("this stack has no engine")?;
        let mut wanted = Vec::new();
        for range in ranges {
            let tablet = match tablets.of_shard(*range) {
                Some(tablet) => tablet,
                None => {
                    let tablet = tablets.add(*range);
                    let name = tablet.server().to_string();
                    self.nodes.push(Node::new(ServerKind::Tablet(tablet), name, &self.dir)?);
                    tablet
                }
            };
            wanted.push(tablet);
        }
        // As at the first start: a server that runs is in the record.
        self.save()?;
        self.start_tablets(&wanted)?;
        self.save()
    }

    /// Ends the tablets of these shards, which serve nothing. What is in their databases stays.
    pub(crate) fn remove_tablets(&mut self, ranges: &[KeyRange]) -> Result<()> {
        let tablets = self.tablets.as_mut().context("this stack has no engine")?;
        for tablet in ranges.iter().filter_map(|range| tablets.of_shard(*range)).collect::<Vec<_>>() {
            let name = tablet.server().to_string();
            if let Some(at) = self.nodes.iter().position(|node| node.name() == name) {
                let node = self.nodes.remove(at);
                node.begin_end(false)?;
                node.finish_end()?;
            }
            tablets.remove(tablet);
        }
        self.save()
    }

    /// Starts what ran of the engine and does so no more. Returns whether vtctld ran still.
    pub(crate) fn ensure_engine(&self) -> Result<bool> {
        let ran = self.node(Server::Vtctld)?.identity().is_some();
        let ensure = |server| self.node(server)?.ensure_running(self.world());
        [Server::Etcd, Server::Vtctld].into_iter().try_for_each(ensure)?;
        for tablet in self.used_tablets()? {
            // One that was recorded, and never started, is the next step's.
            if self.node(tablet.server())?.port() != 0 {
                ensure(tablet.server())?;
            }
        }
        ensure(Server::Vtgate)?;
        self.save()?;
        Ok(ran)
    }

    /// The engine's tools.
    pub(crate) fn control(&self) -> Result<Control> {
        let port = |server| Ok::<_, anyhow::Error>(self.node(server)?.port());
        Ok(Control::new(self.programs.engine()?, port(Server::Vtctld)?, port(Server::Etcd)?))
    }
}

/// Finds the programs of an engine over these, and lets them into the stack's folder.
pub(super) fn engine_programs(programs: &Programs, dir: &Path) -> Result<EnginePrograms> {
    let flavour = programs.mysql.flavour();
    ensure!(
        flavour == "MySQL",
        "an engine takes a MySQL server, and this one is {flavour}: {}=/path/to/mysqld names another",
        programs::MYSQL
    );
    ensure!(Tls::of(dir).is_none(), "an engine takes servers that do not encrypt, and these do");
    let found = install::engine()?;
    engine::open_to_programs(dir, &found)?;
    Ok(found)
}
