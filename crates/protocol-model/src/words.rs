//! Steps in words that a person follows.

use std::fmt;

use crate::mechanism::Rules;
use crate::state::{Filling, Message, Request, Stage, State};
use crate::step::Step;

/// A user's name.
pub(crate) const fn name(user: usize) -> &'static str {
    if user == 0 { "Ann" } else { "Bob" }
}

const fn process(filling: usize) -> &'static str {
    if filling == 0 { "the gatekeeper" } else { "another process' gatekeeper" }
}

/// A step that was taken in a state.
pub(crate) struct Taken<'a> {
    pub(crate) rules: Rules,
    pub(crate) before: &'a State,
    pub(crate) step: Step,
}

impl fmt::Display for Taken<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { before, .. } = self;
        match self.step {
            Step::Ask { user } => {
                write!(f, "{} asks; the request gets its id, and epoch {}", name(user), before.main.open)
            }
            Step::Decide { user } => self.decision(f, user),
            Step::Publish { user } => match (before.users[user].request, self.after(user)) {
                (Request::Granted { epoch, .. }, Request::Published { .. }) => {
                    write!(f, "{}'s result is published, and routed by epoch {epoch}", name(user))
                }
                _ => write!(f, "{}'s result is published: NO_ROUTE, so 503", name(user)),
            },
            Step::Arrive { message } => write!(f, "{message} reaches the queue"),
            Step::Answer { user } => {
                write!(f, "the queue has confirmed: {} is told to hold the coupon", name(user))
            }
            Step::Store => match before.broker.in_memory.or(before.broker.queue.first().copied()) {
                Some(message) => write!(f, "the consumer commits {message}"),
                None => f.write_str("the consumer commits"),
            },
            Step::Acknowledge => f.write_str("the consumer acknowledges the queue's first message"),
            Step::Settle { user } => write!(f, "the gate learns that {}'s result is stored", name(user)),
            Step::HandOverAgain { user } => {
                write!(f, "the reconciler hands over {}'s pending result again", name(user))
            }
            Step::ReadRow { user } => {
                write!(f, "the reconciler reads {}'s row, and finds that the gate lacks it", name(user))
            }
            Step::TellGate => match before.read {
                Some((id, _)) => write!(f, "the reconciler tells the gate of {}'s row", name(id.user)),
                None => f.write_str("the reconciler tells the gate of a row"),
            },
            Step::LookAgain { user } => match before.shard.live_row_of(user) {
                Some(_) => write!(f, "the reconciler looks at {}'s row again, and finds it live", name(user)),
                None => {
                    write!(f, "the reconciler looks at {}'s row again: the gate lets go of it", name(user))
                }
            },
            Step::GiveBack { user } => write!(f, "{}'s row gives its stock back", name(user)),
            Step::LetGo { id, epoch } => {
                write!(
                    f,
                    "the gate of epoch {epoch} lets go of {}'s result {}",
                    name(id.user),
                    id.attempt + 1
                )
            }
            Step::LetGoEarly { user } => {
                write!(f, "the gate lets go of {}'s result before its row gives stock back", name(user))
            }
            Step::BeginFilling { filling } => {
                write!(f, "{} finds the gate shut, and takes main's lock", process(filling))
            }
            Step::Fill { filling } => {
                write!(f, "{} ", process(filling))?;
                before.fillings[filling].map_or(Ok(()), |at| self.filling(f, filling, at))
            }
            Step::FillWithout { filling, user } => {
                write!(f, "{} fills the gate without {}'s rows", process(filling), name(user))
            }
            Step::MendQueue => {
                f.write_str("the gatekeeper makes the queue again, and binds it to the open epoch")
            }
            Step::LoseGate => f.write_str("FAULT: Redis loses its memory"),
            Step::FailOver { in_step: true } => f.write_str("FAULT: a replica takes the place of Redis"),
            Step::FailOver { in_step: false } => {
                f.write_str("FAULT: a replica takes the place of Redis, and has heard of nothing")
            }
            Step::FillAnother => {
                write!(f, "another gate is filled; its epochs before {} are closed", before.main.epoch + 1)
            }
            Step::DecideBefore { user } => {
                let said = if self.after(user) == Request::None { "nothing more" } else { "granted" };
                write!(f, "the Redis of before answers {}: {said}", name(user))
            }
            Step::LetGoBefore { id, epoch } => {
                write!(
                    f,
                    "the Redis of before lets go of {}'s result {} of epoch {epoch}",
                    name(id.user),
                    id.attempt + 1
                )
            }
            Step::Forget { user } => write!(f, "FAULT: the gate forgets {}'s hold", name(user)),
            Step::Die { user } => write!(f, "FAULT: the process of {}'s request dies", name(user)),
            Step::DieFilling { filling } => write!(f, "FAULT: {} dies", process(filling)),
            Step::RestoreMain => {
                f.write_str("FAULT: main is put back to before the last epoch, without its locks")
            }
            Step::DeleteQueue => f.write_str("FAULT: the queue is deleted, with what is in it"),
            Step::Redeliver => f.write_str("FAULT: the consumer dies before it acknowledges"),
        }
    }
}

