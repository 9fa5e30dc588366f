//! The data that the checks read, wherever it lives: each kind of data has one way to hold it still and read it, and
//! all share the checks.

use std::collections::BTreeMap;
use std::fmt;

use anyhow::{Context as _, Result, bail};
use coupon_core::{Money, Placement, ResultId, ShardId, TableId, Timestamp};

use super::archives::Archives;
use super::books::Line;
pub(super) use super::catalogue::{Catalogue, ChangedFrom, Coupon, Earlier, Terms, earlier};
use super::history::{History, Leaving, Movement};
use super::ids::Ids;
use super::kept::KeptStock;
use super::life::Life;
use super::scan::Holders;
use super::{AuditReport, Label, Scope};

/// The place of a data set.
pub(super) trait Place: fmt::Display {
    /// Reads the data's account of itself.
    fn label(&self) -> Result<Label>;

    /// Holds the data still at one moment, with its gate, where the gate is another place that can be wrong.
    fn hold_still(&self) -> Result<(Snapshot, Option<Box<dyn Gate + '_>>)>;

    /// The number of results of each shard by its own count; `None` where no shard keeps count.
    fn kept_counts(&self) -> Result<Option<Vec<u64>>> {
        Ok(None)
    }

    /// Waits until no reservation is pending any more, at most for as long as a service may take to settle them all.
    fn settle(&self) -> Result<()> {
        Ok(())
    }
}

/// A gate that keeps what it granted apart from the rows.
pub(super) trait Gate {
    /// The terms of the coupons in it; none where there is no gate to look at.
    fn terms(&self, snapshot: &Snapshot) -> Result<BTreeMap<i64, Terms>>;

    /// Holds it against main and the rows, coupon by coupon, for those that are still on offer.
    fn check(
        &self,
        snapshot: &Snapshot,
        holders: &Holders,
        scope: &Scope<'_>,
        report: &mut AuditReport,
    ) -> Result<()>;
}

/// A data set, held still at one moment. What is small has been read already; rows are read when they are asked for.
pub(super) struct Snapshot {
    pub(super) dataset: String,
    /// The places where rows may be, by the versions of the layout.
    pub(super) history: History,
    /// The movement of rows to the latest version, if there ever was one.
    pub(super) movement: Option<Movement>,
    /// Every coupon.
    pub(super) catalogue: Catalogue,
    /// The terms that coupons were on offer for before operators changed them.
    pub(super) earlier: Earlier,
    /// Every user.
    pub(super) users: Ids,
    /// A service has taken users whom main does not know.
    pub(super) accepts_unknown_users: bool,
    /// The last line of the stock log that came with a copy of another data set; 0 where none did.
    pub(super) copied_lines: i64,
    /// The archives that main's record of changes names.
    pub(super) archives: Archives,
    /// The number of shards that a room index is kept on, if there is one.
    pub(super) indexed: Option<u16>,
    /// Every shard, in order.
    pub(super) shards: Vec<Shard>,
    /// Their tables, and what is too large to be read beforehand.
    pub(super) rows: Box<dyn Rows>,
}

/// The tables of a data set that is held still, row by row.
pub(super) trait Rows {
    /// Hands on every row of a table of results, a few at a time in memory.
    fn each(&mut self, place: Placement, row: &mut dyn FnMut(Stored)) -> Result<()>;

    /// Hands on every entry of a shard's part of the room index, likewise.
    fn indexed(&mut self, shard: ShardId, row: &mut dyn FnMut(Stored)) -> Result<()>;

    /// Hands on the stock log, coupon by coupon, each coupon's lines in the order of their numbers.
    fn lines(&mut self, line: &mut dyn FnMut(Line)) -> Result<()>;

    /// The rows of a table that a description has to name.
    fn find(&mut self, place: Placement, wanted: Wanted) -> Result<Vec<Grab>>;

