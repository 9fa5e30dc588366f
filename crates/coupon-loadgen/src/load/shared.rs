//! State that the dispatcher and the connections share. Everything runs on one thread: no locks, no atomics.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use super::recorder::{Failure, Recorder};
use super::spec::LoadSpec;
use super::watch::Watch;
use crate::workload::{Phase, Request, Schedule};

/// A request that is due.
#[derive(Debug, Clone, Copy)]
pub(super) struct Job {
    pub(super) request: Request,
    /// The moment from which its latency counts; none: the one at which it is sent.
    pub(super) due: Option<Instant>,
    /// It had to wait for a free connection.
    pub(super) queued: bool,
    /// The part of the load's shape in which it is due, if that has any.
    pub(super) phase: usize,
}

/// The rest of the generator's handle to a connection's task.
#[derive(Debug, Default)]
pub(super) struct Slot {
    job: Cell<Option<Job>>,
    idle: Cell<bool>,
    waker: RefCell<Option<Waker>>,
    give_up_at: Cell<Option<Instant>>,
    gave_up: Cell<bool>,
}

impl Slot {
    fn listen(&self, cx: &Context<'_>) {
        let mut waker = self.waker.borrow_mut();
        if !waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            *waker = Some(cx.waker().clone());
        }
    }

    fn wake(&self) {
        if let Some(waker) = self.waker.borrow().as_ref() {
            waker.wake_by_ref();
        }
    }

    pub(super) fn start(&self, give_up_at: Instant) {
        self.gave_up.set(false);
        self.give_up_at.set(Some(give_up_at));
    }

    pub(super) fn finish(&self) {
        self.give_up_at.set(None);
    }

    /// Waits for `work`, or until the time is up. The supervisor watches the time for all connections at once: a
    /// timer a request would cost more than the request.
    pub(super) async fn in_time<T>(&self, work: impl Future<Output = T>) -> Result<T, Failure> {
        let mut work = pin!(work);
        poll_fn(|cx| {
            if self.gave_up.get() {
                return Poll::Ready(Err(Failure::TimedOut));
            }
            self.listen(cx);
            work.as_mut().poll(cx).map(Ok)
        })
        .await
    }
}

/// The origin of jobs.
#[derive(Debug)]
pub(super) enum Source {
    /// The dispatcher hands them out when they are due.
    Dispatched,
    /// Every connection takes its next until the time is over.
    Drawn(Box<Schedule>, Instant),
}

#[derive(Debug)]
pub(super) struct Shared {
    slots: Vec<Slot>,
    source: RefCell<Source>,
    /// Steps that are due later, by the moment, and the number of the step where moments are the same.
    later: RefCell<BTreeMap<(Instant, u64), Job>>,
    steps: Cell<u64>,
    /// Jobs that found no connection free, the oldest first.
    queue: RefCell<VecDeque<Job>>,
    /// Connections without a job, the longest idle first: using them in turn spreads the load over the service's
    /// workers, to which connections are tied.
    idle: RefCell<VecDeque<usize>>,
    recorder: RefCell<Recorder>,
    /// Jobs handed out and not finished.
    pub(super) open: Cell<usize>,
    stopped: Cell<bool>,
    /// Set from outside to end the load before its time.
    end: Option<Arc<AtomicBool>>,
    /// The watcher that sees grabs under way.
    pub(super) watch: Option<Arc<Watch>>,
    pub(super) timeout: Duration,
}

impl Shared {
    pub(super) fn new(spec: &LoadSpec, source: Source, phases: Vec<Phase>) -> Self {
        let mut recorder = Recorder::new(spec.workload.scenario_names(), phases);
        recorder.watch.clone_from(&spec.watch);
        recorder.each = spec.keep_each.then(Vec::new);
        Self {
            slots: std::iter::repeat_with(Slot::default).take(spec.connections).collect(),
            source: RefCell::new(source),
            later: RefCell::default(),
            steps: Cell::new(0),
            queue: RefCell::default(),
            idle: RefCell::default(),
            recorder: RefCell::new(recorder),
            watch: spec.watch.clone(),
            open: Cell::new(0),
            stopped: Cell::new(false),
            end: spec.stop.clone(),
            timeout: spec.timeout,
        }
    }

    pub(super) fn slot(&self, index: usize) -> Option<&Slot> {
        self.slots.get(index)
    }

    pub(super) fn record<T>(&self, record: impl FnOnce(&mut Recorder) -> T) -> T {
        record(&mut self.recorder.borrow_mut())
    }

    /// Closes a job's book.
    pub(super) fn finish<T>(&self, job: &Job, record: impl FnOnce(&mut Recorder) -> T) -> T {
        self.open.set(self.open.get().saturating_sub(1));
        self.record(|recorder| {
            recorder.enter(job.phase);
            record(recorder)
        })
    }

