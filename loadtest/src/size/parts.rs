//! The parts that are needed, what they are limited by, and the costs that this is from.

use coupon_core::{GateCount, SLOTS};
use coupon_measure::format::{count, number};

use super::work::{MICROS, Numbers, SaleWork};
use super::{Costs, MeasuredCost, PartMachines, SalePart, SalePlan, costs};

impl SaleWork<'_> {
    /// All of it.
    pub(super) fn plan(&self) -> SalePlan {
        let numbers = self.settled();
        let parts = self.parts(&numbers);
        let machines = || parts.iter().filter_map(|part| part.machines);
        let all: u64 = machines().map(|machines| machines.number).sum();
        SalePlan {
            grabs: self.grabs,
            machines: all,
            cores: machines().map(|machines| machines.cores).sum(),
            euros_an_hour: self.sale.core_hour.map(|euros| euros * all as f64 * f64::from(self.sale.cores)),
            batch: numbers.batch,
            batch_ms: (self.granted > 0.0).then(|| self.comes_in(&numbers)),
            rows_a_message: numbers.rows_a_message,
            queued_rows: (self.granted - self.stored).max(0.0),
            limits: self.limits(&numbers),
            costs: self.costs(&numbers),
            parts,
        }
    }

    /// The parts, the one that is full first before the others.
    fn parts(&self, numbers: &Numbers) -> Vec<SalePart> {
        let mut parts = vec![
            self.service(numbers),
            self.gate(numbers),
            self.hottest_coupon(numbers),
            self.queue(numbers),
            self.nodes(numbers),
            self.shard(numbers),
            self.main(),
        ];
        let takes = |part: &SalePart| part.one_takes.unwrap_or(f64::INFINITY);
        parts.sort_by(|one, other| takes(one).total_cmp(&takes(other)));
        parts
    }

    /// Parts of which so many, or such a part of one, would be full.
    fn part(&self, name: &'static str, full: f64, needed: f64, machines: Option<PartMachines>) -> SalePart {
        let one_takes = (full > 0.0 && self.grabs > 0).then(|| self.grabs as f64 / full);
        SalePart { name, one_takes, needed: needed as u64, machines }
    }

    /// Machines for so many cores and bytes a second.
    fn machines(&self, least: f64, cores: f64, bytes: f64) -> Option<PartMachines> {
        let number = (cores / self.machine_cores()).max(bytes / self.card_bytes()).ceil().max(least);
        Some(PartMachines { number: number as u64, cores, bytes })
    }

    fn service(&self, numbers: &Numbers) -> SalePart {
        let Numbers { services, service_cores, .. } = *numbers;
        let machines = self.machines(services, service_cores, self.service_bytes());
        self.part("service", service_cores / self.machine_cores(), services, machines)
    }

    fn gate(&self, numbers: &Numbers) -> SalePart {
        let full = self.granted / self.gate_takes(numbers.batch);
        let all = numbers.gates * self.each();
        let least = (all / f64::from(self.sale.cores)).ceil().max(self.each());
        let cores = full * self.sale.load * self.each();
        let machines = self.machines(least, cores, self.replicated_bytes(self.granted));
        self.part("gate", full * self.sale.skew, numbers.gates, machines)
    }

    fn hottest_coupon(&self, numbers: &Numbers) -> SalePart {
        self.part("hottest coupon", self.hottest / self.gate_takes(numbers.batch), 1.0, None)
    }

    fn queue(&self, numbers: &Numbers) -> SalePart {
        self.part("queue", self.queues_full(numbers.rows_a_message), numbers.shards, None)
    }

    fn nodes(&self, numbers: &Numbers) -> SalePart {
        let copies = f64::from(self.sale.copies);
        let cores = self.message_cores(numbers.rows_a_message) * (1.0 + (copies - 1.0) * self.sale.copy_cost);
        // Received, sent to the nodes of the other copies and received there, and sent to a consumer.
        let sent = self.granted * (1.0 + 2.0 * (copies - 1.0)) + self.stored;
        let machines = self.machines(copies, cores, sent * self.sale.row_bytes as f64);
        let needed = machines.map_or(copies, |machines| machines.number as f64);
        self.part("RabbitMQ", cores / (self.machine_cores() * copies), needed, machines)
    }

    fn shard(&self, numbers: &Numbers) -> SalePart {
        let asked = self.single + self.scattered * numbers.shards;
        let reads =
            self.single * self.costs.read_shard + self.scattered * numbers.shards * self.costs.scatter_shard;
        let cores = (self.stored * self.costs.stored * self.each() + reads) / MICROS;
        let bytes = self.replicated_bytes(self.stored) + asked * self.sale.read_bytes as f64;
        self.part("shard", self.shards_full(), numbers.shards, self.machines(self.each(), cores, bytes))
    }

    /// There is one main, whatever it has to do.
    fn main(&self) -> SalePart {
        let cores = self.main_cores();
        let machines = PartMachines { number: self.each() as u64, cores: cores * self.each(), bytes: 0.0 };
        self.part("main", cores / self.machine_cores(), 1.0, Some(machines))
    }

    /// An original and its replicas.
    fn each(&self) -> f64 {
        1.0 + f64::from(self.sale.replicas)
    }

    /// Bytes of rows that an original receives, sends to each replica, and that these receive.
    fn replicated_bytes(&self, rows: f64) -> f64 {
        rows * (1.0 + 2.0 * f64::from(self.sale.replicas)) * self.sale.row_bytes as f64
    }

    fn main_cores(&self) -> f64 {
        self.granted * self.costs.main / MICROS
    }

    /// What is too much for a part that there can be only one of.
    fn limits(&self, numbers: &Numbers) -> Vec<String> {
        let planned = self.machine_cores();
        let takes = self.gate_takes(numbers.batch);
        let (scattered, main) = (self.scattered_cores(), self.main_cores());
        let whole = |grabs: f64| count(grabs as u64);
        let limit = |is_beyond: bool, why: String| is_beyond.then_some(why);
        let limits = [
            limit(
                self.hottest > takes,
                format!(
                    "one coupon: {} grabs/s of it, of which a gate decides {}, and no other can",
                    whole(self.hottest),
                    whole(takes)
                ),
            ),
            limit(
                numbers.gates > GateCount::MOST as f64,
                format!("gates: {}, and a data set has {} at most", whole(numbers.gates), GateCount::MOST),
            ),
            limit(
                scattered >= planned,
                format!(
                    "reads of all shards: {} cores of each shard, whose machine has {}",
                    number(scattered),
                    number(planned)
                ),
            ),
            limit(
                numbers.shards > f64::from(SLOTS),
                format!(
                    "shards: {}, and rows are hashed into {} slots",
                    whole(numbers.shards),
                    count(SLOTS.into())
                ),
            ),
            limit(
                main > planned,
                format!("main: {} cores, and its machine has {}", number(main), number(planned)),
            ),
        ];
        limits.into_iter().flatten().collect()
    }

    /// The costs that played a part.
    fn costs(&self, numbers: &Numbers) -> Vec<MeasuredCost> {
        let Costs { service, gate, queue, .. } = self.costs;
        let Costs { main, from_memory, stored, shard_rows, read_service, read_shard, scatter_shard, .. } =
            *self.costs;
        let micros = |what, value, from| MeasuredCost { what, value, unit: "µs", from };
        let mut all = vec![
            micros("a grab in a service", service.at(numbers.batch), costs::OF_BATCHES),
            micros("a grab in a gate", gate.at(numbers.batch), costs::OF_BATCHES),
            micros("a grab in RabbitMQ, first copy", queue.at(numbers.rows_a_message), costs::OF_BATCHES),
            micros("a grab in main, at most", main, costs::USUAL),
            micros("a row in a shard", stored, costs::CONSUMER),
            MeasuredCost {
                what: "rows that a shard stores",
                value: shard_rows,
                unit: "/s",
                from: costs::CONSUMER,
            },
        ];
        if self.refused > 0.0 {
            all.push(micros("a refusal from memory", from_memory, costs::SOLD_OUT));
        }
        if self.single > 0.0 {
            all.push(micros("a read of one shard there, at most", read_shard, costs::ONE_SHARD));
        }
        if self.scattered > 0.0 {
            all.push(micros("a read of all shards in each, at most", scatter_shard, costs::ALL_SHARDS));
        }
        if self.single + self.scattered > 0.0 {
            all.push(micros("a read in a service, a shard, at most", read_service, costs::ONE_SHARD));
        }
        if self.sale.batch.is_none() {
            let from = if self.sale.batch_time.is_some() { "--batch-time" } else { costs::HALF_RATE };
            all.push(MeasuredCost { what: "a batch is under way", value: self.batch_ms(), unit: "ms", from });
        }
        all
    }
}
