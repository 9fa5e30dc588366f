//! The gate: one hash a coupon in Redis, a script that decides a whole batch, and one that lets go of what was given back.
//!
//! A script's text names the data set and the epoch, so that each epoch has its own script. Only the process that
//! has filled the gate loads it: where it is missing, Redis has lost its memory, and nothing it says of holders is
//! trusted.

mod epoch;
mod fences;
mod given_back;
mod link;
mod offers;
mod question;
mod redis;
mod replication;
mod sentinel;
mod server;
mod text;

use std::sync::Arc;
use std::time::Duration;

use coupon_core::{CouponId, GateCount, GateId, ResultId, UserId, VersionNumber};
use futures_util::future::join_all;

use coupon_store::failpoints::{self, Mechanism};
use coupon_store::{Attempt, Decided, Decision, Gate, GateStock, LocalFuture, Unavailable};
pub use epoch::Epoch;
pub(super) use epoch::EpochCell;
pub(super) use given_back::REMEMBERED;
pub(super) use link::Link;
pub(super) use redis::RESPONSE;
pub use redis::{RedisError, RedisServer};
pub(super) use server::{GateLink, remove_keys};

use super::per_thread::PerThread;
use super::seam::{GateError, GateServer, Held, Remembers};
use super::tasks::{Background, GateHandle, GateLines, lines};

/// The first character of a holder's id that is parked.
pub(super) const PARKED: &str = "x";
/// The fields of a coupon's hash that are no holders: total, start and end.
pub(super) const META_FIELDS: i64 = 3;
/// One more, if any user ever had a slot beyond the first: the last of them.
pub(super) const LAST_SLOT: &str = "m";
/// A member of the pending reservations that is none, and later than all of them: where it is missing, the others are
/// lost.
pub(super) const SENTINEL: &str = "@";

/// Stock and one-per-user, on the gates' servers.
pub(super) struct ServersGate {
    background: Arc<Background>,
    connections: PerThread<GateLines>,
    patience: Duration,
}

/// A gate that is open, and a thread's connection to it.
struct OpenGate<'a> {
    gate: &'a GateHandle,
    epoch: Arc<Epoch>,
    lines: Arc<GateLines>,
}

impl OpenGate<'_> {
    fn server(&self) -> &dyn GateServer {
        &**self.lines.get(self.gate.id)
    }

    /// Takes note of an answer.
    fn heard<T>(&self, answer: Result<T, GateError>) -> Result<T, Unavailable> {
        let cell = &self.gate.epoch;
        cell.answered(matches!(answer, Ok(_) | Err(GateError::Strange { .. })));
        answer.map_err(|error| {
            if error == GateError::Forgot {
                cell.suspect();
            }
            Unavailable::new("the gate", error)
        })
    }
}

impl ServersGate {
    /// The gate of a process, which answers a grab within so long, or not.
    pub(super) fn new(background: Arc<Background>, patience: Duration) -> Self {
        Self { background, connections: PerThread::default(), patience }
    }

