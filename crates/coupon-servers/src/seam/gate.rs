//! Requests of the protocol to the gate's server.

use std::time::Duration;

use async_trait::async_trait;
use coupon_core::{
    CouponId, CouponResult, RequestKey, ResultId, ShardId, TableId, Timestamp, UserId, VersionNumber,
};
use coupon_store::terms::Terms;
use coupon_store::{Attempt, Decision, GateStock, Reservation};

use super::Fence;
use crate::gate::Epoch;

/// The pending mark of a reservation: its result is not known to be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark {
    /// Its user.
    pub user: UserId,
    /// The coupon reserved.
    pub coupon: CouponId,
    /// The slot.
    pub slot: u8,
    /// The result's id: it distinguishes one reservation from a later one in the same slot.
    pub id: ResultId,
}

impl Mark {
    /// The mark of a result that was granted.
    #[must_use]
    pub fn of(result: &CouponResult) -> Self {
        let CouponResult { user_id: user, coupon_id: coupon, result_id: id, slot, .. } = *result;
        Self { user, coupon, slot: slot.unwrap_or(0), id }
    }

    /// The time of the grab.
    #[must_use]
    pub const fn time(&self) -> Timestamp {
        self.id.time()
    }
}

/// A user's hold of a coupon, as a shard's row shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hold {
    /// The coupon held.
    pub coupon: u64,
    /// Its user.
    pub user: u64,
    /// The result's id.
    pub id: i64,
    /// The slot; the first, once its stock was given back.
    pub slot: u8,
    /// The moment until which it is held, if it was not final at once.
    pub hold_until: Option<Timestamp>,
    /// The request that it answers.
    pub request: Option<RequestKey>,
    /// The time at which it gave its stock back; none if it takes stock.
    pub given_back: Option<Timestamp>,
}

impl Hold {
    /// A row as a gate knows it.
    #[must_use]
    pub fn of(row: &CouponResult) -> Self {
        let CouponResult { result_id, user_id, coupon_id, slot, hold_until, request, state_time, .. } = *row;
        Self {
            coupon: coupon_id.get(),
            user: user_id.get(),
            id: result_id.number(),
            slot: slot.unwrap_or(0),
            hold_until,
            request,
            given_back: if slot.is_some() { None } else { state_time },
        }
    }
}

/// A result that gave its stock back, and the slot that it had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Release {
    /// The coupon.
    pub coupon: CouponId,
    /// The user whose it was.
    pub user: UserId,
    /// The result's id.
    pub id: ResultId,
    /// The slot.
    pub slot: u8,
    /// The request that it answers.
    pub request: Option<RequestKey>,
}

impl Release {
    /// The release by which the gate forgets a row, as it was while it took stock.
    #[must_use]
    pub fn of(row: &CouponResult) -> Self {
        let CouponResult { coupon_id: coupon, user_id: user, result_id: id, slot, request, .. } = *row;
        Self { coupon, user, id, slot: slot.unwrap_or(0), request }
    }
}

/// A row that the gate was given, and which is to be looked at again: it may have given its stock back meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unchecked {
    /// The shard.
    pub shard: ShardId,
    /// The row's table.
    pub table: TableId,
    /// The release to be done, should the row not take stock any more.
    pub release: Release,
}

/// The gate's record of a holder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Held {
    /// A reservation.
    Result(Reservation),
    /// Under the id of a result that is parked.
    Parked(i64),
}

/// The gate's answer to whether it has its memory of an epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Remembers {
    /// It has the epoch's script, which is loaded before anything is filled, and has taken over no other memory since.
    pub script: bool,
    /// It has the sentinel among the pending marks.
    pub sentinel: bool,
}

/// Versions of main's catalogue, as the gate's coupons were offered by them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Versions {
    /// The first that was offered, by the process that filled the gate.
    pub first: u64,
    /// The latest.
    pub last: u64,
    /// The one by which it knows the versions of the layout; 0 where it knows of none.
    pub layouts: u64,
}

impl Versions {
    /// The version that main has reached, at the least, unless it was put back: it has one before a coupon is offered by it,
    /// and the one before a layout's as long as that is announced.
    #[must_use]
    pub fn of_main(self) -> u64 {
        self.last.max(self.layouts.saturating_sub(1))
    }
}

/// A coupon's holders.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CouponHolders {
    /// Users who hold it, and those whose requests are remembered.
    pub users: Vec<UserId>,
    /// The number of holds.
    pub holds: usize,
}

/// The gate's server does not answer a question.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GateError {
    /// It has lost its memory of the epoch.
    #[error("Redis has lost its memory, and is being filled again")]
    Forgot,
    /// It did not answer in time, refused, or is not there. What it was asked to do may be done.
    #[error("{why}")]
    Away {
        /// The reason that is known.
        why: String,
    },
    /// It answered something else.
    #[error("its answer {answer} is not one of ours")]
    Strange {
        /// The answer.
        answer: String,
    },
}

/// Requests of the protocol to the gate's server, over one connection. Each question is answered in one step, whatever others ask
/// at the same time.
#[async_trait]
pub trait GateServer: Send + Sync {
    /// Its address, without the password: of one that was elected, also by which fail-over.
    fn address(&self) -> String;

    /// Decides attempts, each coupon's together, in their order, of a process that knows of no later version of the layout
    /// than that: it is refused what a later one places.
    async fn decide(
        &self,
        epoch: &Epoch,
        knows: VersionNumber,
        attempts: &[&Attempt],
    ) -> Result<Vec<Decision>, GateError>;

