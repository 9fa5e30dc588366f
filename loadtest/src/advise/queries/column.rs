//! The columns that a statement names, and the reasons why nothing can be said of one.

use serde::Serialize;
use sqlparser::ast::Ident;

/// A column as a statement names it, in small letters, as MySQL compares them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct StatementColumn {
    /// The table or its alias; none where the statement leaves it out.
    pub(super) table: Option<String>,
    pub(super) name: String,
}

/// A reason why nothing can be said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Unjudged {
    /// It does not parse.
    Unreadable,
    /// Its shape is too long to be kept.
    TooLong,
    /// A query within a query, or several put together.
    Subquery,
    /// A kind of join, or of table, that is not followed here.
    Join,
    /// A column of the key, without its table, where there are several.
    UnknownTable,
    /// A table that several databases have, without its database.
    UnknownDatabase,
    /// An OR, a NOT or the like that has a column of the key.
    Or,
    /// A function of a column of the key, or arithmetic with it.
    Function,
    /// LIKE and its kind, on a column of the key.
    Pattern,
    /// A row that is inserted without naming the key's columns.
    NoColumns,
    /// An update of the key itself, which may move rows.
    ChangesKey,
}

impl Unjudged {
    /// The words for it.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Unreadable => "it does not parse",
            Self::TooLong => "it is too long",
            Self::Subquery => "a query within it, or a UNION",
            Self::Join => "a kind of join or table that is not followed",
            Self::UnknownTable => "a column of the key without its table, among several tables",
            Self::UnknownDatabase => "a table that several databases have, without its database",
            Self::Or => "an OR or a NOT about the key",
            Self::Function => "a function of the key, or arithmetic with it",
            Self::Pattern => "a pattern for the key",
            Self::NoColumns => "it inserts without naming the key's columns",
            Self::ChangesKey => "it changes the key",
        }
    }
}

/// The column that a name with its qualifiers means.
pub(super) fn of_parts(parts: &[&Ident]) -> Option<StatementColumn> {
    let (name, before) = parts.split_last()?;
    let table = before.last().map(|table| table.value.to_lowercase());
    Some(StatementColumn { table, name: name.value.to_lowercase() })
}