    /// The largest `result_id` of a table.
    fn newest(&mut self, place: Placement) -> Result<Option<i64>>;
}

/// The name under which main's label says up to which line the stock log came with a copy.
pub(super) const COPIED_LINES: &str = "copied_lines";

/// The number of that line.
///
/// # Errors
/// When what the label says is no number.
pub(super) fn copied_lines(said: Option<&str>) -> Result<i64> {
    let Some(said) = said else { return Ok(0) };
    said.parse().with_context(|| format!("main's label says {COPIED_LINES} {said:?}, which is no number"))
}

/// The name under which main's label says of which data set this one is to be a copy, until it is one.
pub(super) const COPYING: &str = "copying";

/// Refuses data that is not complete, by what main's label says of its format and of a copy.
///
/// # Errors
/// When it is not; the error says what was cut short.
pub(super) fn ensure_complete(format: Option<&str>, copying: Option<&str>) -> Result<()> {
    match (format, copying) {
        (Some(_), _) => Ok(()),
        (None, Some(source)) => bail!(
            "it is to be a copy of data set {source}, and the copy is not complete: `seeder copy` is at work on it, or was cut \
             short and goes on when it is run again"
        ),
        (None, None) => bail!("its data set is incomplete: filling it was cut short"),
    }
}

/// The formats of data that lacks what is read here, until a service of today opens it.
pub(super) const EARLIER_FORMATS: [&str; 2] = ["1", "2"];

/// The refusal of such data.
pub(super) const TOO_EARLY: &str = "it was made by an earlier version: a service or `seeder archive` of this one brings it up to date when it opens it";

/// One shard, but for its rows.
pub(super) struct Shard {
    pub(super) number: u16,
    pub(super) tables: Vec<TableId>,
    /// Results that are stored, but not in their tables yet.
    pub(super) inbox: Vec<Waiting>,
    /// The position to which main has applied its outbox.
    pub(super) position: i64,
    /// The outbox beyond that.
    pub(super) outbox: Vec<Entry>,
    /// The last entry that it has ever written there; 0 before the first.
    pub(super) last: i64,
    pub(super) parked: Vec<Parked>,
    /// Its list of what is held: until when, and the result.
    pub(super) holds: Vec<(i64, i64)>,
    /// The rows that have left their table, and are not known to have arrived in their new one.
    pub(super) leaving: Vec<Leaving>,
    /// The sums that the shard counts itself, where it keeps count.
    pub(super) counted: Option<Sums>,
    /// Tables of results without a key that they must have, with that key.
    pub(super) unguarded: Vec<(TableId, &'static str)>,
    /// The stock that it keeps of each coupon itself; `None` where its database decides no grabs.
    pub(super) stock: Option<Vec<KeptStock>>,
}

/// Sums over results.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Sums {
    pub(super) results: i64,
    pub(super) used: i64,
    pub(super) cents: i64,
    /// Results that gave their stock back; [`UNTOLD`] where an answer does not say.
    pub(super) given_back: i64,
}

/// The number that stands for one that an answer does not say.
pub(super) const UNTOLD: i64 = -1;

impl Sums {
    pub(super) fn add(&mut self, row: &Stored) {
        self.results += 1;
        self.used += row.spent.status;
        self.cents += row.spent.cents.unwrap_or(0);
        self.given_back += i64::from(!row.life.is_live());
    }

    /// True if these sums, which an answer gave, are those of the rows, of which so many may have expired since.
    pub(super) fn agree_with(self, rows: Self, expired: i64) -> bool {
        let Self { given_back, .. } = self;
        let known =
            given_back == UNTOLD || (rows.given_back - expired..=rows.given_back).contains(&given_back);
        known && self == Self { given_back, ..rows }
    }
}

impl std::fmt::Display for Sums {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { results, used, cents, given_back } = self;
        write!(f, "{results} results, {used} used, {cents} cents")?;
        if *given_back == UNTOLD { Ok(()) } else { write!(f, ", {given_back} given back") }
    }
}

/// The keys without which a table lets an id, or a user's coupon, in twice: what they are called here, and their
/// columns.
pub(super) const KEYS: [(&str, &[&str]); 2] = [
    ("primary key on result_id", &["result_id"]),
    ("unique index on (user_id, coupon_id, slot)", &["user_id", "coupon_id", "slot"]),
];

/// The keys of [`KEYS`] that are not among a table's unique ones.
pub(super) fn missing_keys(unique: &[Vec<String>]) -> impl Iterator<Item = &'static str> {
    KEYS.iter().filter(|(_, columns)| !unique.iter().any(|key| key == columns)).map(|(name, _)| *name)
}

/// An entry of an outbox.
pub(super) struct Entry {
    pub(super) id: i64,
    /// JSON: coupons, and how many rows of each are new, retired or given back.
    pub(super) deltas: String,
}

/// A result in an inbox.
#[derive(Debug, Clone, Copy)]
pub(super) struct Waiting {
    pub(super) table: TableId,
    pub(super) grab: Grab,
    pub(super) room: i64,
    pub(super) life: Life,
    pub(super) request: Option<i64>,
}

impl Waiting {
    /// The row that it will be.
    pub(super) fn row(&self) -> Stored {
        let Self { grab, room, life, request, .. } = *self;
        let time = ResultId::from_number(grab.id).map_or(0, |id| id.time().millis());
        Stored { grab, room, time, granted: true, spent: Spent::default(), life, request }
    }
}

/// A result that was set aside.
pub(super) struct Parked {
    pub(super) grab: Grab,
    /// The slot in which its user holds it at the gate; the first where nothing says so.
    #[cfg_attr(
        not(feature = "servers"),
        expect(dead_code, reason = "it is held against the gate of servers")
    )]
    pub(super) slot: u8,
    pub(super) table: String,
    pub(super) reason: String,
}

