//! The `[limits]` section: what one client may take of the service.

use std::num::{NonZeroU32, NonZeroU64, NonZeroUsize};
use std::time::Duration;

use serde::Deserialize;

/// The limits of clients.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LimitSettings {
    /// Grabs a second that one user may try for long; 0 sets no limit.
    pub user_grabs_per_s: u32,
    /// The number of them that a user may try at once.
    pub user_grab_burst: NonZeroU32,
    /// The number of results that one user may give back at once, by releasing or returning them, and again over each hour; 0
    /// sets no limit.
    pub user_returns_per_h: u32,
    /// Open connections of the process; beyond it new ones wait to be accepted.
    pub connections: NonZeroUsize,
    /// Open connections of one address; beyond it new ones are refused. 0 sets no limit.
    pub connections_per_ip: u32,
    /// The longest that a client may take to send a request's headers, in milliseconds.
    pub head_ms: NonZeroU64,
    /// The longest that a request's body may take to arrive, in milliseconds.
    pub body_ms: NonZeroU64,
    /// The time for which a connection is kept without a request, in milliseconds.
    pub idle_ms: NonZeroU64,
    /// The time after which the connection of an unread answer is cut, in milliseconds.
    pub unread_ms: NonZeroU32,
}

impl LimitSettings {
    /// The longest that a client may take to send a request's headers.
    #[must_use]
    pub const fn head(&self) -> Duration {
        Duration::from_millis(self.head_ms.get())
    }

    /// The longest that a request's body may take to arrive.
    #[must_use]
    pub const fn body(&self) -> Duration {
        Duration::from_millis(self.body_ms.get())
    }

    /// The time for which a connection is kept without a request.
    #[must_use]
    pub const fn idle(&self) -> Duration {
        Duration::from_millis(self.idle_ms.get())
    }
}
