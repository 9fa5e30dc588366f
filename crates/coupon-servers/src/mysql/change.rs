//! A change of the catalogue in MySQL: one transaction of main.
//!
//! A change of it locks the version first, then the log, then the coupon. Those who post to the books lock the log
//! before coupons too.

use coupon_core::books::TotalLine;
use coupon_core::catalogue_change::{
    CatalogueChange, ColumnValue, CouponPatch, CouponRow, CouponWrite, NewCoupon, NewRoom, NewUser, OnOffer,
    Operator, Refused, Thing, room_ended, users_added,
};
use coupon_core::{CouponId, CouponStatus, LiveRoom, RoomId, RoomStatus, Timestamp, UserId};
use coupon_store::ChangeError;
use coupon_store::archives::is_archived;
use mysql_async::prelude::Queryable;
use mysql_async::{Row, Transaction, TxOpts, Value};
use tokio::time::timeout;

use super::catalogue::{lock_version, reach};
use super::{DatabaseError, MainDatabase, PATIENCE, books};
use crate::bulk::rows::{Columns, insert};
use crate::seam::{Edit, Made};
use crate::values::{self, COUPON, DETAILS, STOCK};

/// The operator of changes that people made in main itself.
const BY_HAND: &str = "by hand";
/// The number of users that are looked for or added by one statement.
const USERS: usize = 1_000;

/// The reason why a transaction ends without a change.
enum Stopped {
    Refused(Refused),
    Failed(mysql_async::Error),
}

impl From<mysql_async::Error> for Stopped {
    fn from(error: mysql_async::Error) -> Self {
        Self::Failed(error)
    }
}

impl From<Refused> for Stopped {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}

/// A change, as the record of changes has it.
struct Entry {
    what: String,
    coupon: Option<CouponId>,
    room: Option<RoomId>,
    /// The first and the last of the users who were added.
    users: Option<(UserId, UserId)>,
    before: Option<OnOffer>,
}

/// Makes a change.
pub(super) async fn make(
    main: &MainDatabase,
    change: &CatalogueChange,
    operator: &Operator,
) -> Result<Made, ChangeError> {
    let failed = |error: DatabaseError| ChangeError::Unavailable(error.into());
    let mut conn = main.database.connect().await.map_err(failed)?;
    let made = async {
        let transaction = conn.start_transaction(TxOpts::default()).await?;
        Making::begin(transaction, &main.now()).await?.make(change, operator).await
    };
    match timeout(PATIENCE, made).await {
        Ok(Ok(made)) => Ok(made),
        Ok(Err(Stopped::Refused(refused))) => Err(refused.into()),
        Ok(Err(Stopped::Failed(error))) => Err(failed(main.database.error(&error))),
        Err(_) => Err(failed(main.database.failed("it did not answer in time".to_owned(), true))),
    }
}

/// Records that a person changed a coupon in main, and in the stock log how many that person added or took back.
pub(super) async fn record_edit(
    transaction: &mut Transaction<'_>,
    version: u64,
    now: &str,
    edit: &Edit,
) -> mysql_async::Result<()> {
    let Edit { before, total, what } = edit;
    let status = if before.active { CouponStatus::Active } else { CouponStatus::Inactive };
    let entry = Entry {
        what: what.clone(),
        coupon: Some(before.coupon),
        room: None,
        users: None,
        before: Some(OnOffer {
            total_stock: i64::from(before.total),
            start_time: before.start,
            end_time: before.end,
            status,
            user_limit: before.grab.user_limit,
        }),
    };
    record(transaction, version, now, BY_HAND, &entry).await?;
    if *total == before.total {
        return Ok(());
    }
    let total_before = i64::from(before.total);
    books::log_moved(transaction, (before.coupon, total_before), (BY_HAND, now)).await
}

/// Records a change that is about no coupon, room or user.
pub(super) async fn record_plain(
    conn: &mut impl Queryable,
    version: u64,
    now: &str,
    operator: &str,
    what: &str,
) -> mysql_async::Result<()> {
    record(conn, version, now, operator, &Entry::of(what.to_owned())).await
}

