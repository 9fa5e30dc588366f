//! The auditor's own law of which gate decides a coupon's grabs, and its connections to the gates.
//!
//! The services choose by code of their own. It is written down here a second time on purpose, and both are held to the same
//! golden vectors (`crates/coupon-core/golden/gates.json`): of several gates, the hash of the id modulo their number.

use anyhow::{Context, Result, ensure};
use redis::Connection;
use xxhash_rust::xxh3::xxh3_64;

use super::connect::{self, Addresses};

/// The place of a coupon's gate among so many.
pub(super) fn place(coupon: i64, gates: usize) -> usize {
    let gates = u64::try_from(gates).unwrap_or(1).max(1);
    usize::try_from(xxh3_64(&coupon.to_le_bytes()) % gates).unwrap_or(0)
}

/// A connection to each gate.
pub(super) struct Lines(Vec<Connection>);

impl Lines {
    /// Connects to the gates of a data set that has so many.
    pub(super) fn open(addresses: &Addresses, gates: usize) -> Result<Self> {
        let named = addresses.redis.len();
        ensure!(named == gates, "setting `servers.redis` names {named} gates, and the data set has {gates}");
        let lines = addresses.redis.iter().map(|url| connect::redis(url, addresses.ca_file.as_deref()));
        Ok(Self(lines.collect::<Result<_>>()?))
    }

    /// The connection to one of them.
    pub(super) fn to(&mut self, gate: usize) -> Result<&mut Connection> {
        self.0.get_mut(gate).context("there is no such gate")
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize)]
    struct Golden {
        gates: usize,
        coupons: Vec<(i64, usize)>,
    }

    #[test]
    fn coupons_belong_to_the_gates_of_the_golden_file() {
        let golden: Vec<Golden> =
            serde_json::from_str(include_str!("../../../coupon-core/golden/gates.json")).unwrap();
        for Golden { gates, coupons } in golden {
            for (coupon, gate) in coupons {
                assert_eq!(place(coupon, gates), gate, "coupon {coupon} of {gates} gates");
            }
        }
    }
}
