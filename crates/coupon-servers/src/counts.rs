//! The counts of this process's tasks and queues, for `/metrics`.

use std::fmt::Display;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use coupon_core::{GateCount, GateId, PerGate, ShardId};
use coupon_store::measure::AppliedEntries;
use coupon_store::metrics::{Buckets, Exposition, MetricFamily};
use coupon_store::settings::Role;

use super::broker::PublishError;

/// The counts of this process for one shard.
#[derive(Debug)]
pub(super) struct ShardCounts {
    /// From sending a batch's results to the queue's confirmation.
    pub(super) confirm: Buckets,
    /// Of the consumer: results in a transaction, and how long it took.
    pub(super) results: Buckets,
    pub(super) transaction: Buckets,
    /// Messages that the queue has confirmed.
    sent_messages: AtomicU64,
    /// The results in them.
    sent_results: AtomicU64,
    /// Results whose stock came back, and which the gate had not let go of when that was looked at last.
    releases: AtomicU64,
}

/// The counts of this process for one gate.
#[derive(Debug, Default)]
pub(super) struct GateCounts {
    /// The times that it was filled.
    pub(super) fills: AtomicU64,
    /// Reservations that had been pending for long when its reconciler looked last.
    pub(super) pending: AtomicU64,
}

/// The counts of this process.
#[derive(Debug)]
pub(super) struct Counts {
    published: [AtomicU64; OUTCOMES.len()],
    shards: Vec<ShardCounts>,
    pub(super) store_failures: AtomicU64,
    pub(super) applied: AppliedEntries,
    /// From asking for a change of the catalogue to its being enforced everywhere.
    pub(super) catalogue: Buckets,
    pub(super) parked_messages: AtomicU64,
    gates: PerGate<GateCounts>,
    /// Rounds of the reconciler that were done, and those that were not.
    pub(super) rounds: AtomicU64,
    pub(super) failed_rounds: AtomicU64,
    /// Stored rows that were held against the gate.
    pub(super) checked: AtomicU64,
    /// Reservations that were found and handed over again.
    pub(super) reconciled: AtomicU64,
    /// Stored results that the gate lacked, and that were added to it.
    pub(super) restored: AtomicU64,
    /// Results that were not confirmed in time.
    expired: AtomicU64,
    /// Results that the gate has let go of for good.
    let_go: AtomicU64,
}

const OUTCOMES: [&str; 8] =
    ["confirmed", "down", "blocked", "no_route", "refused", "lost", "timed_out", "stuck"];

const fn outcome(sent: &Result<(), PublishError>) -> usize {
    match sent {
        Ok(()) => 0,
        Err(PublishError::Down) => 1,
        Err(PublishError::Blocked) => 2,
        Err(PublishError::NoRoute) => 3,
        Err(PublishError::Refused) => 4,
        Err(PublishError::Lost) => 5,
        Err(PublishError::TimedOut) => 6,
        Err(PublishError::Stuck) => 7,
    }
}

impl Counts {
    pub(super) fn new(shards: u16, gates: GateCount) -> Self {
        let none = |_| ShardCounts {
            confirm: Buckets::seconds(),
            results: Buckets::sizes(),
            transaction: Buckets::seconds(),
            sent_messages: AtomicU64::new(0),
            sent_results: AtomicU64::new(0),
            releases: AtomicU64::new(0),
        };
        Self {
            published: Default::default(),
            shards: (0..shards).map(none).collect(),
            store_failures: AtomicU64::new(0),
            applied: AppliedEntries::default(),
            catalogue: Buckets::seconds(),
            parked_messages: AtomicU64::new(0),
            gates: gates.each(|_| GateCounts::default()),
            rounds: AtomicU64::new(0),
            failed_rounds: AtomicU64::new(0),
            checked: AtomicU64::new(0),
            reconciled: AtomicU64::new(0),
            restored: AtomicU64::new(0),
            expired: AtomicU64::new(0),
            let_go: AtomicU64::new(0),
        }
    }

    /// The counts of a gate.
    pub(super) fn of_gate(&self, gate: GateId) -> &GateCounts {
        self.gates.get(gate)
    }

    /// Takes note of results that expired.
    pub(super) fn expired(&self, results: usize) {
        self.expired.fetch_add(results as u64, Ordering::Relaxed);
    }

    /// Takes note of results that the gate has let go of.
    pub(super) fn let_go(&self, results: usize) {
        self.let_go.fetch_add(results as u64, Ordering::Relaxed);
    }

    /// Takes note of how many results of a shard the gate has not let go of yet.
    pub(super) fn releases_wait(&self, shard: ShardId, results: usize) {
        if let Some(shard) = self.shards.get(shard.index()) {
            shard.releases.store(results as u64, Ordering::Relaxed);
        }
    }

