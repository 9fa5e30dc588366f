//! Changes of the catalogue by an operator: rooms, coupons and users, while services run.
//!
//! What is asked is checked here, and held against the row that main has. What main does with the outcome is one
//! transaction: rows, a line of the stock log where stock changes, a line of `catalogue_changes`, and the next version.

mod check;
mod coupon;
mod record;

use std::collections::HashSet;
use std::fmt;

pub use coupon::{CouponPatch, CouponRow, CouponWrite, NewCoupon};
pub use record::{ChangeRecord, ColumnValue, OnOffer, Operator};

use crate::{CouponId, Day, LiveRoom, RoomId, RoomStatus, Timestamp, User, UserId, UserLevel};

/// The most users that one change adds.
pub const USERS_MAX: usize = 10_000;

/// One change by an operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CatalogueChange {
    /// Makes a room.
    CreateRoom(NewRoom),
    /// Ends a room. Its coupons go on until they end.
    EndRoom(RoomId),
    /// Makes a coupon.
    CreateCoupon(NewCoupon),
    /// Changes some of a coupon.
    ChangeCoupon(CouponId, CouponPatch),
    /// Adds users, from one to [`USERS_MAX`], each of them once. Those that exist stay as they are.
    AddUsers(Vec<NewUser>),
}

impl CatalogueChange {
    /// Checks all that can be checked without main.
    ///
    /// # Errors
    /// [`Refused::Invalid`], which names the first field that cannot be so.
    pub fn check(&self) -> Result<(), Refused> {
        match self {
            Self::CreateRoom(room) => room.check(),
            Self::EndRoom(_) => Ok(()),
            Self::CreateCoupon(coupon) => coupon.check(),
            Self::ChangeCoupon(_, patch) => patch.check(),
            Self::AddUsers(users) => {
                check::count("users", users.len(), USERS_MAX)?;
                let (mut users, mut seen) = (users.iter().enumerate(), HashSet::new());
                users.try_for_each(|(at, user)| {
                    let once = check::holds("user_id", seen.insert(user.user_id), || {
                        "must not be given twice".to_owned()
                    });
                    once.and_then(|()| user.check()).map_err(|why| why.of_element("users", at))
                })
            }
        }
    }

    /// The coupon that it is about, if it is about one.
    #[must_use]
    pub const fn coupon(&self) -> Option<CouponId> {
        match self {
            Self::CreateCoupon(coupon) => Some(coupon.coupon_id),
            Self::ChangeCoupon(coupon, _) => Some(*coupon),
            Self::CreateRoom(_) | Self::EndRoom(_) | Self::AddUsers(_) => None,
        }
    }

    /// The room that it is about, if it is about one.
    #[must_use]
    pub const fn room(&self) -> Option<RoomId> {
        match self {
            Self::CreateRoom(room) => Some(room.room_id),
            Self::EndRoom(room) => Some(*room),
            Self::CreateCoupon(coupon) => Some(coupon.room_id),
            Self::ChangeCoupon(..) | Self::AddUsers(_) => None,
        }
    }
}

/// The reason why a change is not made. It changed nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The row to be changed does not exist.
    #[error("there is no {0}")]
    Unknown(Thing),
    /// The state that main has by now stands in the way.
    #[error("{0}")]
    Conflict(String),
    /// A field holds what it must not.
    #[error("{field} {why}")]
    Invalid {
        /// The field, with the list and the index that it is in: `users[3].phone`.
        field: String,
        /// The rule that it breaks, after "must" or the like.
        why: String,
    },
}

impl Refused {
    /// The same, of an element of a list.
    fn of_element(self, list: &str, at: usize) -> Self {
        match self {
            Self::Invalid { field, why } => Self::Invalid { field: format!("{list}[{at}].{field}"), why },
            other => other,
        }
    }

    /// The refusal of a coupon to be on offer again, or to be made again, whose results have been archived, or are about to
    /// be: a user who held one would be granted another.
    #[must_use]
    pub fn archived(coupon: CouponId) -> Self {
        Self::Conflict(format!(
            "coupon {coupon}: results of it have been archived, or an archive of them has begun, and with them goes who held \
             it; it stays over, and another sale needs another coupon"
        ))
    }
}

