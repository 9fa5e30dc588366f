//! The servers that contestants share: given ones, or private ones that go with the run.

use std::num::NonZeroU16;
use std::sync::{Arc, OnceLock};

use anyhow::{Context, Result};
use coupon_audit::Data;
use coupon_core::ShardingStrategy;
use coupon_measure::Figure;
use coupon_seeding::{SeedOptions, audited};
use coupon_stack::{Server, Stack, Topology};
use coupon_store::settings::{ServerUrl, ServersSettings, Sources};

use super::drivers;
use super::rabbitmq_version;
use super::server_process::{self, Pid};

/// The addresses of MySQL, Redis and RabbitMQ, and the servers themselves where they are private.
#[derive(Debug)]
pub struct SharedServers {
    settings: ServersSettings,
    stack: Option<Arc<Stack>>,
    /// The process of each MySQL server of the shards, or why there is none to be found; looked for once.
    processes: OnceLock<Vec<Result<Pid, String>>>,
}

/// The use that the server of a shard has made of its machine since it was started.
#[derive(Debug, Clone, PartialEq)]
pub struct Used {
    /// CPU time in seconds.
    pub cpu_seconds: Figure,
    /// Bytes that it made the system write.
    pub bytes_written: Figure,
}

impl SharedServers {
    /// Servers that run already.
    #[must_use]
    pub const fn given(settings: ServersSettings) -> Self {
        Self { settings, stack: None, processes: OnceLock::new() }
    }

    /// Servers of this run's own, one MySQL for each shard; they stop when this is dropped. Over them an engine of so many
    /// shards, if one is wanted.
    ///
    /// # Errors
    /// When they are not installed or do not start, or this program was built without servers.
    pub fn private(shards: NonZeroU16, engine: Option<NonZeroU16>) -> Result<Self> {
        Self::start(Topology { shards, engine, ..Topology::default() })
    }

    /// Starts a stack for this run.
    ///
    /// # Errors
    /// As for [`Self::private`].
    pub fn start(topology: Topology) -> Result<Self> {
        drivers::ensure_built()?;
        let stack = Stack::start(&topology.into())?;
        let sources = Sources { flags: stack.addresses().settings(), ..Sources::default() };
        let settings = sources.read_storage()?.servers;
        Ok(Self { settings, stack: Some(Arc::new(stack)), processes: OnceLock::new() })
    }

    /// The same servers, of which the first so many Redis alone are gates.
    #[must_use]
    pub fn with_gates(&self, gates: usize) -> Self {
        let mut settings = self.settings.clone();
        settings.redis.truncate(gates);
        Self { settings, stack: self.stack.clone(), processes: OnceLock::new() }
    }

    /// The servers themselves, if they are this run's own.
    #[must_use]
    pub fn stack(&self) -> Option<&Stack> {
        self.stack.as_deref()
    }

    /// The settings that name them.
    pub const fn settings(&self) -> &ServersSettings {
        &self.settings
    }

    /// Gives each shard's server so many cores and no more.
    ///
    /// # Errors
    /// The reason why it cannot, in one line.
    pub fn limit_cpu(&self, cores: f64) -> Result<(), String> {
        let stack = self.stack.as_ref().ok_or("only servers of this run's own can be given a quota")?;
        self.numbers().try_for_each(|server| stack.limit_cpu(Server::Shard(server), cores))
    }

    /// Says whether a shard is on another machine than this one.
    #[must_use]
    pub fn is_elsewhere(&self) -> bool {
        !self.settings.shards.iter().all(server_process::is_local)
    }

    /// The versions of its servers, by name, as far as they say.
    #[must_use]
    pub fn versions(&self) -> Vec<(&'static str, String)> {
        let shown = |version: Result<String, String>| version.unwrap_or_else(|why| format!("n/a: {why}"));
        let redis = drivers::redis_version(&self.settings).map_err(|error| format!("{error:#}"));
        let mysql = server_process::version(&self.settings.main);
        let node =
            self.settings.rabbitmq.first().ok_or_else(|| "setting `servers.rabbitmq` is missing".to_owned());
        let rabbitmq = node.and_then(rabbitmq_version::version);
        vec![("mysql", shown(mysql)), ("redis", shown(redis)), ("rabbitmq", shown(rabbitmq))]
    }

