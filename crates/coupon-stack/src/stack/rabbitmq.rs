//! The nodes of RabbitMQ among the servers of a stack.

use anyhow::{Context as _, Result};

use super::Stack;
use crate::{Server, fault_tools, rabbitmq};

impl Stack {
    /// Runs `rabbitmqctl` on the first node of RabbitMQ with these arguments, and returns what it prints.
    ///
    /// # Errors
    /// When it cannot be run, or fails; the error says what it printed.
    pub fn rabbitmqctl(&self, arguments: &[&str]) -> Result<String> {
        self.rabbitmqctl_on(Server::RabbitMq(0), arguments)
    }

    /// Runs it on a node.
    ///
    /// # Errors
    /// As for [`Self::rabbitmqctl`], and when there is no such node.
    pub fn rabbitmqctl_on(&self, node: Server, arguments: &[&str]) -> Result<String> {
        fault_tools::rabbitmqctl(self.world(), self.node(node)?, arguments)
    }

    /// Asks the first node of RabbitMQ which node leads a quorum queue.
    ///
    /// # Errors
    /// When it cannot be asked, or no node of this stack does.
    pub fn leader_of(&self, queue: &str) -> Result<Server> {
        let queues = self.rabbitmqctl(&["--silent", "list_queues", "name", "leader"])?;
        let leader = queues.lines().find_map(|line| line.split_once('\t').filter(|(name, _)| *name == queue));
        let (_, leader) = leader.with_context(|| format!("there is no queue {queue}"))?;
        let mut nodes = Server::nodes_of_rabbitmq(&self.topology);
        let found = nodes.find(|node| rabbitmq::erlang_name(&node.to_string()) == leader);
        found.with_context(|| format!("queue {queue} has the leader {leader:?}"))
    }

    /// Cuts a node of RabbitMQ off from the others, both ways: it does not take their cookie any more. Clients still reach it.
    ///
    /// # Errors
    /// When it cannot be told.
    pub fn cut_off(&self, node: Server) -> Result<()> {
        self.tell_of_others(node, "erlang:set_cookie(Node, cut_off), erlang:disconnect_node(Node)")
    }

    /// Lets a node of RabbitMQ find the others again.
    ///
    /// # Errors
    /// When it cannot be told.
    pub fn join_again(&self, node: Server) -> Result<()> {
        self.tell_of_others(node, "erlang:set_cookie(Node, erlang:get_cookie())")
    }

    /// Has a node of RabbitMQ do something for each of the others, at once.
    fn tell_of_others(&self, node: Server, does: &str) -> Result<()> {
        let others = Server::nodes_of_rabbitmq(&self.topology).filter(|other| *other != node);
        let names = others.map(|other| format!("'{}'", rabbitmq::erlang_name(&other.to_string())));
        let each = format!("[begin {does} end || Node <- [{}]].", names.collect::<Vec<_>>().join(", "));
        self.rabbitmqctl_on(node, &["eval", &each]).map(drop)
    }
}