    pub(super) fn published(
        &self,
        shard: ShardId,
        results: usize,
        sent: &Result<(), PublishError>,
        took: Duration,
    ) {
        if let Some(count) = self.published.get(outcome(sent)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        if let (Some(shard), Ok(())) = (self.shards.get(shard.index()), sent) {
            shard.confirm.took(took);
            shard.sent_messages.fetch_add(1, Ordering::Relaxed);
            shard.sent_results.fetch_add(results as u64, Ordering::Relaxed);
        }
    }

    /// Messages that a shard's queue has confirmed, and the results in them.
    pub(super) fn sent(&self, shard: ShardId) -> (u64, u64) {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        self.shards
            .get(shard.index())
            .map_or((0, 0), |shard| (read(&shard.sent_messages), read(&shard.sent_results)))
    }

    pub(super) fn stored(&self, shard: ShardId, results: usize, took: Duration) {
        if let Some(shard) = self.shards.get(shard.index()) {
            shard.results.held(results);
            shard.transaction.took(took);
        }
    }

    fn each(&self, page: &mut Exposition, name: &'static str, help: &'static str, of: Of) {
        let mut family = page.histogram(name, help);
        for (number, shard) in self.shards.iter().enumerate() {
            family.holds(&[("shard", &number.to_string())], of(shard));
        }
    }
}

type Of = fn(&ShardCounts) -> &Buckets;

fn read(count: &AtomicU64) -> u64 {
    count.load(Ordering::Relaxed)
}

/// States what a process of this role does on servers, in these lives of the gates.
pub(super) fn expose(counts: &Counts, epochs: &PerGate<Option<u64>>, role: Role, page: &mut Exposition) {
    expose_gates(counts, epochs, page);
    if role.takes_grabs() {
        expose_queues(counts, page);
    }
    if role.consumes() {
        expose_consumer(counts, page);
        counts.applied.expose(page);
        expose_given_back(counts, page);
        expose_reconciler(counts, page);
    }
}

/// States a figure of each gate, with its number where there are several.
fn of_each_gate<T: Display>(
    family: &mut MetricFamily<'_>,
    gates: GateCount,
    figure: impl Fn(GateId) -> Option<T>,
) {
    for gate in gates.all() {
        let number = gate.to_string();
        let labels: &[_] = if gates.is_several() { &[("gate", &*number)] } else { &[] };
        family.may_be(labels, figure(gate));
    }
}

fn expose_gates(counts: &Counts, epochs: &PerGate<Option<u64>>, page: &mut Exposition) {
    let gates = epochs.count();
    let mut open = page.gauge("coupon_gate_open", "1 when the gate takes grabs, else 0.");
    of_each_gate(&mut open, gates, |gate| Some(u8::from(epochs.get(gate).is_some())));
    let mut epoch =
        page.gauge("coupon_gate_epoch", "The life of the gate that is open; none while it is shut.");
    of_each_gate(&mut epoch, gates, |gate| *epochs.get(gate));
    let mut fills = page
        .counter("coupon_gate_fills_total", "Times that this process filled the gate anew from the shards.");
    of_each_gate(&mut fills, gates, |gate| Some(read(&counts.of_gate(gate).fills)));
}

fn expose_queues(counts: &Counts, page: &mut Exposition) {
    let mut published = page
        .counter("coupon_published_total", "Batches' results for one shard sent to its queue, by outcome.");
    for (outcome, count) in OUTCOMES.iter().zip(&counts.published) {
        published.is(&[("outcome", outcome)], read(count));
    }
    counts.each(
        page,
        "coupon_confirm_seconds",
        "Time from sending a batch's results to the queue's confirmation that it has them on disk.",
        |shard| &shard.confirm,
    );
}

fn expose_consumer(counts: &Counts, page: &mut Exposition) {
    counts.each(
        page,
        "coupon_consume_results",
        "Results in a transaction of this process's consumer.",
        |shard| &shard.results,
    );
    counts.each(
        page,
        "coupon_consume_seconds",
        "Time that a transaction of this process's consumer took.",
        |shard| &shard.transaction,
    );
    page.counter("coupon_consume_failures_total", "Transactions of this process's consumers that failed.")
        .is(&[], read(&counts.store_failures));
    page.counter(
        "coupon_parked_messages_total",
        "Messages that can never be stored, put aside for a person.",
    )
    .is(&[], read(&counts.parked_messages));
}

fn expose_given_back(counts: &Counts, page: &mut Exposition) {
    page.counter("coupon_expired_total", "Results that this process let expire, not confirmed in time.")
        .is(&[], read(&counts.expired));
    page.counter(
        "coupon_releases_total",
        "Results whose stock came back, and which the gate has let go of by this process's word.",
    )
    .is(&[], read(&counts.let_go));
    let mut waiting = page.gauge(
        "coupon_releases_waiting",
        "Results whose stock came back, and which the gate has not let go of yet: main is not told before. 1000 at most.",
    );
    for (number, shard) in counts.shards.iter().enumerate() {
        waiting.is(&[("shard", &number.to_string())], read(&shard.releases));
    }
}

fn expose_reconciler(counts: &Counts, page: &mut Exposition) {
    page.counter("coupon_reconciler_rounds_total", "Rounds of the reconciler, by outcome.")
        .is(&[("outcome", "done")], read(&counts.rounds))
        .is(&[("outcome", "failed")], read(&counts.failed_rounds));
    let mut pending = page
        .gauge("coupon_reconciler_pending", "Reservations that had been pending for long at its last look.");
    of_each_gate(&mut pending, counts.gates.count(), |gate| Some(read(&counts.of_gate(gate).pending)));
    page.counter("coupon_reconciler_checked_rows_total", "Stored results that it held against the gate.")
        .is(&[], read(&counts.checked));
    page.counter(
        "coupon_reconciled_total",
        "Reservations that had not reached their shard, and were handed over again.",
    )
    .is(&[], read(&counts.reconciled));
    page.counter("coupon_restored_total", "Stored results that the gate did not know of, and was told of.")
        .is(&[], read(&counts.restored));
}
