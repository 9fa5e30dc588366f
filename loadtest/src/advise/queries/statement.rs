//! The part of a statement that decides where it goes: its tables, and what it says of their columns.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use sqlparser::ast::{
    Assignment, AssignmentTarget, Delete, Expr, FromTable, Ident, Insert, JoinConstraint, JoinOperator,
    ObjectName, OnInsert, Query, Select, SetExpr, Statement as Parsed, TableFactor, TableObject,
    TableWithJoins, Update, Visit, Visitor, visit_expressions,
};
use sqlparser::dialect::MySqlDialect;
use sqlparser::parser::Parser;

use super::column::{StatementColumn, Unjudged, of_parts};
use super::conditions::{Conditions, column};

/// The words that statements which concern no rows begin with, and parts of procedures.
const OTHERS: [&str; 46] = [
    "ALTER",
    "ANALYZE",
    "BEGIN",
    "BINLOG",
    "CACHE",
    "CALL",
    "CHANGE",
    "CHECK",
    "CHECKSUM",
    "COMMIT",
    "CREATE",
    "DEALLOCATE",
    "DECLARE",
    "DELIMITER",
    "DESC",
    "DESCRIBE",
    "DO",
    "DROP",
    "END",
    "EXECUTE",
    "EXPLAIN",
    "FLUSH",
    "GRANT",
    "HELP",
    "INSTALL",
    "KILL",
    "LOCK",
    "OPTIMIZE",
    "PREPARE",
    "PURGE",
    "QUIT",
    "RELEASE",
    "RENAME",
    "REPAIR",
    "RESET",
    "REVOKE",
    "ROLLBACK",
    "SAVEPOINT",
    "SET",
    "SHOW",
    "START",
    "STOP",
    "TRUNCATE",
    "UNLOCK",
    "USE",
    "XA",
];

/// A table of a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct StatementTable {
    /// Its name, with that of its database if the statement has it and other statements have another.
    pub(super) name: String,
    /// The name that its columns are qualified by.
    pub(super) alias: String,
}

/// A statement that reads or writes rows.
#[derive(Debug, Default)]
pub(super) struct Statement {
    pub(super) writes: bool,
    /// Its rows are new ones.
    pub(super) inserts: bool,
    pub(super) tables: Vec<StatementTable>,
    pub(super) conditions: Conditions,
    /// The columns that it changes.
    pub(super) assigned: Vec<StatementColumn>,
    /// Every column that it names.
    pub(super) columns: Vec<StatementColumn>,
    /// Every table that it names, in queries within it too; with the database as in [`StatementTable::name`].
    pub(super) named: Vec<String>,
    /// Whatever the key.
    pub(super) doubt: Option<Unjudged>,
}

/// Reads a shape; none when it concerns no rows (`SET`, `COMMIT`, …).
pub(super) fn read(shape: &str) -> Option<Statement> {
    // The older words for FOR SHARE, which the parser does not know.
    let parsed = match Parser::parse_sql(&MySqlDialect {}, &shape.replace("LOCK IN SHARE MODE", "FOR SHARE"))
    {
        Ok(parsed) => parsed,
        Err(_) if begins_like_others(shape) => return None,
        Err(_) => return Some(Statement::in_doubt(writes(shape), Unjudged::Unreadable)),
    };
    let [parsed] = parsed.as_slice() else { return None };
    let parts = Parts::of(parsed);
    let mut statement = match parsed {
        Parsed::Query(query) => of_query(query, parts.selects)?,
        Parsed::Insert(insert) => of_insert(insert),
        Parsed::Update(update) => of_update(update),
        Parsed::Delete(delete) => of_delete(delete),
        Parsed::LoadData { .. } => Statement::in_doubt(true, Unjudged::Unreadable),
        Parsed::Set(_) if parts.selects > 0 => Statement::in_doubt(false, Unjudged::Subquery),
        _ => return None,
    };
    statement.look_over(parsed, parts);
    Some(statement)
}

/// True for a shape that begins like a statement which concerns no rows.
fn begins_like_others(shape: &str) -> bool {
    let first = shape.split_whitespace().next().unwrap_or_default();
    OTHERS.iter().any(|other| first.eq_ignore_ascii_case(other))
}

