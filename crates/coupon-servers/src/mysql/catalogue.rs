//! The catalogue in MySQL: its version, what changed since another one, and the processes that follow it.

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;
use coupon_core::catalogue_change::{CatalogueChange, ChangeRecord, Operator};
use coupon_core::{CouponId, RoomId, Timestamp, UserId};
use coupon_store::ChangeError;
use coupon_store::terms::AllTerms;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, IsolationLevel, Row, Transaction, TxOpts};

use super::{DatabaseError, MainDatabase, PATIENCE, change};
use crate::catalogue::{all_rooms, all_terms, keep_rooms, terms_of};
use crate::layouts;
use crate::seam::{CatalogueServer, Edit, LIVES_MS, Living, Made, News, Offering};
use crate::values::get;

/// The longest that it may be silent while it is read.
const READING: Duration = Duration::from_secs(30);
/// The most changed coupons that are read by their ids: of more, all are read.
const CHANGED: usize = 1_000;
/// A process that was not heard of for so long, in milliseconds, is not listed any more.
const FORGOTTEN_MS: i64 = 3_600_000;

/// The statement that takes note that main was put back to an earlier state.
pub(crate) const NOTE_PUT_BACK: &str = "INSERT IGNORE INTO meta (name, value) VALUES ('put_back', '1')";

/// Begins a transaction that reads everything as it is at one moment.
async fn one_moment(conn: &mut Conn) -> mysql_async::Result<Transaction<'_>> {
    let mut opts = TxOpts::default();
    opts.with_consistent_snapshot(true).with_isolation_level(IsolationLevel::RepeatableRead);
    conn.start_transaction(opts).await
}

/// The version that the catalogue has reached.
async fn version(conn: &mut impl Queryable) -> mysql_async::Result<u64> {
    let version: Option<u64> = conn.query_first("SELECT version FROM catalogue_state WHERE id = 1").await?;
    Ok(version.unwrap_or(0))
}

/// Takes the catalogue until the end of the transaction, and returns its version.
pub(super) async fn lock_version(conn: &mut impl Queryable) -> mysql_async::Result<u64> {
    let make =
        "INSERT INTO catalogue_state (id, version) VALUES (1, 0) ON DUPLICATE KEY UPDATE version = version";
    conn.query_drop(make).await?;
    let sql = "SELECT version FROM catalogue_state WHERE id = 1 FOR UPDATE";
    let version: Option<u64> = conn.query_first(sql).await?;
    Ok(version.unwrap_or(0))
}

/// Writes the version that the catalogue reaches with the transaction.
pub(super) async fn reach(conn: &mut impl Queryable, version: u64) -> mysql_async::Result<()> {
    conn.exec_drop("UPDATE catalogue_state SET version = ? WHERE id = 1", (version,)).await
}

#[async_trait]
impl CatalogueServer for MainDatabase {
    async fn version(&self) -> Result<u64, DatabaseError> {
        let mut conn = self.database.connect().await?;
        self.database.patiently(PATIENCE, version(&mut conn)).await
    }

    async fn terms(&self) -> Result<Offering, DatabaseError> {
        let mut conn = self.database.connect().await?;
        let read = async {
            let mut moment = one_moment(&mut conn).await?;
            let version = version(&mut moment).await?;
            let terms = all_terms(&mut moment, None).await?.terms;
            let layouts = layouts::read(&mut moment).await?;
            moment.rollback().await?;
            Ok(Offering { version, terms, layouts })
        };
        self.database.patiently(READING, read).await
    }

    async fn news(&self, since: Option<u64>) -> Result<News, DatabaseError> {
        let mut conn = self.database.connect().await?;
        self.database.patiently(READING, read_news(&mut conn, since)).await
    }

    async fn change(&self, change: &CatalogueChange, operator: &Operator) -> Result<Made, ChangeError> {
        change::make(self, change, operator).await
    }

