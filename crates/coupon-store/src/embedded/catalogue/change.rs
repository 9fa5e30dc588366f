//! A change of the catalogue in the main database's file: one transaction.

use coupon_core::books::ARCHIVE;
use coupon_core::catalogue_change::{
    self, CatalogueChange, ChangeRecord, ColumnValue, CouponPatch, CouponRow, CouponWrite, NewCoupon,
    NewRoom, NewUser, OnOffer, Operator, Refused, Thing,
};
use coupon_core::{CouponId, CouponStatus, Day, LiveRoom, RoomId, RoomStatus, Timestamp, UserId};
use rusqlite::types::ToSqlOutput;
use rusqlite::{Connection, OptionalExtension as _, ToSql, Transaction, TransactionBehavior, params};

use super::{rows, terms_of};
use crate::archives::is_archived;
use crate::embedded::bindings;
use crate::embedded::books;
use crate::embedded::gate::Past;
use crate::embedded::sql::parsed;
use crate::id_set::IdSet;
use crate::set_aside::{SetAsideCoupons, number};
use crate::terms::{AllTerms, Terms};
use crate::{ChangeError, Unavailable};

/// A change that the file has, now or before.
pub(in crate::embedded) struct MadeChange {
    pub(in crate::embedded) version: u64,
    /// False if it was so already.
    pub(in crate::embedded) changed: bool,
    pub(in crate::embedded) effect: Effect,
}

/// The effect of a change on what is known from then on.
pub(in crate::embedded) enum Effect {
    Room(RoomId),
    /// A coupon's terms, what makes no sense about its row, and whether there may be results of it.
    Coupon(CouponId, Option<Terms>, SetAsideCoupons, Past),
    /// Users who were added: their number, all of them, and those who may not grab.
    Users(usize, IdSet, IdSet),
}

impl MadeChange {
    /// The state of a coupon whose change the file has already, to go by it once more.
    pub(in crate::embedded) fn again(db: &Connection, coupon: CouponId) -> rusqlite::Result<Self> {
        let effect = effect(db, coupon, Past::Stored)?;
        Ok(Self { version: version(db)?, changed: false, effect })
    }

    /// The coupon that it is about, if it is about one.
    pub(in crate::embedded) const fn coupon(&self) -> Option<CouponId> {
        match self.effect {
            Effect::Coupon(coupon, ..) => Some(coupon),
            Effect::Room(_) | Effect::Users(..) => None,
        }
    }
}

/// The reason why a transaction ends without a change.
enum Stopped {
    Refused(Refused),
    Failed(rusqlite::Error),
}

impl From<rusqlite::Error> for Stopped {
    fn from(error: rusqlite::Error) -> Self {
        Self::Failed(error)
    }
}

impl From<Refused> for Stopped {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}

impl From<Stopped> for ChangeError {
    fn from(stopped: Stopped) -> Self {
        match stopped {
            Stopped::Refused(refused) => refused.into(),
            Stopped::Failed(error) => Unavailable::new("the main database", error).into(),
        }
    }
}

/// A line of `catalogue_changes`, but for its version, time and operator.
#[derive(Default)]
struct Record {
    what: String,
    coupon: Option<CouponId>,
    room: Option<RoomId>,
    /// The least and the greatest of the users that were added.
    users: Option<(UserId, UserId)>,
    before: Option<OnOffer>,
}

/// Makes a change, and returns what has to be known from then on; the same where it is made already. While results of the
/// days before `archiving` are being archived, no coupon that is over comes to be on offer again.
pub(in crate::embedded) fn make(
    db: &Connection,
    change: &CatalogueChange,
    operator: &Operator,
    now: Timestamp,
    archiving: Option<Day>,
) -> Result<MadeChange, ChangeError> {
    let made = || -> Result<MadeChange, Stopped> {
        let transaction = Transaction::new_unchecked(db, TransactionBehavior::Immediate)?;
        let of = Changing { db: &transaction, operator, now, archiving };
        let (line, effect) = match change {
            CatalogueChange::CreateRoom(room) => of.create_room(room)?,
            CatalogueChange::EndRoom(room) => of.end_room(*room)?,
            CatalogueChange::CreateCoupon(coupon) => of.create_coupon(coupon)?,
            CatalogueChange::ChangeCoupon(coupon, patch) => of.change_coupon(*coupon, patch)?,
            CatalogueChange::AddUsers(users) => of.add_users(users)?,
        };
        let version = match &line {
            Some(line) => record(&transaction, line, operator.as_str(), now)?,
            None => version(&transaction)?,
        };
        transaction.commit()?;
        Ok(MadeChange { version, changed: line.is_some(), effect })
    };
    Ok(made()?)
}