/// A thing of the catalogue's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Thing {
    /// A room.
    Room(RoomId),
    /// A coupon.
    Coupon(CouponId),
}

impl fmt::Display for Thing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Room(room) => write!(f, "room {room}"),
            Self::Coupon(coupon) => write!(f, "coupon {coupon}"),
        }
    }
}

/// A room to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are the columns of `live_rooms`, described in schema/")]
pub struct NewRoom {
    pub room_id: RoomId,
    pub room_name: String,
    pub anchor_id: u64,
    /// Not started, or live.
    pub room_status: RoomStatus,
    pub start_time: Timestamp,
    pub is_hot: bool,
}

impl NewRoom {
    fn check(&self) -> Result<(), Refused> {
        check::name("room_name", &self.room_name, 128)?;
        check::number("anchor_id", self.anchor_id)?;
        check::holds("room_status", self.room_status != RoomStatus::Ended, || {
            "of a new room is 0 (not started) or 1 (live)".to_owned()
        })
    }

    /// The row that it becomes.
    #[must_use]
    pub fn row(&self, now: Timestamp) -> LiveRoom {
        LiveRoom {
            room_id: self.room_id,
            room_name: self.room_name.clone(),
            anchor_id: self.anchor_id,
            room_status: self.room_status,
            viewer_count: 0,
            start_time: self.start_time,
            end_time: None,
            create_time: now,
            is_hot: self.is_hot,
        }
    }

    /// Says whether a room that is there was made by the same request.
    ///
    /// # Errors
    /// [`Refused::Conflict`] when it is another one.
    pub fn is(&self, there: &LiveRoom) -> Result<(), Refused> {
        let new = self.row(there.create_time);
        let same = LiveRoom { viewer_count: there.viewer_count, ..new } == *there;
        let conflict = || format!("there is a room {} already, and it is another one", self.room_id);
        if same { Ok(()) } else { Err(Refused::Conflict(conflict())) }
    }

    /// The words for it in the record of changes.
    #[must_use]
    pub fn what(&self) -> String {
        format!("room {} made: {}", self.room_id, self.room_name)
    }
}

/// The words for the end of a room in the record of changes.
#[must_use]
pub fn room_ended(room: RoomId) -> String {
    format!("room {room} ended")
}

/// The words for the archive of all days before one in the record of changes.
#[must_use]
pub fn archive_begins(before: Day) -> String {
    format!("results of the days before {before} are archived")
}

/// The words for the archive of so many results of a coupon in the record of changes.
#[must_use]
pub fn results_archived(rows: i64, before: Day) -> String {
    format!("{rows} results of before {before} are archived: total_stock falls by as many")
}

/// A user to be added.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are the columns of `users`, described in schema/")]
pub struct NewUser {
    pub user_id: UserId,
    pub username: String,
    pub phone: String,
    pub email: String,
    pub user_level: UserLevel,
    pub is_active: bool,
}

impl NewUser {
    fn check(&self) -> Result<(), Refused> {
        check::name("username", &self.username, 64)?;
        check::text("phone", &self.phone, 20)?;
        check::text("email", &self.email, 128)
    }

    /// The row that it becomes.
    #[must_use]
    pub fn row(&self, now: Timestamp) -> User {
        User {
            user_id: self.user_id,
            username: self.username.clone(),
            phone: self.phone.clone(),
            email: self.email.clone(),
            register_time: now,
            last_login: None,
            user_level: self.user_level,
            is_active: self.is_active,
        }
    }
}

/// The words for users who were added in the record of changes: their number, and the first and the last of them.
#[must_use]
pub fn users_added(added: &[UserId]) -> String {
    let (first, last) = (added.iter().min(), added.iter().max());
    match (first, last) {
        (Some(first), Some(last)) => format!("{} users added, from {first} to {last}", added.len()),
        _ => "no users added".to_owned(),
    }
}

#[cfg(test)]
mod tests;