    async fn record_edits(&self, seen: u64, edits: &[Edit]) -> Result<bool, DatabaseError> {
        let (mut conn, now) = (self.database.connect().await?, self.now());
        let recorded = async {
            let mut transaction = conn.start_transaction(TxOpts::default()).await?;
            if lock_version(&mut transaction).await? != seen {
                transaction.rollback().await?;
                return Ok(false);
            }
            let mut version = seen;
            for edit in edits {
                version += 1;
                change::record_edit(&mut transaction, version, &now, edit).await?;
            }
            reach(&mut transaction, version).await?;
            transaction.commit().await?;
            Ok(true)
        };
        self.database.patiently(PATIENCE, recorded).await
    }

    async fn accept_unknown_users(&self) -> Result<(), DatabaseError> {
        let sql = "INSERT INTO catalogue_state (id, version, accepts_unknown_users) VALUES (1, 0, 1) \
                   ON DUPLICATE KEY UPDATE accepts_unknown_users = 1";
        let mut conn = self.database.connect().await?;
        self.database.patiently(PATIENCE, conn.query_drop(sql)).await
    }

    async fn changes(&self, limit: usize) -> Result<Vec<ChangeRecord>, DatabaseError> {
        let mut conn = self.database.connect().await?;
        let sql = "SELECT version, change_time, operator, what, coupon_id, room_id FROM catalogue_changes \
                   ORDER BY version DESC LIMIT ?";
        let read = async {
            let rows: Vec<Row> = conn.exec(sql, (limit as u64,)).await?;
            rows.iter().map(record).collect()
        };
        self.database.patiently(PATIENCE, read).await
    }

    async fn note_put_back(&self) -> Result<(), DatabaseError> {
        let mut conn = self.database.connect().await?;
        self.database.patiently(PATIENCE, conn.query_drop(NOTE_PUT_BACK)).await
    }

    async fn made_since(&self, version: u64, coupons: &[CouponId]) -> Result<Vec<CouponId>, DatabaseError> {
        if coupons.is_empty() {
            return Ok(Vec::new());
        }
        let sql = format!(
            "SELECT coupon_id FROM coupons_made WHERE coupon_id IN ({}) AND version > {version} \
             AND NOT EXISTS (SELECT 1 FROM meta WHERE name = 'put_back')",
            list(coupons)
        );
        let mut conn = self.database.connect().await?;
        let made: Vec<u64> = self.database.patiently(PATIENCE, conn.query(sql)).await?;
        Ok(made.into_iter().filter_map(|id| CouponId::new(id).ok()).collect())
    }

    async fn goes_by(&self, process: &Living, version: u64) -> Result<(), DatabaseError> {
        let sql = format!(
            "INSERT INTO processes (holder, name, seen, catalogue_version, shards) VALUES (?, ?, {}, ?, ?) \
             ON DUPLICATE KEY UPDATE seen = VALUES(seen), catalogue_version = VALUES(catalogue_version)",
            self.now()
        );
        let mut conn = self.database.connect().await?;
        let told = conn.exec_drop(sql, (&process.holder, &process.name, version, process.shards));
        self.database.patiently(PATIENCE, told).await
    }

    async fn behind(&self, version: u64) -> Result<Vec<String>, DatabaseError> {
        let sql = format!(
            "SELECT name FROM processes WHERE catalogue_version < ? AND seen > {} - {LIVES_MS} ORDER BY name, holder",
            self.now()
        );
        let mut conn = self.database.connect().await?;
        self.database.patiently(PATIENCE, conn.exec(sql, (version,))).await
    }

    async fn ended(&self, process: &Living) -> Result<(), DatabaseError> {
        let sql = format!("DELETE FROM processes WHERE holder = ? OR seen < {} - {FORGOTTEN_MS}", self.now());
        let mut conn = self.database.connect().await?;
        self.database.patiently(PATIENCE, conn.exec_drop(sql, (&process.holder,))).await
    }
}

