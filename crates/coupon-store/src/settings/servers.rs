//! The `[servers]` section: where MySQL, Redis and RabbitMQ are.

use std::fmt;
use std::num::{NonZeroU64, NonZeroUsize};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::de::{Deserializer, Error as _};
use serde::{Deserialize, Serialize};

/// The servers' backend.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServersSettings {
    /// The main MySQL: `mysql://user:password@host:3306`, or `mysql://user:password@host:3306,other:3306` with its replica.
    pub main: ServerUrl,
    /// The shards' MySQLs. Shard i is made on the server i mod their number, each in its own database, and stays there when
    /// servers are added at the end. A replica is named as main's is.
    #[serde(deserialize_with = "list_or_text")]
    pub shards: Vec<ServerUrl>,
    /// The engine that has the shards, where the strategy is one for an engine: `mysql://user:password@host:3306/keyspace`.
    pub engine: ServerUrl,
    /// Redis: `redis://:password@host:6379` or, where Sentinels say which one it is,
    /// `redis+sentinel://:password@host:26379,host2:26379/service`; or a list of them, among which coupons are divided.
    #[serde(deserialize_with = "list_or_text")]
    pub redis: Vec<ServerUrl>,
    /// RabbitMQ: `amqp://user:password@host:5672/%2f`, or a list of them, one for each node of a cluster.
    #[serde(deserialize_with = "list_or_text")]
    pub rabbitmq: Vec<ServerUrl>,
    /// The authority that signed the servers' certificates, as a PEM file; empty for those that browsers trust.
    pub ca_file: PathBuf,
    /// The prefix of the names of databases, keys and queues; empty for `coupon_` and the name of the strategy.
    pub namespace: String,
    /// The part of the work that this process does.
    #[serde(deserialize_with = "super::choice")]
    pub role: Role,
    /// Connections of this process to each MySQL server for queries.
    pub pool: NonZeroUsize,
    /// The time a batch waits for the gate, in milliseconds.
    pub gate_timeout_ms: NonZeroU64,
    /// The time a batch waits for its queue's confirmation, in milliseconds.
    pub publish_timeout_ms: NonZeroU64,
    /// The time between two looks through pending reservations, in milliseconds.
    pub reconcile_ms: NonZeroU64,
}

impl ServersSettings {
    /// Gives every address the certificate authority to trust.
    pub(super) fn hand_out_ca(&mut self) {
        let lists = self.shards.iter_mut().chain(&mut self.redis).chain(&mut self.rabbitmq);
        for url in lists.chain([&mut self.main, &mut self.engine]) {
            url.ca_file.clone_from(&self.ca_file);
        }
    }

    /// The time a batch waits for its queue's confirmation.
    #[must_use]
    pub const fn publish_timeout(&self) -> Duration {
        Duration::from_millis(self.publish_timeout_ms.get())
    }
}

/// The part of the work that a process does. Processes of both kinds may run side by side, as many as one likes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Takes grabs and answers queries.
    Api,
    /// Stores what was grabbed; takes no grabs.
    Consumer,
    /// Both.
    All,
}

impl Role {
    /// As the setting spells it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::Consumer => "consumer",
            Self::All => "all",
        }
    }

    /// True if it takes grabs.
    #[must_use]
    pub const fn takes_grabs(self) -> bool {
        matches!(self, Self::Api | Self::All)
    }

    /// True if it stores grabs.
    #[must_use]
    pub const fn consumes(self) -> bool {
        matches!(self, Self::Consumer | Self::All)
    }
}

/// A server's address with its password, which is never printed, and the certificate authority to trust there.
#[derive(Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(from = "String")]
pub struct ServerUrl {
    url: String,
    ca_file: PathBuf,
}

impl From<String> for ServerUrl {
    fn from(url: String) -> Self {
        Self { url, ca_file: PathBuf::new() }
    }
}

impl ServerUrl {
    /// The URL as it was set.
    pub fn new(url: impl Into<String>) -> Self {
        url.into().into()
    }

