//! The `[limits]` section: what one client may take of the service.

use std::num::{NonZeroU32, NonZeroU64, NonZeroUsize};
use std::time::Duration;

use serde::Deserialize;

/// What clients may take.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LimitSettings {
    /// Grabs a second that one user may try for long; 0 sets no limit.
    pub user_grabs_per_s: u32,
    /// How many of them a user may try at once.
    pub user_grab_burst: NonZeroU32,
    /// Open connections of the process; beyond it new ones wait to be accepted.
    pub connections: NonZeroUsize,
    /// Open connections of one address; beyond it new ones are refused. 0 sets no limit.
    pub connections_per_ip: u32,
    /// How long a client may take to send a request's headers, in milliseconds.
    pub head_ms: NonZeroU64,
    /// How long a request's body may take to arrive, in milliseconds.
    pub body_ms: NonZeroU64,
    /// How long a connection is kept without a request, in milliseconds.
    pub idle_ms: NonZeroU64,
    /// How long an answer may lie unread before its connection is cut, in milliseconds.
    pub unread_ms: NonZeroU32,
}

impl LimitSettings {
    /// How long a client may take to send a request's headers.
    #[must_use]
    pub const fn head(&self) -> Duration {
        Duration::from_millis(self.head_ms.get())
    }

    /// How long a request's body may take to arrive.
    #[must_use]
    pub const fn body(&self) -> Duration {
        Duration::from_millis(self.body_ms.get())
    }

    /// How long a connection is kept without a request.
    #[must_use]
    pub const fn idle(&self) -> Duration {
        Duration::from_millis(self.idle_ms.get())
    }
}