async fn record(
    transaction: &mut impl Queryable,
    version: u64,
    now: &str,
    operator: &str,
    entry: &Entry,
) -> mysql_async::Result<()> {
    let Entry { what, coupon, room, users, before } = entry;
    let sql = format!(
        "INSERT INTO catalogue_changes (version, change_time, operator, what, coupon_id, room_id, first_user, last_user, \
         total_before, start_before, end_before, status_before, user_limit_before) \
         VALUES (?, {now}, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    );
    let values: Vec<Value> = vec![
        version.into(),
        operator.into(),
        what.into(),
        coupon.map(CouponId::get).into(),
        room.map(RoomId::get).into(),
        users.map(|(first, _)| first.get()).into(),
        users.map(|(_, last)| last.get()).into(),
        before.map(|before| before.total_stock).into(),
        before.map(|before| before.start_time.millis()).into(),
        before.map(|before| before.end_time.millis()).into(),
        before.map(|before| before.status.code()).into(),
        before.map(|before| before.user_limit).into(),
    ];
    transaction.exec_drop(sql, values).await
}

/// A change under way. Dropped before it commits, it has changed nothing.
struct Making<'a> {
    transaction: Transaction<'a>,
    /// The version that is there.
    version: u64,
    /// Main's time.
    now: Timestamp,
    added: usize,
}

impl<'a> Making<'a> {
    async fn begin(mut transaction: Transaction<'a>, now: &str) -> Result<Self, Stopped> {
        let version = lock_version(&mut transaction).await?;
        let now: Option<i64> = transaction.query_first(format!("SELECT {now}")).await?;
        Ok(Self { transaction, version, now: Timestamp::from_millis(now.unwrap_or(0)), added: 0 })
    }

    async fn make(mut self, change: &CatalogueChange, operator: &Operator) -> Result<Made, Stopped> {
        let entry = match change {
            CatalogueChange::CreateRoom(room) => self.create_room(room).await?,
            CatalogueChange::EndRoom(room) => self.end_room(*room).await?,
            CatalogueChange::CreateCoupon(coupon) => self.create_coupon(coupon, operator).await?,
            CatalogueChange::ChangeCoupon(coupon, patch) => {
                self.change_coupon(*coupon, patch, operator).await?
            }
            CatalogueChange::AddUsers(users) => self.add_users(users).await?,
        };
        let Self { mut transaction, version, now, added } = self;
        let Some(what) = entry else {
            transaction.rollback().await?;
            return Ok(Made { version, changed: false, added: 0 });
        };
        let entry = Entry { coupon: change.coupon(), room: change.room(), ..what };
        let version = version + 1;
        record(&mut transaction, version, &now.millis().to_string(), operator.as_str(), &entry).await?;
        reach(&mut transaction, version).await?;
        transaction.commit().await?;
        Ok(Made { version, changed: true, added })
    }

    async fn insert<T: Columns + Sync>(&mut self, table: &str, rows: &[T]) -> mysql_async::Result<()> {
        for some in rows.chunks(USERS) {
            let mut values = Vec::new();
            some.iter().for_each(|row| row.bind(&mut values));
            self.transaction.exec_drop(insert(table, T::COLUMNS, some.len()), values).await?;
        }
        Ok(())
    }

    async fn create_room(&mut self, new: &NewRoom) -> Result<Option<Entry>, Stopped> {
        if let Some(there) = self.room(new.room_id).await? {
            new.is(&there)?;
            return Ok(None);
        }
        self.insert("live_rooms", &[new.row(self.now)]).await?;
        Ok(Some(Entry::of(new.what())))
    }

