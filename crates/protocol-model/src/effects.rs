//! The effects of steps.

use crate::filling::{begin_filling, end_filling};
use crate::mechanism::{Mechanism, Rules};
use crate::state::{
    ATTEMPTS, Broker, Epochs, Gate, Hold, Id, Message, Request, STOCK, Shard, Stage, State, send, spend,
};
use crate::step::Step;

impl Rules {
    /// The steps that a state may be followed by; some of them cannot be taken.
    pub(crate) fn candidates(self, state: &State) -> impl Iterator<Item = Step> + use<> {
        let mut arriving = state.broker.routed.clone();
        arriving.dedup();
        Step::all().chain(arriving.into_iter().map(|message| Step::Arrive { message }))
    }

    /// The state after a step; `None` where it cannot be taken.
    pub(crate) fn after(self, state: &State, step: Step) -> Option<State> {
        let mut next = state.clone();
        self.take(&mut next, step)?;
        Some(next)
    }

    fn take(self, state: &mut State, step: Step) -> Option<()> {
        match step {
            Step::Ask { user } => ask(state, user),
            Step::Decide { user } => self.decide(state, user),
            Step::Publish { user } => self.publish(state, user),
            Step::Arrive { message } => arrive(state, message),
            Step::Answer { user } => answer(state, user),
            Step::Store => self.store(state),
            Step::Acknowledge => self.acknowledge(state),
            Step::Settle { user } => settle(state, user),
            Step::HandOverAgain { user } => self.hand_over_again(state, user),
            Step::ReadRow { user } => self.read_row(state, user),
            Step::TellGate => self.tell_gate(state),
            Step::LookAgain { user } => look_again(state, user),
            Step::GiveBack { user } => give_back(state, user),
            Step::LetGo { id, epoch } => self.let_go(state, id, epoch),
            Step::LetGoEarly { user } => self.let_go_early(state, user),
            Step::BeginFilling { filling } => begin_filling(state, filling),
            Step::Fill { filling } => self.fill(state, filling, None),
            Step::FillWithout { filling, user } => {
                let at_it = state.fillings[filling].is_some_and(|filling| filling.stage == Stage::Fill);
                (at_it && !self.has(Mechanism::WholeFill)).then(|| self.fill(state, filling, Some(user)))?
            }
            Step::MendQueue => mend_queue(state),
            Step::LoseGate => lose_gate(state),
            Step::FailOver { in_step } => self.fail_over(state, in_step),
            Step::FillAnother => self.fill_another(state),
            Step::DecideBefore { user } => before(state, |state| {
                let Request::Fixed { epoch, .. } = state.users[user].request else { return None };
                state.gate.scripts.contains(epoch).then(|| self.decide(state, user))?
            }),
            Step::LetGoBefore { id, epoch } => before(state, |state| self.let_go(state, id, epoch)),
            Step::Forget { user } => lapse(state, user),
            Step::Die { user } => die(state, user),
            Step::DieFilling { filling } => die_filling(state, filling),
            Step::RestoreMain => restore_main(state),
            Step::DeleteQueue => delete_queue(state),
            Step::Redeliver => redeliver(state),
        }
    }

    fn decide(self, state: &mut State, user: usize) -> Option<()> {
        let Request::Fixed { epoch, id } = state.users[user].request else { return None };
        let request = &mut state.users[user].request;
        *request = Request::None;
        if !state.gate.scripts.contains(epoch) {
            // NOSCRIPT: a 503 that reserves nothing.
            return Some(());
        }
        let holds = &mut state.gate.holds[usize::from(epoch)];
        match holds[user] {
            Some(hold) if hold.pending && self.has(Mechanism::Pending) => {
                state.users[user].request = Request::Granted { epoch, id: hold.id };
            }
            Some(hold) => state.users[user].told[hold.id.attempt] = true,
            None if holds.iter().flatten().count() >= STOCK => {}
            None => {
                holds[user] = Some(Hold { id, pending: true, unchecked: false });
                state.users[user].request = Request::Granted { epoch, id };
                if !self.has(Mechanism::Confirms) {
                    state.users[user].told[id.attempt] = true;
                }
            }
        }
        Some(())
    }

    fn publish(self, state: &mut State, user: usize) -> Option<()> {
        let Request::Granted { epoch, id } = state.users[user].request else { return None };
        // NO_ROUTE is a 503: the hold stays, pending.
        state.users[user].request = Request::None;
        if self.is_routed(state, epoch) {
            send(state, Message::Result { id, epoch });
            state.users[user].request = Request::Published { id };
        }
        Some(())
    }

    fn is_routed(self, state: &State, epoch: u8) -> bool {
        let exists = state.broker.bound != Epochs::default();
        if self.has(Mechanism::Epoch) { state.broker.bound.contains(epoch) } else { exists }
    }

