//! A service that is measured: it gets rounds of one kind or another, and is audited at the end.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Sender};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context as _, Result};
use coupon_audit::{Claims, GrabClaim, Scope};
use coupon_cli::terminal;
use coupon_core::GrabTerms;
use coupon_lab::{Deployment, SharedServers, acks, seed_of};
use coupon_loadgen::http::{Target, get_json};
use coupon_loadgen::load::{Arrivals, LoadSpec, Outcome, run_load};
use coupon_loadgen::workload::{CatalogueSpec, Workload};
use coupon_report::model::Figure;
use coupon_seeding::SeedOptions;
use coupon_service::api::AdminStats;
use coupon_stack::joined;
use coupon_strategies::Spec;

use super::sample::{Expected, Sample};
use crate::context::{Context, SHARDS, Store};

/// The interval between samples of a service's memory.
const LOOK: Duration = Duration::from_millis(250);
/// An answer that takes longer is an error, and makes the round not valid.
const TIMEOUT: Duration = LoadSpec::TIMEOUT;
/// The same for an overload. The generator itself may not be able to send all of it: what waits for a connection
/// longer than this is not sent, so that the round ends soon after its time.
const TIMEOUT_OF_OVERLOAD: Duration = Duration::from_secs(3);

/// The load of a round.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    pub(super) what: What,
    pub(super) arrivals: Arrivals,
    pub(super) connections: usize,
    pub(super) duration: Duration,
}

/// The kind of requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    /// `POST /bench/echo`.
    Echo,
    /// Grabs of pairs that were not grabbed yet, of coupons of the first so many rooms.
    Grab {
        /// The number of rooms.
        rooms: u64,
    },
    /// The same, by requests with names.
    GrabNamed {
        /// The number of rooms.
        rooms: u64,
    },
    /// As without names, more of them than can be taken: 503 is an answer.
    Overload {
        /// The number of rooms.
        rooms: u64,
    },
    /// Grabs of coupons of which none is left, by users who hold none.
    SoldOut,
    /// Grabs by the first so many users of coupons that they hold.
    Again {
        /// The number of them.
        users: u64,
    },
}

impl What {
    const fn expected(self) -> Expected {
        match self {
            Self::Echo => Expected::Echoed,
            Self::Grab { .. } | Self::GrabNamed { .. } => Expected::Granted,
            Self::Overload { .. } => Expected::GrantedOrRefused,
            Self::SoldOut => Expected::SoldOut,
            Self::Again { .. } => Expected::Duplicate,
        }
    }
}

/// The plan by which a measured service is made.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    /// Different from that of every other service that is up at the same time.
    pub(super) name: &'static str,
    pub(super) store: Store,
    pub(super) catalogue: CatalogueSpec,
    /// Of every coupon.
    pub(super) stock: u32,
    /// The seconds for which a grab is held.
    pub(super) hold_s: u32,
    /// Beside the echo.
    pub(super) settings: &'static [&'static str],
}

/// A stock of more than any round grabs of one coupon.
pub(crate) const PLENTY: u32 = 100_000_000;

/// A service that is measured.
#[derive(Debug)]
pub(crate) struct Measured {
    pub(crate) running: Deployment,
    catalogue: CatalogueSpec,
    seed: u64,
    claims: Claims,
    since: i64,
    /// Pairs used: the next grabs go on from there.
    grabbed: u64,
}

impl Measured {
    pub(super) fn start(context: &Context, plan: &Plan) -> Result<Self> {
        Self::start_processes(context, plan, NonZeroUsize::MIN)
    }

    /// The same, with so many processes: more than one only on servers.
    pub(super) fn start_processes(context: &Context, plan: &Plan, processes: NonZeroUsize) -> Result<Self> {
        let site = (plan.store == Store::Servers).then(|| context.site()).transpose()?;
        Self::start_on(context, plan, site, processes)
    }

    /// One process on servers with so many gates.
    pub(super) fn start_with_gates(context: &Context, plan: &Plan, gates: usize) -> Result<Self> {
        Self::start_on(context, plan, Some(context.site_with(gates)?), NonZeroUsize::MIN)
    }