    async fn end_room(&mut self, room: RoomId) -> Result<Option<Entry>, Stopped> {
        let there = self.room(room).await?.ok_or(Refused::Unknown(Thing::Room(room)))?;
        if there.room_status == RoomStatus::Ended {
            return Ok(None);
        }
        let sql = "UPDATE live_rooms SET room_status = ?, end_time = ? WHERE room_id = ?";
        let ended = RoomStatus::Ended.code();
        self.transaction.exec_drop(sql, (ended, self.now.millis(), room.get())).await?;
        Ok(Some(Entry::of(room_ended(room))))
    }

    async fn room(&mut self, room: RoomId) -> Result<Option<LiveRoom>, Stopped> {
        let sql = format!(
            "SELECT {} FROM live_rooms WHERE room_id = ? FOR UPDATE",
            <LiveRoom as Columns>::COLUMNS.join(", ")
        );
        let row: Option<Row> = self.transaction.exec_first(sql, (room.get(),)).await?;
        row.map(|row| values::room(&row).map_err(|error| nonsense(Thing::Room(room), &error))).transpose()
    }

    async fn create_coupon(
        &mut self,
        new: &NewCoupon,
        operator: &Operator,
    ) -> Result<Option<Entry>, Stopped> {
        let last = books::lock_logs(&mut self.transaction).await?;
        if let Some(there) = self.coupon(new.coupon_id).await? {
            new.is(&there)?;
            return Ok(None);
        }
        let room = self.room(new.room_id).await?;
        room.ok_or(Refused::Unknown(Thing::Room(new.room_id)))?;
        self.not_archived(new.coupon_id).await?;
        self.take_note_of_new(new).await?;
        let write = new.write(self.now);
        self.insert("coupons", std::slice::from_ref(&write.row.coupon)).await?;
        self.insert("coupon_details", write.row.details.as_slice()).await?;
        self.log(new.coupon_id, write.line, operator, last).await?;
        Ok(Some(Entry::of_write(write)))
    }

    /// A coupon's results go to its first room for good. One that is new has none.
    async fn take_note_of_new(&mut self, new: &NewCoupon) -> mysql_async::Result<()> {
        let id = new.coupon_id.get();
        let sql = "INSERT IGNORE INTO coupon_rooms (coupon_id, room_id) VALUES (?, ?)";
        self.transaction.exec_drop(sql, (id, new.room_id.get())).await?;
        if self.transaction.affected_rows() == 0 {
            return Ok(());
        }
        let sql = "INSERT IGNORE INTO coupons_made (coupon_id, version) SELECT ?, ? FROM DUAL \
                   WHERE NOT EXISTS (SELECT 1 FROM stock_logs WHERE coupon_id = ?) \
                   AND NOT EXISTS (SELECT 1 FROM parked_deltas WHERE coupon_id = ?)";
        self.transaction.exec_drop(sql, (id, self.version + 1, id, id)).await
    }

    async fn change_coupon(
        &mut self,
        coupon: CouponId,
        patch: &CouponPatch,
        operator: &Operator,
    ) -> Result<Option<Entry>, Stopped> {
        let last = match patch.total_stock {
            Some(_) => books::lock_logs(&mut self.transaction).await?,
            None => 0,
        };
        let there = self.coupon(coupon).await?.ok_or(Refused::Unknown(Thing::Coupon(coupon)))?;
        if patch.reopens(&there, self.now) {
            self.not_archived(coupon).await?;
        }
        let Some(write) = patch.write(&there, self.now)? else { return Ok(None) };
        self.update(coupon, &write.columns).await?;
        if write.row.details != there.details
            && let Some(details) = &write.row.details
        {
            let sql = "DELETE FROM coupon_details WHERE coupon_id = ?";
            self.transaction.exec_drop(sql, (coupon.get(),)).await?;
            self.insert("coupon_details", std::slice::from_ref(details)).await?;
        }
        self.log(coupon, write.line, operator, last).await?;
        Ok(Some(Entry::of_write(write)))
    }

    /// Refuses a coupon of which results have been archived, or are about to be.
    async fn not_archived(&mut self, coupon: CouponId) -> Result<(), Stopped> {
        let archived: Option<bool> = self.transaction.query_first(is_archived(coupon)).await?;
        if archived == Some(true) { Err(Refused::archived(coupon).into()) } else { Ok(()) }
    }

