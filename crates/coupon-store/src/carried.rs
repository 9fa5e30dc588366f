//! The rows of a main database that a copy of a data set carries, as both databases have them.
//!
//! They are carried as they are, and not as the types of the catalogue: people edit main, and a row that makes no sense
//! there makes none in the copy either. What is left out belongs to the data set itself: positions in its outboxes, its
//! gate's epochs, the versions of its layout, its leases, its processes, and of a line of the stock log the shard and
//! the entry that it came from.

use std::fmt;

use coupon_core::ShardId;
use coupon_core::schema::Dialect;

/// A table of main.
#[derive(Debug)]
pub struct CarriedTable {
    /// Its name.
    pub name: &'static str,
    /// The most rows that are read at a time, so that they fit into memory.
    pub page: usize,
    /// Its columns. The first is its key, and a number.
    columns: &'static [(&'static str, Kind)],
}

/// The kind of a column's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Number,
    Text,
    /// An amount to the cent.
    Money,
    /// A document, of which a database may change the spelling.
    Json,
}

use Kind::{Json, Money, Number, Text};

/// A value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cell {
    /// None.
    Null,
    /// A number.
    Number(i64),
    /// An amount, in cents.
    Cents(i64),
    /// A text.
    Text(String),
}

/// A row: a value for each column.
pub type CarriedRow = Vec<Cell>;

/// Rows of a few hundred bytes.
const PAGE: usize = 8_192;
/// Rows with texts of up to 64 KB each.
const WIDE_PAGE: usize = 256;

/// The tables of main that are carried, in the order in which they are.
pub const CARRIED: [CarriedTable; 8] = [
    CarriedTable {
        name: "users",
        page: PAGE,
        columns: &[
            ("user_id", Number),
            ("username", Text),
            ("phone", Text),
            ("email", Text),
            ("register_time", Number),
            ("last_login", Number),
            ("user_level", Number),
            ("is_active", Number),
        ],
    },
    CarriedTable {
        name: "live_rooms",
        page: PAGE,
        columns: &[
            ("room_id", Number),
            ("room_name", Text),
            ("anchor_id", Number),
            ("room_status", Number),
            ("viewer_count", Number),
            ("start_time", Number),
            ("end_time", Number),
            ("create_time", Number),
            ("is_hot", Number),
        ],
    },
    CarriedTable {
        name: "coupons",
        page: PAGE,
        columns: &[
            ("coupon_id", Number),
            ("room_id", Number),
            ("coupon_name", Text),
            ("coupon_type", Number),
            ("discount_amount", Money),
            ("discount_rate", Number),
            ("min_purchase", Money),
            ("total_stock", Number),
            ("remaining_stock", Number),
            ("start_time", Number),
            ("end_time", Number),
            ("create_time", Number),
            ("update_time", Number),
            ("status", Number),
            ("hold_s", Number),
            ("user_limit", Number),
            ("returnable", Number),
            ("taken_back", Number),
        ],
    },
    CarriedTable {
        name: "coupon_details",
        page: WIDE_PAGE,
        columns: &[
            ("coupon_id", Number),
            ("description", Text),
            ("usage_rules", Text),
            ("product_range", Json),
        ],
    },
    CarriedTable {
        name: STOCK_LOGS,
        page: PAGE,
        columns: &[
            ("log_id", Number),
            ("coupon_id", Number),
            ("operation_type", Number),
            ("stock_before", Number),
            ("stock_after", Number),
            ("operator", Text),
            ("create_time", Number),
        ],
    },
    CarriedTable { name: "coupon_rooms", page: PAGE, columns: &[("coupon_id", Number), ("room_id", Number)] },
    CarriedTable {
        name: "catalogue_changes",
        page: PAGE,
        columns: &[
            ("version", Number),
            ("change_time", Number),
            ("operator", Text),
            ("what", Text),
            ("coupon_id", Number),
            ("room_id", Number),
            ("first_user", Number),
            ("last_user", Number),
            ("total_before", Number),
            ("start_before", Number),
            ("end_before", Number),
            ("status_before", Number),
            ("user_limit_before", Number),
        ],
    },
    CarriedTable {
        name: "catalogue_state",
        page: PAGE,
        columns: &[("id", Number), ("version", Number), ("accepts_unknown_users", Number)],
    },
];

/// The name under which main's label says of which data set it is to become a copy; and the beginning of the names under
/// which it says how far that has come.
pub const COPYING: &str = "copying";
/// The name under which it says up to which line its stock log came with a copy.
pub const COPIED_LINES: &str = "copied_lines";
/// The name under which it says of which data set it is a copy.
pub const COPIED_FROM: &str = "copied_from";
/// The name under which it says that it was put back once to an earlier state: coupons may have holders that it forgot.
pub const PUT_BACK: &str = "put_back";

/// The table of main whose last line is noted in the copy.
pub const STOCK_LOGS: &str = "stock_logs";

