//! A watcher beside a load: its counters while it goes on.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};

use super::outcome::{GrabOutcome, GrabRecord};

/// The counters of a load that goes on, for a watcher beside it.
#[derive(Debug)]
pub struct Watch {
    granted: Sender<GrabRecord>,
    in_flight: AtomicUsize,
}

impl Watch {
    /// One, and where each grab arrives that is granted, as soon as it is.
    #[must_use]
    pub fn new() -> (Arc<Self>, Receiver<GrabRecord>) {
        let (granted, receiver) = channel();
        (Arc::new(Self { granted, in_flight: AtomicUsize::new(0) }), receiver)
    }

    /// Grabs that were sent and are not answered yet.
    #[must_use]
    pub fn grabs_in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    pub(super) fn sent(&self) {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn ended(&self) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
    }

    pub(super) fn recorded(&self, grab: &GrabRecord) {
        if matches!(grab.outcome, GrabOutcome::Granted { .. }) {
            // It fails only when the receiver has stopped listening, and so misses nothing.
            let _ = self.granted.send(*grab);
        }
    }
}
