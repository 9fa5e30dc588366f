//! Kinds of load that take turns: a service, its requests, the connections, the rate.

use std::fmt;
use std::time::Duration;

use coupon_loadgen::load::Arrivals;
use coupon_measure::format::{count, number};

use super::measured::{Load, What};

/// A kind of load that takes a turn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct LoadKind {
    /// The one of a section's services, where there are several; else empty.
    pub(super) service: &'static str,
    pub(super) what: What,
    pub(super) connections: usize,
    /// Requests a second that arrive whether or not answers do; without one, each answer is followed by a request.
    pub(super) rate: Option<f64>,
}

impl LoadKind {
    /// In a closed loop.
    pub(crate) const fn closed(what: What, connections: usize) -> Self {
        Self { service: "", what, connections, rate: None }
    }

    /// The same, to another service.
    pub(super) const fn to(self, service: &'static str) -> Self {
        Self { service, ..self }
    }

    pub(crate) fn load(&self, duration: Duration) -> Load {
        let arrivals = self.rate.map_or(Arrivals::Closed, |rate| Arrivals::Open { rate });
        Load { what: self.what, arrivals, connections: self.connections, duration }
    }
}

impl fmt::Display for LoadKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.what {
            What::Echo => "echo",
            What::Grab { .. } | What::Overload { .. } => "grab",
            What::GrabNamed { .. } => "named grab",
            What::SoldOut => "sold out",
            What::Again { .. } => "duplicate",
        };
        if !self.service.is_empty() {
            write!(f, "{}, ", self.service)?;
        }
        write!(f, "{what} over {} connections", count(self.connections as u64))?;
        self.rate.map_or(Ok(()), |rate| write!(f, " at {}/s", number(rate)))
    }
}
