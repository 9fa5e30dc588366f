//! The state of the modelled system: two users of one coupon, and the servers between them.

/// The users. Each asks for the one coupon.
pub(crate) const USERS: usize = 2;
/// The coupon's stock: one less than there are users, so that one too many is seen at once.
pub(crate) const STOCK: usize = 1;
/// The most requests that one user sends, each with its own result id.
pub(crate) const ATTEMPTS: usize = 2;
/// The epochs that a history may take, from 1 on.
pub(crate) const EPOCHS: u8 = 5;
/// The processes that may fill the gate at the same time, when main has lost their lock.
pub(crate) const FILLINGS: usize = 2;

/// A set of epochs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(crate) struct Epochs(u8);

impl Epochs {
    /// The set that holds one epoch.
    pub(crate) const fn only(epoch: u8) -> Self {
        Self(1 << epoch)
    }

    /// Membership of an epoch.
    pub(crate) const fn contains(self, epoch: u8) -> bool {
        self.0 & (1 << epoch) != 0
    }

    /// Adds an epoch.
    pub(crate) const fn insert(&mut self, epoch: u8) {
        self.0 |= 1 << epoch;
    }

    /// Removes an epoch.
    pub(crate) const fn remove(&mut self, epoch: u8) {
        self.0 &= !(1 << epoch);
    }
}

/// A result id: the user whose request it was made for, and the number of that request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Id {
    /// The user's number.
    pub(crate) user: usize,
    /// The request's number, of that user.
    pub(crate) attempt: usize,
}

/// A user's request, as far as it has come within the process that took it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(crate) enum Request {
    /// None is under way.
    #[default]
    None,
    /// It has its id, and the epoch that its process believes to be open.
    Fixed { epoch: u8, id: Id },
    /// The gate has granted it, or found the user's pending hold, which is handed over in its stead.
    Granted { epoch: u8, id: Id },
    /// It is published and routed; the queue has not confirmed it yet.
    Published { id: Id },
}

/// A user.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(crate) struct User {
    /// Requests sent so far.
    pub(crate) asked: usize,
    /// The one under way.
    pub(crate) request: Request,
    /// A mark for each of the user's requests: true if an answer said that its id is held.
    pub(crate) told: [bool; ATTEMPTS],
}

/// A hold of the coupon in the gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Hold {
    /// The result that it stands for.
    pub(crate) id: Id,
    /// It is not known to be stored.
    pub(crate) pending: bool,
    /// The reconciler took it from a row, and has not looked at that row again.
    pub(crate) unchecked: bool,
}

/// Redis: a script and the holders of each epoch.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(crate) struct Gate {
    /// The epochs whose script is loaded.
    pub(crate) scripts: Epochs,
    /// The holders of each epoch, by user.
    pub(crate) holds: [[Option<Hold>; USERS]; EPOCHS as usize + 1],
}

/// A message of the shard's queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Message {
    /// A result, granted in an epoch.
    Result { id: Id, epoch: u8 },
    /// A marker of a filling; it closes that epoch and all before it.
    Marker { filling: Option<usize>, closes: u8, last: bool },
}

/// RabbitMQ: the exchange and the shard's queue.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(crate) struct Broker {
    /// The epochs whose routing key leads to the queue.
    pub(crate) bound: Epochs,
    /// Messages that are routed and have not reached the queue, in no order.
    pub(crate) routed: Vec<Message>,
    /// The queue.
    pub(crate) queue: Vec<Message>,
    /// The first message is committed at the shard, and not acknowledged.
    pub(crate) committed: bool,
    /// A message that the queue has forgotten and the shard has not committed: only without `ack-after-commit`.
    pub(crate) in_memory: Option<Message>,
}

/// MySQL: the shard.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(crate) struct Shard {
    /// The number of rows it has of each id.
    pub(crate) rows: [[u8; ATTEMPTS]; USERS],
    /// The rows that have given their stock back: released by their user, or expired.
    pub(crate) given_back: [[bool; ATTEMPTS]; USERS],
    /// For each row that has given its stock back, until the gate has let go of it: the last epoch that was closed then.
    pub(crate) releases: [[Option<u8>; ATTEMPTS]; USERS],
    /// The ids that are parked.
    pub(crate) parked: [[bool; ATTEMPTS]; USERS],
    /// The last closed epoch.
    pub(crate) closed: u8,
    /// The last epoch that was recorded before it opened.
    pub(crate) opened: u8,
    /// The markers of fillings that are stored: first and last.
    pub(crate) markers: [[bool; 2]; FILLINGS],
}

impl Shard {
    /// True if the id is stored, and has its stock.
    pub(crate) const fn is_live(&self, id: Id) -> bool {
        self.rows[id.user][id.attempt] > 0 && !self.given_back[id.user][id.attempt]
    }

    /// The id of the user's live row, the first one if there are several.
    pub(crate) fn live_row_of(&self, user: usize) -> Option<Id> {
        (0..ATTEMPTS).map(|attempt| Id { user, attempt }).find(|id| self.is_live(*id))
    }

