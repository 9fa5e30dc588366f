//! The place of each grab of a batch, before the gate is asked.

use std::collections::BTreeMap;

use coupon_core::{Placement, RowKey, ShardId, ShardingStrategy as _, VersionNumber, Versioned};
use coupon_store::{Attempt, Unavailable};

use super::Batcher;
use super::counters::EarlyRefusal;
use super::grab::{Grab, NotDecided, Waiting};

/// A grab whose result has an id, and with it a place.
pub(super) struct Fixed {
    pub(super) waiting: Waiting,
    pub(super) placement: Placement,
}

/// Grabs about which the gate is asked together, by a worker that knows no later version of the layout than `knows`.
pub(super) struct Batch {
    pub(super) attempts: Vec<Attempt>,
    pub(super) fixed: Vec<Fixed>,
    pub(super) knows: VersionNumber,
}

impl Batcher {
    /// Gives every grab its id, and with it its time and place, before the gate is asked. Those whose shard has too
    /// much to do already are refused here, before they hold any stock.
    pub(super) fn fix(&self, versions: &Versioned, batch: Vec<Waiting>) -> Batch {
        let mut ids = self.ids.borrow_mut();
        let mut placing = Placing::new(self, versions, batch.len());
        for waiting in batch {
            match ids.make() {
                Ok(id) => placing.place(waiting.grab.attempt(id), waiting),
                Err(error) => self.answer(waiting.reply, Err(error.into())),
            }
        }
        placing.batch
    }

    pub(super) fn place_again(&self, versions: &Versioned, elsewhere: Vec<(Attempt, Waiting)>) -> Batch {
        let mut placing = Placing::new(self, versions, elsewhere.len());
        for (attempt, waiting) in elsewhere {
            placing.place(attempt, waiting);
        }
        placing.batch
    }
}

/// Finds the places of a batch.
struct Placing<'a> {
    pipeline: &'a Batcher,
    versions: &'a Versioned,
    /// Asked once a batch and shard.
    refusals: BTreeMap<ShardId, Option<Unavailable>>,
    batch: Batch,
}

impl<'a> Placing<'a> {
    fn new(pipeline: &'a Batcher, versions: &'a Versioned, grabs: usize) -> Self {
        let (attempts, fixed) = (Vec::with_capacity(grabs), Vec::with_capacity(grabs));
        let batch = Batch { attempts, fixed, knows: versions.latest().number };
        Self { pipeline, versions, refusals: BTreeMap::new(), batch }
    }

    fn place(&mut self, attempt: Attempt, waiting: Waiting) {
        match self.find(&attempt, &waiting.grab) {
            Ok(placement) => {
                self.batch.attempts.push(attempt);
                self.batch.fixed.push(Fixed { waiting, placement });
            }
            Err(error) => self.pipeline.answer(waiting.reply, Err(error)),
        }
    }

    fn find(&mut self, attempt: &Attempt, grab: &Grab) -> Result<Placement, NotDecided> {
        let Self { pipeline, versions, refusals, .. } = self;
        let key = RowKey { user: grab.user, room: grab.room, time: attempt.id.time() };
        let placement = versions.place(&key)?;
        let shard = placement.shard;
        match refusals.entry(shard).or_insert_with(|| pipeline.backend.hand_over.refusal(shard)) {
            Some(refusal) => {
                pipeline.counters.refused(EarlyRefusal::Shard);
                Err(refusal.clone().into())
            }
            None => Ok(placement),
        }
    }
}
