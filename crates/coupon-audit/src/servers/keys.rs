//! The keys of a data set's gate.

use anyhow::{Context, Result};
use mysql_async::Conn;
use mysql_async::prelude::Queryable as _;

use super::names::{NO_GATE, Namespace};
use super::read;

/// Data set and epoch of the gate, which are part of the keys to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct GateKeys {
    namespace: Namespace,
    dataset: String,
    epoch: u64,
    open_epoch: u64,
    /// True if the database decides grabs: then there is none.
    pub(super) by_database: bool,
}

impl GateKeys {
    /// Reads main's record of it.
    pub(super) async fn read(main: &mut Conn, namespace: &Namespace, dataset: &str) -> Result<Self> {
        let sql = "SELECT epoch, open_epoch FROM gate_state";
        let state: Option<(u64, u64)> = main.query_first(sql).await?;
        let (epoch, open_epoch) = state.context("main does not tell the gate's epoch")?;
        let by_database = read::gate_address(main).await?.is_some_and(|address| address == NO_GATE);
        let (namespace, dataset) = (namespace.clone(), dataset.to_owned());
        Ok(Self { namespace, dataset, epoch, open_epoch, by_database })
    }

    /// Reads main's present record of it.
    pub(super) async fn again(&self, main: &mut Conn) -> Result<Self> {
        Self::read(main, &self.namespace, &self.dataset).await
    }

    pub(super) fn holders(&self, coupon: i64) -> String {
        self.namespace.holders(&self.dataset, self.open_epoch, coupon)
    }

    /// The reason why there is no gate to look at, if there is none.
    pub(super) fn closed(&self) -> Option<&'static str> {
        match (self.open_epoch, self.epoch) {
            (0, _) => Some("the gate was never opened"),
            (open, taken) if open < taken => Some("the gate was being rebuilt"),
            _ => None,
        }
    }

    /// The sorted set of reservations that are not known to be stored.
    pub(super) fn pending(&self) -> String {
        self.namespace.pending(&self.dataset, self.open_epoch)
    }
}
