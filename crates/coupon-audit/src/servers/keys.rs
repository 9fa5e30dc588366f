//! The keys of a data set's gates.

use anyhow::{Context, Result};
use mysql_async::Conn;
use mysql_async::prelude::Queryable as _;

use super::names::{NO_GATE, Namespace};
use super::{gates, read};

/// Data set and epochs of the gates, which are part of the keys to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct GateKeys {
    namespace: Namespace,
    dataset: String,
    /// Of each gate, in order.
    epochs: Vec<Epochs>,
    /// True if the database decides grabs: then there is none.
    pub(super) by_database: bool,
}

/// A gate's epochs, as main has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Epochs {
    taken: u64,
    open: u64,
}

impl GateKeys {
    /// Reads main's record of them.
    pub(super) async fn read(main: &mut Conn, namespace: &Namespace, dataset: &str) -> Result<Self> {
        let epochs = |(taken, open)| Epochs { taken, open };
        let mut several = Vec::new();
        if read::has(&read::tables(main).await?, "gates") {
            several = main.query_map("SELECT epoch, open_epoch FROM gates ORDER BY gate", epochs).await?;
        }
        if several.is_empty() {
            let sql = "SELECT epoch, open_epoch FROM gate_state";
            let one = main.query_first(sql).await?.map(epochs);
            several.push(one.context("main does not tell the gate's epoch")?);
        }
        let by_database = read::gate_address(main).await?.is_some_and(|address| address == NO_GATE);
        let (namespace, dataset) = (namespace.clone(), dataset.to_owned());
        Ok(Self { namespace, dataset, epochs: several, by_database })
    }

    /// The number of gates.
    pub(super) fn count(&self) -> usize {
        self.epochs.len()
    }

    /// The place of a coupon's gate.
    pub(super) fn of(&self, coupon: i64) -> usize {
        gates::place(coupon, self.count())
    }

    fn open_epoch(&self, gate: usize) -> u64 {
        self.epochs.get(gate).map_or(0, |epochs| epochs.open)
    }

    /// Reads main's present record of it.
    pub(super) async fn again(&self, main: &mut Conn) -> Result<Self> {
        Self::read(main, &self.namespace, &self.dataset).await
    }

    pub(super) fn holders(&self, coupon: i64) -> String {
        self.namespace.holders(&self.dataset, self.open_epoch(self.of(coupon)), coupon)
    }

    /// The reason why there is no gate to look at, if there is none.
    pub(super) fn closed(&self) -> Option<&'static str> {
        self.epochs.iter().find_map(|Epochs { taken, open }| match open {
            0 => Some("the gate was never opened"),
            open if open < taken => Some("the gate was being rebuilt"),
            _ => None,
        })
    }

    /// The sorted set of a gate's reservations that are not known to be stored.
    pub(super) fn pending(&self, gate: usize) -> String {
        self.namespace.pending(&self.dataset, self.open_epoch(gate))
    }
}