    /// The URL, password included: for drivers alone.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.url
    }

    /// The file with the authority that signed its certificate; `None` for those that browsers trust.
    #[must_use]
    pub fn ca_file(&self) -> Option<&Path> {
        (!self.ca_file.as_os_str().is_empty()).then_some(&*self.ca_file)
    }

    /// True if none was set.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.url.is_empty()
    }

    /// Host and port, without user and password; several, with commas between them, where it names several servers.
    #[must_use]
    pub fn host(&self) -> &str {
        self.parts().1
    }

    /// The name of what is addressed on the server: of a database, or of an engine's keyspace. Empty where none is named.
    #[must_use]
    pub fn name(&self) -> &str {
        let (_, _, behind) = self.parts();
        behind.strip_prefix('/').and_then(|name| name.split('?').next()).unwrap_or_default()
    }

    /// The hosts that it names and, behind them, what they know it by: no user, and no password.
    #[must_use]
    pub fn named(&self) -> String {
        let (_, hosts, behind) = self.parts();
        let behind = behind.split('?').next().unwrap_or_default();
        format!("{hosts}{}", behind.trim_end_matches('/'))
    }

    /// The address of each server that it names: they share everything but host and port.
    pub fn each(&self) -> impl Iterator<Item = Self> + '_ {
        let (before, hosts, behind) = self.parts();
        hosts
            .split(',')
            .map(move |host| Self { url: format!("{before}{host}{behind}"), ca_file: self.ca_file.clone() })
    }

    /// Everything up to the hosts, the hosts, and everything behind them.
    fn parts(&self) -> (&str, &str, &str) {
        let scheme = self.url.find("://").map_or(0, |at| at + 3);
        // The password first: it may hold anything that ends a host.
        let (before, rest) = self.url.split_at(self.url.rfind('@').map_or(scheme, |at| at + 1));
        let (hosts, behind) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        (before, hosts, behind)
    }
}

impl fmt::Debug for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.host())
    }
}

/// The environment has no lists: there, addresses are separated by commas; in a file, by commas or lines. What follows a comma
/// and has no scheme is a further server of the address before it.
fn list_or_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<ServerUrl>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum ListOrText {
        List(Vec<ServerUrl>),
        Text(String),
    }
    let read = ListOrText::deserialize(deserializer)
        .map_err(|_| D::Error::custom("give a list of addresses, or one text with commas between them"))?;
    Ok(match read {
        ListOrText::List(list) => list,
        ListOrText::Text(text) => text.lines().flat_map(addresses).map(ServerUrl::new).collect(),
    })
}

