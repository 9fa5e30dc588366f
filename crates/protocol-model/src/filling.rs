//! The steps of a process that fills the gate anew.

use crate::mechanism::{Mechanism, Rules};
use crate::state::{
    ATTEMPTS, Broker, EPOCHS, FILLINGS, Filling, Hold, Id, Message, Stage, State, USERS, send,
};

impl Rules {
    /// The next thing that a process does which fills the gate.
    pub(crate) fn fill(self, state: &mut State, number: usize, skipped: Option<usize>) -> Option<()> {
        let mut filling = state.fillings[number]?;
        let (epoch, closes) = (filling.epoch, filling.epoch - 1);
        let next = match filling.stage {
            Stage::Take => {
                filling.epoch = self.next_epoch(state, filling.seen.0)?;
                if state.main.epoch != filling.seen.0 {
                    end_filling(state, number);
                    return Some(());
                }
                state.main.before = Some((state.main.epoch, state.main.open));
                state.main.epoch = filling.epoch;
                Stage::Unbind
            }
            Stage::Unbind => {
                let first = if self.has(Mechanism::RecordedEpochs) { 1 } else { filling.seen.1 };
                let last = if self.has(Mechanism::RecordedEpochs) { closes } else { filling.seen.0 };
                (first..=last).for_each(|epoch| state.broker.bound.remove(epoch));
                if self.has(Mechanism::SecondMarker) { Stage::FirstMarker } else { Stage::LastMarker }
            }
            Stage::FirstMarker | Stage::LastMarker => {
                let last = filling.stage == Stage::LastMarker;
                if !filling.waits {
                    self.mark(state, number, filling, last)?;
                    return Some(());
                }
                if !state.shard.markers[number][usize::from(last)] {
                    return give_up(state, number);
                }
                if !last {
                    Stage::LastMarker
                } else if self.has(Mechanism::ScriptFirst) {
                    Stage::LoadScript
                } else {
                    Stage::Fill
                }
            }
            Stage::LoadScript => {
                state.gate.scripts.insert(epoch);
                if self.has(Mechanism::ScriptFirst) { Stage::Fill } else { Stage::Record }
            }
            Stage::Fill => {
                read_shard(state, epoch, skipped, self.has(Mechanism::LiveRows));
                if self.has(Mechanism::ScriptFirst) { Stage::FindScript } else { Stage::LoadScript }
            }
            Stage::FindScript => {
                if !state.gate.scripts.contains(epoch) {
                    end_filling(state, number);
                    return Some(());
                }
                Stage::Record
            }
            Stage::Record => {
                state.shard.opened = state.shard.opened.max(epoch);
                Stage::Bind
            }
            Stage::Bind => {
                state.broker.bound.insert(epoch);
                Stage::Open
            }
            Stage::Open => {
                if state.main.epoch == epoch {
                    state.main.open = epoch;
                }
                end_filling(state, number);
                return Some(());
            }
        };
        state.fillings[number] = Some(Filling { stage: next, waits: false, ..filling });
        Some(())
    }

    /// A number that no epoch has had. `None` beyond the scope.
    fn next_epoch(self, state: &State, known: u8) -> Option<u8> {
        let recorded = if self.has(Mechanism::RecordedEpochs) { state.shard.opened } else { 0 };
        let next = known.max(state.shard.closed).max(recorded) + 1;
        (next <= EPOCHS).then_some(next)
    }

    fn mark(self, state: &mut State, number: usize, filling: Filling, last: bool) -> Option<()> {
        // What was routed before the first marker has arrived long before the second: the one assumption about time.
        let results = state.broker.routed.iter().any(|message| matches!(message, Message::Result { .. }));
        (!last || !results || !self.has(Mechanism::SecondMarker)).then_some(())?;
        let until = if self.has(Mechanism::RecordedEpochs) { filling.epoch - 1 } else { filling.seen.0 };
        let closes = if last { until } else { 0 };
        send(state, Message::Marker { filling: Some(number), closes, last });
        state.fillings[number] = Some(Filling { waits: true, ..filling });
        Some(())
    }
}

pub(crate) fn begin_filling(state: &mut State, number: usize) -> Option<()> {
    let others = state.fillings.iter().flatten().count();
    let free = others == 0 || (others < FILLINGS && state.lock_lost);
    // Which of two processes it is makes no difference.
    let first = state.fillings.iter().position(Option::is_none) == Some(number);
    (free && first && state.open().is_none()).then_some(())?;
    if others > 0 {
        state.lock_lost = false;
    }
    let seen = (state.main.epoch, state.main.open);
    state.fillings[number] = Some(Filling { seen, epoch: seen.0, stage: Stage::Take, waits: false });
    state.shard.markers[number] = [false; 2];
    Some(())
}

/// A marker that went with a queue, or with a consumer, is not waited for for ever.
fn give_up(state: &mut State, number: usize) -> Option<()> {
    let its =
        |message: &Message| matches!(message, Message::Marker { filling, .. } if *filling == Some(number));
    if state.on_their_way().any(its) {
        return None;
    }
    end_filling(state, number);
    Some(())
}

pub(crate) fn end_filling(state: &mut State, number: usize) {
    state.fillings[number] = None;
    state.shard.markers[number] = [false; 2];
    // Fillings that begin later learn nothing from its markers, which still close the epochs that they close.
    let Broker { routed, queue, in_memory, .. } = &mut state.broker;
    for message in routed.iter_mut().chain(queue).chain(in_memory) {
        if let Message::Marker { filling, .. } = message
            && *filling == Some(number)
        {
            *filling = None;
        }
    }
    routed.sort_unstable();
}

fn read_shard(state: &mut State, epoch: u8, skipped: Option<usize>, live_only: bool) {
    for user in (0..USERS).filter(|user| Some(*user) != skipped) {
        let parked = || state.shard.parked[user].iter().position(|parked| *parked);
        let stored = || (0..ATTEMPTS).find(|attempt| state.shard.rows[user][*attempt] > 0);
        let row = if live_only {
            state.shard.live_row_of(user)
        } else {
            stored().map(|attempt| Id { user, attempt })
        };
        let held = row.or_else(|| Some(Id { user, attempt: parked()? }));
        if let Some(id) = held {
            state.gate.holds[usize::from(epoch)][user] = Some(Hold { id, pending: false, unchecked: false });
        }
    }
}
