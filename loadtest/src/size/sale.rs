//! The sale, and what is assumed of it and of the machines.

use std::time::Duration;

use coupon_cli::duration::parse_duration;
use coupon_cli::numbers::{between, count, within};
use coupon_measure::format::{count as shown, number, percent};
use serde::Serialize;

/// Parts of a whole.
fn part(text: &str) -> Result<f64, String> {
    between(text, &(0.0..=1.0))
}

/// A sale, and what is assumed of it and of the machines: an option each.
#[derive(Debug, Clone, PartialEq, Serialize, clap::Args)]
pub struct Sale {
    /// The part of the grabs that is granted, 0 to 1; the others are refused from a service's memory, as sold out.
    #[arg(long, value_name = "PART", default_value_t = 1.0, value_parser = part)]
    pub granted: f64,
    /// Rows that the shards store a second; those that are granted beyond it wait in the queues [default: all that are granted]
    #[arg(long, value_name = "N", value_parser = count::<u64>)]
    pub rows: Option<u64>,
    /// Reads of results a second.
    #[arg(long, value_name = "N", default_value = "0", value_parser = count::<u64>)]
    pub reads: u64,
    /// The part of the reads that ask every shard; the others ask one.
    #[arg(long, value_name = "PART", default_value_t = 0.0, value_parser = part)]
    pub scatter: f64,
    /// The part of the granted grabs that is of the hottest coupon. One gate decides all of a coupon. The default is that of a
    /// hot coupon of the standard workload.
    #[arg(long, value_name = "PART", default_value_t = 0.026, value_parser = part)]
    pub hot_coupon: f64,
    /// Grabs of one worker that one gate decides at once [default: what comes in while the batch before is under way]
    #[arg(long, value_name = "N", value_parser = |text: &str| within::<u16>(text, &(1..=1_024)))]
    pub batch: Option<u16>,
    /// How long a batch is under way, through gate and queue [default: the measured p50 of a grab at half the top rate]
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    // Milliseconds are among a plan's costs.
    #[serde(skip)]
    pub batch_time: Option<Duration>,
    /// Cores of a machine. A service has a worker for each.
    #[arg(long, value_name = "N", default_value = "8", value_parser = |text: &str| within::<u16>(text, &(1..=1_024)))]
    pub cores: u16,
    /// The part of a core, of a shard's rate and of a network card that is planned to be used.
    #[arg(long, value_name = "PART", default_value_t = 0.7, value_parser = |text: &str| between(text, &(0.01..=1.0)))]
    pub load: f64,
    /// The share of the fullest gate, queue or shard over the fair share; `loadtest simulate` says it of shards.
    #[arg(long, value_name = "RATIO", default_value_t = 1.05, value_parser = |text: &str| between(text, &(1.0..=100.0)))]
    pub skew: f64,
    /// Nodes of RabbitMQ that have each message.
    #[arg(long, value_name = "N", default_value = "3", value_parser = |text: &str| within::<u16>(text, &(1..=9)))]
    pub copies: u16,
    /// The CPU of a further copy of a message, over that of the first.
    #[arg(long, value_name = "RATIO", default_value_t = 0.5, value_parser = |text: &str| between(text, &(0.0..=10.0)))]
    pub copy_cost: f64,
    /// Cores that the work for one queue can use.
    #[arg(long, value_name = "N", default_value_t = 1.0, value_parser = |text: &str| between(text, &(0.01..=1_024.0)))]
    pub queue_cores: f64,
    /// Replicas of each gate, each shard and main. One writes what its original writes, at the same cost.
    #[arg(long, value_name = "N", default_value = "1", value_parser = |text: &str| within::<u16>(text, &(0..=9)))]
    pub replicas: u16,
    /// Bytes of a request and its answer, but for reads.
    #[arg(long, value_name = "N", default_value = "1000", value_parser = count::<u64>)]
    pub request_bytes: u64,
    /// Bytes of a read and its answer.
    #[arg(long, value_name = "N", default_value = "5000", value_parser = count::<u64>)]
    pub read_bytes: u64,
    /// Bytes of a result each time that it is sent on: to a gate, a queue, a shard, a copy.
    #[arg(long, value_name = "N", default_value = "200", value_parser = count::<u64>)]
    pub row_bytes: u64,
    /// Gigabits a second of a machine's network card.
    #[arg(long, value_name = "N", default_value_t = 10.0, value_parser = |text: &str| between(text, &(0.001..=10_000.0)))]
    pub gbit: f64,
    /// Euros that a core costs an hour, to say what the machines cost.
    #[arg(long, value_name = "EUROS", value_parser = |text: &str| between(text, &(0.0..=1_000.0)))]
    pub core_hour: Option<f64>,
}

impl Sale {
    /// What is assumed, by the option that says otherwise.
    pub(super) fn assumptions(&self) -> Vec<(&'static str, String, &'static str)> {
        let bytes = |bytes: u64| format!("{} B", shown(bytes));
        let mut all = vec![
            ("grabs that are granted", percent(self.granted), "--granted"),
            ("granted grabs that are of the hottest coupon", percent(self.hot_coupon), "--hot-coupon"),
            ("reads a second", shown(self.reads), "--reads"),
            ("reads that ask every shard", percent(self.scatter), "--scatter"),
            ("cores of a machine", shown(self.cores.into()), "--cores"),
            ("a core, a shard's rate, a network card in use", percent(self.load), "--load"),
            ("the fullest gate, queue, shard over the fair share", number(self.skew), "--skew"),
            ("nodes that have each message", shown(self.copies.into()), "--copies"),
            ("CPU of a further copy over that of the first", number(self.copy_cost), "--copy-cost"),
            ("cores that the work for one queue can use", number(self.queue_cores), "--queue-cores"),
            ("replicas of each gate, each shard and main", shown(self.replicas.into()), "--replicas"),
            ("a request and its answer, but for reads", bytes(self.request_bytes), "--request-bytes"),
            ("a read and its answer", bytes(self.read_bytes), "--read-bytes"),
            ("a result, each time that it is sent on", bytes(self.row_bytes), "--row-bytes"),
            ("a machine's network card", format!("{} Gbit/s", number(self.gbit)), "--gbit"),
        ];
        all.extend(self.rows.map(|rows| ("rows stored a second", shown(rows), "--rows")));
        all.extend(self.batch.map(|batch| ("grabs of a batch", shown(batch.into()), "--batch")));
        all.extend(
            self.core_hour.map(|euros| ("euros that a core costs an hour", number(euros), "--core-hour")),
        );
        all
    }
}