/// The line to write, if anything was changed, and what has to be known.
type Outcome = Result<(Option<Record>, Effect), Stopped>;

/// A change within its transaction.
struct Changing<'a> {
    db: &'a Connection,
    operator: &'a Operator,
    now: Timestamp,
    /// The first day that an archive keeps that is under way.
    archiving: Option<Day>,
}

impl Changing<'_> {
    fn create_room(&self, room: &NewRoom) -> Outcome {
        let effect = Effect::Room(room.room_id);
        if let Some(there) = self.room(room.room_id)? {
            room.is(&there)?;
            return Ok((None, effect));
        }
        bindings::room(&mut self.db.prepare(bindings::ROOM)?, &room.row(self.now))?;
        let record = Record { what: room.what(), room: Some(room.room_id), ..Record::default() };
        Ok((Some(record), effect))
    }

    fn end_room(&self, id: RoomId) -> Outcome {
        let room = self.room(id)?.ok_or(Refused::Unknown(Thing::Room(id)))?;
        if room.room_status == RoomStatus::Ended {
            return Ok((None, Effect::Room(id)));
        }
        let sql = "UPDATE live_rooms SET room_status = ?2, end_time = ?3 WHERE room_id = ?1";
        let ended = RoomStatus::Ended.code();
        self.db.prepare_cached(sql)?.execute(params![id.get(), ended, self.now.millis()])?;
        let record = Record { what: catalogue_change::room_ended(id), room: Some(id), ..Record::default() };
        Ok((Some(record), Effect::Room(id)))
    }

    fn create_coupon(&self, coupon: &NewCoupon) -> Outcome {
        let id = coupon.coupon_id;
        if let Some(there) = self.coupon(id)? {
            coupon.is(&there)?;
            return Ok((None, effect(self.db, id, Past::Stored)?));
        }
        self.room(coupon.room_id)?.ok_or(Refused::Unknown(Thing::Room(coupon.room_id)))?;
        self.not_archived(id)?;
        let write = coupon.write(self.now);
        bindings::coupon(&mut self.db.prepare(bindings::COUPON)?, &write.row.coupon)?;
        let new = "INSERT OR IGNORE INTO coupon_rooms (coupon_id, room_id) VALUES (?1, ?2)";
        let new = self.db.prepare_cached(new)?.execute([id.get(), coupon.room_id.get()])?;
        self.write_rest(&write)?;
        // One that is in a room already was there before it was deleted, and there may be results of it.
        let past = if new == 1 { Past::None } else { Past::Stored };
        Ok((Some(self.of_coupon(write)), effect(self.db, id, past)?))
    }

    fn change_coupon(&self, id: CouponId, patch: &CouponPatch) -> Outcome {
        let there = self.coupon(id)?.ok_or(Refused::Unknown(Thing::Coupon(id)))?;
        if patch.reopens(&there, self.now) {
            self.not_being_archived(id)?;
            self.not_archived(id)?;
        }
        let write = patch.write(&there, self.now)?;
        if let Some(write) = &write {
            self.write_columns(id, write)?;
            self.write_rest(write)?;
        }
        Ok((write.map(|write| self.of_coupon(write)), effect(self.db, id, Past::Stored)?))
    }

    fn add_users(&self, users: &[NewUser]) -> Outcome {
        let sql = bindings::USER.replacen("INSERT ", "INSERT OR IGNORE ", 1);
        let mut insert = self.db.prepare(&sql)?;
        let (mut added, mut inactive) = (Vec::new(), Vec::new());
        for user in users {
            if bindings::user(&mut insert, &user.row(self.now))? == 1 {
                added.push(user.user_id);
                inactive.extend((!user.is_active).then_some(user.user_id));
            }
        }
        let what = catalogue_change::users_added(&added);
        let users = added.iter().min().copied().zip(added.iter().max().copied());
        let record = users.map(|users| Record { what, users: Some(users), ..Record::default() });
        Ok((record, Effect::Users(added.len(), set(added), set(inactive))))
    }

    fn of_coupon(&self, write: CouponWrite) -> Record {
        let coupon = Some(write.row.coupon.coupon_id);
        Record { what: write.what, coupon, before: write.before, ..Record::default() }
    }

    /// The columns in which a coupon that is there has other values from now on.
    fn write_columns(&self, id: CouponId, write: &CouponWrite) -> rusqlite::Result<()> {
        let set: Vec<String> = write.columns.iter().map(|(name, _)| format!("{name} = ?")).collect();
        let sql = format!("UPDATE coupons SET {} WHERE coupon_id = ?", set.join(", "));
        let id = ColumnValue::Number(number(id));
        let values = write.columns.iter().map(|(_, value)| value).chain([&id]).map(Bound);
        self.db.prepare(&sql)?.execute(rusqlite::params_from_iter(values)).map(drop)
    }

    /// Writes the parts of a coupon beside its row.
    fn write_rest(&self, write: &CouponWrite) -> rusqlite::Result<()> {
        if let Some(details) = &write.row.details {
            let sql = bindings::DETAILS.replacen("INSERT ", "INSERT OR REPLACE ", 1);
            bindings::details(&mut self.db.prepare(&sql)?, details)?;
        }
        let coupon = write.row.coupon.coupon_id;
        write.line.map_or(Ok(()), |line| books::log_total(self.db, coupon, line, self.operator, self.now))
    }

    fn coupon(&self, id: CouponId) -> Result<Option<CouponRow>, Stopped> {
        let sql = rows::select(true, "c.coupon_id = ?1");
        let stock = books::stock(self.db, id)?;
        let found = rows::rows(self.db, &sql, &[&id.get()], true)?.pop();
        match (found, stock) {
            (Some((coupon, details)), Some(stock)) => Ok(Some(CouponRow { coupon, details, stock })),
            (None, Some(_)) => {
                let why = format!(
                    "coupon {id}: its row in the main database does not say what it is; mend it there"
                );
                Err(Refused::Conflict(why).into())
            }
            (_, None) => Ok(None),
        }
    }

    /// Refuses a coupon while an archive is under way: results of it may be among those that go.
    fn not_being_archived(&self, id: CouponId) -> Result<(), Stopped> {
        let Some(before) = self.archiving else { return Ok(()) };
        let why = format!(
            "coupon {id}: results of the days before {before} are being archived, of this coupon too perhaps; ask again once that \
             has ended"
        );
        Err(Refused::Conflict(why).into())
    }

    /// Refuses a coupon of which results have been archived, or are about to be: main says so.
    fn not_archived(&self, id: CouponId) -> Result<(), Stopped> {
        let archived: bool = self.db.query_row(&is_archived(id), [], |row| row.get(0))?;
        if archived { Err(Refused::archived(id).into()) } else { Ok(()) }
    }

    fn room(&self, id: RoomId) -> Result<Option<LiveRoom>, Stopped> {
        let sql = "SELECT room_name, anchor_id, room_status, viewer_count, start_time, end_time, create_time, is_hot \
                   FROM live_rooms WHERE room_id = ?1";
        let mut select = self.db.prepare_cached(sql)?;
        let room = select.query_row([id.get()], |row| {
            Ok(LiveRoom {
                room_id: id,
                room_name: row.get(0)?,
                anchor_id: row.get(1)?,
                room_status: parsed(row, 2, RoomStatus::from_code)?,
                viewer_count: row.get(3)?,
                start_time: Timestamp::from_millis(row.get(4)?),
                end_time: row.get::<_, Option<i64>>(5)?.map(Timestamp::from_millis),
                create_time: Timestamp::from_millis(row.get(6)?),
                is_hot: row.get(7)?,
            })
        });
        room.optional().map_err(|error| nonsense(Thing::Room(id), error))
    }
}

