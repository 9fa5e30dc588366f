//! Databases with a replica among the servers of a stack: which of two takes writes.

use std::fs;

use anyhow::{Context as _, Result, bail, ensure};

use super::Stack;
use crate::node::Node;
use crate::record::Part;
use crate::{Server, mysql, pair};

impl Stack {
    /// True if a server is a database's and takes no writes: a replica, or one whose place another has taken.
    ///
    /// # Errors
    /// When there is no such server.
    pub fn is_read_only(&self, server: Server) -> Result<bool> {
        Ok(self.node(server)?.part() != Part::Primary)
    }

    /// True if a server is what it is to be as part of a pair: it takes writes, or follows the one that does.
    ///
    /// # Errors
    /// When there is no such server, or it cannot be asked.
    pub fn is_in_place(&self, server: Server) -> Result<bool> {
        let node = self.node(server)?;
        match node.part() {
            Part::Primary => Ok(true),
            Part::Replica => pair::follows(&self.programs.mysql, node),
            Part::Demoted => Ok(false),
        }
    }

    /// Has a replica take writes: it applies what it has received, and takes the place of the primary. That is stopped if it
    /// runs, and is read-only when it comes back.
    ///
    /// # Errors
    /// When it is no replica, does not run, or cannot apply what it has received.
    pub fn promote(&self, server: Server) -> Result<()> {
        let (node, primary) = (self.node(server)?, self.other(server)?);
        match node.part() {
            Part::Replica => {}
            Part::Primary => bail!("{server} takes writes already"),
            Part::Demoted => bail!("{server} may lack what {} has: rejoin it first", primary.name()),
        }
        ensure!(node.identity().is_some(), "{server} does not run");
        // Before another takes writes: it must not come back as one that does.
        primary.takes_part(Part::Demoted);
        self.save()?;
        primary.end_if_up()?;
        pair::promote(&self.programs.mysql, node)?;
        node.takes_part(Part::Primary);
        self.save()
    }

    /// Makes a server the replica of the one that takes writes, by a copy of its files: both are stopped for a moment.
    ///
    /// # Errors
    /// When it takes writes itself, or one of the two does not start.
    pub fn rejoin(&self, server: Server) -> Result<()> {
        let (node, primary) = (self.node(server)?, self.other(server)?);
        ensure!(node.part() != Part::Primary, "{server} takes writes: no other has taken its place");
        ensure!(
            primary.part() == Part::Primary,
            "{} takes no writes: promote one of the two first",
            primary.name()
        );
        node.end_if_up()?;
        primary.end_if_up()?;
        if node.data().exists() {
            fs::remove_dir_all(node.data()).with_context(|| format!("the data of {server}"))?;
        }
        mysql::copy_data(primary.data(), node.data())?;
        primary.restart(self.world())?;
        node.restart(self.world())?;
        pair::is_copied(&self.programs.mysql, node)?;
        pair::attach(&self.programs.mysql, primary, node)?;
        node.takes_part(Part::Replica);
        self.save()
    }

    /// Runs statements on a database server of a pair, as the user who may write to one that is read-only.
    ///
    /// # Errors
    /// When it does not run, or refuses one of them.
    pub fn run_sql(&self, server: Server, sql: &str) -> Result<()> {
        self.other(server)?;
        self.node(server)?.run(&self.programs.mysql, sql).map(drop)
    }

    /// The other server of a pair.
    pub(super) fn other(&self, server: Server) -> Result<&Node> {
        ensure!(self.topology.replicas, "this stack has no replicas");
        self.node(server.other().with_context(|| format!("{server} is no database"))?)
    }
}
