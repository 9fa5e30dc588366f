//! Runs a load: opens the connections, dispatches what is due, gives up on what takes too long, ends.

use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::task::{JoinSet, LocalSet};

use super::alarm::Alarm;
use super::connection::{Connection, connect};
use super::outcome::Outcome;
use super::shared::{Shared, Source};
use super::spec::{Arrivals, LoadProgress, LoadSpec};
use crate::http::Target;
use crate::workload::{ArrivalTimes, Phase, Request, Schedule};

/// The time that the first connections may take, and the extra time for each of them: they are opened one by one, and
/// a busy machine lets others go first each time.
const CONNECT: Duration = Duration::from_secs(5);
const CONNECT_EACH: Duration = Duration::from_millis(10);
/// The precision of time-outs.
const SWEEP: Duration = Duration::from_millis(50);

/// Puts the target under load until the duration is over and every answer is in, or given up on.
///
/// Ends by itself after at most the duration and two time-outs: one in which what is due may wait for a connection,
/// one for the answer.
///
/// # Errors
/// When the specification makes no sense or the target does not accept connections at the start. What goes wrong
/// later is part of the outcome.
pub fn run_load(target: &Target, spec: &LoadSpec) -> anyhow::Result<Outcome> {
    run_load_with(target, spec, &mut |_| {})
}

/// Runs a load like [`run_load`], and reports its progress once a second.
///
/// # Errors
/// As [`run_load`].
pub fn run_load_with(
    target: &Target,
    spec: &LoadSpec,
    progress: &mut dyn FnMut(&LoadProgress<'_>),
) -> anyhow::Result<Outcome> {
    spec.check()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let local = LocalSet::new();
    runtime.block_on(local.run_until(run(target, spec, progress)))
}

async fn run(
    target: &Target,
    spec: &LoadSpec,
    progress: &mut dyn FnMut(&LoadProgress<'_>),
) -> anyhow::Result<Outcome> {
    let streams = open(target, spec.connections).await?;
    let (cpu_before, busy_before) = (thread_cpu_seconds(), busy());
    let start = Instant::now();
    let schedule = Schedule::new(&spec.workload, spec.seed);
    let source = match spec.arrivals {
        Arrivals::Open { .. } => Source::Dispatched,
        Arrivals::Closed => Source::Drawn(Box::new(schedule.clone()), start + spec.duration),
    };
    let phases = spec.phases();
    let shared = Rc::new(Shared::new(spec, source, phases.clone()));
    let mut connections = JoinSet::new();
    for (index, stream) in streams.into_iter().enumerate() {
        connections.spawn_local(Connection::new(Rc::clone(&shared), index, target, stream).serve());
    }
    let dispatching = async {
        if let Arrivals::Open { rate } = spec.arrivals {
            let moments = ArrivalTimes::new(&spec.workload, rate, spec.seed);
            dispatch(&shared, schedule.zip(moments), &phases, start, spec).await?;
            if shared.is_ended() {
                shared.forget_queued();
            }
        }
        shared.stop();
        while connections.join_next().await.is_some() {}
        anyhow::Ok(())
    };
    supervise(&shared, start, start + spec.duration + spec.timeout, dispatching, progress).await?;
    // A trace may be over before the duration is, and so may a load that was stopped.
    let early = spec.workload.trace().is_some() || spec.is_stopped();
    let elapsed = if early { start.elapsed() } else { start.elapsed().max(spec.duration) };
    let cpu_seconds = cpu_before.zip(thread_cpu_seconds()).map(|(before, after)| after - before);
    let shared = Rc::try_unwrap(shared).map_err(|_| anyhow!("a connection outlived its load"))?;
    Ok(shared.into_recorder().outcome(elapsed, cpu_seconds, busy().saturating_sub(busy_before)))
}

/// The time in which this thread's runtime has had tasks to run: on a busy machine more than its CPU time, since it is busy too
/// while others have its core.
fn busy() -> Duration {
    Handle::current().metrics().worker_total_busy_duration(0)
}

/// Opens all connections before the clock starts: a load that begins with a rush of handshakes measures those.
async fn open(target: &Target, connections: usize) -> anyhow::Result<Vec<TcpStream>> {
    let patience = CONNECT + CONNECT_EACH * u32::try_from(connections).unwrap_or(u32::MAX);
    let all = tokio::time::timeout(patience, async {
        let mut streams = Vec::with_capacity(connections);
        for index in 0..connections {
            streams.push(connect(target.addr_of(index)).await?);
        }
        anyhow::Ok(streams)
    });
    let opened = all.await.unwrap_or_else(|_| Err(anyhow!("no answer within {} s", patience.as_secs())));
    opened.with_context(|| format!("cannot open {connections} connections to {}", target.url("")))
}

/// Hands out each request at its moment. What is due is handed out even if the generator is late: the requests are
/// the same whatever happens, and their latency counts from the moment that was meant.
async fn dispatch(
    shared: &Shared,
    requests: impl Iterator<Item = (Request, Duration)>,
    phases: &[Phase],
    start: Instant,
    spec: &LoadSpec,
) -> anyhow::Result<()> {
    let mut alarm = Alarm::new().context("cannot make a timer")?;
    let mut now = Instant::now();
    let mut phase = 0;
    for (request, moment) in requests.take_while(|(_, moment)| *moment < spec.duration) {
        while phases.get(phase).is_some_and(|phase| phase.until <= moment) {
            phase += 1;
        }
        let due = start + moment;
        if now < due {
            now = Instant::now();
            shared.hand_out_due(now);
            if now >= due {
                // Behind time. The connections must go on all the same.
                tokio::task::yield_now().await;
            }
        }
        while now < due && !spec.is_stopped() {
            // A stop takes effect before a request that may be minutes away.
            alarm.until(due.min(now + SWEEP), now).await?;
            now = Instant::now();
            shared.hand_out_due(now);
        }
        if spec.is_stopped() {
            break;
        }
        shared.dispatch(request, due, phase);
    }
    Ok(())
}

/// Waits for `work`, and meanwhile watches the time-outs and reports the progress.
async fn supervise(
    shared: &Shared,
    start: Instant,
    end: Instant,
    work: impl Future<Output = anyhow::Result<()>>,
    progress: &mut dyn FnMut(&LoadProgress<'_>),
) -> anyhow::Result<()> {
    let mut work = std::pin::pin!(work);
    let mut ticks = tokio::time::interval(SWEEP);
    let (mut told_at, mut told) = (start, 0);
    loop {
        tokio::select! {
            done = &mut work => return done,
            _ = ticks.tick() => {}
        }
        let now = Instant::now();
        shared.sweep(now, now >= end);
        shared.hand_out_due(now);
        if now.saturating_duration_since(told_at) >= Duration::from_secs(1) {
            told_at = now;
            told = shared.record(|recorder| {
                progress(&LoadProgress {
                    elapsed: now.saturating_duration_since(start),
                    finished: recorder.finished,
                    finished_last_second: recorder.finished - told,
                    granted: recorder.granted(),
                    errors: recorder.errors,
                    queued: shared.queued(),
                    recorder,
                });
                recorder.finished
            });
        }
    }
}

/// The generator lives on one thread, so that thread's CPU time is its own cost, whatever else the process does.
#[cfg(unix)]
fn thread_cpu_seconds() -> Option<f64> {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Some(time.tv_sec as f64 + time.tv_nsec as f64 / 1e9)
}

#[cfg(not(unix))]
fn thread_cpu_seconds() -> Option<f64> {
    None
}