/// A row that people have made unreadable is not changed.
fn nonsense(thing: Thing, error: rusqlite::Error) -> Stopped {
    use rusqlite::Error::{FromSqlConversionFailure, IntegralValueOutOfRange, InvalidColumnType};
    match error {
        FromSqlConversionFailure(..) | IntegralValueOutOfRange(..) | InvalidColumnType(..) => {
            let why = format!("the row of {thing} in the main database makes no sense: {error}");
            Refused::Conflict(why).into()
        }
        _ => error.into(),
    }
}

/// Writes the line of a change that is of no coupon, room or user, within a transaction; returns its version.
pub(in crate::embedded) fn note(
    db: &Connection,
    operator: &str,
    what: &str,
    now: Timestamp,
) -> rusqlite::Result<u64> {
    record(db, &Record { what: what.to_owned(), ..Record::default() }, operator, now)
}

/// Writes the line of an archive of results of a coupon, within a transaction.
pub(in crate::embedded) fn note_archive(
    db: &Connection,
    coupon: CouponId,
    what: String,
    now: Timestamp,
) -> rusqlite::Result<()> {
    let line = Record { what, coupon: Some(coupon), ..Record::default() };
    record(db, &line, ARCHIVE, now).map(drop)
}

/// Writes the line of a change, and returns its version, which is the next.
fn record(db: &Connection, record: &Record, operator: &str, now: Timestamp) -> rusqlite::Result<u64> {
    let next = "INSERT INTO catalogue_state (id, version) VALUES (1, 1) \
                ON CONFLICT (id) DO UPDATE SET version = version + 1 RETURNING version";
    let version: u64 = db.prepare_cached(next)?.query_row([], |row| row.get(0))?;
    let Record { what, coupon, room, users, before } = record;
    let sql = "INSERT INTO catalogue_changes (version, change_time, operator, what, coupon_id, room_id, \
               first_user, last_user, total_before, start_before, end_before, status_before, user_limit_before) \
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)";
    db.prepare_cached(sql)?.execute(params![
        version,
        now.millis(),
        operator,
        what,
        coupon.map(CouponId::get),
        room.map(RoomId::get),
        users.map(|(first, _)| first.get()),
        users.map(|(_, last)| last.get()),
        before.map(|before| before.total_stock),
        before.map(|before| before.start_time.millis()),
        before.map(|before| before.end_time.millis()),
        before.map(|before| CouponStatus::code(before.status)),
        before.map(|before| before.user_limit),
    ])?;
    Ok(version)
}