    /// Takes note of the versions of the layout, as main has them, or is about to, with that version of its catalogue. Where
    /// it has those of a later one, nothing changes: [`Self::versions`] says so.
    async fn fence(&self, epoch: &Epoch, catalogue: u64, fences: &[Fence]) -> Result<(), GateError>;

    /// The latest version of the layout that it knows of.
    async fn latest_layout(&self, epoch: &Epoch) -> Result<VersionNumber, GateError>;

    /// Counts a coupon's stock; `None` for one that it does not hold.
    async fn stock(&self, epoch: &Epoch, coupon: CouponId) -> Result<Option<GateStock>, GateError>;

    /// Reads a coupon's holders, one part after the other.
    async fn holders(&self, epoch: &Epoch, coupon: CouponId) -> Result<CouponHolders, GateError>;

    /// Says whether it has its memory of the epoch, wherever it is by now.
    async fn remembers(&self, epoch: &Epoch) -> Result<Remembers, GateError>;

    /// The pending marks of grabs of that moment, and whether it has its memory.
    async fn pending_at(&self, epoch: &Epoch, time: Timestamp) -> Result<(Remembers, Vec<Mark>), GateError>;

    /// The pending marks of grabs of that moment or before.
    async fn pending_until(&self, epoch: &Epoch, time: Timestamp) -> Result<Vec<Mark>, GateError>;

    /// All pending marks.
    async fn pending(&self, epoch: &Epoch) -> Result<Vec<Mark>, GateError>;

    /// Says of each of these marks whether it is there.
    async fn are_pending(&self, epoch: &Epoch, marks: &[Mark]) -> Result<Vec<bool>, GateError>;

    /// Takes these marks away. Those of later reservations in their slots stay.
    async fn unmark(&self, epoch: &Epoch, marks: &[Mark]) -> Result<(), GateError>;

    /// The holder's record in the slot that each of these marks is for, if there is one: perhaps that of a later reservation.
    async fn held(&self, epoch: &Epoch, marks: &[Mark]) -> Result<Vec<Option<Held>>, GateError>;

    /// Makes the users of parked results holders, unless they hold another one, or the gate does not hold the coupon.
    async fn park(&self, epoch: &Epoch, results: &[CouponResult]) -> Result<(), GateError>;

    /// Makes sure that it can be written, wherever it is by now.
    async fn probe(&self) -> Result<(), GateError>;

    /// Loads the epoch's script, and begins its pending marks with the sentinel.
    async fn begin(&self, epoch: &Epoch) -> Result<(), GateError>;

    /// Puts coupons on offer: their totals and windows, as main had them at that version of its catalogue. Of a coupon
    /// that it has from a later version, nothing changes: [`Self::versions`] says whether there may be any.
    async fn offer(&self, epoch: &Epoch, version: u64, coupons: &[&Terms]) -> Result<(), GateError>;

    /// Changes the terms of coupons, as [`Self::offer`] does, but of those alone that it has. Returns the others: their
    /// holders come first.
    async fn change_terms(
        &self,
        epoch: &Epoch,
        version: u64,
        coupons: &[&Terms],
    ) -> Result<Vec<CouponId>, GateError>;

    /// The versions of main's catalogue that the epoch's coupons were offered by; none before any was.
    async fn versions(&self, epoch: &Epoch) -> Result<Option<Versions>, GateError>;

    /// Says whether it has the terms of every coupon that was put on offer in the epoch.
    async fn offers_all(&self, epoch: &Epoch) -> Result<bool, GateError>;

    /// Makes users holders who are none yet. Says of each whether it was made one.
    async fn hold(&self, epoch: &Epoch, holds: &[Hold]) -> Result<Vec<bool>, GateError>;

    /// Makes a user a holder, whatever they hold.
    async fn hold_instead(&self, epoch: &Epoch, hold: Hold) -> Result<(), GateError>;

    /// Takes stock for a second result of a user.
    async fn hold_beside(&self, epoch: &Epoch, hold: Hold) -> Result<(), GateError>;

    /// Makes users holders of parked results who are none yet.
    async fn hold_parked(&self, epoch: &Epoch, holds: &[Hold]) -> Result<(), GateError>;

    /// The holds of users whom it does not know as holders, of coupons that it has.
    async fn lacking(&self, epoch: &Epoch, holds: &[Hold]) -> Result<Vec<Hold>, GateError>;

    /// Remembers requests whose results gave their stock back, each for so long.
    async fn remember(&self, epoch: &Epoch, answered: &[(Hold, Duration)]) -> Result<(), GateError>;

    /// Lets go of results that gave their stock back, and remembers their requests. Whatever is held in their place by
    /// then stays.
    async fn let_go(&self, epoch: &Epoch, releases: &[Release]) -> Result<(), GateError>;

    /// Makes users holders who are none yet, of rows that are to be looked at again. Says of each whether it was made
    /// one.
    async fn restore(&self, epoch: &Epoch, rows: &[(Unchecked, Hold)]) -> Result<Vec<bool>, GateError>;

    /// The rows that are to be looked at again.
    async fn unchecked(&self, epoch: &Epoch) -> Result<Vec<Unchecked>, GateError>;

    /// Takes note that rows were looked at.
    async fn checked(&self, epoch: &Epoch, rows: &[Unchecked]) -> Result<(), GateError>;

    /// Removes what there is of earlier epochs.
    async fn forget_before(&self, epoch: u64) -> Result<(), GateError>;
}