/// True for a shape that begins like one that writes.
fn writes(shape: &str) -> bool {
    ["INSERT ", "UPDATE ", "DELETE ", "REPLACE ", "LOAD "].iter().any(|begin| shape.starts_with(begin))
}

impl Statement {
    pub(super) fn in_doubt(writes: bool, doubt: Unjudged) -> Self {
        Self { writes, doubt: Some(doubt), ..Self::default() }
    }

    fn doubt(&mut self, doubt: Unjudged) {
        self.doubt.get_or_insert(doubt);
    }

    /// Leaves databases out of names, but for these tables, which several have; of which it is in doubt if it does not say.
    pub(super) fn unqualify(&mut self, but_for: &BTreeSet<String>) {
        for name in self.named.iter_mut().chain(self.tables.iter_mut().map(|table| &mut table.name)) {
            if !but_for.contains(unqualified(name)) {
                *name = unqualified(name).to_owned();
            }
        }
        if self.named.iter().any(|name| but_for.contains(name)) {
            self.doubt(Unjudged::UnknownDatabase);
        }
    }

    /// Doubts it where it holds more queries than one, and keeps every table and column that it names.
    fn look_over(&mut self, parsed: &Parsed, parts: Parts) {
        if parts.selects > u32::from(!self.writes) {
            self.doubt(Unjudged::Subquery);
        }
        self.named = parts.tables;
        let _: ControlFlow<()> = visit_expressions(parsed, |expression| {
            self.columns.extend(column(expression));
            ControlFlow::Continue(())
        });
        self.columns.extend(self.assigned.iter().cloned());
        self.columns.sort();
        self.columns.dedup();
    }

    /// Adds tables, and what joins them.
    fn add_tables(&mut self, tables: &[TableWithJoins]) {
        for table in tables {
            self.table(&table.relation);
            for join in &table.joins {
                let before = self.tables.len();
                self.table(&join.relation);
                let joined = self.tables.get(before).map(|table| table.alias.clone());
                self.join(&join.join_operator, joined.as_deref());
            }
        }
    }

    fn table(&mut self, table: &TableFactor) {
        let TableFactor::Table { name, alias, args: None, .. } = table else {
            return self.doubt(Unjudged::Join);
        };
        let Some(name) = whole(name) else { return self.doubt(Unjudged::Join) };
        let alias = alias.as_ref().map_or(unqualified(&name), |alias| &*alias.name.value).to_lowercase();
        if self.tables.iter().any(|table| table.alias == alias) {
            // Of two databases: which of them a column is of cannot be told by the table's name.
            self.doubt(Unjudged::Join);
        }
        self.tables.push(StatementTable { name, alias });
    }

    fn join(&mut self, operator: &JoinOperator, joined: Option<&str>) {
        let (constraint, outer) = match operator {
            JoinOperator::Join(on)
            | JoinOperator::Inner(on)
            | JoinOperator::CrossJoin(on)
            | JoinOperator::StraightJoin(on) => (on, None),
            JoinOperator::Left(on) | JoinOperator::LeftOuter(on) => (on, joined),
            _ => return self.doubt(Unjudged::Join),
        };
        match (constraint, self.tables.as_slice()) {
            (JoinConstraint::None, _) => {}
            (JoinConstraint::On(on), _) => self.conditions.add(on, outer),
            (JoinConstraint::Using(names), [first, second]) => {
                let of = |table: &StatementTable, name: &ObjectName| {
                    Some(StatementColumn {
                        table: Some(table.alias.clone()),
                        name: whole(name)?.to_lowercase(),
                    })
                };
                for name in names {
                    if let (Some(first), Some(second)) = (of(first, name), of(second, name)) {
                        self.conditions.same(first, second, outer.is_some());
                    }
                }
            }
            _ => self.doubt(Unjudged::Join),
        }
    }

    fn filter(&mut self, selection: Option<&Expr>) {
        if let Some(selection) = selection {
            self.conditions.add(selection, None);
        }
    }