/// A user's coupon, and the result by which they got it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Grab {
    pub(super) id: i64,
    pub(super) user: i64,
    pub(super) coupon: i64,
}

impl Grab {
    /// For descriptions.
    pub(super) fn at(self, place: Placement) -> String {
        format!("{self} ({place})")
    }
}

impl std::fmt::Display for Grab {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "result {} of user {}, coupon {}", self.id, self.user, self.coupon)
    }
}

/// A stored row, as it is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stored {
    pub(super) grab: Grab,
    pub(super) room: i64,
    pub(super) time: i64,
    /// True if it says that the coupon was got, and nothing else.
    pub(super) granted: bool,
    pub(super) spent: Spent,
    pub(super) life: Life,
    /// The key of the request that it answers, if it names one.
    pub(super) request: Option<i64>,
}

/// A row's account of its use.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Spent {
    pub(super) status: i64,
    pub(super) time: Option<i64>,
    pub(super) cents: Option<i64>,
}

impl Spent {
    /// True if it was used, as far as that can be read from it at all.
    pub(super) const fn is_used(self) -> bool {
        self.status != 0
    }
}

impl std::fmt::Display for Spent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shown = |value: Option<String>| value.unwrap_or_else(|| "null".to_owned());
        let time = shown(self.time.map(|time| Timestamp::from_millis(time).to_string()));
        let amount = shown(self.cents.map(|cents| Money::from_cents(cents).to_string()));
        write!(f, "use_status {}, use_time {time}, order_amount {amount}", self.status)
    }
}

impl Stored {
    /// The moment until which it is held, and its id, if it is.
    pub(super) fn held(&self) -> Option<(i64, i64)> {
        let until = self.life.hold_until.filter(|_| self.life.state == Life::HELD)?;
        Some((until, self.grab.id))
    }

    /// The columns to select for it, on any kind of database, followed by the amount in cents.
    pub(super) const COLUMNS: &str = "result_id, user_id, coupon_id, room_id, grab_time, \
         grab_status = 1 AND fail_reason IS NULL, use_status, use_time, state, slot, hold_until, state_time, request";
}

/// The rows that a description has to name.
#[derive(Debug, Clone, Copy)]
pub(super) enum Wanted {
    /// The rows of that id.
    Result(i64),
    /// The rows of that user and coupon.
    Holding { user: i64, coupon: i64 },
}

impl Snapshot {
    /// True once rows have been moved from the shards that they were stored on.
    pub(super) fn has_moved(&self) -> bool {
        self.movement.is_some()
    }

    /// The places of a user's rows of a coupon, for a description.
    pub(super) fn holdings(&mut self, user: i64, coupon: i64) -> Result<Vec<String>> {
        self.find(Wanted::Holding { user, coupon })
    }

    /// The places of the rows with an id, for a description.
    pub(super) fn copies(&mut self, result: i64) -> Result<Vec<String>> {
        self.find(Wanted::Result(result))
    }

    fn find(&mut self, wanted: Wanted) -> Result<Vec<String>> {
        let mut found = Vec::new();
        for place in self.places() {
            found.extend(self.rows.find(place, wanted)?.into_iter().map(|grab| grab.at(place)));
        }
        Ok(found)
    }

    /// The largest `result_id` stored anywhere.
    pub(super) fn newest(&mut self) -> Result<Option<i64>> {
        let waiting = self.shards.iter().flat_map(|shard| &shard.inbox);
        let mut newest = waiting.map(|waiting| waiting.grab.id).max();
        for place in self.places() {
            newest = newest.max(self.rows.newest(place)?);
        }
        Ok(newest)
    }

    /// Every table of every shard.
    pub(super) fn places(&self) -> Vec<Placement> {
        self.shards.iter().flat_map(Shard::places).collect()
    }
}

impl Shard {
    /// Every table of it.
    pub(super) fn places(&self) -> impl Iterator<Item = Placement> {
        self.tables.iter().map(|&table| self.place(table))
    }

    /// A table of it.
    pub(super) fn place(&self, table: TableId) -> Placement {
        Placement::new(ShardId::new(self.number), table)
    }
}

/// The tables of results among all tables of a shard.
///
/// # Errors
/// When one is named nearly like a table of results: no reader would find the rows of such a table.
pub(super) fn tables_of_results(names: impl IntoIterator<Item = String>) -> Result<Vec<TableId>> {
    let mut tables = Vec::new();
    for name in names {
        let table = TableId::parse(&name);
        let stray = table.is_none() && name.starts_with(TableId::PREFIX);
        anyhow::ensure!(!stray, "{name} looks like a table of results, but is not named like one");
        tables.extend(table);
    }
    Ok(tables)
}