async fn read_news(conn: &mut Conn, since: Option<u64>) -> mysql_async::Result<News> {
    if since.is_none() {
        keep_rooms(conn).await?;
    }
    let mut moment = one_moment(conn).await?;
    let version = version(&mut moment).await?;
    let changed = match since {
        Some(since) if since <= version => read_changed(&mut moment, since).await?,
        _ => None,
    };
    let mut news = match changed {
        Some((coupons, rooms)) => {
            let AllTerms { terms, found } = terms_of(&mut moment, &coupons).await?;
            let gone = |coupon: &CouponId| terms.iter().all(|terms| terms.coupon != *coupon);
            let deleted = coupons.into_iter().filter(gone).collect();
            News { terms, deleted, found, rooms, ..News::default() }
        }
        None => {
            let rooms = all_rooms(&mut moment).await?;
            let AllTerms { terms, found } = all_terms(&mut moment, Some(&rooms)).await?;
            let rooms = rooms.into_iter().collect();
            News { whole: true, terms, found, rooms, ..News::default() }
        }
    };
    news.users = match since {
        Some(since) => read_added(&mut moment, since).await?,
        None => Vec::new(),
    };
    news.layouts = layouts::read(&mut moment).await?;
    moment.rollback().await?;
    Ok(News { version, ..news })
}

/// Coupons and rooms that changed since a version; `None` when it is many.
async fn read_changed(
    moment: &mut Transaction<'_>,
    since: u64,
) -> mysql_async::Result<Option<(Vec<CouponId>, Vec<RoomId>)>> {
    let sql = "SELECT coupon_id, room_id FROM catalogue_changes WHERE version > ?";
    let rows: Vec<(Option<u64>, Option<u64>)> = moment.exec(sql, (since,)).await?;
    let (coupons, rooms): (Vec<_>, Vec<_>) = rows.into_iter().unzip();
    let coupons: BTreeSet<CouponId> =
        coupons.into_iter().flatten().filter_map(|id| CouponId::new(id).ok()).collect();
    let rooms: BTreeSet<RoomId> = rooms.into_iter().flatten().filter_map(|id| RoomId::new(id).ok()).collect();
    let few = coupons.len() <= CHANGED;
    Ok(few.then(|| (coupons.into_iter().collect(), rooms.into_iter().collect())))
}

/// The users who were added since a version, and perhaps others beside them.
async fn read_added(moment: &mut Transaction<'_>, since: u64) -> mysql_async::Result<Vec<(UserId, bool)>> {
    let sql = "SELECT first_user, last_user, change_time FROM catalogue_changes \
               WHERE version > ? AND first_user IS NOT NULL";
    let ranges: Vec<(u64, u64, i64)> = moment.exec(sql, (since,)).await?;
    let mut users = BTreeSet::new();
    for range in ranges {
        // Two of them may be far apart: those in between who were there before are left out.
        let sql =
            "SELECT user_id, is_active <> 0 FROM users WHERE user_id BETWEEN ? AND ? AND register_time = ?";
        let rows: Vec<(u64, bool)> = moment.exec(sql, range).await?;
        users.extend(rows.into_iter().filter_map(|(id, active)| Some((UserId::new(id).ok()?, active))));
    }
    Ok(users.into_iter().collect())
}

fn record(row: &Row) -> mysql_async::Result<ChangeRecord> {
    let id = |column| get::<Option<u64>>(row, column);
    Ok(ChangeRecord {
        version: get(row, 0)?,
        time: Timestamp::from_millis(get(row, 1)?),
        operator: get(row, 2)?,
        what: get(row, 3)?,
        coupon: id(4)?.and_then(|id| CouponId::new(id).ok()),
        room: id(5)?.and_then(|id| RoomId::new(id).ok()),
    })
}

pub(crate) fn list(coupons: &[CouponId]) -> String {
    coupons.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}