    fn assign(&mut self, assignments: &[Assignment]) {
        for assignment in assignments {
            let targets = match &assignment.target {
                AssignmentTarget::ColumnName(name) => std::slice::from_ref(name),
                AssignmentTarget::Tuple(names) => names,
            };
            self.assigned.extend(targets.iter().filter_map(named));
        }
    }
}

/// The queries and tables of a statement, however deep.
#[derive(Default)]
struct Parts {
    selects: u32,
    tables: Vec<String>,
}

impl Parts {
    fn of(parsed: &Parsed) -> Self {
        let mut parts = Self::default();
        let _: ControlFlow<()> = parsed.visit(&mut parts);
        parts
    }
}

impl Visitor for Parts {
    type Break = ();

    fn pre_visit_select(&mut self, _: &Select) -> ControlFlow<()> {
        self.selects += 1;
        ControlFlow::Continue(())
    }

    fn pre_visit_relation(&mut self, name: &ObjectName) -> ControlFlow<()> {
        self.tables.extend(whole(name));
        ControlFlow::Continue(())
    }
}

/// A query, which has so many SELECTs, itself included; none where the only one is of no table.
fn of_query(query: &Query, selects: u32) -> Option<Statement> {
    let mut statement = Statement::default();
    match &*query.body {
        SetExpr::Select(select) => {
            if select.from.is_empty() && selects < 2 {
                return None;
            }
            statement.add_tables(&select.from);
            statement.filter(select.selection.as_ref());
        }
        _ => statement.doubt(Unjudged::Subquery),
    }
    Some(statement)
}

fn of_insert(insert: &Insert) -> Statement {
    let mut statement = Statement { writes: true, inserts: true, ..Statement::default() };
    let TableObject::TableName(name) = &insert.table else {
        return Statement::in_doubt(true, Unjudged::Join);
    };
    let Some(name) = whole(name) else { return Statement::in_doubt(true, Unjudged::Join) };
    statement.tables.push(StatementTable { alias: unqualified(&name).to_lowercase(), name });
    match insert.source.as_ref().map(|source| &*source.body) {
        Some(SetExpr::Values(values)) => {
            let one = values.rows.len() < 2;
            let columns = insert.columns.iter().filter_map(named);
            columns.for_each(|column| statement.conditions.given(column, one));
        }
        None => {
            let mut set = Statement::default();
            set.assign(&insert.assignments);
            set.assigned.into_iter().for_each(|column| statement.conditions.given(column, true));
        }
        Some(_) => statement.doubt(Unjudged::Subquery),
    }
    if let Some(OnInsert::DuplicateKeyUpdate(assignments)) = &insert.on {
        statement.assign(assignments);
    }
    statement.columns = statement.conditions.columns().cloned().collect();
    statement
}

fn of_update(update: &Update) -> Statement {
    let mut statement = Statement { writes: true, ..Statement::default() };
    statement.add_tables(std::slice::from_ref(&update.table));
    if update.from.is_some() {
        statement.doubt(Unjudged::Join);
    }
    statement.filter(update.selection.as_ref());
    statement.assign(&update.assignments);
    statement
}

fn of_delete(delete: &Delete) -> Statement {
    let mut statement = Statement { writes: true, ..Statement::default() };
    let (FromTable::WithFromKeyword(from) | FromTable::WithoutKeyword(from)) = &delete.from;
    statement.add_tables(delete.using.as_deref().unwrap_or(from));
    statement.filter(delete.selection.as_ref());
    statement
}

/// The name, with the database that it is in if that is said.
fn whole(name: &ObjectName) -> Option<String> {
    let parts: Option<Vec<&str>> = name.0.iter().map(|part| Some(&*part.as_ident()?.value)).collect();
    parts.filter(|parts| !parts.is_empty()).map(|parts| parts.join("."))
}

/// The name without the database that it is in.
pub(super) fn unqualified(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}

fn named(name: &ObjectName) -> Option<StatementColumn> {
    let parts: Option<Vec<&Ident>> = name.0.iter().map(|part| part.as_ident()).collect();
    of_parts(&parts?)
}