    fn start_on(
        context: &Context,
        plan: &Plan,
        site: Option<Arc<SharedServers>>,
        processes: NonZeroUsize,
    ) -> Result<Self> {
        let Plan { name, catalogue, stock, hold_s, settings, .. } = plan;
        let mut spec = Spec::parse("hash", SHARDS, catalogue)?;
        spec.name = (*name).to_owned();
        spec.settings.push("bench.echo=true".to_owned());
        spec.settings.extend(settings.iter().map(ToString::to_string));
        let terms = GrabTerms { hold_s: *hold_s, ..GrabTerms::default() };
        let seed = SeedOptions { stock: Some(*stock), seed: context.seed, terms, ..seed_of(catalogue) };
        let running = context.start_on(&spec, site, seed, processes)?;
        Self::of(running, *catalogue, context.seed)
    }

    /// One that was started with this catalogue elsewhere.
    pub(crate) fn of(running: Deployment, catalogue: CatalogueSpec, seed: u64) -> Result<Self> {
        let since = running.newest_result()?;
        Ok(Self { running, catalogue, seed, claims: Claims::default(), since, grabbed: 0 })
    }

    /// A round. What it leaves to be done after its answers belongs to it, not to the next.
    pub(crate) fn round(&mut self, load: &Load) -> Result<Sample> {
        let before = self.look()?;
        let watch = MemoryWatch::start(&self.running.target);
        let outcome = self.load(load, None);
        let memory = watch.stop();
        let outcome = outcome?;
        self.running.drain()?;
        let after = self.look()?;
        let mut sample = Sample::of(load.what.expected(), &outcome);
        sample.memory_mb = memory.map(|bytes| bytes as f64 / 1e6);
        sample.batch = batch(&before.stats, &after.stats);
        sample.cpu_us = cpu_us(&before, &after, &outcome);
        Ok(sample)
    }

    /// A load that goes on for as long as something beside it, and at most for its own duration.
    pub(super) fn beside<T: Send>(
        &mut self,
        load: &Load,
        work: impl FnOnce() -> Result<T> + Send,
    ) -> Result<(Sample, T)> {
        let over = Arc::new(AtomicBool::new(false));
        let (outcome, done) = std::thread::scope(|scope| {
            let work = scope.spawn(|| {
                let done = work();
                over.store(true, Ordering::Relaxed);
                done
            });
            let outcome = self.load(load, Some(Arc::clone(&over)));
            (outcome, joined(work))
        });
        Ok((Sample::of(load.what.expected(), &outcome?), done?))
    }

    /// Sends a round's requests, and remembers what was answered.
    fn load(&mut self, load: &Load, stop: Option<Arc<AtomicBool>>) -> Result<Outcome> {
        let CatalogueSpec { users, rooms, .. } = self.catalogue;
        let grabs = |users, rooms, skip| {
            Workload::distinct_grabs(CatalogueSpec { users, rooms, hot_rooms: 0, ..self.catalogue }, skip)
        };
        let workload = match load.what {
            What::Echo => Workload::echo(self.catalogue),
            What::Grab { rooms } | What::Overload { rooms } => grabs(users, rooms, self.grabbed),
            What::GrabNamed { rooms } => {
                let catalogue = CatalogueSpec { rooms, hot_rooms: 0, ..self.catalogue };
                Workload::distinct_named_grabs(catalogue, self.grabbed)
            }
            What::SoldOut => grabs(users, rooms, self.grabbed),
            What::Again { users } => grabs(users, rooms, 0),
        };
        let Load { arrivals, connections, duration, .. } = *load;
        let spec = LoadSpec {
            workload,
            connections,
            duration,
            seed: self.seed,
            timeout: if matches!(load.what, What::Overload { .. }) { TIMEOUT_OF_OVERLOAD } else { TIMEOUT },
            stop,
            ..LoadSpec::new(arrivals)
        };
        let outcome = run_load(&self.running.target, &spec).inspect_err(|_| {
            terminal::clear_progress();
            terminal::note(format!("{}{}", self.running.name, self.running.log()));
        })?;
        outcome.grabs.iter().for_each(|grab| acks::claim(grab, &mut self.claims));
        if !matches!(load.what, What::Echo | What::Again { .. }) {
            self.grabbed += outcome.grabs.len() as u64 + outcome.unsent;
        }
        Ok(outcome)
    }

