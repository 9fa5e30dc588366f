//! The rows that are grabs, those that are queries, and those that are neither.

use std::collections::BTreeSet;

use anyhow::{Context, Result, bail, ensure};
use coupon_loadgen::workload::Endpoint;

use super::columns::{Column, Header};
use super::ids::canonical;
use crate::source::Record;

/// The queries that a recorded row may stand for besides a grab: each changes nothing, and asks with a user, a room or a coupon.
const QUERIES: [Endpoint; 10] = [
    Endpoint::UserCoupons,
    Endpoint::RoomOrders,
    Endpoint::RoomStats,
    Endpoint::Recent,
    Endpoint::Global,
    Endpoint::Stock,
    Endpoint::Coupon,
    Endpoint::CouponDetails,
    Endpoint::RoomCoupons,
    Endpoint::RoomCouponsDetails,
];

/// A condition on a column: `event=transaction`, `event=cart|transaction` or `event!=view`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnCondition {
    column: String,
    values: Vec<String>,
    holds: bool,
}

impl ColumnCondition {
    fn new(column: &str, values: &str, holds: bool) -> Result<Self> {
        ensure!(!column.trim().is_empty(), "a condition needs a column");
        let values = values.split('|').map(|value| canonical(value.trim()).into_owned()).collect();
        Ok(Self { column: column.trim().to_owned(), values, holds })
    }
}

impl std::str::FromStr for ColumnCondition {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let (column, values) = text
            .split_once('=')
            .with_context(|| format!("{text:?} is not COLUMN=VALUE, COLUMN=VALUE|VALUE or COLUMN!=VALUE"))?;
        match column.strip_suffix('!') {
            Some(column) => Self::new(column, values, false),
            None => Self::new(column, values, true),
        }
    }
}

impl std::fmt::Display for ColumnCondition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let sign = if self.holds { "=" } else { "!=" };
        write!(f, "{}{sign}{}", self.column, self.values.join("|"))
    }
}

/// Rows that are queries: `user_coupons=event:view`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueryRows {
    endpoint: Endpoint,
    condition: ColumnCondition,
}

impl std::str::FromStr for QueryRows {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let form = || format!("{text:?} is not ENDPOINT=COLUMN:VALUE, for example user_coupons=event:view");
        let (key, condition) = text.split_once('=').with_context(form)?;
        let (column, values) = condition.split_once(':').with_context(form)?;
        let Some(endpoint) = QUERIES.into_iter().find(|endpoint| endpoint.key() == key.trim()) else {
            bail!("{key:?} is no query; there are {}", QUERIES.map(Endpoint::key).join(", "));
        };
        Ok(Self { endpoint, condition: ColumnCondition::new(column, values, true)? })
    }
}

/// The values of one column that are named of rows which are not taken.
const NAMED: usize = 5;
/// The longest such value, in characters: a longer one is cut.
const LONGEST: usize = 40;

/// The conditions, with the places of their columns.
#[derive(Debug, Clone, Default)]
pub(super) struct Selection {
    grabs: Vec<(Column, ColumnCondition)>,
    queries: Vec<(Column, Endpoint, ColumnCondition)>,
    /// For each condition on grabs the first values that do not meet it, and one more.
    others: Vec<BTreeSet<String>>,
}

impl Selection {
    pub(super) fn new(header: &Header, conditions: &[ColumnCondition], asked: &[QueryRows]) -> Result<Self> {
        let grab =
            |condition: &ColumnCondition| Ok((header.find(&condition.column, "--where")?, condition.clone()));
        let query = |asked: &QueryRows| {
            let column = header.find(&asked.condition.column, "--query")?;
            Ok((column, asked.endpoint, asked.condition.clone()))
        };
        Ok(Self {
            grabs: conditions.iter().map(grab).collect::<Result<_>>()?,
            queries: asked.iter().map(query).collect::<Result<_>>()?,
            others: vec![BTreeSet::new(); conditions.len()],
        })
    }

    /// Takes note of a row that stands for nothing.
    pub(super) fn passes_over(&mut self, record: &Record<'_>) {
        for ((column, condition), others) in self.grabs.iter().zip(&mut self.others) {
            if others.len() <= NAMED && !meets(record, column, condition) {
                others.insert(record.field(column.place).unwrap_or("").chars().take(LONGEST).collect());
            }
        }
    }

    /// The values of rows that stand for nothing, in words.
    pub(super) fn passed_over(&self) -> String {
        let told = |((column, _), others): (&(Column, ColumnCondition), &BTreeSet<String>)| {
            let mut values: Vec<String> =
                others.iter().take(NAMED).map(|value| format!("{value:?}")).collect();
            if others.len() > NAMED {
                values.push("…".to_owned());
            }
            format!("{} is {}", column.name, values.join(", "))
        };
        let named = self.grabs.iter().zip(&self.others).filter(|(_, others)| !others.is_empty());
        named.map(told).collect::<Vec<_>>().join("; ")
    }

    /// The endpoint that a row stands for; none, if it is not wanted.
    pub(super) fn endpoint(&self, record: &Record<'_>) -> Option<Endpoint> {
        let query = self.queries.iter().find(|(column, _, condition)| meets(record, column, condition));
        if let Some((_, endpoint, _)) = query {
            return Some(*endpoint);
        }
        let wanted = self.grabs.iter().all(|(column, condition)| meets(record, column, condition));
        wanted.then_some(Endpoint::Grab)
    }
}

fn meets(record: &Record<'_>, column: &Column, condition: &ColumnCondition) -> bool {
    let value = record.field(column.place).map(canonical);
    let listed = value.is_some_and(|value| condition.values.iter().any(|wanted| *wanted == value));
    listed == condition.holds
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_are_read_and_shown_as_they_are_written() {
        for text in ["event=transaction", "type=3|4", "event!=view"] {
            assert_eq!(text.parse::<ColumnCondition>().unwrap().to_string(), text);
        }
        for text in ["event", "=x", "!=x"] {
            assert!(text.parse::<ColumnCondition>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn queries_name_an_endpoint_that_changes_nothing() {
        assert!("user_coupons=event:view".parse::<QueryRows>().is_ok());
        for (text, told) in [
            ("user_coupons", "ENDPOINT=COLUMN:VALUE"),
            ("user_coupons=event", "ENDPOINT=COLUMN:VALUE"),
            ("grab=event:view", "user_coupons, room_orders"),
        ] {
            assert!(text.parse::<QueryRows>().unwrap_err().to_string().contains(told), "{text}");
        }
    }
}