    /// The settings of a namespace on these servers, as a service takes them from its environment: passwords are for no
    /// list of processes.
    pub fn environment(&self, namespace: &str) -> Vec<(&'static str, String)> {
        let ServersSettings { main, shards, redis, rabbitmq, engine, .. } = &self.settings;
        let list = |urls: &[ServerUrl]| urls.iter().map(ServerUrl::expose).collect::<Vec<_>>().join(",");
        let mut environment = vec![
            ("COUPON__BACKEND", "servers".to_owned()),
            ("COUPON__SERVERS__MAIN", main.expose().to_owned()),
            ("COUPON__SERVERS__SHARDS", list(shards)),
            ("COUPON__SERVERS__REDIS", list(redis)),
            ("COUPON__SERVERS__RABBITMQ", list(rabbitmq)),
            ("COUPON__SERVERS__NAMESPACE", namespace.to_owned()),
        ];
        if !engine.is_empty() {
            environment.push(("COUPON__SERVERS__ENGINE", engine.expose().to_owned()));
        }
        environment
    }

    /// The data of a namespace, for the auditor.
    ///
    /// # Errors
    /// When a setting is missing or cannot be used; the error names it.
    pub fn data(&self, namespace: &str) -> Result<Data> {
        audited(&self.settings, namespace)
    }

    /// Fills a namespace. What an earlier run, cut short, has left there goes.
    pub fn seed(
        &self,
        namespace: &str,
        strategy: &dyn ShardingStrategy,
        options: &SeedOptions,
    ) -> Result<()> {
        // Its services went with that run, however it ended.
        self.wipe(namespace, strategy)?;
        coupon_seeding::seed_servers(
            &self.of(namespace),
            strategy,
            options,
            false,
            &mut coupon_seeding::Silent,
        )?;
        Ok(())
    }

    /// Removes a namespace, but from servers that are about to go themselves.
    pub(super) fn clear(&self, namespace: &str, strategy: &dyn ShardingStrategy) -> Result<()> {
        if self.stack.is_some() { Ok(()) } else { self.wipe(namespace, strategy) }
    }

    /// Removes a namespace.
    pub fn wipe(&self, namespace: &str, strategy: &dyn ShardingStrategy) -> Result<()> {
        drivers::wipe(&self.of(namespace), strategy)
            .with_context(|| format!("the data of namespace {namespace} is still there"))
    }

    /// The settings of a namespace on these servers.
    pub fn of(&self, namespace: &str) -> ServersSettings {
        ServersSettings { namespace: namespace.to_owned(), ..self.settings.clone() }
    }

    /// The use that the servers of that many shards have made of their machines since they were started.
    #[must_use]
    pub fn used(&self, shards: u16) -> Vec<Used> {
        let servers = self.settings.shards.len().max(1);
        (0..usize::from(shards))
            .map(|shard| self.used_by(shard, shard % servers, usize::from(shards)))
            .collect()
    }

    /// CPU seconds that each server's process has used since it was started, by the server's name; none of servers that
    /// were not started here, nor of a Redis that is no gate.
    #[must_use]
    pub fn cpu_seconds(&self) -> Vec<(String, Figure)> {
        let Some(stack) = &self.stack else { return Vec::new() };
        let used = |server: Server| match stack.usage(server) {
            Ok(usage) => Figure::of(usage.cpu_seconds),
            Err(error) => Figure::unknown(format!("{error:#}")),
        };
        let gates = self.settings.redis.len();
        let is_used = |server: &Server| !matches!(server, Server::Gate(gate) if usize::from(*gate) >= gates);
        stack.servers().filter(is_used).map(|server| (server.to_string(), used(server))).collect()
    }

    fn used_by(&self, shard: usize, server: usize, shards: usize) -> Used {
        let host = |server: usize| self.settings.shards.get(server).map(ServerUrl::host);
        let servers = self.settings.shards.len().max(1);
        let other = (0..shards).find(|other| *other != shard && host(other % servers) == host(server));
        if let Some(other) = other {
            let why = format!("it shares its server with shard {other}");
            return Used { cpu_seconds: Figure::unknown(&*why), bytes_written: Figure::unknown(why) };
        }
        match &self.stack {
            Some(stack) => of_stack(stack, server),
            None => self.of_given(server),
        }
    }