impl Taken<'_> {
    fn after(&self, user: usize) -> Request {
        let after = self.rules.after(self.before, self.step);
        after.map_or(Request::None, |after| after.users[user].request)
    }

    fn decision(&self, f: &mut fmt::Formatter<'_>, user: usize) -> fmt::Result {
        let Request::Fixed { epoch, id } = self.before.users[user].request else { return Ok(()) };
        let hold = self.before.gate.holds[usize::from(epoch)][user];
        let said = match (self.after(user), hold) {
            (Request::Granted { id: granted, .. }, _) if granted == id => "granted",
            (Request::Granted { .. }, _) => "pending under an earlier id, which is handed over",
            (_, Some(_)) => "a duplicate, and the id that is held",
            _ if !self.before.gate.scripts.contains(epoch) => "it has lost its memory, so 503",
            _ => "sold out",
        };
        write!(f, "the gate of epoch {epoch} answers {}: {said}", name(user))
    }

    fn filling(&self, f: &mut fmt::Formatter<'_>, number: usize, at: Filling) -> fmt::Result {
        let next = self.rules.after(self.before, self.step).and_then(|after| after.fillings[number]);
        match at.stage {
            Stage::Take => match next {
                Some(next) => write!(f, "takes epoch {}", next.epoch),
                None => f.write_str("finds that another has taken an epoch, and gives up"),
            },
            Stage::Unbind => f.write_str("unbinds the routing keys of earlier epochs"),
            Stage::FirstMarker | Stage::LastMarker if at.waits && next.is_none() => {
                f.write_str("has waited for its marker for too long, and gives up")
            }
            Stage::FirstMarker if at.waits => f.write_str("sees its first marker stored"),
            Stage::FirstMarker => f.write_str("sends a first marker"),
            Stage::LastMarker if at.waits => f.write_str("sees its last marker stored"),
            Stage::LastMarker => f.write_str("sends a last marker, which closes the earlier epochs"),
            Stage::LoadScript => write!(f, "loads the script of epoch {}", at.epoch),
            Stage::Fill => write!(f, "fills the holders of epoch {} from the shard", at.epoch),
            Stage::FindScript if next.is_some() => f.write_str("finds the script still there"),
            Stage::FindScript => f.write_str("finds its script gone, and gives up"),
            Stage::Record => write!(f, "records epoch {} at the shard", at.epoch),
            Stage::Bind => write!(f, "binds the routing key of epoch {}", at.epoch),
            Stage::Open => write!(f, "has main name epoch {} as open", at.epoch),
        }
    }
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Result { id, epoch } => {
                write!(f, "{}'s result {} of epoch {epoch}", name(id.user), id.attempt + 1)
            }
            Self::Marker { closes: 0, .. } => f.write_str("a marker"),
            Self::Marker { closes, .. } => write!(f, "a marker that closes epoch {closes} and all before it"),
        }
    }
}