    /// Has a job follow another, as soon as its user has thought about it. Its latency counts from when it is sent: that
    /// moment is not known before the answer.
    pub(super) fn follow(&self, request: Request, before: &Job, now: Instant) {
        let job = Job { request, due: None, queued: false, phase: before.phase };
        self.steps.set(self.steps.get() + 1);
        self.later.borrow_mut().insert((now + request.pause(), self.steps.get()), job);
    }

    /// Hands out the steps that are due by now. What is due after the load's end is left alone.
    pub(super) fn hand_out_due(&self, now: Instant) {
        let drawn = matches!(&*self.source.borrow(), Source::Drawn(..));
        if self.stopped.get() && !drawn {
            return;
        }
        while let Some(job) = self.pop_due(now) {
            self.hand_out(job, drawn);
        }
    }

    fn pop_due(&self, now: Instant) -> Option<Job> {
        let mut later = self.later.borrow_mut();
        let first = later.first_entry()?;
        (first.key().0 <= now).then(|| first.remove())
    }

    pub(super) fn queued(&self) -> usize {
        self.queue.borrow().len()
    }

    /// Hands a job to an idle connection, or queues it.
    pub(super) fn dispatch(&self, request: Request, due: Instant, phase: usize) {
        self.hand_out(Job { request, due: Some(due), queued: false, phase }, false);
    }

    /// Hands a job to an idle connection, or queues it; connections that draw their requests look at the queue before.
    fn hand_out(&self, job: Job, drawn: bool) {
        self.open.set(self.open.get() + 1);
        if drawn {
            self.queue.borrow_mut().push_back(job);
            return;
        }
        let idle = self.idle.borrow_mut().pop_front().and_then(|index| self.slots.get(index));
        match idle {
            Some(slot) => {
                slot.idle.set(false);
                slot.job.set(Some(job));
                slot.wake();
            }
            None => {
                self.record(Recorder::queued);
                self.queue.borrow_mut().push_back(Job { queued: true, ..job });
            }
        }
    }

    /// A connection's next job. Ready with none: no more will come. Not ready: it is woken when there is one.
    pub(super) fn poll_job(&self, index: usize, now: Instant, cx: &Context<'_>) -> Poll<Option<Job>> {
        let Some(slot) = self.slots.get(index) else { return Poll::Ready(None) };
        if let Some(job) = slot.job.take() {
            return Poll::Ready(Some(job));
        }
        if let Source::Drawn(schedule, end) = &mut *self.source.borrow_mut() {
            if let Some(job) = self.queue.borrow_mut().pop_front() {
                return Poll::Ready(Some(job));
            }
            let request = if now < *end && !self.is_ended() { schedule.next() } else { None };
            self.open.set(self.open.get() + usize::from(request.is_some()));
            return Poll::Ready(request.map(|request| Job { request, due: None, queued: false, phase: 0 }));
        }
        if !slot.idle.get() {
            if let Some(job) = self.queue.borrow_mut().pop_front() {
                return Poll::Ready(Some(job));
            }
            if self.stopped.get() {
                return Poll::Ready(None);
            }
            slot.idle.set(true);
            self.idle.borrow_mut().push_back(index);
        } else if self.stopped.get() {
            return Poll::Ready(None);
        }
        slot.listen(cx);
        Poll::Pending
    }

    /// Gives up on what has taken too long; at the end, on everything that still waits for a connection. What was
    /// sent has its time: to cut it short would be a time-out of the generator's own making.
    pub(super) fn sweep(&self, now: Instant, is_end: bool) {
        for slot in &self.slots {
            if slot.give_up_at.get().is_some_and(|at| at <= now) {
                slot.give_up_at.set(None);
                slot.gave_up.set(true);
                slot.wake();
            }
        }
        // Jobs queue in the order they are due, so the first that is in time ends the search.
        while let Some(job) = self.pop_overdue(now, is_end) {
            let waited = job.due.map_or(Duration::ZERO, |due| now.saturating_duration_since(due));
            self.finish(&job, |recorder| recorder.failed(&job.request, Failure::Unsent, waited));
        }
    }

    fn pop_overdue(&self, now: Instant, is_end: bool) -> Option<Job> {
        let mut queue = self.queue.borrow_mut();
        let overdue = |job: &Job| is_end || job.due.is_some_and(|due| due + self.timeout <= now);
        if queue.front().is_some_and(overdue) { queue.pop_front() } else { None }
    }

    /// True when the load was ended before its time.
    pub(super) fn is_ended(&self) -> bool {
        self.end.as_ref().is_some_and(|end| end.load(Ordering::Relaxed))
    }

    /// The load was stopped: requests not sent yet are as if they had never been due.
    pub(super) fn forget_queued(&self) {
        let forgotten = self.queue.borrow_mut().drain(..).count();
        self.open.set(self.open.get().saturating_sub(forgotten));
    }

    /// Lets every connection end once it has no job.
    pub(super) fn stop(&self) {
        self.stopped.set(true);
        self.slots.iter().for_each(Slot::wake);
    }

    pub(super) fn into_recorder(self) -> Recorder {
        self.recorder.into_inner()
    }
}