    /// The number of the user's live rows.
    pub(crate) fn live_rows_of(&self, user: usize) -> usize {
        let live = (0..ATTEMPTS).filter(|attempt| self.is_live(Id { user, attempt: *attempt }));
        live.map(|attempt| usize::from(self.rows[user][attempt])).sum()
    }
}

/// MySQL: main's record of the gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Main {
    /// The last epoch given out.
    pub(crate) epoch: u8,
    /// The one that is open.
    pub(crate) open: u8,
    /// Both before the last epoch was given out: what a backup, or a lagging replica, still says.
    pub(crate) before: Option<(u8, u8)>,
}

/// The next step of a process that fills the gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Stage {
    Take,
    Unbind,
    FirstMarker,
    LastMarker,
    LoadScript,
    Fill,
    FindScript,
    Record,
    Bind,
    Open,
}

/// A process that fills the gate, and its knowledge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Filling {
    /// Main's answer when it began.
    pub(crate) seen: (u8, u8),
    /// The epoch that it makes.
    pub(crate) epoch: u8,
    /// Its next step.
    pub(crate) stage: Stage,
    /// It has sent the marker of its stage, and waits for it.
    pub(crate) waits: bool,
}

/// The requests, and faults of each kind, that a history may still hold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Left {
    /// A user asks, over both users.
    pub requests: u8,
    /// Redis loses its memory.
    pub gate_losses: u8,
    /// Redis fails over, and the one of before goes on.
    pub fail_overs: u8,
    /// Another gate is filled.
    pub other_fillings: u8,
    /// The process of a request, or one that fills the gate, dies.
    pub deaths: u8,
    /// Main is put back to before the last epoch.
    pub restores: u8,
    /// The queue is deleted, with what is in it.
    pub deletions: u8,
    /// A consumer dies between commit and acknowledgement.
    pub redeliveries: u8,
    /// A result is given back: released by its user, or expired.
    pub give_backs: u8,
    /// The gate forgets one hold that is stored. The next request may get what is sold already, so a scope with such a
    /// fault has one request alone.
    pub lapses: u8,
}

impl Left {
    /// No request and no fault.
    pub const NOTHING: Self = Self {
        requests: 0,
        gate_losses: 0,
        fail_overs: 0,
        other_fillings: 0,
        deaths: 0,
        restores: 0,
        deletions: 0,
        redeliveries: 0,
        give_backs: 0,
        lapses: 0,
    };
}

/// The whole system.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct State {
    pub(crate) users: [User; USERS],
    pub(crate) gate: Gate,
    /// The Redis whose place another has taken, and which some process still takes for the gate.
    pub(crate) replaced: Option<Box<Gate>>,
    pub(crate) broker: Broker,
    pub(crate) shard: Shard,
    pub(crate) main: Main,
    pub(crate) fillings: [Option<Filling>; FILLINGS],
    /// A live row that the reconciler has read, and the epoch in which it will give it to the gate.
    pub(crate) read: Option<(Id, u8)>,
    /// Main has forgotten who holds its locks.
    pub(crate) lock_lost: bool,
    pub(crate) left: Left,
}

impl State {
    /// A gate that is open in epoch 1, and no request yet.
    pub(crate) fn new(left: Left) -> Self {
        let first = Epochs::only(1);
        Self {
            users: Default::default(),
            gate: Gate { scripts: first, ..Gate::default() },
            replaced: None,
            broker: Broker { bound: first, ..Broker::default() },
            shard: Shard { opened: 1, ..Shard::default() },
            main: Main { epoch: 1, open: 1, before: None },
            fillings: Default::default(),
            read: None,
            lock_lost: false,
            left,
        }
    }

    /// The epoch that main says is open, if the gate still has its script.
    pub(crate) fn open(&self) -> Option<u8> {
        let Main { epoch, open, .. } = self.main;
        (open == epoch && open > 0 && self.gate.scripts.contains(open)).then_some(open)
    }

    /// The messages that have not been acknowledged, wherever they are.
    pub(crate) fn on_their_way(&self) -> impl Iterator<Item = &Message> {
        self.broker.routed.iter().chain(&self.broker.queue).chain(&self.broker.in_memory)
    }

    /// Nothing is under way any more, and the reconciler has found nothing left to do.
    pub(crate) fn is_settled(&self) -> bool {
        let Some(open) = self.open() else { return false };
        let holds = &self.gate.holds[usize::from(open)];
        self.fillings.iter().all(Option::is_none)
            && self.broker.bound.contains(open)
            && self.on_their_way().next().is_none()
            && self.users.iter().all(|user| user.request == Request::None)
            && self.read.is_none()
            && holds.iter().flatten().all(|hold| !hold.pending && !hold.unchecked)
            && self.shard.releases.iter().flatten().all(Option::is_none)
            && (0..USERS).all(|user| self.shard.live_rows_of(user) == 0 || holds[user].is_some())
    }
}

pub(crate) fn spend(left: &mut u8) -> Option<()> {
    *left = left.checked_sub(1)?;
    Some(())
}

pub(crate) fn send(state: &mut State, message: Message) {
    state.broker.routed.push(message);
    // Their order means nothing: one order for all of them keeps states few.
    state.broker.routed.sort_unstable();
}
