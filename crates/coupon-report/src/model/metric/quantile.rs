//! The percentiles of a latency.

use crate::model::{Figure, LatencyMs, Reading};

/// A percentile of a latency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Quantile {
    P50,
    P90,
    P99,
    P999,
}

impl Quantile {
    /// All of them, the lowest first.
    pub const ALL: [Self; 4] = [Self::P50, Self::P90, Self::P99, Self::P999];

    /// The number of requests of which one is slower than it (but for a median); with fewer, the percentile is the slowest
    /// request under another name.
    #[must_use]
    pub fn least_requests(self) -> u64 {
        match self {
            Self::P50 => 1,
            Self::P90 => 10,
            Self::P99 => 100,
            Self::P999 => 1_000,
        }
    }

    /// Reads that percentile of a round with that number of requests.
    pub(crate) fn of(self, requests: u64, latency: &Reading<LatencyMs>) -> Figure {
        let latency = match latency {
            Reading::Known(latency) => latency,
            Reading::Unknown(reason) => return Figure::unknown(reason),
        };
        let least = self.least_requests();
        if requests < least {
            return Figure::unknown(format!("a {} takes {least} requests a round", self.label()));
        }
        Figure::of(match self {
            Self::P50 => latency.p50,
            Self::P90 => latency.p90,
            Self::P99 => latency.p99,
            Self::P999 => latency.p999,
        })
    }

    /// The percentile as people write it: `p99.9`.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::P50 => "p50",
            Self::P90 => "p90",
            Self::P99 => "p99",
            Self::P999 => "p99.9",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_that_no_request_was_slower_than_is_no_figure() {
        let latency = LatencyMs { p50: 1.0, p90: 2.0, p99: 3.0, p999: 4.0, max: 5.0 };
        let of = |quantile: Quantile, requests| quantile.of(requests, &Reading::Known(latency));
        assert_eq!(of(Quantile::P99, 100), Figure::of(3.0));
        assert_eq!(of(Quantile::P99, 99).reason(), Some("a p99 takes 100 requests a round"));
        assert_eq!(of(Quantile::P50, 99), Figure::of(1.0));
    }
}