fn effect(db: &Connection, coupon: CouponId, past: Past) -> rusqlite::Result<Effect> {
    let AllTerms { mut terms, found } = terms_of(db, coupon)?;
    Ok(Effect::Coupon(coupon, terms.pop(), found, past))
}

fn set(mut ids: Vec<UserId>) -> IdSet {
    ids.sort_unstable();
    ids.into_iter().collect()
}

/// A value as SQLite takes it.
struct Bound<'a>(&'a ColumnValue);

impl ToSql for Bound<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        match self.0 {
            ColumnValue::Number(number) => Ok(ToSqlOutput::from(*number)),
            ColumnValue::Amount(amount) => Ok(ToSqlOutput::from(amount.units())),
            ColumnValue::Text(text) => text.to_sql(),
        }
    }
}

/// The version that the catalogue has reached.
pub(super) fn version(db: &Connection) -> rusqlite::Result<u64> {
    let sql = "SELECT COALESCE(MAX(version), 0) FROM catalogue_state";
    db.query_row(sql, [], |row| row.get(0))
}

/// Takes note that users whom main does not know may hold coupons from now on.
pub(in crate::embedded) fn note_unknown_users(db: &Connection) -> rusqlite::Result<()> {
    let sql = "INSERT INTO catalogue_state (id, version, accepts_unknown_users) VALUES (1, 0, 1) \
               ON CONFLICT (id) DO UPDATE SET accepts_unknown_users = 1";
    db.execute(sql, []).map(drop)
}

/// The latest changes, the last first.
pub(super) fn latest(db: &Connection, limit: usize) -> rusqlite::Result<Vec<ChangeRecord>> {
    let sql = "SELECT version, change_time, operator, what, coupon_id, room_id FROM catalogue_changes \
               ORDER BY version DESC LIMIT ?1";
    let mut select = db.prepare_cached(sql)?;
    let records = select.query_map([i64::try_from(limit).unwrap_or(i64::MAX)], |row| {
        Ok(ChangeRecord {
            version: row.get(0)?,
            time: Timestamp::from_millis(row.get(1)?),
            operator: row.get(2)?,
            what: row.get(3)?,
            coupon: row.get::<_, Option<u64>>(4)?.and_then(|id| CouponId::new(id).ok()),
            room: row.get::<_, Option<u64>>(5)?.and_then(|id| RoomId::new(id).ok()),
        })
    })?;
    records.collect()
}
