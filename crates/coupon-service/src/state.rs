//! The state that every request handler shares: one value, made once, the same for all workers.

use std::sync::Arc;
use std::time::Instant;

use coupon_store::Backend;
use coupon_store::clock::Clock;
use coupon_store::settings::Settings;

use crate::limits::{Connections, UserLimit};
use crate::pipeline::GrabCounters;
use crate::queries::Queries;
use crate::room_cache::RoomStatsCache;
use crate::route_metrics::RouteMetrics;
use crate::telemetry::traces::Traces;
use crate::user_token::UserTokens;

/// A running service: its backend, and what it has counted so far.
#[derive(Debug)]
pub struct Service {
    /// `hash-svc`, `range-svc`, …
    pub name: String,
    /// The store of all rows.
    pub backend: Arc<Backend>,
    /// Executes the layout's plans.
    pub queries: Queries,
    /// Counts of grabs by outcome.
    pub counters: Arc<GrabCounters>,
    /// The rate at which each user may grab, if that is limited.
    pub grab_limit: Option<UserLimit>,
    /// The rate at which each user may give back what they hold, if that is limited.
    pub return_limit: Option<UserLimit>,
    /// Open connections.
    pub(crate) connections: Arc<Connections>,
    /// Reads users' tokens, if they need any.
    pub user_tokens: Option<UserTokens>,
    /// Rooms' statistics, if they may be a little old.
    pub room_stats: RoomStatsCache,
    /// The time of day.
    pub clock: Clock,
    /// The settings it was started with.
    pub settings: Settings,
    /// The exporter of traces, if they are exported.
    pub(crate) traces: Option<Arc<Traces>>,
    /// Counts of answers on each route.
    pub(crate) route_metrics: RouteMetrics,
    /// The time at which the service started.
    pub started: Instant,
}
