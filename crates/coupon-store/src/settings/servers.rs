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
    /// The main MySQL: `mysql://user:password@host:3306`.
    pub main: ServerUrl,
    /// The shards' MySQLs. Shard i is made on the server i mod their number, each in its own database, and stays there when
    /// servers are added at the end.
    #[serde(deserialize_with = "list_or_text")]
    pub shards: Vec<ServerUrl>,
    /// The engine that has the shards, where the strategy is one for an engine: `mysql://user:password@host:3306/keyspace`.
    pub engine: ServerUrl,
    /// Redis: `redis://:password@host:6379`.
    pub redis: ServerUrl,
    /// RabbitMQ: `amqp://user:password@host:5672/%2f`.
    pub rabbitmq: ServerUrl,
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
        let single = [&mut self.main, &mut self.redis, &mut self.rabbitmq, &mut self.engine];
        for url in single.into_iter().chain(&mut self.shards) {
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

    /// Host and port, without user and password.
    #[must_use]
    pub fn host(&self) -> &str {
        self.without_login().split(['/', '?']).next().unwrap_or_default()
    }

    /// The name of what is addressed on the server: of a database, or of an engine's keyspace. Empty where none is named.
    #[must_use]
    pub fn name(&self) -> &str {
        let name = self.without_login().split_once('/').map_or("", |(_, name)| name);
        name.split('?').next().unwrap_or_default()
    }

    fn without_login(&self) -> &str {
        let rest = self.url.split_once("://").map_or(&*self.url, |(_, rest)| rest);
        // The password first: it may hold anything that ends a host.
        rest.rsplit_once('@').map_or(rest, |(_, host)| host)
    }
}

impl fmt::Debug for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.host())
    }
}

/// The environment has no lists: there, addresses are separated by commas; in a file, by commas or lines.
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
        ListOrText::Text(text) => text
            .split([',', '\n'])
            .map(str::trim)
            .filter(|part| !part.is_empty())
            .map(ServerUrl::new)
            .collect(),
    })
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
        let settings =
            read(&["servers.ca_file=/etc/ca.pem", "servers.shards=mysql://h:1", "servers.redis=rediss://h"]);
        let others = [&settings.main, &settings.redis, &settings.rabbitmq, &settings.engine];
        for url in settings.shards.iter().chain(others) {
            assert_eq!(url.ca_file(), Some(Path::new("/etc/ca.pem")));
        }
        assert_eq!(read(&[]).main.ca_file(), None);
    }

    #[test]
    fn a_password_is_never_printed() {
        let settings = read(&["servers.main=mysql://coupon:se@cret@db.example:3306/x", "servers.role=api"]);
        assert_eq!(format!("{:?}", settings.main), "db.example:3306");
        assert_eq!(ServerUrl::new("mysql://coupon:12/34?5@db:3306/x").host(), "db:3306");
        assert!(settings.role.takes_grabs() && !settings.role.consumes());
        let engine = read(&["servers.engine=mysql://coupon:se@cret@gate.example:3306/results"]).engine;
        assert_eq!(format!("{engine:?}"), "gate.example:3306");
    }
}