    /// A coupon's row and its wide half, held until the end of the transaction.
    async fn coupon(&mut self, coupon: CouponId) -> Result<Option<CouponRow>, Stopped> {
        let sql = format!(
            "SELECT {COUPON}, {DETAILS}, {STOCK} FROM coupons c \
             LEFT JOIN coupon_details d ON d.coupon_id = c.coupon_id WHERE c.coupon_id = ? FOR UPDATE"
        );
        let row: Option<Row> = self.transaction.exec_first(sql, (coupon.get(),)).await?;
        let read = |row: Row| -> mysql_async::Result<CouponRow> {
            Ok(CouponRow {
                coupon: values::coupon(&row)?,
                details: values::details(&row, coupon)?,
                stock: values::stock(&row)?,
            })
        };
        row.map(|row| read(row).map_err(|error| nonsense(Thing::Coupon(coupon), &error))).transpose()
    }

    /// Writes the columns that have other values from now on: whatever else people wrote into the row stays.
    async fn update(
        &mut self,
        coupon: CouponId,
        columns: &[(&'static str, ColumnValue)],
    ) -> mysql_async::Result<()> {
        let set: Vec<String> = columns.iter().map(|(column, _)| format!("{column} = ?")).collect();
        let value = |value: &ColumnValue| match value {
            ColumnValue::Number(number) => Value::from(*number),
            ColumnValue::Amount(amount) => amount.to_string().into(),
            ColumnValue::Text(text) => text.as_str().into(),
        };
        let mut values: Vec<Value> = columns.iter().map(|(_, of)| value(of)).collect();
        values.push(coupon.get().into());
        let sql = format!("UPDATE coupons SET {} WHERE coupon_id = ?", set.join(", "));
        self.transaction.exec_drop(sql, values).await
    }

    /// Writes a line of the stock log behind `last`.
    async fn log(
        &mut self,
        coupon: CouponId,
        line: Option<TotalLine>,
        operator: &Operator,
        last: i64,
    ) -> mysql_async::Result<()> {
        let Some(line) = line else { return Ok(()) };
        let now = self.now.millis().to_string();
        books::log_total(&mut self.transaction, coupon, line, (operator.as_str(), &now), last).await
    }

    async fn add_users(&mut self, users: &[NewUser]) -> Result<Option<Entry>, Stopped> {
        let mut wanted: Vec<&NewUser> = users.iter().collect();
        wanted.sort_by_key(|user| user.user_id);
        let mut added = Vec::new();
        for some in wanted.chunks(USERS) {
            let ids: Vec<String> = some.iter().map(|user| user.user_id.to_string()).collect();
            let sql = format!("SELECT user_id FROM users WHERE user_id IN ({}) FOR UPDATE", ids.join(","));
            let there: Vec<u64> = self.transaction.query(sql).await?;
            let new = some.iter().filter(|user| !there.contains(&user.user_id.get()));
            added.extend(new.map(|user| user.row(self.now)));
        }
        let (Some(first), Some(last)) = (added.first(), added.last()) else { return Ok(None) };
        let users = Some((first.user_id, last.user_id));
        self.insert("users", &added).await?;
        self.added = added.len();
        let ids: Vec<UserId> = added.iter().map(|user| user.user_id).collect();
        Ok(Some(Entry { users, ..Entry::of(users_added(&ids)) }))
    }
}

impl Entry {
    const fn of(what: String) -> Self {
        Self { what, coupon: None, room: None, users: None, before: None }
    }

    fn of_write(write: CouponWrite) -> Self {
        let CouponWrite { before, what, .. } = write;
        Self { before, ..Self::of(what) }
    }
}

/// A row that people have made unreadable is not changed.
fn nonsense(thing: Thing, error: &mysql_async::Error) -> Stopped {
    Refused::Conflict(format!("the row of {thing} in the main database makes no sense: {error}")).into()
}