    fn store(self, state: &mut State) -> Option<()> {
        if state.broker.committed {
            return None;
        }
        if self.has(Mechanism::AckAfterCommit) {
            let first = *state.broker.queue.first()?;
            state.broker.committed = true;
            self.commit(&mut state.shard, first);
            return Some(());
        }
        let first = state.broker.in_memory.take()?;
        self.commit(&mut state.shard, first);
        Some(())
    }

    fn acknowledge(self, state: &mut State) -> Option<()> {
        if self.has(Mechanism::AckAfterCommit) {
            state.broker.committed.then_some(())?;
            state.broker.committed = false;
            state.broker.queue.remove(0);
            return Some(());
        }
        (state.broker.in_memory.is_none() && !state.broker.queue.is_empty()).then_some(())?;
        state.broker.in_memory = Some(state.broker.queue.remove(0));
        Some(())
    }

    /// One transaction of the shard.
    fn commit(self, shard: &mut Shard, message: Message) {
        match message {
            Message::Marker { filling, closes, last } => {
                shard.closed = shard.closed.max(closes);
                if let Some(filling) = filling {
                    shard.markers[filling][usize::from(last)] = true;
                }
            }
            Message::Result { id, epoch } => {
                let live = shard.live_rows_of(id.user);
                let rows = &mut shard.rows[id.user];
                let repeated = rows[id.attempt] > 0;
                let contradicts = !repeated && live > 0;
                let late = self.has(Mechanism::Epoch) && epoch <= shard.closed;
                if repeated && self.has(Mechanism::Repeats) {
                } else if late || contradicts {
                    shard.parked[id.user][id.attempt] = true;
                } else {
                    rows[id.attempt] = rows[id.attempt].saturating_add(1).min(2);
                }
            }
        }
    }

    fn hand_over_again(self, state: &mut State, user: usize) -> Option<()> {
        self.has(Mechanism::Reconciler).then_some(())?;
        let epoch = state.open()?;
        let Hold { id, pending, .. } = state.gate.holds[usize::from(epoch)][user]?;
        let stored = state.shard.rows[user][id.attempt] > 0 || state.shard.parked[user][id.attempt];
        let message = Message::Result { id, epoch };
        let waits = state.on_their_way().any(|other| *other == message);
        (pending && self.has(Mechanism::Pending) && !stored && !waits && self.is_routed(state, epoch))
            .then(|| send(state, message))
    }

    fn read_row(self, state: &mut State, user: usize) -> Option<()> {
        (self.has(Mechanism::Reconciler) && state.read.is_none()).then_some(())?;
        let (epoch, id) = (state.open()?, state.shard.live_row_of(user)?);
        state.gate.holds[usize::from(epoch)][user].is_none().then(|| state.read = Some((id, epoch)))
    }

    fn tell_gate(self, state: &mut State) -> Option<()> {
        let (id, epoch) = state.read.take()?;
        let hold = &mut state.gate.holds[usize::from(epoch)][id.user];
        if state.gate.scripts.contains(epoch) && hold.is_none() {
            let unchecked = self.has(Mechanism::SecondLook);
            *hold = Some(Hold { id, pending: false, unchecked });
        }
        Some(())
    }

    fn let_go(self, state: &mut State, id: Id, epoch: u8) -> Option<()> {
        let closed = state.shard.releases[id.user][id.attempt]?;
        // An epoch that was recorded is filled, and may have been open.
        (epoch <= state.shard.opened && state.gate.scripts.contains(epoch)).then_some(())?;
        let held = forget(state, id, epoch);
        let done = epoch > closed || !self.has(Mechanism::ReleaseEpochs);
        if done {
            state.shard.releases[id.user][id.attempt] = None;
        }
        (held || done).then_some(())
    }

    /// Scripts are not replicated; what was filled and became a replica since counts as if it had none.
    fn fail_over(self, state: &mut State, in_step: bool) -> Option<()> {
        spend(&mut state.left.fail_overs)?;
        let Gate { scripts, holds } = state.gate.clone();
        let scripts = if self.has(Mechanism::ReplicationId) { Epochs::default() } else { scripts };
        let holds = if in_step { holds } else { Gate::default().holds };
        let replaced = std::mem::replace(&mut state.gate, Gate { scripts, holds });
        state.replaced = Some(Box::new(replaced));
        Some(())
    }

    /// Its markers close what it had open, and every epoch of its own before.
    fn fill_another(self, state: &mut State) -> Option<()> {
        spend(&mut state.left.other_fillings)?;
        if !self.has(Mechanism::OwnEpochs) {
            state.shard.closed = state.shard.closed.max(state.main.epoch);
        }
        Some(())
    }

    fn let_go_early(self, state: &mut State, user: usize) -> Option<()> {
        let epoch = state.open()?;
        (!self.has(Mechanism::RowFirst) && state.left.give_backs > 0).then_some(())?;
        let id = state.shard.live_row_of(user)?;
        forget(state, id, epoch).then_some(())
    }
}

