//! What a second of a sale asks of the parts, and the numbers of those whose numbers depend on each other.

use super::costs::rows_a_message;
use super::{Costs, Sale};

/// The most grabs of a batch, `grab.batch_max` as it is by default.
const MOST: f64 = 1_024.0;
pub(super) const MICROS: f64 = 1e6;

/// What a second of a sale brings.
pub(super) struct SaleWork<'a> {
    pub(super) sale: &'a Sale,
    pub(super) costs: &'a Costs,
    pub(super) grabs: u64,
    pub(super) granted: f64,
    /// Of the hottest coupon.
    pub(super) hottest: f64,
    pub(super) refused: f64,
    pub(super) stored: f64,
    /// Reads of one shard.
    pub(super) single: f64,
    /// Reads of all shards.
    pub(super) scattered: f64,
}

/// The numbers of what depends on each other: batches, and the parts that they are divided among.
#[derive(Debug, Clone, Copy)]
pub(super) struct Numbers {
    pub(super) batch: f64,
    pub(super) gates: f64,
    pub(super) shards: f64,
    pub(super) rows_a_message: f64,
    pub(super) services: f64,
    pub(super) service_cores: f64,
}

impl<'a> SaleWork<'a> {
    pub(super) fn new(grabs: u64, sale: &'a Sale, costs: &'a Costs) -> Self {
        let all = grabs as f64;
        let granted = all * sale.granted;
        let scattered = sale.reads as f64 * sale.scatter;
        Self {
            sale,
            costs,
            grabs,
            granted,
            hottest: granted * sale.hot_coupon,
            refused: all - granted,
            stored: sale.rows.map_or(granted, |rows| rows as f64),
            single: sale.reads as f64 - scattered,
            scattered,
        }
    }

    /// The cores of a machine that are planned to be busy.
    pub(super) fn machine_cores(&self) -> f64 {
        f64::from(self.sale.cores) * self.sale.load
    }

    /// The bytes a second that a machine is planned to send and receive.
    pub(super) fn card_bytes(&self) -> f64 {
        self.sale.gbit * 1e9 / 8.0 * self.sale.load
    }

    pub(super) fn batch_ms(&self) -> f64 {
        self.sale.batch_time.map_or(self.costs.batch_ms, |time| time.as_secs_f64() * 1e3)
    }

    /// Grabs a second that a gate decides, on its one core.
    pub(super) fn gate_takes(&self, batch: f64) -> f64 {
        self.sale.load * MICROS / self.costs.gate.at(batch)
    }

    /// Coupons are dealt to gates by hash, so the gate of the hottest one decides as many of the others as any gate.
    fn gates(&self, batch: f64) -> f64 {
        let takes = self.gate_takes(batch);
        let left = takes - self.hottest;
        // A coupon that is more than a gate takes is a limit, and no reason for more gates.
        let left = if left > 0.0 { left } else { takes };
        at_least_one((self.granted - self.hottest) * self.sale.skew / left)
    }

    /// Cores of a shard's machine that reads of all shards take, whatever the number of shards.
    pub(super) fn scattered_cores(&self) -> f64 {
        self.scattered * self.costs.scatter_shard / MICROS * self.sale.skew
    }

    /// Shards for what is spread over them, by the rows that one stores and by the cores of a machine.
    pub(super) fn shards_full(&self) -> f64 {
        let cores = (self.stored * self.costs.stored + self.single * self.costs.read_shard) / MICROS;
        let left = self.machine_cores() - self.scattered_cores();
        let left = if left > 0.0 { left } else { self.machine_cores() };
        let by_rows = self.stored / (self.costs.shard_rows * self.sale.load);
        by_rows.max(cores / left) * self.sale.skew
    }

    /// Cores that the first copies of messages keep busy.
    pub(super) fn message_cores(&self, rows_a_message: f64) -> f64 {
        self.granted * self.costs.queue.at(rows_a_message) / MICROS
    }

    /// Queues that are full, each with as many cores as the work for one can use.
    pub(super) fn queues_full(&self, rows_a_message: f64) -> f64 {
        self.message_cores(rows_a_message) * self.sale.skew / (self.sale.queue_cores * self.sale.load)
    }

    /// A shard has one queue. The more there are, the smaller are messages, and the more work they are.
    fn shards(&self, batch: f64) -> (f64, f64) {
        let mut shards = at_least_one(self.shards_full());
        loop {
            let rows = rows_a_message(batch, shards);
            let queues = at_least_one(self.queues_full(rows));
            if queues <= shards {
                return (shards, rows);
            }
            shards = queues;
        }
    }

    fn numbers(&self, batch: f64) -> Numbers {
        let (shards, rows_a_message) = self.shards(batch);
        let service_cores = (self.granted * self.costs.service.at(batch)
            + self.refused * self.costs.from_memory
            + (self.single + self.scattered * shards) * self.costs.read_service)
            / MICROS;
        let services = at_least_one(
            (service_cores / self.machine_cores()).max(self.service_bytes() / self.card_bytes()),
        );
        Numbers { batch, gates: self.gates(batch), shards, rows_a_message, services, service_cores }
    }

    /// Milliseconds in which one worker gets a batch for one gate.
    pub(super) fn comes_in(&self, numbers: &Numbers) -> f64 {
        let workers = numbers.services * f64::from(self.sale.cores);
        numbers.batch * numbers.gates * workers / self.granted * 1e3
    }

    /// The batches that come in while the one before is under way. From the largest one down, since a smaller one makes for more
    /// parts, among which it is smaller still.
    pub(super) fn settled(&self) -> Numbers {
        if let Some(batch) = self.sale.batch {
            return self.numbers(batch.into());
        }
        let mut numbers = self.numbers(MOST);
        loop {
            let fitting = (numbers.batch * self.batch_ms() / self.comes_in(&numbers)).floor().max(1.0);
            if fitting >= numbers.batch {
                return numbers;
            }
            numbers = self.numbers(fitting);
        }
    }

    pub(super) fn service_bytes(&self) -> f64 {
        let Sale { reads, request_bytes, read_bytes, row_bytes, .. } = self.sale;
        // To a gate, to a queue, and from the queue to a shard.
        let rows = (2.0 * self.granted + 2.0 * self.stored) * *row_bytes as f64;
        self.grabs as f64 * *request_bytes as f64 + *reads as f64 * *read_bytes as f64 + rows
    }
}

fn at_least_one(full: f64) -> f64 {
    full.ceil().max(1.0)
}
