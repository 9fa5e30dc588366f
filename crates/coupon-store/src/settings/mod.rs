//! Settings: defaults in the binary, then a TOML file, then `COUPON__…` in the environment, then flags.

mod choice;
mod files;
mod limits;
mod secret;
mod servers;
mod shown;
mod sources;

use std::net::SocketAddr;
use std::num::{NonZeroU16, NonZeroUsize};
use std::path::PathBuf;

use serde::Deserialize;

pub use choice::choice;
pub use limits::LimitSettings;
pub use secret::Secret;
pub use servers::{Role, ServerUrl, ServersSettings};
pub use shown::{shown, shown_arguments};
pub use sources::{SettingsError, Sources, section};

/// Everything that can be set, but for the strategy's own section.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The address to listen on; port 0 takes any that is free.
    pub listen: SocketAddr,
    /// HTTP workers, each a thread with its own pipeline.
    pub workers: NonZeroUsize,
    /// The number of shards that the strategy spreads results over.
    pub shards: NonZeroU16,
    /// Shards that are to be open at least, whether or not the layout uses them; 0: those alone that it uses.
    pub shards_prepared: u16,
    /// True if the data set has a room index, or is to be made with one.
    pub room_index: bool,
    /// The backend that stores everything.
    #[serde(deserialize_with = "choice")]
    pub backend: BackendKind,
    /// The `[embedded]` section.
    pub embedded: EmbeddedSettings,
    /// The `[servers]` section.
    pub servers: ServersSettings,
    /// The `[grab]` section.
    pub grab: GrabSettings,
    /// The `[limits]` section.
    pub limits: LimitSettings,
    /// The `[users]` section.
    pub users: UserSettings,
    /// The `[reads]` section.
    pub reads: ReadSettings,
    /// The `[cache]` section.
    pub cache: CacheSettings,
    /// The `[admin]` section.
    pub admin: AdminSettings,
    /// The `[simulate]` section.
    pub simulate: SimulateSettings,
    /// The `[bench]` section.
    pub bench: BenchSettings,
    /// The `[log]` section.
    pub log: LogSettings,
    /// The `[telemetry]` section.
    pub telemetry: TelemetrySettings,
}

impl Settings {
    /// The number of shards that are to be open at least.
    #[must_use]
    pub fn shards_prepared(&self) -> NonZeroU16 {
        NonZeroU16::new(self.shards_prepared).unwrap_or(self.shards).max(self.shards)
    }

    /// The part of the work that a process with these settings does.
    #[must_use]
    pub const fn role(&self) -> Role {
        match self.backend {
            BackendKind::Embedded => Role::All,
            BackendKind::Servers => self.servers.role,
        }
    }
}

/// The settings that decide where data lives.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StorageSettings {
    /// The number of shards that the strategy spreads results over.
    pub shards: NonZeroU16,
    /// True if the data set has a room index, or is to be made with one.
    pub room_index: bool,
    /// The backend that stores everything.
    #[serde(deserialize_with = "choice")]
    pub backend: BackendKind,
    /// The `[embedded]` section.
    pub embedded: EmbeddedSettings,
    /// The `[servers]` section.
    pub servers: ServersSettings,
}

impl StorageSettings {
    /// Its settings and sections.
    pub(crate) const KEYS: [&str; 5] = ["shards", "room_index", "backend", "embedded", "servers"];
}

/// The backend that stores everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BackendKind {
    /// SQLite files in a folder of this machine.
    Embedded,
    /// MySQL, Redis and RabbitMQ.
    Servers,
}

/// The embedded backend.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EmbeddedSettings {
    /// The data folder; by default `data/` and the name of the strategy, in the working folder.
    pub data: PathBuf,
    /// Reading threads, and connections, a shard.
    pub readers: NonZeroUsize,
    /// The largest a shard's file may grow, in MiB; 0 sets no limit.
    pub max_file_mb: u32,
}

/// The grab pipeline.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GrabSettings {
    /// The decider of grabs.
    #[serde(deserialize_with = "choice")]
    pub decided_by: DecidedBy,
    /// The most grabs one batch takes.
    pub batch_max: NonZeroUsize,
    /// The most batches of one worker that are under way at once.
    pub in_flight: NonZeroUsize,
    /// The most grabs that wait for a batch on one worker; beyond it they get 503.
    pub waiting_max: NonZeroUsize,
    /// The time for which a worker repeats "sold out" and "duplicate" without asking the gate again, in milliseconds, 1000
    /// at most: so late may stock that came back be seen. 0: never.
    pub memory_ms: u64,
    /// The most results that wait to reach one shard's tables; beyond it that shard's grabs get 503.
    pub shard_backlog: NonZeroUsize,
}

/// The decider of grabs: the gate, or the database.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DecidedBy {
    /// The gate, before the hand-over.
    #[default]
    Gate,
    /// The transaction that stores the result, in the one shard's database: there is neither a gate nor a queue.
    Database,
}

/// Queries.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReadSettings {
    /// The time to wait for a shard before answering without it, in milliseconds.
    pub timeout_ms: NonZeroUsize,
}

/// Caches.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CacheSettings {
    /// The greatest age of a room's statistics, in milliseconds; 0 asks the shards every time.
    pub room_stats_ms: u64,
}

/// The admin endpoints.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdminSettings {
    /// The bearer token they ask for; without one they answer on loopback only.
    pub token: Secret,
}

/// Users, as far as they must prove who they are.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserSettings {
    /// The key of users' tokens; without one no token is asked for.
    pub token_secret: Secret,
    /// The treatment of users whom the main database does not know.
    #[serde(deserialize_with = "choice")]
    pub unknown: UnknownUsers,
}

/// The treatment of users whom the main database does not know.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UnknownUsers {
    /// They are 404.
    #[default]
    Refuse,
    /// They are users like others, since their accounts live elsewhere: their tokens say who they are.
    Accept,
}

/// A real deployment's properties that this machine lacks.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SimulateSettings {
    /// The round trip to add before every call of a shard, in milliseconds.
    pub shard_rtt_ms: f64,
}

/// Benchmarks.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BenchSettings {
    /// True if `POST /bench/echo` answers: a grab's JSON in and out with nothing between, the ceiling of a grab.
    pub echo: bool,
}

/// Logs.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogSettings {
    /// `text` for people, `json` for machines.
    #[serde(deserialize_with = "choice")]
    pub format: LogFormat,
    /// The lines that are logged: a level, or directives as `tracing-subscriber` takes them.
    pub level: String,
}

/// Traces.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TelemetrySettings {
    /// The OpenTelemetry collector that traces go to, as `http://127.0.0.1:4318`; without one there are none.
    pub otlp_endpoint: String,
    /// The share of traces to record that no caller began, from 0 to 1.
    pub sample: f64,
}

/// The form of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Text for people.
    Text,
    /// JSON for machines.
    Json,
}

/// The section of a strategy that has no settings.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoSettings {}