    /// This thread's own way to a gate.
    fn open<'a>(&self, gate: &'a GateHandle) -> Result<OpenGate<'a>, Unavailable> {
        let epoch = gate.epoch.open().ok_or_else(shut)?;
        let lines = self.connections.get(|| lines(&self.background.gates, self.patience));
        Ok(OpenGate { gate, epoch, lines })
    }

    /// The gate that decides a coupon's grabs.
    fn open_for(&self, coupon: CouponId) -> Result<OpenGate<'_>, Unavailable> {
        self.open(self.background.gates.of(coupon))
    }

    async fn decide(&self, knows: VersionNumber, attempts: &[Attempt]) -> Result<Decided, Unavailable> {
        // All are about coupons of one gate.
        let gates = &self.background.gates;
        let gate = attempts.first().map_or_else(|| gates.get(GateId::FIRST), |one| gates.of(one.coupon));
        let open = self.open(gate)?;
        let (epoch, cell) = (&open.epoch, &open.gate.epoch);
        // There is no version after that to ask for.
        let knows = if failpoints::is_off(Mechanism::LayoutFence) { VersionNumber::MAX - 1 } else { knows };
        let mut decisions = vec![Decision::InvalidTime; attempts.len()];
        let order = self.order(attempts);
        if !order.is_empty() {
            let in_order: Vec<&Attempt> = order.iter().filter_map(|(at, _)| attempts.get(*at)).collect();
            let decided = open.heard(open.server().decide(epoch, knows, &in_order).await)?;
            for ((at, is_forgotten), mut decision) in order.into_iter().zip(decided) {
                if decision == Decision::NotLoaded && is_forgotten {
                    // The coupon was over for long when the gate was filled, and no operator has moved its end since.
                    decision = Decision::InvalidTime;
                } else if decision == Decision::NotLoaded {
                    // The coupon is on offer, or a user who was granted it may ask again: a gate that does not hold it has lost
                    // it, or is about to have it.
                    cell.suspect();
                }
                if let Some(place) = decisions.get_mut(at) {
                    *place = weakened(decision);
                }
            }
        }
        Ok(Decided { decisions, epoch: epoch.number })
    }

    /// The attempts that need the gate, each coupon's together, in the order in which they came, and for each whether its
    /// coupon has been over for long, as far as is known. Those for such coupons need none; of others the gate knows what
    /// was granted before they were over.
    /// Where the process has not heard from main for long, the gate alone knows what is over.
    fn order(&self, attempts: &[Attempt]) -> Vec<(usize, bool)> {
        let offered = &self.background.offered;
        let knows = offered.is_current();
        let mut order: Vec<(CouponId, usize, bool)> = offered.look(|known| {
            let forgotten = |attempt: &Attempt| known.is_forgotten(attempt.coupon, attempt.id.time());
            let all = attempts.iter().enumerate();
            let all = all.map(|(at, attempt)| (attempt.coupon, at, forgotten(attempt)));
            all.filter(|(.., forgotten)| !(knows && *forgotten)).collect()
        });
        order.sort_unstable();
        order.into_iter().map(|(_, at, is_forgotten)| (at, is_forgotten)).collect()
    }

    async fn read_holders(&self, coupon: CouponId) -> Option<(u64, Vec<UserId>)> {
        let open = self.open_for(coupon).ok()?;
        let (epoch, server) = (&open.epoch, open.server());
        let holders = open.heard(server.holders(epoch, coupon).await).ok()?;
        let GateStock { total, sold } = open.heard(server.stock(epoch, coupon).await).ok()??;
        // Fewer of them than there are holds: Redis has lost some since.
        let complete = holders.holds == sold as usize;
        (sold >= total && complete).then_some((epoch.number, holders.users))
    }

    /// Looks for the reservation at every gate: a result's id does not say of which coupon it is.
    async fn is_pending(&self, id: ResultId) -> Result<bool, Unavailable> {
        let asked = self.background.gates.iter().map(|gate| self.is_pending_at(gate, id));
        let mut is_pending = Ok(false);
        for answer in join_all(asked).await {
            match answer {
                Ok(true) => return Ok(true),
                Ok(false) => {}
                Err(error) => is_pending = Err(error),
            }
        }
        is_pending
    }

    /// Looks for it among those that are pending at a gate, by the time of its id.
    async fn is_pending_at(&self, gate: &GateHandle, id: ResultId) -> Result<bool, Unavailable> {
        let open = self.open(gate)?;
        let (epoch, server) = (&open.epoch, open.server());
        let (remembers, marks) = open.heard(server.pending_at(epoch, id.time()).await)?;
        if !is_intact(remembers) {
            gate.epoch.suspect();
            return Err(Unavailable::new("the gate", GateError::Forgot));
        }
        let held = match &*marks {
            [] => Vec::new(),
            marks => open.heard(server.held(epoch, marks).await)?,
        };
        let is_it = |held| matches!(held, Held::Result(reserved) if reserved.id == id);
        if held.into_iter().flatten().any(is_it) {
            return Ok(true);
        }
        // Another may have taken the place of the one that was asked, and have granted it.
        let latest = self.background.is_the_latest(epoch.number).await;
        match latest {
            Ok(true) => Ok(false),
            Ok(false) => {
                gate.epoch.suspect();
                Err(Unavailable::new("the gate", "another has taken its place"))
            }
            Err(error) => Err(Unavailable::new("the gate", format!("whether it is the latest: {error:#}"))),
        }
    }

    async fn read_stock(&self, coupon: CouponId) -> Result<Option<GateStock>, Unavailable> {
        let open = self.open_for(coupon)?;
        open.heard(open.server().stock(&open.epoch, coupon).await)
    }
}

fn shut() -> Unavailable {
    Unavailable::new("the gate", "it is being filled; ask again in a moment")
}

/// Judges whether a gate that remembers so much has its memory.
pub(super) fn is_intact(Remembers { script, sentinel }: Remembers) -> bool {
    script && (sentinel || failpoints::is_off(Mechanism::Sentinel))
}

/// A decision as it is without the mechanisms that are switched off.
fn weakened(decision: Decision) -> Decision {
    match decision {
        // Under another id than they hold.
        Decision::Pending(_) | Decision::Duplicate(_) if failpoints::is_off(Mechanism::OnePerUser) => {
            Decision::Granted(0)
        }
        Decision::Pending(reserved) if failpoints::is_off(Mechanism::Pending) => {
            Decision::Duplicate(reserved.id)
        }
        decision => decision,
    }
}

impl Gate for ServersGate {
    fn reserve<'a>(
        &'a self,
        knows: VersionNumber,
        attempts: &'a [Attempt],
    ) -> LocalFuture<'a, Result<Decided, Unavailable>> {
        Box::pin(self.decide(knows, attempts))
    }

    fn count(&self) -> GateCount {
        self.background.gates.count()
    }

    fn ready(&self) -> Result<(), Unavailable> {
        let mut answers = self.background.gates.iter().map(|gate| {
            if gate.epoch.is_away() {
                return Err(Unavailable::new("the gate", "it does not answer"));
            }
            gate.epoch.open().map(drop).ok_or_else(shut)
        });
        let first = answers.next().unwrap_or(Ok(()));
        if first.is_ok() || answers.any(|answer| answer.is_ok()) { Ok(()) } else { first }
    }

    fn epoch(&self, coupon: CouponId) -> Option<u64> {
        // A process that was away goes by nothing that it remembers until it has heard what changed.
        let number = self.background.gates.of(coupon).epoch.number();
        number.filter(|_| self.background.offered.is_current())
    }

    fn holders(&self, coupon: CouponId) -> LocalFuture<'_, Option<(u64, Vec<UserId>)>> {
        Box::pin(self.read_holders(coupon))
    }

    fn stock(&self, coupon: CouponId) -> LocalFuture<'_, Result<Option<GateStock>, Unavailable>> {
        Box::pin(self.read_stock(coupon))
    }

    fn pending(&self, id: ResultId) -> Option<LocalFuture<'_, Result<bool, Unavailable>>> {
        let looks = !failpoints::is_off(Mechanism::PendingReads);
        looks.then(|| -> LocalFuture<'_, _> { Box::pin(self.is_pending(id)) })
    }
}