impl CarriedTable {
    /// The names of its columns.
    pub fn names(&self) -> Vec<&'static str> {
        self.columns.iter().map(|(name, _)| *name).collect()
    }

    /// The query for the next rows behind a key, in the order of keys. Its numbers are the key and the most that are
    /// wanted. Every value is a whole number or a text.
    pub fn select(&self, dialect: Dialect) -> String {
        let column = |(name, kind): &(&str, Kind)| match (kind, dialect) {
            (Money, Dialect::MySql) => format!("CAST({name} * 100 AS SIGNED)"),
            (Money, Dialect::Sqlite) => format!("CAST(ROUND({name} * 100) AS INTEGER)"),
            _ => (*name).to_owned(),
        };
        let columns: Vec<String> = self.columns.iter().map(column).collect();
        let (columns, name, key) = (columns.join(", "), self.name, self.key());
        format!("SELECT {columns} FROM {name} WHERE {key} > ? ORDER BY {key} LIMIT ?")
    }

    /// The end of an INSERT that leaves a row as it is which is there already.
    pub fn unless_there(&self, dialect: Dialect) -> String {
        match dialect {
            Dialect::MySql => format!("ON DUPLICATE KEY UPDATE {key} = {key}", key = self.key()),
            Dialect::Sqlite => "ON CONFLICT DO NOTHING".to_owned(),
        }
    }

    /// Makes a row of what a query answered, value by value.
    pub fn row<E>(
        &self,
        mut number: impl FnMut(usize) -> Result<Option<i64>, E>,
        mut text: impl FnMut(usize) -> Result<Option<String>, E>,
    ) -> Result<CarriedRow, E> {
        let cell = |(at, (_, kind)): (usize, &(&str, Kind))| {
            Ok(match kind {
                Number => number(at)?.map_or(Cell::Null, Cell::Number),
                Money => number(at)?.map_or(Cell::Null, Cell::Cents),
                Text => text(at)?.map_or(Cell::Null, Cell::Text),
                Json => text(at)?.map_or(Cell::Null, |text| Cell::Text(respelt(text))),
            })
        };
        self.columns.iter().enumerate().map(cell).collect()
    }

    fn key(&self) -> &'static str {
        self.columns.first().map_or("", |(name, _)| *name)
    }
}

/// A document in the one spelling in which it is carried, or what is none as it is.
fn respelt(text: String) -> String {
    serde_json::from_str::<serde_json::Value>(&text).map_or(text, |document| document.to_string())
}

/// The key of a row.
#[must_use]
pub fn key_of(row: &CarriedRow) -> i64 {
    match row.first() {
        Some(Cell::Number(key)) => *key,
        _ => i64::MIN,
    }
}

/// Something that a data set still waits for, or that waits for a person: it cannot be copied before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waits {
    /// The shard that has it, if one does.
    pub shard: Option<ShardId>,
    /// The number of them.
    pub count: u64,
    /// The kind of thing.
    pub what: &'static str,
    /// True if no drain ends it.
    pub for_a_person: bool,
}

impl Waits {
    /// Something of a shard's that a drain ends, if there is any.
    pub fn of_shard(shard: ShardId, count: u64, what: &'static str) -> Option<Self> {
        (count > 0).then_some(Self { shard: Some(shard), count, what, for_a_person: false })
    }

    /// Results of a shard that were parked, if there are any.
    pub fn parked_results(shard: ShardId, count: u64) -> Option<Self> {
        let what = "parked results, which hold their stock";
        (count > 0).then_some(Self { shard: Some(shard), count, what, for_a_person: true })
    }

    /// Changes that main has parked, if there are any.
    pub fn parked_deltas(count: u64) -> Option<Self> {
        let what = "parked changes of coupons whose rows in main have no room for them";
        (count > 0).then_some(Self { shard: None, count, what, for_a_person: true })
    }
}

impl fmt::Display for Waits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { shard, count, what, .. } = self;
        match shard {
            Some(shard) => write!(f, "shard {shard}: {count} {what}"),
            None => write!(f, "{count} {what}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use coupon_core::schema;

    use super::*;

    #[test]
    fn every_column_of_mains_tables_is_carried_or_left_out_on_purpose() {
        let all = schema::catalogue(Dialect::Sqlite).join(";\n");
        let db = rusqlite::Connection::open_in_memory().unwrap();
        db.execute_batch(&all).unwrap();
        let names = |sql: &str| -> Vec<String> {
            let mut statement = db.prepare(sql).unwrap();
            let names = statement.query_map([], |row| row.get(0)).unwrap();
            names.map(Result::unwrap).collect()
        };
        let mut left_out = Vec::new();
        for table in names("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name") {
            let carried = CARRIED.iter().find(|carried| carried.name == table);
            let Some(carried) = carried else {
                left_out.push(table);
                continue;
            };
            let columns = names(&format!("SELECT name FROM pragma_table_info('{table}')"));
            let missing = columns.into_iter().filter(|column| !carried.names().contains(&&**column));
            left_out.extend(missing.map(|column| format!("{table}.{column}")));
        }
        let on_purpose = [
            "layouts",
            "log_state",
            "meta",
            "moves",
            "outbox_positions",
            "parked_deltas",
            "stock_logs.shard",
            "stock_logs.outbox_id",
        ];
        assert_eq!(left_out, on_purpose);
    }

    #[test]
    fn a_document_is_carried_in_one_spelling() {
        assert_eq!(
            respelt(r#"{"b": [1, 2],"a":"x"}"#.to_owned()),
            respelt(r#"{"a":"x", "b":[1,2]}"#.to_owned())
        );
        assert_eq!(respelt("no document".to_owned()), "no document");
    }
}