    fn of_given(&self, server: usize) -> Used {
        let Some(url) = self.settings.shards.get(server) else {
            let why = "setting `servers.shards` is missing";
            return Used { cpu_seconds: Figure::unknown(why), bytes_written: Figure::unknown(why) };
        };
        let processes =
            self.processes.get_or_init(|| self.settings.shards.iter().map(server_process::find).collect());
        let process = processes
            .get(server)
            .map_or(Err("it was not looked for"), |process| process.as_ref().map_err(String::as_str));
        let cpu = process.map_err(str::to_owned).and_then(Pid::cpu_seconds);
        Used {
            cpu_seconds: cpu.map_or_else(Figure::unknown, Figure::of),
            bytes_written: server_process::bytes_written(url).into(),
        }
    }

    fn numbers(&self) -> impl Iterator<Item = u16> {
        (0..).zip(&self.settings.shards).map(|(number, _)| number)
    }
}

fn of_stack(stack: &Stack, server: usize) -> Used {
    match u16::try_from(server).map_err(anyhow::Error::from).and_then(|n| stack.usage(Server::Shard(n))) {
        Ok(usage) => Used {
            cpu_seconds: Figure::of(usage.cpu_seconds),
            bytes_written: Figure::of(usage.bytes_written as f64),
        },
        Err(error) => {
            let why = format!("{error:#}");
            Used { cpu_seconds: Figure::unknown(&*why), bytes_written: Figure::unknown(why) }
        }
    }
}

/// The namespace of a contestant: what its name is, in the letters that a namespace may have.
pub(super) fn namespace(contestant: &str) -> String {
    let plain = |c: char| if c.is_ascii_lowercase() || c.is_ascii_digit() { c } else { '_' };
    format!("lt_{}", contestant.chars().map(plain).collect::<String>())
}

#[cfg(test)]
mod tests {
    use coupon_strategies::REGISTER;

    use super::*;

    fn given(shards: &str) -> SharedServers {
        let flags =
            vec![format!("servers.shards={shards}"), "servers.main=mysql://a:b@127.0.0.1:1".to_owned()];
        SharedServers::given(Sources { flags, ..Sources::default() }.read_storage().unwrap().servers)
    }

    #[test]
    fn every_contestant_has_a_namespace_of_its_own() {
        let known = REGISTER.known();
        let mut namespaces: Vec<String> = known.iter().map(|name| namespace(name)).collect();
        assert!(namespaces.contains(&"lt_range_room_spread".to_owned()));
        let site = given("mysql://a:b@127.0.0.1:1");
        assert!(namespaces.iter().all(|namespace| site.data(namespace).is_ok()));
        namespaces.sort();
        namespaces.dedup();
        assert_eq!(namespaces.len(), known.len());
    }

    #[test]
    fn work_on_a_server_of_several_shards_is_counted_for_none_of_them() {
        let site = given("mysql://a:b@127.0.0.1:1,mysql://a:b@127.0.0.1:2");
        let used = site.used(3);
        assert_eq!(used[0].cpu_seconds.reason(), Some("it shares its server with shard 2"));
        assert_ne!(used[1].cpu_seconds.reason(), used[0].cpu_seconds.reason());
        let twice = given("mysql://a:b@127.0.0.1:1/,mysql://b:c@127.0.0.1:1");
        assert_eq!(twice.used(2)[1].bytes_written.reason(), Some("it shares its server with shard 0"));
    }

    #[test]
    fn a_server_that_does_not_answer_has_no_figures() {
        let used = given("mysql://a:b@127.0.0.1:1").used(1);
        assert!(used[0].cpu_seconds.value().is_none() && used[0].bytes_written.value().is_none(), "{used:?}");
    }

    #[test]
    fn servers_of_somebody_else_get_no_quota() {
        assert!(given("mysql://a:b@127.0.0.1:1").limit_cpu(0.5).unwrap_err().contains("this run's own"));
    }

    #[test]
    fn an_environment_says_the_same_as_the_settings() {
        let site = given("mysql://a:b@127.0.0.1:1,mysql://a:b@127.0.0.1:2");
        let environment = site.environment("lt_hash");
        let of = |wanted: &str| {
            environment.iter().find(|(name, _)| *name == wanted).map(|(_, value)| value.as_str())
        };
        assert_eq!(of("COUPON__SERVERS__SHARDS"), Some("mysql://a:b@127.0.0.1:1,mysql://a:b@127.0.0.1:2"));
        assert_eq!(of("COUPON__SERVERS__NAMESPACE"), Some("lt_hash"));
    }
}
