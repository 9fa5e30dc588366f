//! What the protocol asks of the gate's server.

use async_trait::async_trait;
use coupon_core::{CouponId, CouponResult, Timestamp, UserId};

use crate::servers::gate::Epoch;
use crate::terms::Terms;
use crate::{Attempt, Decision, Stock};

/// The pending mark of a reservation: its result is not known to be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark {
    /// Whose it is.
    pub user: UserId,
    /// The coupon reserved.
    pub coupon: CouponId,
}

/// A user's hold of a coupon, as a shard's row shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hold {
    /// The coupon held.
    pub coupon: u64,
    /// Whose it is.
    pub user: u64,
    /// The result's id.
    pub id: i64,
}

/// The gate's record of a holder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Held {
    /// Under this result's id.
    Result(i64),
    /// Under the id of a result that is parked.
    Parked(i64),
}

/// The gate's answer to whether it has its memory of an epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Remembers {
    /// It has the epoch's script, which is loaded before anything is filled.
    pub script: bool,
    /// It has the sentinel among the pending marks.
    pub sentinel: bool,
}

/// A coupon's holders.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Holders {
    /// Users who hold it.
    pub users: Vec<UserId>,
    /// Holds that are of no user: of those who hold it more than once.
    pub others: usize,
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

/// What the protocol asks of the gate's server, over one connection. Each question is answered in one step, whatever
/// others ask at the same time.
#[async_trait]
pub trait GateServer: Send + Sync {
    /// Its address, without the password.
    fn address(&self) -> &str;

    /// Decides attempts, each coupon's together, in their order.
    async fn decide(&self, epoch: &Epoch, attempts: &[&Attempt]) -> Result<Vec<Decision>, GateError>;

    /// Counts a coupon's stock; `None` for one that it does not hold.
    async fn stock(&self, epoch: &Epoch, coupon: CouponId) -> Result<Option<Stock>, GateError>;

    /// Reads a coupon's holders, one part after the other.
    async fn holders(&self, epoch: &Epoch, coupon: CouponId) -> Result<Holders, GateError>;

    /// Says whether it has its memory of the epoch.
    async fn remembers(&self, epoch: &Epoch) -> Result<Remembers, GateError>;

    /// The pending marks of grabs of that moment, and whether it has its memory.
    async fn pending_at(&self, epoch: &Epoch, time: Timestamp) -> Result<(Remembers, Vec<Mark>), GateError>;

    /// The pending marks of grabs of that moment or before.
    async fn pending_until(&self, epoch: &Epoch, time: Timestamp) -> Result<Vec<Mark>, GateError>;

    /// All pending marks.
    async fn pending(&self, epoch: &Epoch) -> Result<Vec<Mark>, GateError>;

    /// Says of each of these marks whether it is there.
    async fn are_pending(&self, epoch: &Epoch, marks: &[Mark]) -> Result<Vec<bool>, GateError>;

    /// Takes these marks away.
    async fn unmark(&self, epoch: &Epoch, marks: &[Mark]) -> Result<(), GateError>;

    /// The holder's record that each of these marks is for, if there is one.
    async fn held(&self, epoch: &Epoch, marks: &[Mark]) -> Result<Vec<Option<Held>>, GateError>;

    /// Makes the users of parked results holders, unless they hold another one, or the gate does not hold the coupon.
    async fn park(&self, epoch: &Epoch, results: &[CouponResult]) -> Result<(), GateError>;

    /// Makes sure that it can be written.
    async fn probe(&self) -> Result<(), GateError>;

    /// Loads the epoch's script, and begins its pending marks with the sentinel.
    async fn begin(&self, epoch: &Epoch) -> Result<(), GateError>;

    /// Puts coupons on offer: their totals and windows.
    async fn offer(&self, epoch: &Epoch, coupons: &[&Terms]) -> Result<(), GateError>;

    /// Says whether it has the terms of every one of these coupons.
    async fn offers_all(&self, epoch: &Epoch, coupons: &[CouponId]) -> Result<bool, GateError>;

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

    /// Removes what there is of earlier epochs.
    async fn forget_before(&self, epoch: u64) -> Result<(), GateError>;
}