    fn look(&self) -> Result<Look> {
        let servers = self.running.site().map(|site| site.cpu_seconds()).unwrap_or_default();
        Ok(Look { stats: get_json(&self.running.target, "/admin/stats")?, servers })
    }

    /// Remembers the answer to a grab that was made beside its loads, for the audit at the end.
    pub(super) fn claim(&mut self, user: u64, coupon: u64, told: GrabClaim) {
        self.claims.add(user, coupon, told);
    }

    /// The service's resident memory in MB.
    pub(super) fn memory_mb(&self) -> Result<f64> {
        Ok(MemoryWatch::now(&self.running.target)? as f64 / 1e6)
    }

    /// Grabs, whatever was answered, so far.
    pub(super) const fn grabbed(&self) -> u64 {
        self.grabbed
    }

    /// The grabs that it granted since it started.
    pub(super) fn sold(&self) -> Result<u64> {
        Ok(self.look()?.stats.grabs.granted)
    }

    /// Audits all that was ever answered, and stops it. Says what makes the figures not valid, if anything does.
    pub(crate) fn finish(self, context: &Context) -> Result<Option<String>> {
        context.progress(format!("auditing {}", self.running.name));
        let report = self.running.audit(&Scope {
            claims: Some(&self.claims),
            since: Some(self.since),
            ..Scope::default()
        })?;
        self.running.stop()?;
        let kinds: Vec<String> =
            report.findings.iter().map(|(kind, found)| format!("{} {kind}", found.count)).collect();
        Ok((report.violations() > 0).then(|| format!("the audit found {}", kinds.join(", "))))
    }
}

/// CPU and memory used by a moment.
struct Look {
    stats: AdminStats,
    servers: Vec<(String, Figure)>,
}

fn batch(before: &AdminStats, after: &AdminStats) -> Option<f64> {
    let grabs = |stats: &AdminStats| stats.mean_batch.map_or(0.0, |mean| mean * stats.batches as f64);
    let batches = after.batches.checked_sub(before.batches)?;
    (batches > 0).then(|| (grabs(after) - grabs(before)) / batches as f64)
}

/// CPU microseconds a request, by process.
fn cpu_us(before: &Look, after: &Look, outcome: &Outcome) -> BTreeMap<String, Figure> {
    let requests = outcome.generator.requests.max(1) as f64;
    let used = |before: &Figure, after: &Figure| match (before, after) {
        (Figure::Known(before), Figure::Known(after)) => Figure::of((after - before) * 1e6 / requests),
        (Figure::Unknown(why), _) | (_, Figure::Unknown(why)) => Figure::unknown(why),
    };
    let untold = "the system does not tell it";
    let service = |look: &Look| Figure::or_because(look.stats.cpu_seconds, untold);
    let generator = Figure::or_because(outcome.generator.cpu_us_per_request(), untold);
    let mut by_process = BTreeMap::from([
        ("generator".to_owned(), generator),
        ("service".to_owned(), used(&service(before), &service(after))),
    ]);
    for ((name, before), (_, after)) in before.servers.iter().zip(&after.servers) {
        by_process.insert(name.clone(), used(before, after));
    }
    by_process
}

/// A thread that watches a service's memory.
pub(crate) struct MemoryWatch {
    stop: Sender<()>,
    thread: JoinHandle<Option<u64>>,
}

impl MemoryWatch {
    /// The service's resident memory in bytes.
    pub(crate) fn now(target: &Target) -> Result<u64> {
        let stats: AdminStats = get_json(target, "/admin/stats")?;
        stats.memory_bytes.context("the system does not tell a process's memory")
    }

    /// Watches it from now on.
    pub(crate) fn start(target: &Target) -> Self {
        let (stop, stopped) = mpsc::channel();
        let target = target.clone();
        let thread = std::thread::spawn(move || {
            let mut most = None;
            while stopped.recv_timeout(LOOK) == Err(mpsc::RecvTimeoutError::Timeout) {
                // A look that fails is a gap: others see nearly the same.
                let seen = get_json::<AdminStats>(&target, "/admin/stats").ok();
                most = most.max(seen.and_then(|stats| stats.memory_bytes));
            }
            most
        });
        Self { stop, thread }
    }

    /// The most that it was.
    pub(crate) fn stop(self) -> Option<u64> {
        drop(self.stop);
        self.thread.join().ok().flatten()
    }
}
