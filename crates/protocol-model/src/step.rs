//! The steps of the modelled system: each one changes the state at one place, and any may come next.

use crate::state::{ATTEMPTS, EPOCHS, FILLINGS, Id, Message, USERS};

/// A step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Step {
    /// A user asks, and a process gives the request its id and the epoch that main names.
    Ask { user: usize },
    /// The gate decides a request.
    Decide { user: usize },
    /// The request's process publishes its result.
    Publish { user: usize },
    /// A routed message reaches the queue.
    Arrive { message: Message },
    /// The queue has confirmed, and the user is answered.
    Answer { user: usize },
    /// The consumer stores the queue's first message.
    Store,
    /// The consumer acknowledges it.
    Acknowledge,
    /// The consumer settles a stored result at the gate.
    Settle { user: usize },
    /// The reconciler hands over again what is pending.
    HandOverAgain { user: usize },
    /// The reconciler reads a live row that the gate lacks.
    ReadRow { user: usize },
    /// It gives that row to the gate.
    TellGate,
    /// It looks again at a row that it has given to the gate.
    LookAgain { user: usize },
    /// A live row gives its stock back: its user releases it, or it expires.
    GiveBack { user: usize },
    /// The gate lets go of a row that has given its stock back, in an epoch that some process believes to be open.
    LetGo { id: Id, epoch: u8 },
    /// The gate lets go of a row that is about to give its stock back: only without `row-first`.
    LetGoEarly { user: usize },
    /// A process begins to fill the gate.
    BeginFilling { filling: usize },
    /// It does the next thing.
    Fill { filling: usize },
    /// It does so from a part of the rows, without those of a user: only without `whole-fill`.
    FillWithout { filling: usize, user: usize },
    /// A deleted queue is made again, and bound to the open epoch.
    MendQueue,
    /// Redis loses its memory.
    LoseGate,
    /// Another Redis takes its place, which has all that it had, or has heard of nothing.
    FailOver { in_step: bool },
    /// Another gate is filled, whose epochs have numbers between those of this one.
    FillAnother,
    /// The Redis of before decides a request, of a process that has not heard of it.
    DecideBefore { user: usize },
    /// The Redis of before lets go of a row that has given its stock back.
    LetGoBefore { id: Id, epoch: u8 },
    /// The gate forgets a hold that is stored.
    Forget { user: usize },
    /// The process of a request dies.
    Die { user: usize },
    /// A process that fills the gate dies.
    DieFilling { filling: usize },
    /// Main is put back to before the last epoch, and forgets its locks.
    RestoreMain,
    /// The queue is deleted, with what is in it.
    DeleteQueue,
    /// The consumer dies between commit and acknowledgement.
    Redeliver,
}

impl Step {
    /// Every step that some state may take, but for arrivals.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        let users = (0..USERS).flat_map(|user| {
            let of_user = [
                Self::Ask { user },
                Self::Decide { user },
                Self::DecideBefore { user },
                Self::Publish { user },
                Self::Answer { user },
                Self::Settle { user },
                Self::HandOverAgain { user },
                Self::ReadRow { user },
                Self::LookAgain { user },
                Self::GiveBack { user },
                Self::LetGoEarly { user },
                Self::Forget { user },
                Self::Die { user },
            ];
            of_user.into_iter().chain((0..FILLINGS).map(move |filling| Self::FillWithout { filling, user }))
        });
        let fillings = (0..FILLINGS).flat_map(|filling| {
            [Self::BeginFilling { filling }, Self::Fill { filling }, Self::DieFilling { filling }]
        });
        let ids = (0..USERS).flat_map(|user| (0..ATTEMPTS).map(move |attempt| Id { user, attempt }));
        let let_go = ids.flat_map(|id| {
            (1..=EPOCHS).flat_map(move |epoch| [Self::LetGo { id, epoch }, Self::LetGoBefore { id, epoch }])
        });
        let others = [
            Self::TellGate,
            Self::Store,
            Self::Acknowledge,
            Self::MendQueue,
            Self::LoseGate,
            Self::FailOver { in_step: true },
            Self::FailOver { in_step: false },
            Self::FillAnother,
            Self::RestoreMain,
            Self::DeleteQueue,
            Self::Redeliver,
        ];
        users.chain(fillings).chain(let_go).chain(others)
    }

    /// A fault, or a wish of a user's, which need not happen, as opposed to what the system does by itself.
    pub(crate) const fn is_fault(self) -> bool {
        matches!(
            self,
            Self::LoseGate
                | Self::FailOver { .. }
                | Self::FillAnother
                | Self::DecideBefore { .. }
                | Self::LetGoBefore { .. }
                | Self::Forget { .. }
                | Self::Die { .. }
                | Self::DieFilling { .. }
                | Self::RestoreMain
                | Self::DeleteQueue
                | Self::Redeliver
                | Self::GiveBack { .. }
                | Self::LetGoEarly { .. }
        )
    }
}