fn addresses(line: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for part in line.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        match found.last_mut() {
            Some(before) if !part.contains("://") => before.extend([",", part]),
            _ => found.push(part.to_owned()),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::NoSettings;
    use crate::settings::Sources;

    fn read(flags: &[&str]) -> ServersSettings {
        let flags = flags.iter().map(|flag| (*flag).to_owned()).collect();
        let service_defaults = "listen = \"127.0.0.1:8001\"".to_owned();
        let sources = Sources { flags, service_defaults, ..Sources::default() };
        sources.read::<NoSettings>("own").unwrap().0.servers
    }

    #[test]
    fn shards_are_a_list_or_a_text_with_commas() {
        let listed = read(&[r#"servers.shards=["mysql://a:1@h:1", "mysql://a:1@h:2"]"#]);
        let text = read(&["servers.shards=mysql://a:1@h:1, mysql://a:1@h:2"]);
        assert_eq!(listed.shards, text.shards);
        assert_eq!(text.shards[1].host(), "h:2");
    }

    #[test]
    fn an_address_may_name_a_server_and_its_replica() {
        let (one, two) = ("mysql://a:1@h:1,r:1", "mysql://a:2@h:2,r:2/?require_ssl=true");
        let listed = read(&[&format!(r#"servers.shards=["{one}", "{two}"]"#)]);
        let text = read(&[&format!("servers.shards={one}, {two}")]);
        assert_eq!(listed.shards, text.shards);
        let each: Vec<String> = text.shards[1].each().map(|url| url.expose().to_owned()).collect();
        let wanted = ["mysql://a:2@h:2/?require_ssl=true", "mysql://a:2@r:2/?require_ssl=true"];
        assert_eq!((text.shards[1].host(), &*each), ("h:2,r:2", &wanted.map(str::to_owned)[..]));
    }

    #[test]
    fn a_password_with_a_comma_ends_no_address() {
        let text = read(&["servers.shards=mysql://a:1,2@h:1,r:1"]);
        let [only] = &*text.shards else { panic!("{:?}", text.shards) };
        let each: Vec<String> = only.each().map(|url| url.expose().to_owned()).collect();
        assert_eq!(each, ["mysql://a:1,2@h:1", "mysql://a:1,2@r:1"]);
    }

    #[test]
    fn nodes_of_rabbitmq_are_one_address_or_several() {
        let hosts = |flag: &str| -> Vec<String> {
            read(&[flag]).rabbitmq.iter().map(|url| url.host().to_owned()).collect()
        };
        assert_eq!(hosts("servers.rabbitmq=amqp://a:1@h:1/%2f"), ["h:1"]);
        for several in
            ["amqp://a:1@h:1/%2f,amqp://a:1@h:2/%2f", r#"["amqp://a:1@h:1/%2f", "amqp://a:1@h:2/%2f"]"#]
        {
            assert_eq!(hosts(&format!("servers.rabbitmq={several}")), ["h:1", "h:2"]);
        }
        assert!(read(&[]).rabbitmq.is_empty());
    }

    #[test]
    fn gates_are_one_address_or_several_and_sentinels_are_of_one() {
        let named =
            |flag: &str| -> Vec<String> { read(&[flag]).redis.iter().map(ServerUrl::named).collect() };
        assert_eq!(named("servers.redis=redis://:1@h:1"), ["h:1"]);
        assert_eq!(named("servers.redis=redis+sentinel://:1@h:1,i:1/m"), ["h:1,i:1/m"]);
        for several in [
            "redis://:1@h:1,redis+sentinel://:1@i:1,j:1/m",
            r#"["redis://:1@h:1", "redis+sentinel://:1@i:1,j:1/m"]"#,
        ] {
            assert_eq!(named(&format!("servers.redis={several}")), ["h:1", "i:1,j:1/m"]);
        }
        assert!(read(&[]).redis.is_empty());
    }

    #[test]
    fn an_address_may_name_a_database_or_a_keyspace() {
        for (url, name) in [
            ("mysql://u:p@h:1/results", "results"),
            ("mysql://u:a/b?c@h:1/results?require_ssl=true", "results"),
            ("mysql://u:a/b@h:1", ""),
            ("mysql://h:1/?require_ssl=true", ""),
            ("", ""),
        ] {
            assert_eq!(ServerUrl::new(url).name(), name, "{url}");
        }
    }

    #[test]
    fn every_address_knows_whom_to_trust() {
        let settings = read(&[
            "servers.ca_file=/etc/ca.pem",
            "servers.shards=mysql://h:1",
            "servers.redis=rediss://h",
            "servers.rabbitmq=amqps://h,amqps://i",
        ]);
        let lists = settings.shards.iter().chain(&settings.redis).chain(&settings.rabbitmq);
        for url in lists.chain([&settings.main, &settings.engine]) {
            assert_eq!(url.ca_file(), Some(Path::new("/etc/ca.pem")));
        }
        assert_eq!(read(&[]).main.ca_file(), None);
    }

    #[test]
    fn a_password_is_never_printed() {
        let settings = read(&["servers.main=mysql://coupon:se@cret@db.example:3306/x", "servers.role=api"]);
        assert_eq!(format!("{:?}", settings.main), "db.example:3306");
        assert_eq!(ServerUrl::new("mysql://coupon:12/34?5@db:3306/x").host(), "db:3306");
        assert_eq!(ServerUrl::new("redis+sentinel://:1@h:1,h:2/mymaster").host(), "h:1,h:2");
        assert!(settings.role.takes_grabs() && !settings.role.consumes());
        let engine = read(&["servers.engine=mysql://coupon:se@cret@gate.example:3306/results"]).engine;
        assert_eq!(format!("{engine:?}"), "gate.example:3306");
    }
}