/// Takes a step at the Redis whose place another has taken.
fn before(state: &mut State, step: impl FnOnce(&mut State) -> Option<()>) -> Option<()> {
    let mut replaced = state.replaced.take()?;
    std::mem::swap(&mut state.gate, &mut *replaced);
    let taken = step(state);
    std::mem::swap(&mut state.gate, &mut *replaced);
    state.replaced = Some(replaced);
    taken
}

fn ask(state: &mut State, user: usize) -> Option<()> {
    let epoch = state.main.open;
    let asking = &mut state.users[user];
    (asking.request == Request::None && asking.asked < ATTEMPTS && epoch > 0).then_some(())?;
    spend(&mut state.left.requests)?;
    asking.request = Request::Fixed { epoch, id: Id { user, attempt: asking.asked } };
    asking.asked += 1;
    Some(())
}

fn arrive(state: &mut State, message: Message) -> Option<()> {
    let at = state.broker.routed.iter().position(|other| *other == message)?;
    state.broker.routed.remove(at);
    state.broker.queue.push(message);
    Some(())
}

fn answer(state: &mut State, user: usize) -> Option<()> {
    let Request::Published { id } = state.users[user].request else { return None };
    let same = |message: &Message| matches!(message, Message::Result { id: other, .. } if *other == id);
    (!state.broker.routed.iter().any(same)).then_some(())?;
    state.users[user].told[id.attempt] = true;
    state.users[user].request = Request::None;
    Some(())
}

fn settle(state: &mut State, user: usize) -> Option<()> {
    let epoch = state.open()?;
    let hold = state.gate.holds[usize::from(epoch)][user].as_mut()?;
    let Id { attempt, .. } = hold.id;
    let known = state.shard.rows[user][attempt] > 0 || state.shard.parked[user][attempt];
    (hold.pending && known).then(|| hold.pending = false)
}

fn look_again(state: &mut State, user: usize) -> Option<()> {
    let epoch = state.open()?;
    let hold = &mut state.gate.holds[usize::from(epoch)][user];
    let looked = (*hold).filter(|hold| hold.unchecked)?;
    *hold = state.shard.is_live(looked.id).then_some(Hold { unchecked: false, ..looked });
    Some(())
}

/// One transaction of the shard: the row, and a note of what the gate has to let go of.
fn give_back(state: &mut State, user: usize) -> Option<()> {
    let id = state.shard.live_row_of(user)?;
    spend(&mut state.left.give_backs)?;
    state.shard.given_back[user][id.attempt] = true;
    state.shard.releases[user][id.attempt] = Some(state.shard.closed);
    Some(())
}

/// The gate forgets a holder if it holds exactly this id; says whether it did.
fn forget(state: &mut State, id: Id, epoch: u8) -> bool {
    let hold = &mut state.gate.holds[usize::from(epoch)][id.user];
    let held = hold.is_some_and(|hold| hold.id == id);
    if held {
        *hold = None;
    }
    held
}

fn lose_gate(state: &mut State) -> Option<()> {
    spend(&mut state.left.gate_losses)?;
    state.gate = Gate::default();
    Some(())
}

/// The gate forgets a hold that is stored.
fn lapse(state: &mut State, user: usize) -> Option<()> {
    let id = state.shard.live_row_of(user)?;
    spend(&mut state.left.lapses)?;
    let epoch = state.open()?;
    forget(state, id, epoch).then_some(())
}

fn die(state: &mut State, user: usize) -> Option<()> {
    (state.users[user].request != Request::None).then_some(())?;
    spend(&mut state.left.deaths)?;
    state.users[user].request = Request::None;
    Some(())
}

fn die_filling(state: &mut State, filling: usize) -> Option<()> {
    state.fillings[filling]?;
    spend(&mut state.left.deaths)?;
    end_filling(state, filling);
    Some(())
}

fn restore_main(state: &mut State) -> Option<()> {
    spend(&mut state.left.restores)?;
    (state.main.epoch, state.main.open) = state.main.before.take()?;
    state.lock_lost = true;
    Some(())
}

/// A message that had not reached the queue is never confirmed.
fn delete_queue(state: &mut State) -> Option<()> {
    spend(&mut state.left.deletions)?;
    for user in &mut state.users {
        let Request::Published { id } = user.request else { continue };
        let its = |message: &Message| matches!(message, Message::Result { id: other, .. } if *other == id);
        if state.broker.routed.iter().any(its) {
            user.request = Request::None;
        }
    }
    let in_memory = state.broker.in_memory;
    state.broker = Broker { in_memory, ..Broker::default() };
    Some(())
}

fn redeliver(state: &mut State) -> Option<()> {
    (state.broker.committed || state.broker.in_memory.is_some()).then_some(())?;
    spend(&mut state.left.redeliveries)?;
    state.broker.committed = false;
    state.broker.in_memory = None;
    Some(())
}

fn mend_queue(state: &mut State) -> Option<()> {
    let epoch = state.open()?;
    let idle = state.fillings.iter().all(Option::is_none);
    (idle && !state.broker.bound.contains(epoch)).then(|| state.broker.bound.insert(epoch))
}
